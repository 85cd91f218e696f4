"""Writes a stream of rows as table, CSV, JSON or Parquet, a batch at a time."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from mlops_assets.errors import UsageError
from mlops_assets.storage.modes import for_others

if TYPE_CHECKING:
    from mlops_assets.storage.tables import Table

MARKDOWN = re.compile(r"([\\`\[\]<|])")
"""Signs that mean something in Markdown; a value from somebody's file must not become a link or a picture."""


def write(reader: pa.RecordBatchReader, form: str, path: Path | None, limit: int | None = None) -> tuple[int, int]:
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
        Most rows to write.

    Returns
    -------
    tuple
        Rows written, and rows there were.
    """
    with _sink(path) as sink:
        if form == "csv":
            return _write_arrow(reader, pacsv.CSVWriter(sink, reader.schema))
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
        with for_others():
            file = unfinished.open("wb")
        with file:
            yield file
        unfinished.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}.") from None
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a document, put in place only when it is whole."""
    with _sink(path) as sink:
        sink.write(text.encode())


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
        sink.write(json.dumps(record, ensure_ascii=False, default=str).encode())
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
    sink.write(text_table([reader.schema.names, *([_cell(v) for v in row.values()] for row in shown)]).encode())
    return len(shown), total


def _records(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, object]]:
    for batch in batches:
        for record in batch.to_pylist():
            yield {name: round(v, 6) if isinstance(v, float) else v for name, v in record.items()}


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    if isinstance(value, float):
        text = f"{value:.3f}"
    # a raw line of a refused file may be of any length, and would push all columns off the screen
    return text if len(text) <= 60 else f"{text[:57]}..."


def text_table(lines: list[list[str]]) -> str:
    """Lines of cells in aligned columns, the first line over a rule."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = io.StringIO()
    for number, line in enumerate(lines):
        cells = (
            cell.rjust(width) if number and _is_number(cell) else cell.ljust(width)
            for cell, width in zip(line, widths, strict=True)
        )
        text.write("  ".join(cells).rstrip() + "\n")
        if number == 0:
            text.write("  ".join("-" * width for width in widths) + "\n")
    return text.getvalue()


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").replace(".", "").replace("-", "").isdigit()


def markdown_table(records: Sequence[Mapping[str, object]]) -> str:
    """Records with the same keys as a Markdown table."""
    if not records:
        return "none"
    names = list(records[0])
    lines = [names, ["---"] * len(names), *([_markdown_cell(record[name]) for name in names] for record in records)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown_cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    # a line end would end the row of the table
    return MARKDOWN.sub(r"\\\1", re.sub(r"[\r\n]+", " ", text[:200]))
