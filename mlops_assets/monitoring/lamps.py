"""In: a day as it was counted, the days before it, what its model learned from. Out: a lamp for each thing watched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property

from mlops_assets.journey.score.profile.reference import Reference
from mlops_assets.monitoring.answering import AnswersJudge
from mlops_assets.monitoring.columns import ColumnsJudge
from mlops_assets.monitoring.comparing import comparable, compared_with, trailing, units_of
from mlops_assets.monitoring.days import WatchedDay
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.monitoring.noise import LEAST_GROUPS
from mlops_assets.monitoring.volume import refusal_lamps, volume_lamps
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.drift import Drift
from mlops_assets.work.printable import printable

__all__ = ["DayVerdict", "Judge", "Lamp", "judge_day"]

UNITS = {"file": "files", "account": "accounts", "row": "rows"}
"""What a reference is drawn by, several of them."""


def judge_day(
    use_case: UseCase,
    today: WatchedDay,
    before: Sequence[WatchedDay],
    reference: Reference | None,
    against: str | None = None,
) -> DayVerdict:
    """What is to be said of a day.

    Parameters
    ----------
    use_case
        The use case; its `drift` has floors and bands.
    today
        The day as it was counted.
    before
        Days before it, in any order and of whatever version; those of the last 28 are looked at.
    reference
        What the version learned from that scored the day; None where it is not known.
    against
        What the day is compared with: `training`, `trailing`, `last-week`, or a day that is among `before`. By default
        as the use case says.
    """
    return Judge(use_case.drift, reference, use_case.account).day(today, before, against)


@dataclass(frozen=True)
class Judge:
    """Judges days of one version; what chance does is known after the first.

    Attributes
    ----------
    drift
        Floors and bands.
    reference
        What the version learned from; None where it is not known.
    account
        The column of accounts.
    """

    drift: Drift
    reference: Reference | None
    account: str = ""

    @cached_property
    def _columns(self) -> ColumnsJudge | None:
        return None if self.reference is None else ColumnsJudge(self.drift, self.reference, self.account)

    @cached_property
    def _answers(self) -> AnswersJudge | None:
        return None if self.reference is None else AnswersJudge(self.drift, self.reference)

    def day(self, today: WatchedDay, before: Sequence[WatchedDay], against: str | None = None) -> DayVerdict:
        """What is to be said of a day; as `judge_day`."""
        against = against or self.drift.against
        recent = trailing(before, today.day)
        lamps = [*volume_lamps(self.drift, today, recent), *refusal_lamps(self.drift, today, recent)]
        found, words = self._spreads(today, before, against)
        return DayVerdict(today.day, words, tuple(_in_order([*lamps, *found])))

    def _spreads(self, today: WatchedDay, before: Sequence[WatchedDay], against: str) -> tuple[list[Lamp], str]:
        """The lamps of columns and answers, and what they are compared with."""
        if self.reference is None or self._columns is None or self._answers is None:
            return [
                _grey(f"Version {today.version} has no reference: train again, and days are compared with it.")
            ], against
        units = units_of(today, self.reference.unit)
        if units < self.drift.least:
            why = (
                f"{today.day} has {units} {UNITS[self.reference.unit]}, and fewer than {self.drift.least} tell nothing."
            )
            return [_grey(why)], against
        if sum(number > 0 for number in self.reference.units) < LEAST_GROUPS:
            return [_grey(f"Version {today.version} learned from too few rows to know what chance does.")], against
        comparison = compared_with(against, self.reference, before, today)
        if isinstance(comparison, str):
            return [_grey(comparison)], against
        days = comparable(trailing(before, today.day), today)
        columns = [*self._columns.lamps(today, units, comparison, days), *self._misspelt(self.reference)]
        return [*columns, *self._answers.lamps(today, comparison, days)], comparison.words

    def _misspelt(self, reference: Reference) -> list[Lamp]:
        """What `drift` says of columns that there are none of: which there are, only a version knows."""
        there = {name for _, name in reference.bins}
        asked = dict.fromkeys(self.drift.columns, "columns") | dict.fromkeys(self.drift.ignore, "ignore")
        return [
            replace(
                _grey(
                    f"`drift.{key}` names `{printable(name)}`, which is no column that is watched{_near(name, there)}"
                ),
                name=f"drift.{key}.{name}",
            )
            for name, key in asked.items()
            if name not in there
        ]


def _grey(why: str) -> Lamp:
    return Lamp("columns", "grey", "psi", sentence=why)


def _near(name: str, there: Iterable[str]) -> str:
    near = get_close_matches(name, there, 1)
    return f"; is it `{printable(near[0])}`?" if near else "."


def _in_order(lamps: Iterable[Lamp]) -> list[Lamp]:
    """Red ones first, causes before what follows from them, and those that are farthest out first."""
    states = ("red", "grey", "green")
    ordered = sorted(lamps, key=lambda lamp: (states.index(lamp.state), _follows(lamp), -lamp.excess))
    first = ordered[0] if ordered else None
    if first is None or not first.red or _follows(first):
        return ordered
    # what the model sees and says is made of the rows: one cause is told once
    return [replace(lamp, cause=first.name) if lamp.red and _follows(lamp) else lamp for lamp in ordered]


def _follows(lamp: Lamp) -> bool:
    return lamp.source in {"model_input", "answers", "predictions"}
