"""In: a model and a row as it sees it. Out: what each column brings to the sum that it adds up, where it tells exactly.

Boosted trees do (TreeSHAP; Lundberg, Erion and Lee, "Consistent individualized feature attribution for tree ensembles",
2018). It is told of the columns of the model's input, so the way from these to the trees must be known, one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlops_assets.journey.model.model import Model


def log_odds(model: Model, row: np.ndarray, predicted: int) -> np.ndarray | None:
    """What each column brings to the answer, in logarithms of odds, before that is calibrated.

    Parameters
    ----------
    model
        The model.
    row
        The row as the estimator sees it.
    predicted
        The class.

    Returns
    -------
    np.ndarray or None
        float64, one number a column; None of a model that does not tell, or whose columns cannot be followed.
    """
    if model.stored_scorer is not None:  # known to be a forest or a linear model, which do not tell
        return None
    # here, for these bring scikit-learn
    from mlops_assets.encoders import OnFrame
    from mlops_assets.journey.model.flavours.flavoured import Flavoured

    steps = [step for _, step in getattr(model.estimator, "steps", [("", model.estimator)])]
    *before, last = [step for step in steps if step != "passthrough"]
    if isinstance(last, OnFrame):
        # that its columns are those of the matrix, the check of its structure saw to
        last = last.estimator if not last.texts else None
    # a row of texts is one of objects, and who takes texts does not tell it
    if not isinstance(last, Flavoured) or last.kind != "classifier" or "text" in model.columns.values():
        return None
    sources = _sources(before, len(row))
    known = np.flatnonzero(model.estimator.classes_.astype(int) == predicted)
    if sources is None or not len(known):
        return None
    matrix: Any = row[None].astype(np.float64)
    for step in before:
        matrix = step.transform(matrix)
    brought = last.contributions(matrix)
    if brought is None or brought.shape[2] != len(sources):
        return None
    told = brought[0, int(known[0])] if brought.shape[1] > 1 else brought[0, 0] * (1 if known[0] else -1)
    return np.bincount(sources, weights=told, minlength=len(row))


def _sources(steps: list[Any], width: int) -> np.ndarray | None:
    """The column of the input that each column at the end is made of; None if one is made of several."""
    sources = np.arange(width)
    for step in steps:
        within = _of_step(step, len(sources))
        if within is None:
            return None
        sources = sources[within]
    return sources


def _of_step(step: Any, width: int) -> np.ndarray | None:
    if not hasattr(step, "transformers_"):
        return _of_transformer(step, width)
    places = step._transformer_to_input_indices
    made: dict[int, int] = {}
    for name, transformer, _ in step.transformers_:
        span, columns = step.output_indices_[name], np.asarray(places.get(name, ()), np.int64)
        count = span.stop - span.start
        if not count:
            continue
        within = np.arange(count) if isinstance(transformer, str) else _of_transformer(transformer, len(columns), count)
        if within is None or len(within) != count:
            return None
        made |= dict(zip(range(span.start, span.stop), columns[within].tolist(), strict=True))
    return np.array([made[place] for place in range(len(made))], np.int64)


def _of_transformer(transformer: Any, width: int, count: int | None = None) -> np.ndarray | None:
    """The column that each column of a transformer is made of, as far as its numbers tell."""
    if width == 1 and count is not None:
        return np.zeros(count, np.int64)
    if type(transformer).__name__ in ONE_TO_ONE and count in (None, width):
        return np.arange(width)
    return None


ONE_TO_ONE = ("StandardScaler", "MinMaxScaler", "RobustScaler", "MaxAbsScaler", "OrdinalEncoder", "FunctionTransformer")
"""Transformers that make one column of each, in their order. Of others, only those of a single column are followed."""
