"""In: figures of rows that belong together by account. Out: within which bounds they and their differences are true.

Method: the delete-a-group jackknife, Kott (2001), 'The delete-a-group jackknife', Journal of Official Statistics 17.
Rows of an account stand or fall together, so whole accounts are left out, in at most `GROUPS` groups. It takes any
metric, and the same rows have the same interval: nothing is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mlops_assets.journey.train.metrics import shown, significant

GROUPS = 30
"""Most groups; each is a further measurement of the metric."""

LEAST_ACCOUNTS = 5
"""With fewer accounts, rows are taken to be accounts of their own."""

SURE = 0.95
"""Share of such intervals that hold the true figure."""

Figure = Callable[[np.ndarray], float]
"""A figure of some rows, by their positions."""


@dataclass(frozen=True)
class Interval:
    """A figure and the bounds within which the true one lies, in 95 of 100 such intervals; NaN where it has none."""

    value: float
    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        """Whether a difference may be none at all; also where nothing is known of it."""
        return not (self.low > 0 or self.high < 0)

    def within(self, least: float, most: float) -> Interval:
        """The same of a figure that is never less nor more than that, as no bound is then."""
        if math.isnan(self.low):
            return self
        return Interval(self.value, max(self.low, least), min(self.high, most))

    def __str__(self) -> str:
        return f"{shown(self.value)} ({shown(self.low)} to {shown(self.high)})"


def groups_of(accounts: pa.ChunkedArray, content: pa.ChunkedArray) -> np.ndarray:
    """The group of each row: rows of one account are in one.

    Parameters
    ----------
    accounts
        Of each row; empty ones are one account.
    content
        Hash of each row, which tells them apart where there are too few accounts.
    """
    import pandas as pd

    names, number = np.unique(accounts.fill_null("").to_numpy().astype(str), return_inverse=True)
    if len(names) < LEAST_ACCOUNTS:
        return np.asarray(content.to_numpy().astype(np.uint64) % GROUPS, np.int64)
    if len(names) <= GROUPS:
        return np.asarray(number, np.int64)
    return np.asarray(pd.util.hash_array(names.astype(object)) % GROUPS, np.int64)[number]


def interval(figure: Figure, groups: np.ndarray) -> Interval:
    """A figure of rows with its bounds.

    Parameters
    ----------
    figure
        Measures rows by their positions, and may give NaN.
    groups
        The group of each row; see `groups_of`.
    """
    everything, value = np.arange(len(groups)), math.nan
    if len(groups):
        value = figure(everything)
    numbers = np.unique(groups)
    without = (
        np.array([figure(everything[groups != number]) for number in numbers]) if len(numbers) > 1 else np.zeros(0)
    )
    without = without[np.isfinite(without)]
    if len(without) < 2 or not math.isfinite(value):
        return Interval(value, math.nan, math.nan)
    from scipy.stats import t

    number = len(without)
    # by hypot, which takes any size: squares of large numbers are beyond all floats
    deviation = math.sqrt((number - 1) / number) * math.hypot(*(without - without.mean()))
    wide = float(t.ppf((1 + SURE) / 2, number - 1)) * deviation
    return Interval(*(rounded(one) for one in (value, value - wide, value + wide)))


def rounded(value: float) -> float:
    """Four digits behind the point; of what is smaller, six digits that count."""
    return round(value, 4) if abs(value) >= 0.01 else significant(value)
