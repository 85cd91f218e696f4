"""Writes a stream of rows as table, CSV, JSON or Parquet, a batch at a time."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from mlops_assets.errors import UsageError
from mlops_assets.storage.modes import for_others
from mlops_assets.work.printable import LONGEST, cut, printable, printable_lines, width
from mlops_assets.work.spreadsheets import marked_reader

if TYPE_CHECKING:
    from mlops_assets.storage.tables import Published, Table


def write(
    reader: pa.RecordBatchReader, form: str, path: Path | None, limit: int | None = None, *, spreadsheet: bool = False
) -> tuple[int, int]:
    """Write rows.

    Parameters
    ----------
    reader
        The rows.
    form
        `table`, `csv`, `json` or `parquet`.
    path
        The file, or None for standard output.
    limit
        Most rows that a table shows.
    spreadsheet
        Whether texts in CSV get an apostrophe where a spreadsheet would take them for a formula.

    Returns
    -------
    tuple
        Rows written, and rows there were.
    """
    with _sink(path) as sink:
        if form == "csv":
            rows = marked_reader(reader) if spreadsheet else reader
            return _write_arrow(rows, pacsv.CSVWriter(sink, rows.schema))
        if form == "parquet":
            return _write_arrow(reader, pq.ParquetWriter(sink, reader.schema, compression="zstd"))
        if form == "json":
            return _write_json(reader, sink)
        return _write_table(reader, sink, limit)


def joined(
    table: Table[Any], further: Sequence[Table[Any]], days: Sequence[str], columns: Sequence[str]
) -> pa.RecordBatchReader:
    """Read days of a table, and behind each day what further tables of the same columns have of it."""
    others = [other for other in further if other.open() is not None]
    if not others:
        return table.read(days, columns)
    schema = table.read(days[:1], columns).schema
    batches = (batch for day in days for each in (table, *others) for batch in each.read([day], columns))
    return pa.RecordBatchReader.from_batches(schema, batches)


def joined_then(
    each: Sequence[tuple[Table[Any], Published[Any]]], day: str, columns: Sequence[str]
) -> pa.RecordBatchReader:
    """Read a day of tables of the same columns as each was published once, one behind the other."""
    readers = [table.read_publication(day, then, columns) for table, then in each]
    return pa.RecordBatchReader.from_batches(readers[0].schema, (batch for reader in readers for batch in reader))


@contextmanager
def _sink(path: Path | None) -> Iterator[BinaryIO]:
    """The file, put in place only when it is whole; or standard output."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    # in the same folder, for a file cannot be moved from one disk to another at once
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)  # a killed process left it; or somebody laid a link there, in /tmp
        with for_others():
            file = unfinished.open("xb")
        with file:
            yield file
        unfinished.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}.") from None
    finally:
        with suppress(OSError):
            unfinished.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a document, put in place only when it is whole."""
    with _sink(path) as sink:
        sink.write(text.encode())


def to_json(content: object, indent: int | None = None) -> str:
    """JSON in which letters can be read, and what cannot be seen is escaped: it says the same.

    Parameters
    ----------
    content
        Plain values.
    indent
        Blanks by which a level is moved in; one line by default.
    """
    return printable_lines(json.dumps(content, ensure_ascii=False, indent=indent, default=str))


def _write_arrow(reader: pa.RecordBatchReader, writer: pacsv.CSVWriter | pq.ParquetWriter) -> tuple[int, int]:
    rows = 0
    with writer:
        for batch in reader:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows, rows


def _write_json(reader: pa.RecordBatchReader, sink: BinaryIO) -> tuple[int, int]:
    rows = 0
    sink.write(b"[")
    for record in _records(reader):
        # a record at a time: a list of millions is not held in memory
        sink.write(b",\n " if rows else b"\n ")
        sink.write(to_json(record).encode())
        rows += 1
    sink.write(b"\n]\n" if rows else b"]\n")
    return rows, rows


def _write_table(reader: pa.RecordBatchReader, sink: BinaryIO, limit: int | None) -> tuple[int, int]:
    total = 0
    shown: list[dict[str, object]] = []
    for batch in reader:
        total += batch.num_rows
        # all are counted, and no more are kept than are shown
        if limit is None or len(shown) < limit:
            shown += batch.slice(0, None if limit is None else limit - len(shown)).to_pylist()
    lines = [reader.schema.names, *([_cell(value) for value in row.values()] for row in shown)]
    sink.write(text_table(lines, LONGEST).encode(_encoding(sink), "backslashreplace"))
    return len(shown), total


def _encoding(sink: BinaryIO) -> str:
    """What a table is written in: a terminal has a say, a file has not."""
    to_terminal = sink is getattr(sys.stdout, "buffer", None)
    return sys.stdout.encoding if to_terminal else "utf-8"


def _records(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, object]]:
    for batch in batches:
        for record in batch.to_pylist(maps_as_pydicts="strict"):
            yield {name: _rounded(value) for name, value in record.items()}


def _rounded(value: object) -> object:
    """A value whose numbers have six decimals."""
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, 6) if isinstance(value, float) else value


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)


def text_table(lines: Sequence[Sequence[str]], longest: int | None = None) -> str:
    """Lines of cells in aligned columns, the first line over a rule; a cell may hold anything.

    Parameters
    ----------
    lines
        The cells.
    longest
        Most signs of a cell that are shown: a value of somebody's file may be of any length, and would push all columns
        off the screen. All of them by default.
    """
    shown = [[printable(cell) if longest is None else cut(printable(cell), longest) for cell in line] for line in lines]
    widths = [max(map(width, column)) for column in zip(*shown, strict=True)]
    text = io.StringIO()
    for number, line in enumerate(shown):
        cells = (_padded(*cell, right=number > 0) for cell in zip(line, widths, strict=True))
        text.write("  ".join(cells).rstrip() + "\n")
        if number == 0:
            text.write("  ".join("-" * wide for wide in widths) + "\n")
    return text.getvalue()


def _padded(cell: str, wide: int, *, right: bool) -> str:
    """A cell as wide as its column; numbers stand to the right."""
    blanks = " " * (wide - width(cell))
    return blanks + cell if right and _is_number(cell) else cell + blanks


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").replace(".", "").replace("-", "").isdigit()
