"""In: files of a format that is no CSV. Out: a pack of text columns, whatever the format.

A format finds rows and bad records in the bytes of one file, and counts its records in another way than it finds them.
Files that are alike, and have no bad record, it may read together, which costs a fraction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from mlops_assets.journey.read.readers.alike import FEWEST, Joined
from mlops_assets.journey.read.readers.names import Settled
from mlops_assets.journey.read.readers.pack import RAW_LIMIT, TEXT, Pack, Refusal
from mlops_assets.plugins import FileRefused
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.notices import ABSENT, MISNAMED

Raws = Callable[[int], str]
"""The record of a number as it stands in its file."""

Raw = Callable[[int, int], str]
"""The record of a file, by their numbers."""

Texts: TypeAlias = list[str] | pa.DictionaryArray
"""The text of a column in the rows of a file, empty where there is no value."""


class BadRow(NamedTuple):
    """A record that cannot be a row: its number, the rule that it breaks, and what is wrong."""

    line: int
    rule: str
    message: str


@dataclass
class FileRows:
    """What was found in one file.

    Attributes
    ----------
    columns
        The text of each column that some record has, by its name in the contract.
    line
        int32 array, the number of each row's record.
    lines
        How many records the file has, counted apart from finding them.
    bad
        The records that are no rows.
    noticed
        What refuses nothing, each with how often.
    settled
        What there is to say of the names in the file.
    """

    columns: dict[str, Texts]
    line: np.ndarray
    lines: int
    bad: list[BadRow] = field(default_factory=list)
    noticed: Sequence[tuple[str, int]] = ()
    settled: Settled = field(default_factory=Settled)


class Format(Protocol):
    """One way to write records into files; texts go in and out as a CSV file of the contract would have them."""

    def read(self, data: bytes) -> FileRows:
        """The rows of a file.

        Raises
        ------
        FileRefused
            If the file is no use as a whole.
        """
        ...

    def join(self, contents: Mapping[int, bytes]) -> Iterator[Joined]:
        """The rows of files that can be read together, by their numbers, as `read` would give them.

        A file with a record that is no row is not among them.
        """
        ...

    def raws(self, data: bytes) -> Raws:
        """The records of a file that was read, as they stand there."""
        ...

    def start(self, data: bytes) -> str:
        """The beginning of a refused file as text."""
        ...

    def write(self, rows: Sequence[Mapping[str, str]]) -> bytes:
        """A file of some rows, each a mapping of columns of the contract to texts.

        Raises
        ------
        FileRefused
            If a file of the format cannot hold them.
        """
        ...

    def rebuild(self, raws: Sequence[str]) -> bytes:
        """A file of some records, each as `raws` gives it, or as a person has mended it.

        Raises
        ------
        FileRefused
            If one of them is no record.
        """
        ...


class FormatReader:
    """Reads packs of files by a format.

    Parameters
    ----------
    use_case
        Its `columns` say what is read.
    form
        The format of its files.
    """

    def __init__(self, use_case: UseCase, form: Format) -> None:
        self._names = list(use_case.columns)
        self._form = form

    def read(self, contents: Sequence[bytes | None], paths: Sequence[str] = ()) -> Pack:
        """Turn the bytes of files into columns of text.

        Parameters
        ----------
        contents
            One item a file; None for a file that is refused already.
        paths
            What the files are called where something is noticed; by default they have their number.
        """
        given = {number: data for number, data in enumerate(contents) if data is not None}
        joined = [*self._form.join(given)] if len(given) >= FEWEST else []
        refusals: list[Refusal] = []
        lines = np.zeros(len(contents), np.int64)
        raw = _Raws(contents, self._form)
        pieces = [_Piece.of_joined(one) for one in joined]
        settled: dict[int, Settled] = {}
        noticed: dict[int, Sequence[tuple[str, int]]] = {}
        for one in joined:
            settled |= dict.fromkeys(one.rows, one.settled)
            noticed |= one.noticed
            lines[[*one.rows]] = [*one.rows.values()]
        for number, data in given.items():
            if number in settled:
                continue
            try:
                rows = _checked(self._form.read(data))
            except FileRefused as error:
                refusals.append(Refusal(number, None, error.rule, error.message, self._form.start(data)))
                continue
            lines[number] = rows.lines
            refusals += [Refusal(number, *bad, raw(number, bad.line)[:RAW_LIMIT]) for bad in rows.bad]
            pieces.append(_Piece(np.full(len(rows.line), number, np.int32), rows.line, rows.columns))
            settled[number], noticed[number] = rows.settled, rows.noticed
        pack = _pack(self._names, pieces, lines, refusals, raw)
        for number in sorted(settled):
            path = paths[number] if paths else str(number)
            _notice(pack, settled[number], noticed.get(number, ()), path)
        return pack


class _Piece(NamedTuple):
    """Rows with their files and records."""

    file: np.ndarray
    line: np.ndarray
    columns: Mapping[str, Texts]

    @classmethod
    def of_joined(cls, joined: Joined) -> _Piece:
        counts = np.array([*joined.rows.values()])
        file = np.repeat(np.array([*joined.rows], np.int32), counts)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        return cls(file, (np.arange(len(file)) - first + 1).astype(np.int32), joined.columns)


def _pack(names: Sequence[str], pieces: list[_Piece], lines: np.ndarray, refusals: list[Refusal], raw: Raw) -> Pack:
    """The pieces as one, in the order of the files."""
    nothing = np.zeros(0, np.int32)
    columns = {name: _join(name, pieces) for name in names}
    file = np.concatenate([nothing, *(piece.file for piece in pieces)])
    line = np.concatenate([nothing, *(piece.line for piece in pieces)])
    if (np.diff(file) < 0).any():
        order = np.argsort(file, kind="stable")
        columns = {name: column.take(pa.array(order)) for name, column in columns.items()}
        file, line = file[order], line[order]
    return Pack(columns, file, line, lines, refusals, raw)


def _checked(rows: FileRows) -> FileRows:
    """See that every record that was counted is a row or a bad one.

    Raises
    ------
    FileRefused
        If one is missing or too many, or there is none at all.
    """
    told = len(rows.line) + len(rows.bad)
    if told != rows.lines:
        raise FileRefused("accounting", f"the file has {rows.lines:,} records, and {told:,} were read")
    if not told:
        raise FileRefused("no_rows", "the file has no records")
    return rows


def _join(name: str, pieces: Sequence[_Piece]) -> pa.DictionaryArray:
    """A column of all files; where a file lacks it, it has no values."""
    chunks = [piece.columns[name] if name in piece.columns else [""] * len(piece.line) for piece in pieces]
    lists = [chunk for chunk in chunks if isinstance(chunk, list)]
    if len(lists) == len(chunks):
        return pa.array(list(chain.from_iterable(lists)), pa.string()).dictionary_encode()
    arrays = [
        pa.array(chunk, pa.string()).dictionary_encode() if isinstance(chunk, list) else chunk for chunk in chunks
    ]
    joined = pa.chunked_array(arrays, TEXT)
    return joined.chunk(0) if joined.num_chunks == 1 else joined.unify_dictionaries().combine_chunks()


def _notice(pack: Pack, settled: Settled, noticed: Sequence[tuple[str, int]], path: str) -> None:
    for name, times in noticed:
        pack.notice(name, path, times)
    for name in settled.absent:
        pack.notice(ABSENT + name, path)
    if settled.misnamed:
        pack.notice(MISNAMED, f"{path} has {settled.misnamed}")


class _Raws:
    """The records of files as they stood; those of a file are found once, for they are asked for file by file."""

    def __init__(self, contents: Sequence[bytes | None], form: Format) -> None:
        self._contents = contents
        self._form = form
        self._file = -1
        self._raws: Raws = str

    def __call__(self, file: int, line: int) -> str:
        if file != self._file:
            self._file, self._raws = file, self._form.raws(self._contents[file] or b"")
        return self._raws(line)
