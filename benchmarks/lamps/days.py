"""Quiet days: as many files as a weekday has, drawn whole from the pool."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.lamps.stage import Pool, Stage
from mlops_assets.monitoring.days import WatchedDay
from mlops_assets.storage.accounting import PredictionsAccounting

FIRST = dt.date(2026, 3, 2)
WEEKEND = 0.7
"""Files of a Saturday or Sunday, of those of another day."""
JITTER = 0.05
"""By how much their number is spread, as the standard deviation of its logarithm."""
BEFORE = 28
REJECTED = 0.004
"""Share of lines that are refused on a quiet day."""


@dataclass(frozen=True)
class Day:
    """A day: the units that it has, their rows, and what is watched of it."""

    units: np.ndarray
    positions: np.ndarray
    watched: WatchedDay

    def of(self, stage: Stage, units: np.ndarray) -> WatchedDay:
        """The same day with other units."""
        return watch(stage, self.watched.day, units).watched

    def without(self, stage: Stage, which: np.ndarray, rule: str = "range") -> Day:
        """The day without rows that a rule refuses."""
        positions = self.positions[~which]
        pool = stage.pool
        unit = np.searchsorted(pool.first, positions, side="right") - 1
        sizes = np.unique(unit, return_counts=True)[1] if stage.unit == "file" else np.array([len(positions)])
        told = self.watched.accounting
        accounting = replace(
            told,
            rows=len(positions),
            rejected=told.rejected + int(which.sum()),
            predictions=len(positions),
            rules={**told.rules, rule: told.rules.get(rule, 0) + int(which.sum())},
        )
        watched = replace(
            self.watched,
            profile=stage.profile(positions, sizes),
            accounting=accounting,
            files=int((sizes > 0).sum()),
            accounts=pool.accounts(stage.use_case, positions),
        )
        return Day(self.units, positions, watched)


def watch(stage: Stage, day: str, units: np.ndarray, rejected: int = 0, pool: Pool | None = None) -> Day:
    """A day that has these units of the pool."""
    pool = pool or stage.pool
    positions = pool.positions(units)
    sizes = np.diff(pool.first)[units] if stage.unit == "file" else np.array([len(positions)])
    accounting = PredictionsAccounting(
        files=len(sizes),
        files_read=len(sizes),
        lines=len(positions) + rejected,
        rows=len(positions),
        rejected=rejected,
        rules={"type": rejected},
        predictions=len(positions),
        model_version=1,
    )
    watched = WatchedDay(
        day,
        stage.profile(positions, sizes, pool),
        accounting,
        files=len(sizes),
        accounts=pool.accounts(stage.use_case, positions),
        version=1,
    )
    return Day(units, positions, watched)


def quiet_days(
    stage: Stage,
    number: int,
    generator: np.random.Generator,
    pool: Pool | None = None,
    first: dt.date = FIRST,
    *,
    again: bool = False,
) -> list[Day]:
    """Days in a row on which nothing happens; `again` if a unit may be drawn more than once, as of few it has to be."""
    pool = pool or stage.pool
    found = []
    for ago in range(number):
        day = first + dt.timedelta(days=ago)
        usual = min(stage.plan.day, pool.units / 1.3) * (WEEKEND if day.weekday() >= 5 else 1.0)
        size = min(pool.units, round(usual * float(np.exp(generator.normal(0, JITTER)))))
        units = generator.choice(pool.units, size, replace=again)
        found.append(watch(stage, day.isoformat(), units, int(generator.poisson(REJECTED * size)), pool))
    return found
