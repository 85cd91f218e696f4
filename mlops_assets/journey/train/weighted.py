"""A pipeline that takes weights, as a member of an ensemble; this module brings scikit-learn with it.

`sklearn.pipeline.Pipeline` takes them by the name of a step alone, which no ensemble knows. scikit-learn's routing of
metadata would do it, but `TargetEncoder` of 1.9 fails under it (KeyError: 'groups'). So members are of this class while
they are fitted, and plain pipelines afterwards: that is what is stored.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

WEIGHT = "sample_weight"


class WeightedPipeline(Pipeline):  # type: ignore[misc]
    """A pipeline whose last step learns with weights, if it takes any."""

    def fit(self, X: np.ndarray, y: np.ndarray | None = None, sample_weight: np.ndarray | None = None) -> Any:  # noqa: N803 - scikit-learn's name
        """Fit all steps.

        Parameters
        ----------
        X, y
            What is learned.
        sample_weight
            What each row counts.
        """
        name, model = self.steps[-1]
        given = {f"{name}__{WEIGHT}": sample_weight} if sample_weight is not None and takes_weights(model) else {}
        return super().fit(X, y, **given)


def takes_weights(part: Any) -> bool:
    """Whether a part, and whatever classifier is an argument of it, takes weights when it is fitted."""
    return WEIGHT in inspect.signature(part.fit).parameters and all(takes_weights(one) for one in inner(part))


def inner(part: Any) -> list[Any]:
    """The classifiers that are arguments of a part, which hands them its weights."""
    given = (getattr(part, name, None) for name in ("estimator", "final_estimator"))
    return [one for one in given if hasattr(one, "fit")]


def make_weighted(ensemble: Any) -> None:
    """Let the members of an ensemble take weights."""
    for _, member in ensemble.estimators:
        if type(member) is Pipeline:
            member.__class__ = WeightedPipeline


def make_plain(thing: Any, seen: set[int] | None = None) -> None:
    """Make plain pipelines of all that take weights, at any depth of what was fitted."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, WeightedPipeline):
        thing.__class__ = Pipeline
    if isinstance(thing, dict):
        parts = list(thing.values())
    elif isinstance(thing, list | tuple):
        parts = list(thing)
    else:
        parts = list(vars(thing).values()) if hasattr(thing, "get_params") else []
    for part in parts:
        make_plain(part, seen)
