"""In: the dates of rows, and a pipeline. Out: what each row counts, and who can and cannot be told so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def recency(order: np.ndarray, half_life: float | None) -> np.ndarray | None:
    """What each row counts: half as much for each half-life that it is older, 1 in the mean; None for all the same.

    Parameters
    ----------
    order
        Of each row its date, as ISO has it; one without counts as the oldest.
    half_life
        Days; None for no difference.
    """
    dated = np.array([date[:10] if date else "NaT" for date in order], "datetime64[D]")
    if half_life is None or np.isnat(dated).all():
        return None
    dated[np.isnat(dated)] = dated[~np.isnat(dated)].min()
    weights = 0.5 ** ((dated.max() - dated).astype(float) / half_life)
    # so that an argument such as C, which weighs the rows against something else, means what it meant
    weighed: np.ndarray = weights / weights.mean()
    return weighed


def fit_weighted(pipeline: Pipeline, matrix: np.ndarray, truth: np.ndarray, weights: np.ndarray | None) -> None:
    """Fit a pipeline with weights, as far as its parts take them; see `unweighted`.

    Parameters
    ----------
    pipeline
        Not fitted.
    matrix, truth
        What it learns.
    weights
        One a row; None for none.
    """
    from mlops_assets.journey.train.weighted import WEIGHT, make_plain, make_weighted, takes_weights

    name, model = pipeline.steps[-1]
    if weights is None:
        pipeline.fit(matrix, truth)
    elif _has_members(model):
        make_weighted(model)
        pipeline.fit(matrix, truth, **{f"{name}__{WEIGHT}": weights})
        make_plain(pipeline)
    else:
        pipeline.fit(matrix, truth, **({f"{name}__{WEIGHT}": weights} if takes_weights(model) else {}))


def unweighted(pipeline: Pipeline) -> tuple[str, ...]:
    """The parts of a pipeline that learn from labels and cannot be told what a row counts, by name.

    Parameters
    ----------
    pipeline
        Not fitted.
    """
    return tuple(dict.fromkeys(name for name, takes in _learners(pipeline) if not takes))


def _learners(part: Any, name: str = "") -> Iterator[tuple[str, bool]]:
    """Every part that learns from labels, by name, and whether it takes weights."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    from mlops_assets.journey.train.weighted import inner, takes_weights

    if isinstance(part, Pipeline):
        *before, (_, model) = part.steps
        for _, step in before:
            yield from ((one, False) for one, _ in _learners(step, name))  # weights are given to the last step alone
        yield from _learners(model, name)
    elif isinstance(part, ColumnTransformer):
        for _, transformer, _ in part.transformers:
            yield from _learners(transformer, name)
    elif _has_members(part):
        for member, pipeline in part.estimators:
            yield from _learners(pipeline, member)
    elif hasattr(part, "fit") and _learns_labels(part):
        told = " of ".join(type(one).__name__ for one in (part, *inner(part)))
        yield f"{name}: {told}" if name else told, takes_weights(part)


def _has_members(part: Any) -> bool:
    """Whether it is an ensemble of pipelines, such as a vote."""
    from sklearn.pipeline import Pipeline

    members = getattr(part, "estimators", None)
    return isinstance(members, list) and all(isinstance(pair[1], Pipeline) for pair in members)


def _learns_labels(part: Any) -> bool:
    """Whether a part looks at labels: a classifier, or a transformer that asks for them."""
    from sklearn.utils import get_tags

    try:
        return bool(get_tags(part).target_tags.required)
    except (AttributeError, TypeError, ValueError):  # a class of one's own that is none of scikit-learn's
        return hasattr(part, "predict_proba")
