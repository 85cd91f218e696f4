"""Parts of tables: Parquet files, each written whole or not at all, and read one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.errors import LakeError
from mlops_assets.storage import places
from mlops_assets.storage.files import FOOTER, write_parquet
from mlops_assets.storage.places import Place


@dataclass(frozen=True)
class Part:
    """One Parquet file of a table, written but not necessarily published.

    Attributes
    ----------
    table
        Name of the table.
    path
        Path relative to the table's folder, in Delta's form `day=.../name.parquet`.
    size
        Bytes.
    rows
        Number of rows.
    """

    table: str
    path: str
    size: int
    rows: int


def part_path(folder: Place, day: str, stem: str) -> Place:
    """Where the part `stem` of a day lies below the folder of its table."""
    return folder / f"day={day}" / f"{stem}.parquet"


def write_part_file(
    path: Place, data: pa.Table, report: dict[str, Any] | None = None, rows_a_group: int | None = None
) -> int:
    """Write the file of one part so that it is either whole or absent; its size in bytes.

    Parameters
    ----------
    path
        See `part_path`.
    data
        Its rows.
    report
        What to keep in the file's footer for `read_report`.
    rows_a_group
        Rows in one row group: what a reader who wants few rows reads at least.
    """
    # in the file, not beside it: a report cannot be there without the rows it speaks of
    footer = {FOOTER.decode(): json.dumps(report)} if report is not None else {}
    try:
        # statistics of shards alone: by them a manifest is read, see `shard_of`
        return write_parquet(path, data, footer, rows_a_group, store_schema=False, write_statistics=["shard"])
    except OSError as error:
        why = error.strerror or error
        raise LakeError(f"{path}: cannot be written: {why}. Make room or give access, run again.") from error


def read_parts(
    folder: Place, paths: Iterable[str], whole: pa.Schema, columns: Sequence[str] | None, batch_rows: int = 65_536
) -> pa.RecordBatchReader:
    """The rows of some parts, one after the other.

    Not by Arrow's dataset scanner: that of 25.0.1 hung in a lock of its own in one of some thousand reads.

    Parameters
    ----------
    folder
        Folder of the table.
    paths
        Paths of the parts, as in `Part`.
    whole
        Schema of the table, with `day`.
    columns
        The columns to read; all if None.
    batch_rows
        Rows of a batch.
    """
    schema = pa.schema([whole.field(name) for name in columns]) if columns else whole

    def batches() -> Iterator[pa.RecordBatch]:
        for path in paths:
            day = path.partition("/")[0].removeprefix("day=")
            with pq.ParquetFile(places.readable(folder / path)) as file:
                # a part that is older than a column of the contract lacks it
                stored = [name for name in schema.names if name in file.schema_arrow.names]
                for batch in file.iter_batches(batch_rows, columns=stored):
                    yield _complete(batch, schema, day)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _complete(batch: pa.RecordBatch, schema: pa.Schema, day: str) -> pa.RecordBatch:
    """A batch of a part in the schema of its table: with its day, and without values where the part is older."""
    columns = []
    for field in schema:
        if field.name == "day":
            # Delta has the value of a partition in its log, not in the file
            columns.append(pa.repeat(pa.scalar(day, field.type), len(batch)))
        elif field.name in batch.schema.names:
            columns.append(batch.column(field.name).cast(field.type))
        else:
            columns.append(pa.nulls(len(batch), field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def first_rows(reader: pa.RecordBatchReader, rows: int) -> pa.Table:
    """As many rows as asked, without reading many more."""
    batches: list[pa.RecordBatch] = []
    for batch in reader:
        batches.append(batch)
        if sum(map(len, batches)) >= rows:
            break
    return pa.Table.from_batches(batches, reader.schema).slice(0, rows)
