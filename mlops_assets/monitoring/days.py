"""In: a published day. Out: its profile, and what else is watched of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import LakeError, S3Error
from mlops_assets.journey.read.listing import ATTACHMENT
from mlops_assets.journey.score.profile.counts import Profile
from mlops_assets.journey.score.profile.sums import read_accounts, read_entries, reference_of
from mlops_assets.monitoring.noise import LEAST_DAYS
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import FOOTER, open_part, told_of_room, write_parquet
from mlops_assets.storage.integrity import Damaged, Gone, understanding
from mlops_assets.storage.places import Place, sizes
from mlops_assets.use_case import back

log = logging.getLogger("mlops_assets.drift")

TRAILING = 28
"""Days that are looked back."""

FIRST_WEEK = 7 * 24
"""Hours that one is compared with before the same hour of enough days is known."""

NANOSECONDS = 1_000_000
"""Nanoseconds of a millisecond: a listing has the former, a publication the latter."""


@dataclass(frozen=True)
class WatchedDay:
    """What is watched of a published day.

    Attributes
    ----------
    day
        The day.
    profile
        What was counted of its rows and answers.
    accounting
        What was told of it when it was published: rejects by rule, files, and so on.
    files
        Files that have a row with a prediction.
    accounts
        Distinct accounts.
    accounts_new, accounts_vanished
        Accounts that the watched day before did not have, and those that it had and this one has not; None where there
        is no such day.
    late_files
        Files that were changed after rows of the day were published first: they were not in that publication. None
        where the listing is gone.
    version
        The model version that scored.
    reference
        SHA-256 of the reference by whose bins it was counted: days of another one have other bins.
    """

    day: str
    profile: Profile
    accounting: PredictionsAccounting
    files: int
    accounts: int
    accounts_new: int | None = None
    accounts_vanished: int | None = None
    late_files: int | None = None
    version: int = 0
    reference: str = ""

    @property
    def arrivals(self) -> dict[str, int | None]:
        """Which files and accounts came, as plain numbers."""
        names = ("files", "late_files", "accounts", "accounts_new", "accounts_vanished")
        return {name: getattr(self, name) for name in names}

    @property
    def came(self) -> str:
        """The same in words."""
        told = f"{self.files:,} files with rows of {self.accounts:,} accounts"
        if self.accounts_new is not None and self.accounts_vanished is not None:
            told += (
                f", {self.accounts_new:,} of which the watched day before had not; {self.accounts_vanished:,} that it "
                "had did not come"
            )
        late = f"; {self.late_files:,} files changed after rows of the day were published first"
        return told + (late if self.late_files else "") + "."


def day_profile(lake: Lake, day: str) -> WatchedDay | None:
    """A published day with its profile; None where it is not published, or was scored unwatched.

    The sum over its shards is kept for the publication that it belongs to, and made again where there is another one.

    Raises
    ------
    Damaged
        If a file of it is not as it was written.
    """
    days = lake.predictions.days()
    if day not in days:
        return None
    before = max((other for other in days if other < day), default=None)
    # what is told of accounts depends on the day before as well; with the time, for a table that somebody made anew
    # counts its versions from 0 again
    publications = [[other, days[other].version, days[other].time] for other in (day, before) if other]
    path = lake.profile(day)
    kept = _read(path)
    if kept is None or kept.of != publications:
        kept = _add_up(lake, day, before, publications)
        if kept is None:
            return None
        _keep(path, kept)
    accounting = days[day].accounting
    with understanding(path):
        return _watched(day, kept.entries, accounting, **kept.numbers)


def scored_day(lake: Lake, day: str, parts: Sequence[str], accounting: PredictionsAccounting) -> WatchedDay | None:
    """A day that was scored and is not published yet; None where it was scored unwatched.

    Parameters
    ----------
    lake
        The tables of a use case.
    day
        The day.
    parts
        Paths of its parts in the table `profiles`.
    accounting
        What is to be told of it.
    """
    if not parts:
        return None
    entries, accounts = read_entries(lake, parts)
    return _watched(day, entries, accounting, accounts=len(accounts))


def _watched(day: str, entries: pa.Table, accounting: PredictionsAccounting, **numbers: Any) -> WatchedDay:
    """What is watched of a day, by its entries added up."""
    profile = Profile.from_table(entries)
    return WatchedDay(
        day,
        profile,
        accounting,
        files=int(profile.rows_a_file.sum()),
        version=accounting.model_version,
        reference=reference_of(entries),
        **numbers,
    )


def published_before(lake: Lake, day: str, days: int = TRAILING, near: int = 1) -> list[str]:
    """The published days among the calendar days before a day, in order; of an hour those of `hours_near`."""
    first = first_before(day, days)
    before = [other for other in sorted(lake.predictions.days()) if first <= other < day]
    return hours_near(before, day, near) if day[10:] else before


def hours_near(before: Sequence[str], hour: str, near: int) -> list[str]:
    """Of the hours before one those that tell what is usual for it: as many as days would be, and not 24 times those.

    Parameters
    ----------
    before
        Hours before it, in order.
    hour
        The hour.
    near
        How many hours, it among them, decide together whether a lamp is red (`drift.days.of`): each is looked at
        beside the same hour of the other days.

    Examples
    --------
    >>> hours = [f"2026-03-{day:02d}T{hour:02d}" for day in range(1, 9) for hour in range(24)]
    >>> hours_near(hours, "2026-03-09T00", 2)[-2:]
    ['2026-03-08T00', '2026-03-08T23']
    """
    names = {f"T{(int(hour[11:13]) - back_by) % 24:02d}" for back_by in range(near)}
    same = [other for other in before if other[10:13] in names]
    return same if len(same) >= LEAST_DAYS * len(names) else [*before[-FIRST_WEEK:]]


def first_before(day: str, days: int = TRAILING) -> str:
    """The first of the calendar days before a day that are looked at."""
    return back(day, days)


def days_before(lake: Lake, day: str, days: int = TRAILING, near: int = 1) -> list[WatchedDay]:
    """The watched days among the calendar days before a day, the oldest first; of an hour those of `hours_near`.

    Parameters
    ----------
    lake
        The tables of a use case.
    day
        The day.
    days
        How many calendar days.
    near
        As of `hours_near`.
    """
    found = (day_profile(lake, other) for other in published_before(lake, day, days, near))
    return [each for each in found if each is not None]


@dataclass(frozen=True)
class _Kept:
    """The sum of a day as it is kept: its entries, the publications it belongs to, and what a profile does not tell."""

    entries: pa.Table
    of: list[Any]
    numbers: dict[str, Any]


def _read(path: Place) -> _Kept | None:
    """A sum that is kept; None where there is none, or one that can only be made again."""
    try:
        with understanding(path), open_part(path) as file:
            told = json.loads(file.metadata.metadata[FOOTER])
            return _Kept(file.read(), list(told["of"]), dict(told["numbers"]))
    except Gone:
        return None
    except Damaged as error:
        log.warning("%s of %s: the file %s %s; it is made again.", *error.told())
        return None


def _keep(path: Place, kept: _Kept) -> None:
    """Keep a sum for those who ask next; whoever may not write, or has no room, has it all the same."""
    told = {"of": kept.of, "numbers": kept.numbers}
    try:
        with told_of_room(path):
            write_parquet(path, kept.entries, {FOOTER.decode(): json.dumps(told)})
    except (LakeError, S3Error) as error:
        log.warning("the sum of a day is not kept, and is made again when it is asked for: %s", error)


def _add_up(lake: Lake, day: str, before: str | None, publications: list[Any]) -> _Kept | None:
    parts = _parts(lake, day)
    if parts is None:
        return None
    entries, accounts = read_entries(lake, parts)
    numbers: dict[str, int | None] = {"accounts": len(accounts), "late_files": _late_files(lake, day)}
    others = _parts(lake, before) if before else None
    if others is not None:
        had = read_accounts(lake, others)
        in_both = len(np.intersect1d(accounts, had, assume_unique=True))
        numbers |= {"accounts_new": len(accounts) - in_both, "accounts_vanished": len(had) - in_both}
    return _Kept(entries, publications, numbers)


def _parts(lake: Lake, day: str) -> list[str] | None:
    """The parts of `profiles` that belong to the published predictions of a day; None where one has none.

    By their names, which are those of the predictions: whatever else was published since, they are of these.
    """
    predictions = sorted(lake.predictions.parts(day))
    there = sizes(lake.profiles.folder / f"day={day}")
    if not predictions or any(part.rpartition("/")[2] not in there for part in predictions):
        return None
    return predictions


def _late_files(lake: Lake, day: str) -> int | None:
    """Files that were changed after rows of the day were published first; None where the listing is gone."""
    accounting, every = lake.predictions.days()[day].accounting, lake.rows.publications().get(day, [])
    if not every or accounting.rows_version is None:
        return None
    if accounting.rows_version == every[0].version:
        return 0
    listings = lake.raw_files.publications().get(day, [])
    listing = next((one for one in listings if one.accounting.fingerprint == accounting.manifest), None)
    if listing is None:
        return None
    first = every[0].time * NANOSECONDS
    try:
        files = lake.raw_files.read_publication(day, listing, ["modified", "shard"]).read_all()
    except LakeError:  # cleaned up
        return None
    files = files.filter(pc.not_equal(files["shard"], ATTACHMENT))
    return int(np.count_nonzero(files["modified"].to_numpy() > first))
