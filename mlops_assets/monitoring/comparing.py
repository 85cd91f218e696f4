"""What a day is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from mlops_assets.journey.score.profile.counts import Profile
from mlops_assets.journey.score.profile.reference import Reference
from mlops_assets.monitoring.days import WatchedDay, first_before
from mlops_assets.use_case import back


@dataclass(frozen=True)
class Comparison:
    """What a day is compared with.

    Attributes
    ----------
    profile
        What was counted of it.
    units
        Units that it has, by which its own noise is known.
    words
        It in words, as in "compared with".
    there
        The same, as in "0.3 % there".
    """

    profile: Profile
    units: float
    words: str
    there: str


def trailing(before: Sequence[WatchedDay], day: str) -> list[WatchedDay]:
    """The days of the 28 before a day, the newest last; it and later ones are none of them, nor is a day twice."""
    first = first_before(day)
    known = {watched.day: watched for watched in before if first <= watched.day < day}
    return [known[name] for name in sorted(known)]


def comparable(before: Sequence[WatchedDay], today: WatchedDay) -> list[WatchedDay]:
    """Those that were counted by the same reference: another one has other bins."""
    return [watched for watched in before if watched.reference == today.reference]


def units_of(watched: WatchedDay, unit: str) -> int:
    """How many of the units that the reference was drawn by a day has: files, accounts or rows."""
    return {"file": watched.files, "account": watched.accounts}.get(unit, watched.accounting.rows)


def compared_with(
    against: str, reference: Reference, before: Sequence[WatchedDay], today: WatchedDay
) -> Comparison | str:
    """What a day is compared with, or why it cannot be.

    Parameters
    ----------
    against
        `training`, `trailing`, `last-week` or a day.
    reference
        What the version learned from.
    before
        All days that are known, of whatever version.
    today
        The day.
    """
    if against == "training":
        return Comparison(reference.profile, float(sum(reference.units)), "the training rows", "in training")
    if against == "trailing":
        days = comparable(trailing(before, today.day), today)
        words = there = "the 28 days before it"
    else:
        day = against
        if against == "last-week":
            day = back(today.day, 7)
        days = [watched for watched in comparable(before, today) if watched.day == day]
        words = there = day
    if not days:
        return f"Version {today.version} counted no day of {words}: compare with another, or run those days again."
    units = sum(units_of(watched, reference.unit) for watched in days)
    there = f"on {there}" if len(days) == 1 and words != "the 28 days before it" else f"in {there}"
    return Comparison(reduce(add, (watched.profile for watched in days)), float(units), words, there)
