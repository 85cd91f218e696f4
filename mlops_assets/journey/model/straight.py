"""In: a fitted estimator. Out: what its `predict_proba` or `predict` does, without what scikit-learn looks after.

At every call, for 50 rows, names of columns, tags and threads cost scikit-learn ten times what the arithmetic does. The
arithmetic is the same here, call by call, so the numbers are the same to the bit; `test_straight.py` compares. An
estimator with a part that is not known here is asked itself, and so it is about rows on which a part fails: its words
are then told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from mlops_assets.encoders import OneHot, OneHotEncoder, TargetEncoder, TargetMeans

Step = Callable[[Any], Any]
"""Makes of a matrix another one, or probabilities, or numbers."""


class _Unknown(Exception):
    """A part is none of those that are known here."""


class _Asked(Exception):
    """The estimator has something to say about these rows."""


def straight(estimator: Any, method: str = "predict_proba") -> Callable[[np.ndarray], np.ndarray]:
    """The `predict_proba` of a fitted classifier, or the `predict` of a regressor, as fast as it can be had.

    Parameters
    ----------
    estimator
        The estimator.
    method
        Which of them.
    """
    ask: Callable[[np.ndarray], np.ndarray] = getattr(estimator, method)
    try:
        step = _step(estimator)
    except _Unknown:
        return ask
    return partial(_predict, step, ask)


def _predict(step: Step, ask: Callable[[np.ndarray], np.ndarray], matrix: np.ndarray) -> np.ndarray:
    said: np.ndarray
    # infinity, and a matrix with texts, are for scikit-learn to judge
    if matrix.dtype == np.float64 and len(matrix) and not np.isinf(matrix).any():
        try:
            said = step(matrix)
        except _Asked:
            pass
        else:
            return said
    return ask(matrix)


def _step(part: Any) -> Step:
    """What a part does: its `predict_proba`, its `predict` if it is a regressor, or its `transform`.

    Raises
    ------
    _Unknown
        If it is none of those below; a class that derives from one of them may do something else.
    """
    make = _known().get(type(part))
    if make is None:
        raise _Unknown
    return make(part)


def _known() -> dict[type, Callable[[Any], Step]]:
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
        VotingClassifier,
        VotingRegressor,
    )
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    return {
        Pipeline: lambda part: partial(_chain, [_step(step) for _, step in part.steps if step != "passthrough"]),
        ColumnTransformer: _columns,
        OneHotEncoder: OneHot,
        TargetEncoder: TargetMeans,
        FunctionTransformer: _identity,
        SimpleImputer: _imputer,
        StandardScaler: lambda part: partial(_scale, part.mean_, part.scale_),
        LogisticRegression: _logistic,
        ExtraTreesClassifier: _forest,
        RandomForestClassifier: _forest,
        VotingClassifier: _voting,
        LinearRegression: _linear,
        Ridge: _linear,
        ExtraTreesRegressor: _forest_of_numbers,
        RandomForestRegressor: _forest_of_numbers,
        VotingRegressor: lambda part: partial(_mean, [_step(one) for one in part.estimators_], part._weights_not_none),
    }


def _chain(steps: Sequence[Step], matrix: Any) -> Any:
    for step in steps:
        matrix = step(matrix)
    return matrix


def _voting(part: Any) -> Step:
    if part.voting != "soft":
        raise _Unknown
    return partial(_vote, [_step(one) for one in part.estimators_], part._weights_not_none)


def _vote(steps: Sequence[Step], weights: Any, matrix: np.ndarray) -> np.ndarray:
    return np.average(np.asarray([step(matrix) for step in steps]), axis=0, weights=weights)


def _mean(steps: Sequence[Step], weights: Any, matrix: np.ndarray) -> np.ndarray:
    return np.average(np.asarray([step(matrix) for step in steps]).T, axis=1, weights=weights)


def _columns(part: Any) -> Step:
    if part.transformer_weights or part.remainder != "drop":
        raise _Unknown
    steps = []
    for _, step, columns in part.transformers_:
        # one number is a column of texts, a vector of which an encoder of words makes rows
        if not isinstance(columns, list | np.ndarray) or not all(
            isinstance(column, int | np.integer) for column in columns
        ):
            raise _Unknown
        if len(columns) and step != "drop":
            steps.append((list(columns), None if step == "passthrough" else _step(step)))
    return partial(_side_by_side, steps, part.sparse_output_)


def _side_by_side(steps: Sequence[tuple[list[int], Step | None]], is_sparse: bool, matrix: np.ndarray) -> Any:
    from scipy import sparse

    parts: list[Any] = [matrix[:, columns] if step is None else step(matrix[:, columns]) for columns, step in steps]
    if is_sparse:
        return sparse.hstack(parts).tocsr()
    return np.hstack([part.toarray() if sparse.issparse(part) else part for part in parts])


def _identity(part: Any) -> Step:
    if part.func is not None:
        raise _Unknown
    return partial(_chain, [])


def _imputer(part: Any) -> Step:
    statistics = part.statistics_
    plain = statistics.dtype == np.float64 and not np.isnan(statistics).any()
    if (
        not plain
        or part.add_indicator
        or not (isinstance(part.missing_values, float) and np.isnan(part.missing_values))
    ):
        raise _Unknown
    return partial(_impute, statistics)


def _impute(statistics: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    # copied as it lies in memory: on that hangs how a matrix product adds up
    filled = np.array(matrix)
    np.copyto(filled, statistics, where=np.isnan(filled))
    return filled


def _scale(mean: np.ndarray | None, scale: np.ndarray | None, matrix: np.ndarray) -> np.ndarray:
    from scipy import sparse

    if sparse.issparse(matrix):
        raise _Asked
    matrix = matrix if mean is None else matrix - mean
    return matrix if scale is None else matrix / scale


def _logistic(part: Any) -> Step:
    return partial(_softmax if len(part.classes_) > 2 else _sigmoid, part.coef_.T, part.intercept_)


def _decide(coefficients: np.ndarray, intercept: np.ndarray, matrix: Any) -> np.ndarray:
    from scipy import sparse

    if not np.isfinite(matrix.data if sparse.issparse(matrix) else matrix).all():
        raise _Asked
    decision: np.ndarray = matrix @ coefficients + intercept
    return decision


def _softmax(coefficients: np.ndarray, intercept: np.ndarray, matrix: Any) -> np.ndarray:
    decision = _decide(coefficients, intercept, matrix)
    decision -= decision.max(axis=1).reshape(-1, 1)
    np.exp(decision, out=decision)
    decision /= decision.sum(axis=1).reshape(-1, 1)
    return decision


def _sigmoid(coefficients: np.ndarray, intercept: np.ndarray, matrix: Any) -> np.ndarray:
    from scipy.special import expit

    decision = _decide(coefficients, intercept, matrix).reshape(-1)
    expit(decision, out=decision)
    return np.stack([1 - decision, decision], axis=1)


def _linear(part: Any) -> Step:
    if part.coef_.ndim != 1:
        raise _Unknown
    return partial(_decide, part.coef_, part.intercept_)


def _forest_of_numbers(part: Any) -> Step:
    step = _forest(part, 1)
    return lambda matrix: step(matrix)[:, 0]


def _forest(part: Any, classes: int | None = None) -> Step:
    # side by side, trees are added up in any order
    if part.n_outputs_ != 1 or part.n_jobs not in (None, 1):
        raise _Unknown
    takes_nan = part.estimators_[0]._support_missing_values(np.zeros((1, 1)))
    return partial(_ask_trees, [tree.tree_ for tree in part.estimators_], classes or int(part.n_classes_), takes_nan)


def _ask_trees(trees: Sequence[Any], classes: int, takes_nan: bool, matrix: Any) -> np.ndarray:
    from scipy import sparse

    if sparse.issparse(matrix):
        raise _Asked
    with np.errstate(over="ignore"):
        small = matrix.astype(np.float32)
    if np.isinf(small).any() or not (takes_nan or np.isfinite(small).all()):
        raise _Asked
    probabilities = np.zeros((len(small), classes))
    for tree in trees:
        probabilities += tree.predict(small)[:, :classes]
    probabilities /= len(trees)
    return probabilities
