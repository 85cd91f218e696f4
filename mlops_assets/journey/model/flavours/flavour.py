"""What a flavour is: a library of its own, with the form in which its models are stored beside the archive."""

from __future__ import annotations

import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from mlops_assets.errors import ConfigError
from mlops_assets.journey.model.structure.parts import Malformed
from mlops_assets.plugins.loading import what_brings

Kind = Literal["classifier", "regressor"]

KINDS: tuple[Kind, ...] = ("classifier", "regressor")
"""What an estimator of a flavour says: probabilities of classes, or a number."""

LARGEST_PART = 1 << 30
"""Bytes that the file of an estimator may have; every worker holds it in memory."""

FILE = re.compile(r"part-(\d{1,2})\.([a-z0-9]{1,12})")
"""The name of such a file: its number among those of a model, and the ending of its flavour."""


@dataclass(frozen=True)
class Shape:
    """What an estimator takes and says: what its file is compared with before its library reads it.

    Attributes
    ----------
    kind
        Whether it says probabilities of classes, or a number.
    features
        How many columns it takes.
    classes
        The classes in the order of its probabilities, as it was fitted on them; None of a regressor.
    facts
        What else is needed to ask it and is not in its file: plain values, such as a name or a number.
    """

    kind: Kind
    features: int
    classes: np.ndarray | None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """How many classes it knows; 1 of a regressor."""
        return 1 if self.classes is None else len(self.classes)


MOST_CLASSES = 100_000
"""Classes of a model from elsewhere: of more than any use case has, not even their numbers are written down."""


def of_classes(count: int | None, features: int) -> Shape:
    """The shape of a model from elsewhere: its classes are numbers from 0.

    Parameters
    ----------
    count
        How many classes its file says; None if it says a number.
    features
        How many columns it takes.

    Raises
    ------
    ValueError
        If there are more than `MOST_CLASSES`.
    """
    if count is None:
        return Shape("regressor", features, None)
    if not 1 <= count <= MOST_CLASSES:
        raise ValueError(f"it says {count:,} classes, allowed are {MOST_CLASSES:,}")
    return Shape("classifier", features, np.arange(count))


@dataclass(frozen=True)
class Taken:
    """A model from elsewhere, in the form in which it is stored here.

    Attributes
    ----------
    content
        The bytes of its file, which were checked.
    shape
        What it takes and says; its classes are numbers from 0.
    labels
        The labels of its classes, in their order, where its file tells them.
    """

    content: bytes
    shape: Shape
    labels: tuple[str, ...] | None = None


def see_places(value: Any, classes: int) -> None:
    """See that a stored list says where each class of a model stands among what its file says.

    Raises
    ------
    Malformed
        If it does not: a place is missing, twice, or none.
    """
    if not isinstance(value, list) or not all(type(one) is int for one in value) or sorted(value) != [*range(classes)]:
        raise Malformed(f"its classes stand at {value!r:.80}, and there are {classes}")


class Asked(Protocol):
    """An estimator as its library loaded it, ready to be asked."""

    def predict(self, matrix: Any) -> np.ndarray:
        """What it says of some rows, whatever else is asked together with them, at one thread.

        Parameters
        ----------
        matrix
            What the step before it makes: an array of floats (NaN where a value is missing), or a sparse one.

        Returns
        -------
        np.ndarray
            float64: of a classifier the probability of every class, one row a row; of a regressor a number a row.
        """

    def contributions(self, matrix: Any) -> np.ndarray | None:
        """How much of the answer each column brings, exactly; None where the library cannot tell.

        Returns
        -------
        np.ndarray
            float64 of rows, outputs and columns, on the scale on which the library adds up. Of two classes there is one
            output, for the second of them.
        """


