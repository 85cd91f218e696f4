"""In: what a candidate that says numbers says of rows that it has not learned. Out: the interval, and how it fares.

It is learned of all out-of-fold rows at once; see `Interval` for the formula. Whether it holds is seen on the held-out
rows, of which the interval of the judged model has learned nothing.
"""

from __future__ import annotations

import math

import numpy as np

from mlops_assets.journey.model.calibrator import Interval
from mlops_assets.journey.train.metrics import within

LEAST = 100
"""Rows to learn an interval from; of fewer, its ends are luck."""

DECILES = 10


def learn_interval(truth: np.ndarray, numbers: np.ndarray, coverage: float) -> Interval | None:
    """The interval that holds a share of the true numbers; None of rows too few to tell.

    Parameters
    ----------
    truth, numbers
        What was true and what was said, of rows in no fit.
    coverage
        The share.
    """
    errors = np.sort(truth - numbers)
    if len(errors) < LEAST:
        return None
    # of one row more than there are, of which nobody knows where it lies
    aside = (1 - coverage) / 2 * (len(errors) + 1)
    first, last = max(1, math.floor(aside)), min(len(errors), math.ceil(len(errors) + 1 - aside))
    return Interval(min(0.0, float(errors[first - 1])), max(0.0, float(errors[last - 1])), coverage)


def by_size(truth: np.ndarray, numbers: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[dict[str, float], ...]:
    """How predictions of about the same size fare: ten groups of as many rows, the smallest first.

    Parameters
    ----------
    truth, numbers
        What was true and what was said.
    low, high
        The ends of the intervals, NaN where there are none.

    Returns
    -------
    tuple of dict
        Of each group the mean prediction and the mean true number, of these the first and last tenth's ends, the mean
        absolute error, the share inside the interval where there is one, and its rows.
    """
    groups = np.array_split(np.argsort(numbers, kind="stable"), min(DECILES, len(numbers)))
    return tuple(_group(truth[rows], numbers[rows], low[rows], high[rows]) for rows in groups)


def _group(truth: np.ndarray, numbers: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, float]:
    least, most = np.quantile(truth, (0.1, 0.9))
    told = {
        "predicted": numbers.mean(),
        "true": truth.mean(),
        "true_low": least,
        "true_high": most,
        "error": np.abs(truth - numbers).mean(),
    }
    inside = {} if np.isnan(low).any() else {"inside": round(float(within(truth, low, high).mean()), 4)}
    return {**{name: float(f"{value:.6g}") for name, value in told.items()}, **inside, "rows": len(truth)}
