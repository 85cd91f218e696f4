"""In: files of a format that is no CSV. Out: a pack of text columns, whatever the format; each file is read on its own.

A format finds rows and bad records in the bytes of one file, and counts its records in another way than it finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from mlops_assets.journey.read.readers.names import Settled
from mlops_assets.journey.read.readers.pack import RAW_LIMIT, TEXT, Pack, Refusal
from mlops_assets.plugins import FileRefused
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.notices import ABSENT, MISNAMED

Raws = Callable[[int], str]
"""The record of a number as it stands in its file."""

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
        found: dict[int, FileRows] = {}
        refusals: list[Refusal] = []
        lines = np.zeros(len(contents), np.int64)
        raw = _Raws(contents, self._form)
        for number, data in enumerate(contents):
            if data is None:
                continue
            try:
                found[number] = rows = _checked(self._form.read(data))
            except FileRefused as error:
                refusals.append(Refusal(number, None, error.rule, error.message, self._form.start(data)))
                continue
            lines[number] = rows.lines
            refusals += [Refusal(number, *bad, raw(number, bad.line)[:RAW_LIMIT]) for bad in rows.bad]
        columns = {name: _join(name, [*found.values()]) for name in self._names}
        file = [np.full(len(rows.line), number, np.int32) for number, rows in found.items()]
        line = [rows.line for rows in found.values()]
        nothing = np.zeros(0, np.int32)
        pack = Pack(columns, np.concatenate([nothing, *file]), np.concatenate([nothing, *line]), lines, refusals, raw)
        for number, rows in found.items():
            _notice(pack, rows, paths[number] if paths else str(number))
        return pack


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


def _join(name: str, found: Sequence[FileRows]) -> pa.DictionaryArray:
    """A column of all files; where a file lacks it, it has no values."""
    chunks = [rows.columns.get(name) if name in rows.columns else [""] * len(rows.line) for rows in found]
    lists = [chunk for chunk in chunks if isinstance(chunk, list)]
    if len(lists) == len(chunks):
        return pa.array(list(chain.from_iterable(lists)), pa.string()).dictionary_encode()
    arrays = [
        pa.array(chunk, pa.string()).dictionary_encode() if isinstance(chunk, list) else chunk for chunk in chunks
    ]
    joined = pa.chunked_array(arrays, TEXT)
    return joined.chunk(0) if joined.num_chunks == 1 else joined.unify_dictionaries().combine_chunks()


def _notice(pack: Pack, rows: FileRows, path: str) -> None:
    for name, times in rows.noticed:
        pack.notice(name, path, times)
    for name in rows.settled.absent:
        pack.notice(ABSENT + name, path)
    if rows.settled.misnamed:
        pack.notice(MISNAMED, f"{path} has {rows.settled.misnamed}")


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
