"""Bodies of CSV files with one layout, laid end to end to be parsed in one go; their lines are counted in the bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from mlops_assets.journey.read.readers.header import Layout
from mlops_assets.journey.read.readers.text import UTF8, UTF8_BOM, decide_encoding, kept_in
from mlops_assets.plugins import FileRefused
from mlops_assets.use_case import FileFormat

Body: TypeAlias = bytes | memoryview
"""The lines of a file behind its header, each with its end."""

BLOCK = 1 << 20
"""Bytes that are parsed at a time: a shard in one block takes 1.4 times as long, for dictionaries leave the cache."""

PIECE = 1 << 17
"""Bytes that are looked at at a time."""

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
    encoding
        What they are in.
    bodies
        Their lines; the last one has its line end, too.
    """

    encoding: str

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

    @cached_property
    def is_utf8(self) -> bool:
        """Whether all bodies are UTF-8."""
        return self.encoding == "utf-8" or self.blob.isascii()

    def in_utf8(self) -> Group:
        """The same files in UTF-8."""
        if self.is_utf8:
            return self
        return Group("utf-8", self.files, [bytes(body).decode(self.encoding).encode() for body in self.bodies])

    def without_strays(self, prepare: Callable[[int], Prepared | None]) -> Group:
        """The same files, those with stray carriage returns prepared, or left out where they are refused.

        The parser takes each carriage return for the end of a line, and a count of line feeds would not see it.

        Parameters
        ----------
        prepare
            Makes of a file, by its number, one whose lines end with a line feed; None if it refuses it.
        """
        # by NumPy: `bytes.count` looks for them one by one, and each line of most files has one
        returns = sum(int(np.count_nonzero(some == _CR)) for _, some in self._pieces())
        # those that stand before a line feed
        if not returns or returns == int((self._bytes[self._line_feeds - 1] == _CR).sum()):
            return self
        even = Group(self.encoding)
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
        found = [np.flatnonzero(some == _LF) + start for start, some in self._pieces()]
        return np.concatenate([np.zeros(0, np.int64), *found])

    def _pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """The bytes a piece at a time, with where it begins: what is made of it stays near."""
        for start in range(0, len(self.blob), PIECE):
            yield start, self._bytes[start : start + PIECE]


class Plain(NamedTuple):
    """A plain file: how its columns lie, and its lines."""

    layout: Layout
    body: Body


class PlainFiles:
    """Knows files that need no further look: whole, in the contract's encoding, below a header that was read before.

    Parameters
    ----------
    form
        What the contract says of files.
    """

    def __init__(self, form: FileFormat) -> None:
        self._form = form
        self._is_utf8 = kept_in(form.encoding) == "utf-8"
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
        if header.strip() and len(self._layouts) < MOST_HEADERS:
            self._layouts[header] = layout

    def body(self, data: bytes) -> Plain | None:
        """The layout and the lines of a plain file, with their ends as they are; None of any other."""
        start = data.find(b"\n") + 1
        layout = self._layouts.get(data[:start])
        if layout is None or start == len(data) or data[-1] != _LF or b"\0" in data:
            return None
        if (self._form.quotes and b'"' in data) or not (data.isascii() or self._is_as_said(data)):
            return None
        return Plain(layout, memoryview(data)[start:])

    def _is_as_said(self, data: bytes) -> bool:
        """Whether a file is in the encoding of the contract, and can be kept in it."""
        try:
            _, _, noticed = decide_encoding(data, self._form)
            if self._is_utf8:
                data.decode(UTF8[0] if self._form.encoding in UTF8 else "ascii")
        except (FileRefused, UnicodeDecodeError):
            return False
        return not noticed


def line_feeds_only(body: Body) -> bytes:
    """The lines of a body, each with a line feed at its end."""
    return bytes(body).replace(b"\r\n", b"\n")


def one_chunk(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """One dictionary array; the dictionaries of the chunks are made one."""
    if column.num_chunks == 1:
        return column.chunk(0)
    if column.num_chunks == 0:
        return pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), pa.array([], pa.string()))
    return column.unify_dictionaries().combine_chunks()


def decoded(column: pa.DictionaryArray, encoding: str) -> pa.DictionaryArray:
    """A column whose texts are bytes of an encoding in which each is a letter; each distinct text is decoded once."""
    if encoding == "utf-8" or _is_ascii(column.dictionary):
        return column
    texts = column.dictionary.view(pa.binary()).to_pylist()
    return pa.DictionaryArray.from_arrays(
        column.indices, pa.array([text.decode(encoding) for text in texts], pa.string())
    )


def _is_ascii(texts: pa.Array) -> bool:
    """Whether all texts of an array are ASCII, as numbers and dates are, and with them most of what is distinct."""
    data = texts.buffers()[2]
    return data is None or bytes(data).isascii()