class Flavour(ABC):
    """How the estimators of one library are stored, checked and asked.

    Whoever adds one writes a subclass in a module of its own, and names it in `flavours.FLAVOURS`, in the `EXTRAS` of
    `plugins/loading.py`, in the extras of `pyproject.toml` and in `docs/flavours.md`. The module imports its library by
    `library` alone: nobody else shall wait for it, or need it.

    Attributes
    ----------
    name
        Its name, which is that of its extra.
    suffix
        How its files end.
    module, distributions
        What is imported, and the packages that bring it, of which the first that is there counts.
    owns
        Import paths of the classes that it stores, and with them what derives from these.
    instead
        For what a configuration may name in `use`, the class that is made of it; most are made as they are named.
    defaults
        For what a configuration may name in `use`, arguments that it gets unless it says otherwise: a seed, one thread,
        no words, no files.
    largest
        Bytes that a file of it may have.
    mlflow, logged_in
        Name of the flavour in MLflow, if that is another one; and the folder in which MLflow keeps the file that is
        taken, with a slash at its end.
    takes_texts
        Whether its estimators may be handed a matrix of objects, with columns of text.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    module: ClassVar[str]
    distributions: ClassVar[tuple[str, ...]]
    owns: ClassVar[tuple[str, ...]] = ()
    instead: ClassVar[Mapping[str, str]] = {}
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    largest: ClassVar[int] = LARGEST_PART
    mlflow: ClassVar[str] = ""
    logged_in: ClassVar[str] = ""
    takes_texts: ClassVar[bool] = False

    @abstractmethod
    def save(self, estimator: Any) -> tuple[bytes, Shape]:
        """A fitted estimator as the bytes of its file, and what it takes and says.

        Parameters
        ----------
        estimator
            One of a class that it owns.

        Raises
        ------
        ValueError
            If it is one that cannot be stored.
        """

    @abstractmethod
    def check(self, content: bytes, shape: Shape) -> None:
        """See that bytes are those of an estimator of such a shape, before its library reads them.

        Nothing of the library is called here. Every index must lead to where something is, every count be that of what
        is there, and whatever the library would open, run or import be refused.

        Raises
        ------
        ValueError
            If they are not; the best kind is `structure.Malformed`.
        """

    @abstractmethod
    def load(self, content: bytes, shape: Shape) -> Asked:
        """The estimator in bytes that `check` has seen; it answers in one thread."""

    def imports(self, shape: Shape) -> tuple[str, ...]:  # noqa: ARG002 - most need no code but their library's
        """Import paths of somebody's code that `load` calls; it is loaded only if all of them are trusted."""
        return ()

    @property
    def logged_as(self) -> str:
        """Name of the flavour in MLflow."""
        return self.mlflow or self.name

    def logged_file(self, told: Mapping[str, Any]) -> str:
        """Name of the file with a model that MLflow's flavour of the same name logged, beside its `MLmodel`.

        Parameters
        ----------
        told
            What the `MLmodel` says of that flavour; anybody may have written it.

        Raises
        ------
        ValueError
            If it is stored in a form that is not taken; the message says how to log it.
        """
        del told
        raise ValueError(f"a model of {self.name} is not taken from elsewhere: name its class in a candidate")

    def taken(self, content: bytes, told: Mapping[str, Any], features: int) -> Taken:
        """Such a file in the form in which it is stored here; the library is not called.

        Parameters
        ----------
        content
            The bytes of the file, which anybody may have written.
        told
            As in `logged_file`.
        features
            How many columns it was logged with.

        Raises
        ------
        ValueError
            If it holds no model of so many columns that `check` lets pass.
        """
        del content, features
        raise ValueError(self.logged_file(told))

    def library(self) -> Any:
        """The library, imported.

        Raises
        ------
        ConfigError
            If it is not installed; the message says what brings it.
        """
        return imported(self.module, self.name)


def imported(module: str, flavour: str) -> Any:
    """A module of a library that comes with an extra.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"A model of the flavour {flavour} needs the package {error.name}, which is not installed: "
            f"{what_brings(error) or f'pip install {error.name} brings it'}."
        ) from None
