"""Reading by a class of the use case: the records that it finds become what CSV files become, columns of text.

Whatever that class does, a file is either read, every record of it a row or a reject, or refused as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mlops_assets.journey.read.readers.pack import RAW_LIMIT, Pack, Refusal, first_line
from mlops_assets.journey.read.sources.entries import as_sent
from mlops_assets.plugins import (
    BadRecord,
    FileRefused,
    NotAttached,
    Noticed,
    RawFile,
    Record,
    RecordReader,
    load_plugin,
)
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.notices import ABSENT, NOTICES


class _Row(NamedTuple):
    """A good record, and where it stood."""

    file: int
    line: int
    values: Mapping[str, str | None]
    raw: str


class RecordsReader:
    """Reads packs of files by the record reader of a use case.

    Parameters
    ----------
    use_case
        Its `files.reader` names the class.
    attached
        Reads an attachment by the number of the file whose record refers to it, and its path within the day's folder;
        raises NotAttached where it cannot.

    Raises
    ------
    PluginError
        If the class cannot be made.
    """

    def __init__(self, use_case: UseCase, attached: Callable[[int, str], bytes]) -> None:
        self._reader = load_plugin(use_case.files.reader or "", RecordReader)
        self._count = getattr(self._reader, "count", None)
        self._names = frozenset(use_case.columns)
        self._order = list(use_case.columns)
        self._optional = use_case.optional_columns
        self._attached = attached
        # why an attachment could not be had: kept, for the reader may catch it and go on
        self._stop: Exception | None = None

    def read(self, contents: Sequence[bytes | None], paths: Sequence[str]) -> Pack:
        """Turn the bytes of files into columns of text; `line` is the number of the record in its file.

        Parameters
        ----------
        contents
            One item a file; None for a file that is refused already.
        paths
            Path of each file within the day's folder.
        """
        rows: list[_Row] = []
        lines = np.zeros(len(contents), np.int64)
        refusals: list[Refusal] = []
        told: dict[int, Counter[str]] = {}
        for number, (data, path) in enumerate(zip(contents, paths, strict=True)):
            if data is None:
                continue
            try:
                # a path may tell something of a file, such as its label: of a kept request, as its sender wrote it
                folder, sent = as_sent(path)
                records, told[number] = self._records(RawFile(sent, data, partial(self._fetch, number, folder)))
            except FileRefused as error:
                refusals.append(Refusal(number, None, error.rule, error.message, first_line(data, "utf-8")))
                continue
            lines[number] = len(records)
            for line, record in enumerate(records, 1):
                if isinstance(record, BadRecord):
                    refusals.append(Refusal(number, line, record.rule, _text(record.message), _text(record.raw)))
                else:
                    rows.append(_Row(number, line, record.values, _text(record.raw)))
        pack = self._pack(rows, lines, refusals)
        for number, noticed in told.items():
            for name, times in noticed.items():
                pack.notice(name, paths[number], times)
        self._notice_absent(pack, rows, paths)
        return pack

    def _notice_absent(self, pack: Pack, rows: Sequence[_Row], paths: Sequence[str]) -> None:
        """Count the files in which no record has a column that may be absent."""
        present: dict[int, set[str]] = {}
        for row in rows:
            present.setdefault(row.file, set()).update(name for name, value in row.values.items() if value is not None)
        for number, names in present.items():
            for name in self._optional:
                if name not in names:
                    pack.notice(ABSENT + name, paths[number])

    def _pack(self, rows: list[_Row], lines: np.ndarray, refusals: list[Refusal]) -> Pack:
        columns = {
            name: pa.array([_clean(row.values.get(name)) for row in rows], pa.string()).dictionary_encode()
            for name in self._order
        }
        file = np.array([row.file for row in rows], np.int32)
        line = np.array([row.line for row in rows], np.int32)
        raw = {(row.file, row.line): row.raw for row in rows if row.raw}
        return Pack(columns, file, line, lines, refusals, lambda file, line: raw.get((file, line), ""))

    def _records(self, file: RawFile) -> tuple[list[Record | BadRecord], Counter[str]]:
        """The records of one file, and what is noticed of it.

        Raises
        ------
        FileRefused
            If the reader refuses it, fails on it, or gives what is no record.
        """
        if not file.data:
            raise FileRefused("empty_file", "the file is empty")
        try:
            given = list(self._reader.read(file))
            counted = self._count(file) if self._count else None
        except FileRefused as error:
            self._go_on()
            _check_rule(error.rule, error.message)
            raise FileRefused(error.rule, _text(error.message)) from error
        except MemoryError:  # no fault of the file: the shard stops, and can be done again
            raise
        except Exception as error:  # the user's own code: no file may stop the others
            self._go_on()
            raise FileRefused("reader", f"the reader failed: {type(error).__name__}: {_text(str(error))}") from error
        self._go_on()
        records: list[Record | BadRecord] = []
        noticed = Counter[str]() if counted is not None else Counter(counted_by_reader=1)
        for one in given:
            if isinstance(one, Noticed):
                _check_noticed(one)
                noticed[one.name] += one.times
            else:
                records.append(one)
                self._check(len(records), one)
        if counted not in (None, len(records)):
            by = getattr(self._reader, "records_by", "records")
            raise FileRefused("accounting", f"the file has {counted} {by}, the reader gave {len(records)} records")
        if not records:
            raise FileRefused("no_rows", "the file has no records")
        return records, noticed

    def _fetch(self, number: int, folder: str, path: str) -> bytes:
        """An attachment; what else goes wrong than that there is none stops the shard, whatever the reader catches."""
        try:
            return self._attached(number, folder + path)
        except NotAttached:
            raise
        except Exception as error:
            self._stop = error
            raise

    def _go_on(self) -> None:
        """Stop the shard after all where an attachment could not be had and the reader passed over that."""
        if self._stop is not None:
            raise self._stop

    def _check(self, number: int, record: object) -> None:
        if isinstance(record, BadRecord):
            _check_rule(record.rule, record.message)
        elif isinstance(record, Record) and isinstance(record.values, Mapping):
            self._check_values(number, record.values)
        else:
            raise FileRefused("reader", f"the reader gave a {type(record).__name__} as record {number}")
        if not isinstance(getattr(record, "raw", None), str):
            raise FileRefused("reader", f"the reader gave no text as `raw` of record {number}")

    def _check_values(self, number: int, values: Mapping[str, object]) -> None:
        unknown = sorted(str(name) for name in values if name not in self._names)
        if unknown:
            raise FileRefused("reader", f"the reader gave {unknown[0]!r} in record {number}: no column's name")
        wrong = [name for name, value in values.items() if not isinstance(value, str | None)]
        if wrong:
            kind = type(values[wrong[0]]).__name__
            message = f"the reader gave {wrong[0]!r} as {kind} in record {number}, expected text or None"
            raise FileRefused("reader", message)


def _check_noticed(noticed: Noticed) -> None:
    if noticed.name not in NOTICES or not isinstance(noticed.times, int):
        known = ", ".join(NOTICES)
        raise FileRefused("reader", f"the reader noticed {noticed.name!r} {noticed.times!r} times; known: {known}")


def _check_rule(rule: object, message: object) -> None:
    if not (isinstance(rule, str) and rule.isidentifier() and isinstance(message, str)):
        raise FileRefused("reader", f"the reader gave {rule!r} as a rule; write one like `no_picture`, and a message")


def _clean(text: str | None) -> str:
    """Text that can be stored: half of a surrogate pair, which JSON can spell, is none."""
    return "" if text is None else text.encode(errors="replace").decode()


def _text(text: str) -> str:
    return _clean(text[:RAW_LIMIT])
