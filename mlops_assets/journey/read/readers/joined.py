"""Bodies of CSV files with one layout, laid end to end to be parsed in one go; their lines are counted in the bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from mlops_assets.journey.read.readers.header import Layout
from mlops_assets.journey.read.readers.text import UTF8_BOM

Body: TypeAlias = bytes | memoryview
"""The lines of a file behind its header, each with its end."""

BLOCK = 1 << 20
"""Bytes that are parsed at a time: a shard in one block takes 1.4 times as long, for dictionaries leave the cache."""

MOST_HEADERS = 100
"""Headers of plain files that are remembered."""

_LF, _CR = ord("\n"), ord("\r")


class Prepared(Protocol):
    """A file of which each line ends with a line feed."""

    @property
    def body(self) -> bytes:
        """Its lines."""
        ...


@dataclass
class Group:
    """Files with the same layout, to be parsed in one go; none may be added once they were joined.

    Attributes
    ----------
    files
        Their numbers.
    bodies
        Their lines; the last one has its line end, too.
    """

    files: list[int] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)

    def add(self, file: int, body: Body) -> None:
        """Take a file in."""
        self.files.append(file)
        self.bodies.append(body)

    @cached_property
    def blob(self) -> bytes:
        """All bodies."""
        return b"".join(self.bodies)

    @property
    def block(self) -> int:
        """Bytes that are parsed at a time: what fits into a processor's cache, but never less than a line."""
        return max(BLOCK, max(map(len, self.bodies)) + len(UTF8_BOM) + 1)

    @cached_property
    def counts(self) -> np.ndarray:
        """The lines of each file."""
        ends = np.cumsum([len(body) for body in self.bodies])
        return np.diff(np.searchsorted(self._line_feeds, ends), prepend=0)

    def without_strays(self, prepare: Callable[[int], Prepared | None]) -> Group:
        """The same files, those with stray carriage returns prepared, or left out where they are refused.

        The parser takes each carriage return for the end of a line, and a count of line feeds would not see it.

        Parameters
        ----------
        prepare
            Makes of a file, by its number, one whose lines end with a line feed; None if it refuses it.
        """
        returns = self.blob.count(b"\r")
        # those that stand before a line feed
        if not returns or returns == int((self._bytes[self._line_feeds - 1] == _CR).sum()):
            return self
        even = Group()
        for file, body in zip(self.files, self.bodies, strict=True):
            lines = bytes(body)
            if lines.count(b"\r") == lines.count(b"\r\n"):
                even.add(file, body)
            elif ready := prepare(file):
                even.add(file, ready.body)
        return even

    @cached_property
    def _bytes(self) -> np.ndarray:
        return np.frombuffer(self.blob, np.uint8)

    @cached_property
    def _line_feeds(self) -> np.ndarray:
        return np.flatnonzero(self._bytes == _LF)


class Plain(NamedTuple):
    """A plain file: how its columns lie, and its lines."""

    layout: Layout
    body: Body


class PlainFiles:
    """Knows files that need no further look: ASCII below a header that was read before, and whole to the last line end.

    Parameters
    ----------
    quotes
        Whether a double quote is more than a letter.
    """

    def __init__(self, *, quotes: bool) -> None:
        self._quotes = quotes
        self._layouts: dict[bytes, Layout] = {}

    def learn(self, data: bytes, layout: Layout) -> None:
        """Take note of the header of a file with nothing to notice.

        Parameters
        ----------
        data
            The file.
        layout
            What its header announces; none of its columns is absent.
        """
        header = data[: data.find(b"\n") + 1]
        # of a header without a sign, all the rest could be blank as well
        if header.isascii() and header.strip() and len(self._layouts) < MOST_HEADERS:
            self._layouts[header] = layout

    def body(self, data: bytes) -> Plain | None:
        """The layout and the lines of a plain file, with their ends as they are; None of any other."""
        start = data.find(b"\n") + 1
        layout = self._layouts.get(data[:start])
        if layout is None or start == len(data) or data[-1] != _LF or not data.isascii() or b"\0" in data:
            return None
        return None if self._quotes and b'"' in data else Plain(layout, memoryview(data)[start:])


def line_feeds_only(body: Body) -> bytes:
    """The lines of a body, each with a line feed at its end."""
    return bytes(body).replace(b"\r\n", b"\n")
