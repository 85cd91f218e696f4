"""What lies at the place of a use case, one level deep: the folders of its days, and whatever else is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from mlops_assets.use_case.partitions import Partitions, is_key, key_of

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


Below = Callable[[Sequence[str]], Iterable[Sequence[Lying]]]
"""What lies in each of some folders."""


def day_of(name: str) -> str | None:
    """The day that a folder or file of the lake is of, by its name; None if it is none."""
    key = name.removeprefix("day=")
    return key if key != name and is_key(key) else None


def read_folder(partitions: Partitions, folder: str) -> str | None:
    """The day of a folder below that of a use case, by its path; None if there is no such day.

    Raises
    ------
    ValueError
        If it is one that a use case of these partitions has not; the message says why.
    """
    key = key_of(folder)
    return None if key is None else partitions.exact(key)


def folders_of(partitions: Partitions, entries: Iterable[Lying], below: Below) -> Iterator[Lying]:
    """The entries that should be days; where days are hours, what lies in the folders of the calendar days.

    Parameters
    ----------
    partitions
        Those of the use case.
    entries
        What lies at the place of the use case.
    below
        Lists folders of it.
    """
    if partitions.every != "hour":
        yield from entries
        return
    every = [*entries]
    days = [one.name for one in every if one.folder and day_of(one.name)]
    yield from (one for one in every if one.name not in days)
    for day, hours in zip(days, below(days), strict=True):
        yield from (Lying(f"{day}/{hour.name}", hour.folder) for hour in hours)


def days_of(partitions: Partitions, entries: Iterable[Lying], below: Below) -> list[str]:
    """The days among what lies at the place of a use case, in order; as `folders_of`."""
    found = []
    for one in folders_of(partitions, entries, below):
        try:
            day = read_folder(partitions, one.name) if one.folder else None
        except ValueError:  # `strays` tells it
            continue
        if day is not None:
            found.append(day)
    return sorted(found)


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
