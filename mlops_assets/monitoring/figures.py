"""Figures of a day beside what they may be: the rule by which a lamp is red, the same for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlops_assets.use_case.drift import DriftDays


@dataclass(frozen=True)
class Figures:
    """One figure of several things, such as the share of rows without a value of every column.

    Attributes
    ----------
    what
        Its name.
    effect
        How far today differs, `(things,)`.
    floor, band
        What is too little to be red, and what comparable days differ by.
    earlier
        Effects of the days before, the oldest first, `(days, things)`.
    days
        Names of those days.
    """

    what: str
    effect: np.ndarray
    floor: np.ndarray
    band: np.ndarray
    earlier: np.ndarray
    days: Sequence[str]

    @property
    def threshold(self) -> np.ndarray:
        """What the effect has to be beyond."""
        found: np.ndarray = np.maximum(self.floor, self.band)
        return found

    @property
    def excess(self) -> np.ndarray:
        """How many times its threshold the effect is."""
        threshold = self.threshold
        found: np.ndarray = np.divide(self.effect, threshold, out=(self.effect > 0) * 1e9, where=threshold > 0)
        return found

    def red(self, days: DriftDays) -> np.ndarray:
        """Which are red: too far out today, and on enough of the last days."""
        out = np.vstack([self.earlier, self.effect[None]]) > self.threshold
        found: np.ndarray = out[-1] & (out[-days.of :].sum(0) >= days.red)
        return found

    def since(self, thing: int, today: str) -> str:
        """The first of the days in a row, up to today, on which one of them was too far out."""
        first = today
        for day, effect in zip(reversed(self.days), self.earlier[::-1, thing], strict=True):
            if effect <= self.threshold[thing]:
                break
            first = day
        return first
