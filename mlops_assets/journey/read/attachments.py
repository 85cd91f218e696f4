"""In: a path that a record names. Out: the bytes of the file that it refers to, as it was listed.

A reader asks for one after the other. From a server each would be waited for, so those that the text of the files names
are fetched ahead by threads; what a reader gets, and what it is told, is the same.
"""

from __future__ import annotations

import bisect
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, cached_property

import pyarrow as pa

from mlops_assets.journey.read.listing import ATTACHMENT, shard_of
from mlops_assets.journey.read.sources import Entry, Source
from mlops_assets.journey.read.sources.entries import as_sent
from mlops_assets.plugins import NotAttached
from mlops_assets.storage.places import Place

BYTES_AHEAD = 32 << 20
"""What is fetched before it is asked for may take so much memory."""

BETWEEN, LONGEST = re.compile(rb"[\x00-\x20\"'<>,;|=\\]"), 200
"""What ends a path in the text of most formats, and how many bytes of it are looked at."""


class Attachments:
    """Reads the files of a day that records refer to, as they were listed.

    Parameters
    ----------
    source
        Where the raw files lie.
    day
        The day.
    manifest
        The file that holds its entries.
    largest
        Largest attachment in bytes.
    named
        Paths that will likely be asked for, in that order; see `named_in`.
    """

    def __init__(self, source: Source, day: str, manifest: Place, largest: int, named: Iterable[str] = ()) -> None:
        self._source = source
        self._day = day
        self._manifest = manifest
        self._largest = largest
        readers = getattr(source, "readers", 0)
        self._named = iter(named) if readers else iter(())
        self._threads = readers
        self._ahead: deque[tuple[Entry, Future[bytes]]] = deque()
        self._bytes = 0

    @cached_property
    def _entries(self) -> pa.Table:
        return shard_of(self._manifest, ATTACHMENT).drop_columns(["shard"]).combine_chunks()

    def _find(self, path: str) -> Entry | None:
        paths = self._entries["path"]  # sorted, so that no dictionary of a million names is made to find a few
        at = bisect.bisect_left(range(len(paths)), path, key=lambda number: paths[number].as_py())
        if at == len(paths) or paths[at].as_py() != path:
            return None
        return Entry(**self._entries.slice(at, 1).to_pylist()[0])

    def __call__(self, file: int, path: str) -> bytes:  # noqa: ARG002 - a record of a day may refer to any
        """The bytes of an attachment.

        Parameters
        ----------
        file
            Number of the file whose record refers to it.
        path
            Its path within the day's folder.

        Raises
        ------
        NotAttached
            If it was not listed, is too large or cannot be opened.
        SourceError
            If it is not what was listed: gone, or changed since.
        """
        entry = self._find(path)
        if entry is None:
            raise not_listed(path)
        if entry.problem:
            raise NotAttached(f"{path!r} is {entry.problem}")
        # by what the listing said, so that a file which would fill the memory is not opened
        if entry.size > self._largest:
            raise attachment_too_large(path, entry.size, self._largest)
        fetched = self._fetched(entry)
        try:
            return fetched.result() if fetched else self._source.read(self._day, entry)
        except OSError as error:
            raise NotAttached(f"{path!r} cannot be read: {error.strerror}") from None

    def _fetched(self, entry: Entry) -> Future[bytes] | None:
        """What was fetched ahead of an attachment, or is on its way; more is asked for meanwhile."""
        found = None
        self._fetch()
        if any(other == entry for other, _ in self._ahead):
            while found is None:  # whoever asks for this one has passed over those before it
                other, future = self._ahead.popleft()
                self._bytes -= other.size
                found = future if other == entry else None
            self._fetch()
        return found

    def _fetch(self) -> None:
        """Keep the threads busy, within the bounds of what waits to be asked for."""
        while len(self._ahead) < 2 * self._threads and self._bytes < BYTES_AHEAD:
            path = next(self._named, None)
            if path is None:
                return
            entry = self._find(path)
            if entry is not None and not entry.problem and entry.size <= min(self._largest, BYTES_AHEAD):
                self._ahead.append((entry, _threads(self._threads).submit(self._source.read, self._day, entry)))
                self._bytes += entry.size


@cache
def _threads(number: int) -> ThreadPoolExecutor:
    """Threads that wait for a server; a process keeps them from shard to shard."""
    return ThreadPoolExecutor(number)


def named_in(contents: Sequence[bytes | None], paths: Sequence[str], endings: Sequence[str]) -> Iterator[str]:
    """What looks like the path of an attachment in the text of files, in order: a guess that costs a request if wrong.

    Parameters
    ----------
    contents, paths
        Bytes of each file, None for one that is not read, and its path within the day's folder.
    endings
        The endings of such paths.

    Examples
    --------
    >>> [*named_in([b'{"image": "a/1.png", "of": "b.png"}', None], ["one.json", "two.json"], [".png"])]
    ['a/1.png', 'b.png']
    """
    if not endings:
        return
    ending = re.compile(b"|".join(re.escape(one.encode()) for one in endings))
    for data, path in zip(contents, paths, strict=True):
        folder, _ = as_sent(path)
        for found in ending.finditer(data or b""):
            # from its end, for a pattern of the whole name would go over a text without any again and again
            *_, name = BETWEEN.split((data or b"")[max(0, found.start() - LONGEST) : found.end()])
            yield folder + name.decode(errors="replace")


def not_listed(path: str) -> NotAttached:
    """What a reader is told that asks for an attachment which is not there."""
    return NotAttached(f"there is no {path!r} among the attachments")


def attachment_too_large(path: str, size: int, largest: int) -> NotAttached:
    """What a reader is told that asks for an attachment which is not read."""
    return NotAttached(f"{path!r} has {size} bytes, allowed are {largest}")
