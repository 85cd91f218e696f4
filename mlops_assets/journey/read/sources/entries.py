"""What lies at the place of a use case, one level deep: the folders of its days, and whatever else is there."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import NamedTuple

DAY = re.compile(r"day=([0-9]{4}-[0-9]{2}-[0-9]{2})")

REQUESTS = "api"
"""Folder of a day into which the API lays the requests that it keeps, each into a folder of its own."""

LEADS_OUT = (
    "a link out of the folder of the use case's raw files, which is not followed; lay the file itself there, or set "
    "`source.follow_links: true`"
)
"""The problem of an entry that leads elsewhere."""


class Lying(NamedTuple):
    """An entry at the place of a use case: its name, and whether it is a folder."""

    name: str
    folder: bool


def day_of(name: str) -> str | None:
    """The day that a folder is of, by its name; None if it is no day of the calendar."""
    found = DAY.fullmatch(name)
    try:
        return dt.date.fromisoformat(found[1]).isoformat() if found else None
    except ValueError:
        return None


def days_of(entries: Iterable[Lying]) -> list[str]:
    """The days among some entries, in order."""
    return sorted(day for entry in entries if entry.folder and (day := day_of(entry.name)) is not None)


_LAID = re.compile(rf"{REQUESTS}/[^/]+/(-\d+/)*(?=.)")
"""The folder of a kept request; further numbers tell files of one name apart."""


def as_sent(path: str) -> tuple[str, str]:
    """A path within the folder of a day in two parts: where a kept request was laid, and the path as it was sent.

    Examples
    --------
    >>> as_sent("api/7f07/sports/a.txt"), as_sent("sports/a.txt"), as_sent("api/7f07/-2/sports/a.txt")
    (('api/7f07/', 'sports/a.txt'), ('', 'sports/a.txt'), ('api/7f07/-2/', 'sports/a.txt'))
    """
    found = _LAID.match(path)
    return (found[0], path[found.end() :]) if found else ("", path)


def is_hidden(name: str) -> bool:
    """Uploads that are under way, and marks of a whole delivery, are named like that: they are no data."""
    return name.startswith((".", "_"))
