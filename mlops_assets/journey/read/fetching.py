"""In: files of a shard as they were listed. Out: their bytes, or why one is refused at once."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import pyarrow as pa

from mlops_assets.journey.read.listing import file_too_large
from mlops_assets.journey.read.readers.pack import Refusal
from mlops_assets.journey.read.sources import Entry, Source, read_listed
from mlops_assets.journey.read.sources.entries import LEADS_OUT

Item = TypeVar("Item")

Fetched = tuple[list[bytes | None], list[Refusal]]
"""The bytes of the files of a shard, None for each that is refused at once; and those refusals."""

READERS, FILES_A_THREAD, BATCHES = 16, 100, 40
"""Threads that read files where they must be waited for, how many each takes at a time, and for how many such batches
they do so before one looks alone again. Side by side is twice as fast on a disk; of files that lie in memory it brings
nothing but handing over. A source that waits for a server says how many threads it wants (`readers`)."""


def fetch(entries: pa.Table, source: Source, day: str, largest: int) -> Fetched:
    """The bytes of files, None for each that is refused at once.

    Parameters
    ----------
    entries
        The files as they were listed.
    source
        Where they lie.
    day
        Their day.
    largest
        Bytes of a file that is read.

    Raises
    ------
    SourceError
        If one vanished or changed since.
    """
    readers, listed = getattr(source, "readers", 0), entries.select(Entry._fields)
    # a server is asked for all of them by one thread, and threads see to what is left
    ready = read_listed(source, day, listed, largest) if readers else None

    def fetch_some(first: int) -> list[bytes | Refusal]:
        some = listed.slice(first, FILES_A_THREAD)
        contents = ready[first : first + len(some)] if ready else read_listed(source, day, some, largest)
        left = [number for number, data in enumerate(contents) if data is None]
        columns = [column.to_pylist() for column in some.take(pa.array(left, pa.int64())).columns]
        others = {
            number: fetch_one(source, day, first + number, Entry(*entry), largest)
            for number, entry in zip(left, zip(*columns, strict=True), strict=True)
        }
        return [others[number] if data is None else data for number, data in enumerate(contents)]

    firsts = range(0, len(entries), FILES_A_THREAD)
    results: list[bytes | Refusal] = []
    for some in _side_by_side(fetch_some, firsts, readers):
        results += some
    contents = [None if isinstance(result, Refusal) else result for result in results]
    return contents, [result for result in results if isinstance(result, Refusal)]


def _side_by_side(fetch_some: Callable[[int], Item], firsts: Iterable[int], readers: int) -> Iterator[Item]:
    """What `fetch_some` brings, in order: by several threads where a server, or the disk, must be waited for."""
    with ThreadPoolExecutor(readers or READERS) as threads:
        if readers:
            yield from threads.map(fetch_some, firsts)
            return
        left = iter(firsts)
        for first in left:
            before = _waits()
            # in memory one thread is faster than several, which hand Python's lock to one another
            yield fetch_some(first)
            # for more than one file in five: they are not in memory
            if _waits() - before > FILES_A_THREAD // 5:
                yield from threads.map(fetch_some, islice(left, BATCHES))


def _waits() -> int:
    """How often this process has given up its core because it had to wait."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def fetch_one(source: Source, day: str, number: int, entry: Entry, largest: int) -> bytes | Refusal:
    """The bytes of a file, or why it is refused under a number; see `fetch`."""
    # refused by what the listing said, so that a file which would fill the memory is not opened
    if entry.problem:
        rule = "link" if entry.problem == LEADS_OUT else "unreadable"
        return Refusal(number, None, rule, entry.problem)
    if entry.size > largest:
        return Refusal(number, None, "too_large", file_too_large(entry.size, largest))
    try:
        return source.read(day, entry)
    except OSError as error:
        return Refusal(number, None, "unreadable", f"cannot be read: {error.strerror}")
