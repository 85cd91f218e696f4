"""The lamps of columns: of the rows as they were read, and of what the model saw of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mlops_assets.journey.score.profile.counts import Profile
from mlops_assets.journey.score.profile.reference import Reference
from mlops_assets.monitoring.comparing import Comparison
from mlops_assets.monitoring.days import WatchedDay
from mlops_assets.monitoring.distances import jensen_shannon, shares, total_variation
from mlops_assets.monitoring.figures import Figures
from mlops_assets.monitoring.lamp import Lamp
from mlops_assets.monitoring.noise import LEAST_DAYS, Noise, deviations, novelty, of_days, of_groups, rare
from mlops_assets.monitoring.spreads import Columns, Measure
from mlops_assets.monitoring.words import Beside, advice_on, of_column
from mlops_assets.use_case.drift import Drift
from mlops_assets.work.printable import printable

FIGURES = ("nulls", "unseen", "shift", "mean", "psi")
"""How a column is looked at; what is said most plainly stands first."""

MOST_BINS = 5
"""Bins that a lamp names."""

MOST_KNOWN = 64
"""Days of which the figures are kept."""

KEY = 4
"""Units to each value of a category below which it is a key."""


LISTED = 50
"""Values of a category up to which a sentence names them, as `profile` lists them: one with more may name people."""


@dataclass(frozen=True)
class ColumnsJudge:
    """Judges the columns of days by one reference.

    Attributes
    ----------
    drift
        Floors and bands.
    reference
        What the version learned from.
    account
        The column of accounts, which is a key however it is counted.
    """

    drift: Drift
    reference: Reference
    account: str = ""

    @cached_property
    def columns(self) -> Columns:
        """Those that are watched."""
        ignored = set(self.drift.ignore)
        return Columns({name: bins for name, bins in self.reference.bins.items() if name[1] not in ignored})

    @cached_property
    def noise(self) -> dict[str, Noise]:
        """What chance does to each figure, of one unit."""
        groups, units = self.columns.counts(self.reference.groups), np.array(self.reference.units, float)
        found = {
            what: of_groups(measure, groups, units, squared=what == "psi")
            for what, measure in self.columns.measures().items()
        }
        return found | {"mean": of_groups(self._means, self.columns.sums(self.reference.groups), units)}

    @cached_property
    def _sigma(self) -> np.ndarray:
        return self.columns.sigma(self.reference.groups)

    @cached_property
    def _means(self) -> Measure:
        return self.columns.means(self._sigma)

    @cached_property
    def keys(self) -> np.ndarray:
        """Which columns tell files or accounts apart, `(columns,)`: who comes, no training row can tell."""
        units = sum(self.reference.units)
        account = "rows", self.account
        return np.array(
            [name == account or len(bins.values) * KEY >= units for name, bins in self.columns.bins.items()]
        )

    def lamps(
        self, today: WatchedDay, units: float, comparison: Comparison, before: Sequence[WatchedDay]
    ) -> list[Lamp]:
        """A lamp for each column.

        Parameters
        ----------
        today
            The day.
        units
            How many units it has.
        comparison
            What it is compared with.
        before
            The days before it that have the same bins.
        """
        if not self.columns.names:
            return []
        counts, base = self.columns.counts([today.profile, comparison.profile])
        # against the days before it: each of them is compared with the same, of which it is a part
        effects = np.stack([self._effects(watched.profile, comparison.profile) for watched in (*before, today)])
        names = [watched.day for watched in before]
        found = [
            self._figures(what, effects[:, number], units, comparison, base, names)
            for number, what in enumerate(FIGURES)
        ]
        found[FIGURES.index("mean")] = self._of_many(found[FIGURES.index("mean")], today, comparison)
        return self._lamps(found, counts, base, today, comparison)

    def _effects(self, day: Profile, base: Profile) -> np.ndarray:
        """All figures of a day, `(figures, columns)`; kept, for a day is among those before 28 others."""
        key = id(day), id(base)
        known = self._known.get(key)
        # a number of memory is used again once its object is gone; so both are kept with what was found of them
        if known is None:
            counts, usual = self.columns.counts([day, base])
            sums, usually = self.columns.sums([day, base])
            found = {what: measure(counts[None], usual)[0] for what, measure in self.columns.measures().items()}
            found["mean"] = self._means(sums[None], usually)[0]
            effects = np.stack([found[what] for what in FIGURES])
            known = self._known[key] = day, base, effects
            if len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]
        return known[2]

    @cached_property
    def _known(self) -> dict[tuple[int, int], tuple[Profile, Profile, np.ndarray]]:
        return {}

    def _figures(
        self, what: str, effects: np.ndarray, units: float, comparison: Comparison, base: np.ndarray, days: list[str]
    ) -> Figures:
        band = self.noise[what].band(units, comparison.units, self.drift.band)
        if what in {"nulls", "unseen"}:
            share = shares(base)[:, -1 if what == "nulls" else -2]
            band = np.maximum(band, rare(share, units, comparison.units, self.drift.band))
        if what == "unseen":
            band = np.maximum(band, novelty(self.columns.rare, base.sum(-1)))
        band = np.maximum(band, of_days(effects[:-1], self.drift.spread))
        floor = np.array([self.drift.floor(name, what) for _, name in self.columns.names])
        return Figures(what, effects[-1], floor, band, effects[:-1], days)

    def _of_many(self, means: Figures, today: WatchedDay, comparison: Comparison) -> Figures:
        """Means that a few values cannot move beyond their band, however far out they are."""
        farthest = self.columns.farthest(self._sigma, *self.columns.sums([today.profile, comparison.profile]))
        return replace(means, band=np.maximum(means.band, deviations(self.drift.band) * farthest))

    def _lamps(
        self,
        found: Sequence[Figures],
        counts: np.ndarray,
        base: np.ndarray,
        today: WatchedDay,
        comparison: Comparison,
    ) -> list[Lamp]:
        excess = np.stack([figures.excess for figures in found])
        red = np.stack([figures.red(self.drift.days) for figures in found])
        # a column has one lamp: of red figures the one that is said most plainly, which stands first; otherwise the one
        # that is farthest out
        worst = np.where(red.any(0), red.argmax(0), excess.argmax(0))
        now, then = shares(counts), shares(base)
        further = {"jensen_shannon": jensen_shannon(now, then), "total_variation": total_variation(now, then)}
        lamps = []
        for thing, column in enumerate(self.columns.names):
            if self.keys[thing] and len(found[0].days) < LEAST_DAYS:
                lamps.append(_not_yet(column, len(found[0].days)))
                continue
            figures = found[worst[thing]]
            lit = bool(red[:, thing].any())
            numbers = {each.what: float(each.effect[thing]) for each in found}
            numbers |= {name: float(values[thing]) for name, values in further.items()}
            beside = self._beside(thing, today.profile, comparison)
            bins = self._most(thing, figures.what, now[thing] - then[thing])
            lamps.append(
                Lamp(
                    name=".".join(column),
                    state="red" if lit else "green",
                    what=figures.what,
                    effect=float(figures.effect[thing]),
                    floor=float(figures.floor[thing]),
                    band=float(figures.band[thing]),
                    source=column[0],
                    column=column[1],
                    sentence=of_column(figures.what, float(figures.effect[thing]), beside, bins),
                    advice=advice_on(figures.what, column[0]) if lit else "",
                    since=figures.since(thing, today.day) if lit else None,
                    figures=numbers,
                    bins=bins,
                )
            )
        return lamps

    def _beside(self, thing: int, profile: Profile, comparison: Comparison) -> Beside:
        column = self.columns.names[thing]
        bins = self.columns.bins[column]
        counts = profile.columns[column], comparison.profile.columns[column]
        hidden = bins.kind == "category" and (bool(self.keys[thing]) or len(bins.values) > LISTED)
        return Beside(column, bins, *counts, comparison.there, hidden)

    def _most(self, thing: int, what: str, more: np.ndarray) -> tuple[int, ...]:
        """Positions in `Counts.spread` where the day has more, those first that carry the most of it."""
        number = self.columns.bins[self.columns.names[thing]].number
        spread = np.append(more[:number], more[-2:])
        if what == "nulls" and spread[-1] > 0:
            return (number + 1,)
        if what == "unseen":
            return (number,)
        order = np.argsort(-spread, kind="stable")[:MOST_BINS]
        return tuple(int(position) for position in order if spread[position] > 0)


def _not_yet(column: tuple[str, str], days: int) -> Lamp:
    said = f"`{printable(column[1])}` tells files or accounts apart: whether others come than usual can be said when"
    sentence = f"{said} {LEAST_DAYS} days of this version are known, {days} are."
    return Lamp(".".join(column), "grey", "psi", source=column[0], column=column[1], sentence=sentence)
