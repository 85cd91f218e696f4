"""The columns of profiles as arrays, in which all of them are compared at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlops_assets.journey.score.profile.counts import MILLION, TOP, Bins, Column, Profile
from mlops_assets.monitoring.distances import (
    deviation,
    positions,
    psi,
    ratio,
    shares,
    smoothed,
    total_variation,
    towards,
    wasserstein,
)

Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Counts of days or groups, `(n, ...)`, and those of what they are compared with: how far apart, `(n, columns)`."""


@dataclass(frozen=True)
class Columns:
    """How the counts of columns lie in one array: bins from the left, the last two for unseen values and for none.

    Attributes
    ----------
    bins
        The bins of each column, in the order of the array.
    """

    bins: Mapping[Column, Bins]

    @cached_property
    def names(self) -> tuple[Column, ...]:
        """The columns, in order."""
        return tuple(self.bins)

    @cached_property
    def width(self) -> int:
        """Bins of the widest column, with the two at the end."""
        return max((each.number for each in self.bins.values()), default=0) + 2

    @cached_property
    def used(self) -> np.ndarray:
        """Which bins a column has, `(columns, width)`."""
        used = np.zeros((len(self.bins), self.width), bool)
        for row, bins in zip(used, self.bins.values(), strict=True):
            row[: bins.number] = True
            row[-1] = True
            # a number is never unseen
            row[-2] = bins.kind == "category"
        return used

    @cached_property
    def places(self) -> np.ndarray:
        """Where the values of a bin lie; of a category all at one place, `(columns, width - 2)`."""
        places = np.zeros((len(self.bins), self.width - 2))
        for row, bins in zip(places, self.bins.values(), strict=True):
            if bins.kind != "category":
                found = positions(bins.edges)
                row[: len(found)] = found
                row[len(found) :] = found[-1]
        return places

    @cached_property
    def rare(self) -> np.ndarray:
        """Values of each category that come too seldom for a bin of their own, `(columns,)`."""
        return np.array([max(0, len(bins.values) - TOP) for bins in self.bins.values()])

    def counts(self, profiles: Sequence[Profile]) -> np.ndarray:
        """The counts of several profiles, `(profiles, columns, width)`."""
        counts = np.zeros((len(profiles), len(self.bins), self.width), np.int64)
        for page, profile in zip(counts, profiles, strict=True):
            columns = [profile.columns[name] for name in self.names]
            if columns:
                page.reshape(-1)[self._slots] = np.concatenate([column.bins for column in columns])
            page[:, -2] = [column.unseen for column in columns]
            page[:, -1] = [column.nulls for column in columns]
        return counts

    @cached_property
    def _slots(self) -> np.ndarray:
        """Where the bins of all columns, one after the other, lie in the array: 400 columns one by one take longer."""
        numbers = np.array([bins.number for bins in self.bins.values()])
        ends = np.cumsum(numbers)
        place = np.arange(ends[-1]) - np.repeat(ends - numbers, numbers)
        slots: np.ndarray = np.repeat(np.arange(len(numbers)) * self.width, numbers) + place
        return slots

    def sums(self, profiles: Sequence[Profile]) -> np.ndarray:
        """Sum, number, smallest and largest of the values that there are, `(profiles, columns, 4)`.

        Of several profiles, the first two may be added up. A category has none of them.
        """
        sums = np.zeros((len(profiles), len(self.bins), 4))
        for page, profile in zip(sums, profiles, strict=True):
            for row, (name, bins) in zip(page, self.bins.items(), strict=True):
                counts = profile.columns[name]
                if counts.lowest is not None and counts.highest is not None:
                    row[:] = counts.total * bins.unit, counts.bins.sum(), counts.lowest, counts.highest
        return sums

    def sigma(self, profiles: Sequence[Profile]) -> np.ndarray:
        """Standard deviations of the values in random groups, `(columns,)`; 0 of categories.

        Bins cap what is far out. Means do not: n times the squared distances of the groups' means from that of all, by
        the groups less one (the mean square between groups), is the variance of heavy tails, too.
        """
        counts, sums = self.counts(profiles).sum(0), self.sums(profiles)
        apart = sums[..., 1] * (_mean(sums) - _mean(sums.sum(0))) ** 2
        binned = deviation(shares(counts[..., :-2]), self.places)
        found: np.ndarray = np.maximum(binned, np.sqrt(apart.sum(0) / max(1, len(sums) - 1)))
        return found

    def means(self, sigma: np.ndarray) -> Measure:
        """How far apart the exact means are, in standard deviations; of `sums`, not of `counts`.

        Of amounts the few largest make the mean: where these alone come more often, bins that cap them see less than
        half of it.
        """

        def measure(sums: np.ndarray, base: np.ndarray) -> np.ndarray:
            there = (sums[..., 1] > 0) & (base[..., 1] > 0)
            return ratio(np.abs(_mean(sums) - _mean(base)), np.where(there, sigma, 0.0))

        return measure

    def farthest(self, sigma: np.ndarray, sums: np.ndarray, base: np.ndarray) -> np.ndarray:
        """By how much the value that is farthest out moves the mean of a day by itself, in the same, `(columns,)`.

        The standard error of a mean is no less: of its n values, the square of one is part of the sum of squares.
        """
        apart = np.abs(sums[..., 2:] - _mean(base)[..., None]).max(-1)
        return ratio(ratio(apart, sums[..., 1]), sigma)

    def measures(self) -> dict[str, Measure]:
        """How the counts of a column are looked at, by the name of the floor."""
        return {"nulls": _nulls, "unseen": _unseen, "shift": self._shift, "psi": self._psi}

    def _shift(self, counts: np.ndarray, base: np.ndarray) -> np.ndarray:
        """Wasserstein-1 of the values that there are, in standard deviations of the base."""
        day, usual = shares(counts[..., :-2]), shares(base[..., :-2])
        unit = deviation(usual, self.places)
        # where one of both has no value at all nothing has moved: that lamp is the one of `nulls`
        there = (counts[..., :-2].sum(-1) > 0) & (usual.sum(-1) > 0) & (unit > 0)
        return ratio(wasserstein(usual, day, self.places), np.where(there, unit, 0.0))

    def _psi(self, counts: np.ndarray, base: np.ndarray) -> np.ndarray:
        # as many new rows as there are rare values are no surprise: see `novelty`
        known = base.astype(float)
        known[:, -2] += self.rare
        usual = smoothed(known, self.used)
        return psi(usual, towards(counts, usual))


