"""How large a figure is on days on which nothing happened: by chance, and by what days are like.

Files are drawn whole, and rows of a file are alike: a day of 1,000 files of 50 rows is worth less than 50,000 rows
drawn one by one, by a factor that is called the design effect (Kish, Survey Sampling, 1965). Nobody has to know it
here. The reference is kept in random groups of whole files, and how far those lie apart is what chance does to that
many files: the method of random groups (Wolter, Introduction to Variance Estimation, 2007, chapter 2). It falls with
the root of their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlops_assets.monitoring.spreads import Measure

LEAST_GROUPS = 8
"""Random groups below which nobody knows the noise."""

LEAST_DAYS = 7
"""Comparable days below which nobody knows how days are spread."""

ROBUST = 1.4826
"""Times the median distance from the median: the standard deviation, where days are normally spread (Hampel, 1974)."""


@dataclass(frozen=True)
class Noise:
    """What chance does to each figure, of one unit; of n units it is the n-th part of its square.

    Attributes
    ----------
    mean, deviation
        Of the figure, or of its root where it grows with the square of a difference, `(columns,)`.
    squared
        Whether it does.
    """

    mean: np.ndarray
    deviation: np.ndarray
    squared: bool

    def band(self, units: float, against: float, times: float) -> np.ndarray:
        """The largest figure that chance explains.

        Parameters
        ----------
        units
            Units of the day.
        against
            Units of what it is compared with, whose noise is its own.
        times
            How many deviations beyond the mean chance may reach.
        """
        found: np.ndarray = (self.mean + times * self.deviation) * np.sqrt(1 / units + 1 / against)
        return found**2 if self.squared else found


def of_groups(measure: Measure, groups: np.ndarray, units: np.ndarray, *, squared: bool = False) -> Noise:
    """What chance does to a figure, by the random groups of a reference.

    Parameters
    ----------
    measure
        The figure.
    groups
        Counts by group, `(groups, ...)`.
    units
        Units by group; one without any is left out.
    squared
        Whether the figure grows with the square of a difference, as PSI does.
    """
    groups, units = groups[units > 0], units[units > 0]
    found = measure(groups, groups.sum(0))
    if squared:
        found = np.sqrt(found.clip(0))
    # a group is part of the whole that it is compared with, and by that much nearer to it
    apart = np.sqrt((1 / units - 1 / units.sum()).clip(1e-12))
    scaled = found / apart[:, None]
    return Noise(scaled.mean(0), scaled.std(0, ddof=1), squared)


def deviations(times: float) -> float:
    """How many deviations of a normal difference a band of so many times reaches.

    Groups measure the mean of distances, which is 0.8 deviations of a difference, and their deviation, which is 0.6.
    """
    return 0.8 + 0.6 * times


def rare(share: np.ndarray, units: float, against: float, times: float) -> np.ndarray:
    """The largest difference of a share that chance explains, whatever the groups say: they may all have none of it.

    Three units are chance in any case, and so is what the binomial distribution says of a share that one unit more had.

    Parameters
    ----------
    share
        In the comparison.
    units, against, times
        As in `Noise.band`.
    """
    likely = (share * against + 1) / (against + 2)
    return np.maximum(3 / units, deviations(times) * np.sqrt(likely * (1 - likely) * (1 / units + 1 / against)))


def novelty(rare: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The largest share of new values that a long tail explains, `(columns,)`.

    The chance that the next row has a value that was never seen is about the share of rows whose value came once (Good,
    Biometrika 40, 1953), and at most all rare values did.

    Parameters
    ----------
    rare
        Values of a column that come seldom.
    rows
        Rows in which they were counted.
    """
    found: np.ndarray = rare / np.maximum(rows, 1)
    return found


def of_days(figures: np.ndarray, times: float) -> np.ndarray:
    """The largest figure that the days before explain: their median, and so many robust deviations more.

    Parameters
    ----------
    figures
        By day, `(days, columns)`.
    times
        How many deviations.

    Returns
    -------
    numpy.ndarray
        By column; zeros where there are fewer than `LEAST_DAYS` days.
    """
    if len(figures) < LEAST_DAYS:
        return np.zeros(figures.shape[1:])
    middle = np.median(figures, 0)
    found: np.ndarray = middle + times * ROBUST * np.median(np.abs(figures - middle), 0)
    return found
