"""In: what a candidate that says numbers says of rows that it has not learned. Out: the interval, and how it fares.

It is learned of all out-of-fold rows at once; see `Interval` for the formula. Whether it holds is seen on the held-out
rows, of which the interval of the judged model has learned nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mlops_assets.journey.model.calibrator import Interval
from mlops_assets.journey.train.folds import Said
from mlops_assets.journey.train.metrics import significant, within

LEAST = 100
"""Rows of a group to learn an interval from; of fewer, its ends are luck."""

GROUPS = 10
"""Groups by size, at most: an error may grow with what is predicted."""


def learn_interval(said: Sequence[Said], coverage: float) -> Interval | None:
    """The interval that holds a share of the true numbers; None of rows too few to tell.

    Parameters
    ----------
    said
        What models say of rows that they have not learned.
    coverage
        The share.
    """
    if sum(len(one.truth) for one in said) < LEAST:
        return None
    truth = np.concatenate([one.truth for one in said])
    numbers = np.concatenate([one.probabilities[:, 0] for one in said])
    # as many rows in each as one needs alone; where many have the same number, there are fewer
    ranks = np.arange(1, min(GROUPS, len(truth) // LEAST)) / min(GROUPS, len(truth) // LEAST)
    edges = np.unique(np.quantile(numbers, ranks)) if len(ranks) else np.zeros(0)
    edges = edges[edges > numbers.min()]
    group = np.searchsorted(edges, numbers, side="right")
    ends = [_ends(truth[group == one] - numbers[group == one], coverage) for one in range(len(edges) + 1)]
    below, above = zip(*ends, strict=True)
    return Interval(tuple(edges.tolist()), below, above, coverage)


def _ends(errors: np.ndarray, coverage: float) -> tuple[float, float]:
    """The lowest and the highest error of those that are to lie inside."""
    ordered, number = np.sort(errors), len(errors)
    # of one row more than there are, of which nobody knows where it lies
    aside = (1 - coverage) / 2 * (number + 1)
    first, last = max(1, math.floor(aside)), min(number, math.ceil(number + 1 - aside))
    return min(0.0, float(ordered[first - 1])), max(0.0, float(ordered[last - 1]))


def by_size(truth: np.ndarray, said: np.ndarray) -> tuple[dict[str, float], ...]:
    """How predictions of about the same size fare: ten groups of as many rows, the smallest first.

    Parameters
    ----------
    truth, said
        What was true, and what was said.

    Returns
    -------
    tuple of dict
        Of each group the mean prediction and the mean true number, of these the ends of the first and the last tenth,
        the mean absolute error, the share inside the interval where there is one, and its rows.
    """
    groups = np.array_split(np.argsort(said[:, 0], kind="stable"), min(GROUPS, len(said)))
    return tuple(_group(truth[rows], said[rows]) for rows in groups)


def _group(truth: np.ndarray, said: np.ndarray) -> dict[str, float]:
    least, most = np.quantile(truth, (0.1, 0.9))
    told = {
        "predicted": said[:, 0].mean(),
        "true": truth.mean(),
        "true_low": least,
        "true_high": most,
        "error": np.abs(truth - said[:, 0]).mean(),
    }
    inside = {"inside": round(float(within(truth, said).mean()), 4)} if said.shape[1] > 1 else {}
    return {**{name: significant(value) for name, value in told.items()}, **inside, "rows": len(truth)}
