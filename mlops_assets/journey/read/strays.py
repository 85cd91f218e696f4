"""In: what lies beside the days of a use case. Out: what of it no run reads, in words."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace

from mlops_assets.journey.read.sources import FolderSource, S3Source, Source, SqlSource
from mlops_assets.journey.read.sources.entries import LEADS_OUT, Lying, day_of, folders_of, read_folder
from mlops_assets.use_case import UseCase

MOST_TOLD = 12
"""Entries that are told one by one."""

MOST_COUNTED = 1_000
"""Files of an entry that are counted: a sensor looks at every tick."""

DATE = re.compile(r"(?i:day)?[= ]*([0-9]{4})(?P<between>[-_. ]?)([0-9]{1,2})(?P=between)([0-9]{1,2}) *")
"""Names that are meant as a date, however they are written."""

FEEDBACK = "feedback"
"""The folder beside the days that corrections are handed in by."""


@dataclass(frozen=True)
class Stray:
    """An entry beside the days, or a day outside of the use case's days.

    Attributes
    ----------
    name
        Its name.
    why
        Why no run reads it.
    files
        Data files below it, up to `MOST_COUNTED`; None where that is not known.
    """

    name: str
    why: str
    files: int | None = None

    def __str__(self) -> str:
        number = "" if self.files is None else f"{self.files:,} {'file' if self.files == 1 else 'files'}, "
        if self.files == MOST_COUNTED:
            number = f"{self.files:,} files or more, "
        # as Python writes it: a blank at its end is seen, a line end does no harm
        return f"{self.name!r} ({number}{self.why})"


@dataclass(frozen=True)
class Strays:
    """What of a use case's place no run reads.

    Attributes
    ----------
    where
        The place.
    entries
        Their number.
    first
        The first of them.
    """

    where: str
    entries: int
    first: tuple[Stray, ...]

    def __str__(self) -> str:
        """A sentence, empty if there is nothing to be said."""
        if not self.entries:
            return ""
        told = [*map(str, self.first)]
        if more := self.entries - len(self.first):
            told.append(f"and {more:,} more")
        number = f"{self.entries:,} {'entry' if self.entries == 1 else 'entries'}"
        return f"passed over in {self.where}: {number} that no run reads: {', '.join(told)}"


def find_strays(use_case: UseCase, source: Source, today: dt.date | None = None) -> Strays:
    """What lies beside the days that a run may read.

    Parameters
    ----------
    use_case
        Says when its days begin.
    source
        Where its raw files lie; a class of a user's own knows by itself what is a day.
    today
        The last day that may be run, by default that of now by the clock of the use case.
    """
    partitions = use_case.partitions
    last = partitions.last_of(today.isoformat()) if today else partitions.key(dt.datetime.now(dt.UTC))
    lying = source.landed if isinstance(source, SqlSource) else source
    if not isinstance(lying, (FolderSource, S3Source)):
        outside = [Stray(day, why) for day in source.days() if (why := _why_outside(use_case, day, last))]
        return Strays(source.place(partitions.anyone), len(outside), tuple(outside[:MOST_TOLD]))
    every = folders_of(partitions, lying.entries(), lying.below)
    strays = [Stray(one.name, why) for one in every if (why := _why_stray(use_case, one, last))]
    first = (replace(stray, files=lying.count(stray.name, MOST_COUNTED)) for stray in strays[:MOST_TOLD])
    return Strays(str(lying.root), len(strays), tuple(first))


def _why_stray(use_case: UseCase, entry: Lying, last: str) -> str:
    """Why an entry is not read; empty if it is."""
    if entry.name == FEEDBACK and entry.folder:
        return ""
    try:
        day = read_folder(use_case.partitions, entry.name)
    except ValueError as error:
        return str(error)
    if day is not None and entry.folder:
        return _why_outside(use_case, day, last)
    return _why_no_day(entry, is_day=day is not None)


def _why_no_day(entry: Lying, *, is_day: bool) -> str:
    """Why an entry is not the folder of a day."""
    if "/" in entry.name:
        return LEADS_OUT if entry.name.endswith("/.") else "beside the hours, which are folders named hour=HH"
    if not entry.folder:
        return "a file where a folder should be" if is_day or entry.name == FEEDBACK else "a file beside the days"
    if meant := DATE.fullmatch(entry.name):
        name = f"day={meant[1]}-{meant[3]:0>2}-{meant[4]:0>2}"
        return f"not named day=YYYY-MM-DD; write it {name}" if day_of(name) else "there is no such date"
    return "not named day=YYYY-MM-DD, and no date"


def _why_outside(use_case: UseCase, day: str, last: str) -> str:
    partitions = use_case.partitions
    if day < use_case.first_day:
        return f"before the first {partitions.every}, {use_case.first_day}"
    now = "today" if partitions.every == "day" else f"this {partitions.every}"
    return f"in the future: {now} is {last} ({partitions.timezone})" if day > last else ""
