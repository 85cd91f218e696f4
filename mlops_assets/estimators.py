"""Estimators of this package for the candidates of a use case: what PyTorch trains, as scikit-learn asks for it."""

from __future__ import annotations

import copy
import importlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn import base
from sklearn.utils.validation import check_is_fitted

from mlops_assets.errors import ConfigError
from mlops_assets.plugins import import_object
from mlops_assets.plugins.loading import what_brings

BLOCK = 1024
"""Rows that a network is asked about at once: what it needs for a row it takes so many times, however long a day is."""

EXACT = 1 << 28
"""Probabilities of networks are multiples of one through this; see `ask_network`."""

LEAST = 50
"""Rows from which on some are kept apart to stop early."""


class TorchClassifier(base.ClassifierMixin, base.BaseEstimator):  # type: ignore[misc]
    """A network of PyTorch, fitted by Adam to the cross entropy, each row by its weight.

    It is fitted at one thread, from one seed and with algorithms that answer the same each time, so the same rows give
    the same weights on the same kind of processor. Of the rows some are kept apart: once their loss has not fallen for
    `patience` epochs, fitting ends, and the weights of the best epoch are kept.

    Parameters
    ----------
    module
        Import path of a class of yours that derives from `torch.nn.Module`. It is called with the number of columns,
        the number of classes and `parameters`, and makes of a tensor of rows and columns one of rows and classes,
        before any softmax. Like every class of yours in a stored model, it stands in `training.trusted`.
    parameters
        Further arguments of it.
    epochs
        How often all rows are learned from, at most.
    batch_size, learning_rate, weight_decay
        Of a step of Adam.
    patience, apart
        Epochs after which fitting ends if the loss of the rows that are kept apart does not fall, and their share; with
        a share of 0, all epochs are gone through.
    seed
        Of weights, order and dropout.
    minutes
        How long fitting may take; it fails after that, for what hangs on how fast a machine is cannot be repeated.

    Attributes
    ----------
    classes_
        The classes, in order.
    n_features_in_
        The number of columns.
    network_
        The fitted network.
    epochs_
        How many epochs the weights have learned.
    """

    def __init__(
        self,
        module: str,
        parameters: Mapping[str, Any] | None = None,
        epochs: int = 50,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        patience: int = 5,
        apart: float = 0.1,
        seed: int = 0,
        minutes: float = 30.0,
    ) -> None:
        self.module = module
        self.parameters = parameters
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.apart = apart
        self.seed = seed
        self.minutes = minutes

    def fit(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Self:  # noqa: N803
        """Fit the network.

        Parameters
        ----------
        X
            Rows and columns of finite numbers, dense or sparse.
        y
            The class of each row.
        sample_weight
            What each row counts; all alike, if it is None.

        Raises
        ------
        ValueError
            If a number is missing, or the loss is none: it grew beyond all bounds.
        TimeoutError
            If it takes longer than `minutes`.
        """
        torch = _torch()
        matrix = _finite(X)
        self.classes_, numbers = np.unique(np.asarray(y), return_inverse=True)
        self.n_features_in_ = matrix.shape[1]
        weights = np.ones(len(numbers)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        with _calm(torch), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = make_network(self.module, self.n_features_in_, len(self.classes_), self.parameters or {})
            rows = _Rows(torch, matrix, numbers, weights / weights.mean())
            self.network_, self.epochs_ = self._learn(torch, network, rows)
        return self

    def _learn(self, torch: Any, network: Any, rows: _Rows) -> tuple[Any, int]:
        """Go through the epochs; returns the network with the weights of the best one, and which that was."""
        order = np.random.default_rng(self.seed)
        count, until = len(rows.numbers), time.monotonic() + 60 * self.minutes
        few = round(count * self.apart) if count >= LEAST else 0
        shuffled = order.permutation(count)
        kept, learned = shuffled[:few], shuffled[few:]
        adam = torch.optim.Adam(network.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        best, state, at = np.inf, copy.deepcopy(network.state_dict()), 0
        for epoch in range(1, self.epochs + 1):
            network.train()
            # parts of nearly equal size: of a single row, some layers make nothing
            for batch in np.array_split(order.permutation(learned), max(1, round(len(learned) / self.batch_size))):
                if time.monotonic() > until:
                    raise TimeoutError(
                        f"{self.module} took longer than {self.minutes:g} minutes; give fewer epochs, or more `minutes`"
                    )
                adam.zero_grad()
                rows.loss(network, batch).backward()
                adam.step()
            loss = _mean_loss(torch, network, rows, kept if few else learned, self.batch_size)
            if not np.isfinite(loss):
                raise ValueError(f"the loss of {self.module} is {loss} after {epoch} epochs; lower `learning_rate`")
            if not few or loss < best:
                best, state, at = loss, copy.deepcopy(network.state_dict()), epoch
            elif epoch - at >= self.patience:
                break
        network.load_state_dict(state)
        return network.eval(), at

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        """Probability of every class, one row a row; see `ask_network`."""
        check_is_fitted(self)
        return ask_network(copy.deepcopy(self.network_).double().eval(), X)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        """The likeliest class of every row."""
        said: np.ndarray = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return said


@dataclass
class _Rows:
    """What is learned from: numbers, classes and weights."""

    torch: Any
    matrix: Any
    numbers: np.ndarray
    weights: np.ndarray

    def loss(self, network: Any, batch: np.ndarray) -> Any:
        """Mean loss of some rows."""
        torch = self.torch
        said = _logits(network, torch.from_numpy(_dense(self.matrix[batch]).astype(np.float32)))
        if said.shape[1] != (classes := int(self.numbers.max()) + 1):
            raise ValueError(f"the network says {said.shape[1]} classes; there are {classes}")
        losses = torch.nn.functional.cross_entropy(said, torch.from_numpy(self.numbers[batch]), reduction="none")
        weights = torch.from_numpy(self.weights[batch].astype(np.float32))
        return (losses * weights).sum() / weights.sum()


def _mean_loss(torch: Any, network: Any, rows: _Rows, which: np.ndarray, size: int) -> float:
    network.eval()
    total = 0.0
    with torch.inference_mode():
        for batch in np.array_split(which, max(1, len(which) // size)):
            total += float(rows.loss(network, batch)) * float(rows.weights[batch].sum())
    return total / float(rows.weights[which].sum())


def make_network(module: str, columns: int, classes: int, parameters: Mapping[str, Any]) -> Any:
    """A network with fresh weights.

    Parameters
    ----------
    module
        Import path of its class: code, which the caller has looked at.
    columns, classes
        How many it takes and says.
    parameters
        Further arguments.

    Raises
    ------
    ConfigError
        If PyTorch is not installed.
    ValueError
        If there is no such class, it is none of a network, or it does not take the arguments.
    """
    torch = _torch()
    kind = import_object(module)
    if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module)):
        raise ValueError(f"{module} is no class that derives from torch.nn.Module")
    try:
        network: Any = kind(columns, classes, **parameters)
    except TypeError as error:
        raise ValueError(f"{module} cannot be made for {columns} columns and {classes} classes: {error}") from None
    return network


def ask_network(network: Any, matrix: Any) -> np.ndarray:
    """What a network says of rows: the same of each, whatever else is asked together with it.

    Libraries add up a product of matrices in an order that hangs on where a row stands, so that its last bits do, too.
    Here it is added up in double precision, and what is left of that is rounded away.

    Parameters
    ----------
    network
        A network in double precision, in the mode of evaluation.
    matrix
        Rows and columns, dense or sparse.

    Returns
    -------
    np.ndarray
        float64, the probability of every class, one row a row.

    Raises
    ------
    ValueError
        If a number is missing, or the network says something else.
    """
    torch = _torch()
    said = []
    with _calm(torch), _double(torch), torch.inference_mode():
        for at in range(0, matrix.shape[0], BLOCK):
            rows = torch.from_numpy(_dense(matrix[at : at + BLOCK]).astype(np.float64))
            said.append(torch.softmax(_logits(network, rows).double(), dim=1).numpy())
    if not said:
        return np.zeros((0, 0))
    probabilities = np.round(np.concatenate(said) * EXACT) / EXACT
    if not np.isfinite(probabilities).all():
        raise ValueError("the network says no number; missing ones (NaN) have to be filled in before it")
    return probabilities


def _logits(network: Any, rows: Any) -> Any:
    said = network(rows)
    if getattr(said, "ndim", 0) != 2 or len(said) != len(rows):
        raise ValueError(
            f"the network must say a number for each row and class; it says {getattr(said, 'shape', said)}"
        )
    return said


def _finite(given: Any) -> Any:
    matrix = given.tocsr() if sparse.issparse(given) else np.asarray(given, np.float64)
    if not np.isfinite(matrix.data if sparse.issparse(matrix) else matrix).all():
        raise ValueError("a number is missing (NaN): fill it in before the network, as by `SimpleImputer` in `prepare`")
    return matrix


def _dense(rows: Any) -> np.ndarray:
    return np.ascontiguousarray(rows.toarray() if sparse.issparse(rows) else rows)


def _torch() -> Any:
    """PyTorch; by its name, for few have it."""
    try:
        return importlib.import_module("torch")
    except ModuleNotFoundError as error:
        raise ConfigError(f"PyTorch is not installed: {what_brings(error)}.") from None


@contextmanager
def _calm(torch: Any) -> Iterator[None]:
    """One thread, and the same algorithm each time; afterwards as it was."""
    threads, strict = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("error")  # `use_deterministic_algorithms` imports a compiler first
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(strict)
        torch.set_num_threads(threads)


@contextmanager
def _double(torch: Any) -> Iterator[None]:
    """Numbers that a network makes itself are of double precision, too."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
