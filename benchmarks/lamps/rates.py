"""How often lamps are red: on quiet days, and on the first day of a damage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.lamps.damages import DAMAGES
from benchmarks.lamps.days import BEFORE, Day, quiet_days
from benchmarks.lamps.stage import Stage
from mlops_assets.monitoring.lamp import DayVerdict
from mlops_assets.monitoring.lamps import Judge


@dataclass
class Rate:
    """Of so many days, how many were red, and by which lamps.

    Attributes
    ----------
    days, red
        Their numbers.
    lamps
        The first red lamp of each red day, counted.
    """

    days: int = 0
    red: int = 0
    lamps: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: DayVerdict) -> None:
        self.days += 1
        self.red += verdict.red
        if verdict.red:
            first = verdict.red_lamps[0]
            self.lamps[f"{first.name} ({first.what})"] += 1


@dataclass
class Rates:
    """What was found of a use case; `first` is of days before which none is known, and a damage that a use case has
    nothing for has no rate."""

    name: str
    rows_a_day: int
    columns: int
    quiet: Rate
    first: Rate
    damaged: dict[str, Rate]

    def told(self) -> str:
        """All that was measured, a line each."""
        rates = {"quiet": self.quiet, "quiet, no days before": self.first, **self.damaged}
        head = f"{self.rows_a_day:,} rows a day, {self.columns} columns"
        lines = [
            f"  {rate.red:4} of {rate.days:4} {name}: {dict(rate.lamps.most_common(6))}"
            for name, rate in rates.items()
            if rate.days
        ]
        return "\n".join([head, *lines])


def measure(
    stage: Stage, quiet: int, cases: int, seed: int, against: str = "training", damages: Sequence[str] = tuple(DAMAGES)
) -> Rates:
    """Judge quiet days in a row, and damaged ones after them.

    Parameters
    ----------
    stage
        The use case.
    quiet
        Quiet days; the 28 before them are known and not judged.
    cases
        Days of each damage.
    seed
        Of the days.
    against
        What they are compared with.
    damages
        Which happen.
    """
    generator = np.random.default_rng([seed, sum(map(ord, stage.use_case.name))])
    judge = Judge(stage.use_case.drift, stage.reference, stage.use_case.account)
    days = quiet_days(stage, BEFORE + quiet, generator)
    of_quiet, of_first = Rate(), Rate()
    for number in range(BEFORE, len(days)):
        of_quiet.add(judged(judge, days, number, days[number], against))
        of_first.add(judge.day(days[number].watched, [], against))
    damaged = {name: Rate() for name in DAMAGES}
    for name in damages:
        for case in range(cases):
            number = BEFORE + case % quiet
            day = DAMAGES[name](stage, days[number], generator)
            if day is None:
                break
            damaged[name].add(
                judged(judge, days, number, Day(days[number].units, days[number].positions, day), against)
            )
    rows = int(np.median([day.watched.accounting.rows for day in days]))
    return Rates(stage.use_case.name, rows, len(stage.reference.bins), of_quiet, of_first, damaged)


def judged(judge: Judge, days: list[Day], number: int, today: Day, against: str) -> DayVerdict:
    """What is said of a day, the 28 before it being known."""
    before = [day.watched for day in days[number - BEFORE : number]]
    return judge.day(today.watched, before, against)