def _mean(sums: np.ndarray) -> np.ndarray:
    return ratio(sums[..., 0], sums[..., 1])


def _nulls(counts: np.ndarray, base: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.abs(shares(counts)[..., -1] - shares(base)[..., -1])
    return found


def _unseen(counts: np.ndarray, base: np.ndarray) -> np.ndarray:
    found: np.ndarray = (shares(counts)[..., -2] - shares(base)[..., -2]).clip(0)
    return found


@dataclass(frozen=True)
class Answers:
    """How the counts of answers lie in one array.

    For each class the rows that it was said of, then the sums of its probabilities over all rows, and last the sum of
    the probabilities of the classes that were said.

    Attributes
    ----------
    classes
        The classes of the model.
    """

    classes: tuple[str, ...]

    def counts(self, profiles: Sequence[Profile]) -> np.ndarray:
        """Of several profiles, `(profiles, 2 K + 1)`; zeros where no answers were counted."""
        counts = np.zeros((len(profiles), 2 * len(self.classes) + 1))
        for row, profile in zip(counts, profiles, strict=True):
            if profile.said is not None:
                sure = np.trace(profile.said.probabilities) / MILLION
                row[:] = [*profile.said.rows, *profile.said.probabilities.sum(0) / MILLION, sure]
        return counts

    def measures(self) -> dict[str, Measure]:
        """How answers are looked at, by the name of their floor; each gives one column."""
        return {"class_mix": self._class_mix, "confidence": self._confidence}

    def _class_mix(self, counts: np.ndarray, base: np.ndarray) -> np.ndarray:
        """Between the sums of the probabilities: the classes that are said follow them, with more noise."""
        expected = slice(len(self.classes), 2 * len(self.classes))
        return total_variation(shares(counts[..., expected]), shares(base[..., expected]))[..., None]

    def _confidence(self, counts: np.ndarray, base: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.abs(self.sure(counts) - self.sure(base))[..., None]
        return found

    def sure(self, counts: np.ndarray) -> np.ndarray:
        """Mean probability of the class that was said."""
        return ratio(counts[..., -1], self.rows(counts))

    def rows(self, counts: np.ndarray) -> np.ndarray:
        """Rows that were answered."""
        found: np.ndarray = counts[..., : len(self.classes)].sum(-1)
        return found
