"""Parts of tables: Parquet files, each written whole or not at all, and read one after the other."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import LakeError
from mlops_assets.storage import places
from mlops_assets.storage.files import FOOTER, Written, open_part, write_parquet
from mlops_assets.storage.places import Place

if TYPE_CHECKING:
    from deltalake import DeltaTable

FIRST_ROWS, DISTINCT = 4_096, 0.95
"""By how many of its rows a column is judged, and what share of them is then taken for 'each is another'."""


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
    sha256
        SHA-256 of its bytes; empty if it is not known.
    seconds
        Time that it took to make them; 0 if it is not known.
    """

    table: str
    path: str
    size: int
    rows: int
    sha256: str = ""
    seconds: float = field(default=0.0, compare=False)


def told_of_parts(parts: Iterable[Part]) -> str:
    """What a commit tells of the parts that it adds, for `parts_told`."""
    return json.dumps({part.path: [part.rows, part.sha256, part.seconds] for part in parts if part.sha256})


def parts_told(table: str, info: Mapping[str, Any], added: Mapping[str, int]) -> list[Part]:
    """The parts of which a commit tells the hash; none before there were hashes.

    Parameters
    ----------
    table
        Name of the table.
    info, added
        As in `log.Commit`.
    """
    told: dict[str, list[Any]] = json.loads(info.get("parts", "{}"))
    return [Part(table, path, added[path], *rest) for path, rest in told.items()]


def check_there(folder: Place, table: str, day: str, parts: Mapping[str, Part]) -> None:
    """See that the files of a day are there as long as they were written, by one listing of its folder.

    Parameters
    ----------
    folder, table
        The table's folder and name.
    day
        The day.
    parts
        Its parts, by path.

    Raises
    ------
    LakeError
        If one is not: others may clean up there, too.
    """
    sizes = places.sizes(folder / f"day={day}") if parts else {}
    gone = [path for path, part in parts.items() if sizes.get(path.rpartition("/")[2]) != part.size]
    if gone:
        raise LakeError(
            f"{table} of {day}: {len(gone)} of its {len(parts)} files were deleted or changed after they were written, "
            f"such as {folder / gone[0]}: something else cleans up there. Nothing was published; run the day again, "
            "which makes them anew."
        )


def check_kept(folder: Place, table: str, day: str, moment: int, parts: Sequence[Part]) -> None:
    """See that the files of a day as it was published once are there still.

    Parameters
    ----------
    folder, table, day
        As in `check_there`.
    moment
        When it was published, in milliseconds since 1970.
    parts
        Its parts then.

    Raises
    ------
    LakeError
        If one is not: the log outlives the files, which `clean` deletes.
    """
    sizes = places.sizes(folder / f"day={day}") if parts else {}
    gone = [part.path for part in parts if part.path.rpartition("/")[2] not in sizes]
    if gone:
        when = dt.datetime.fromtimestamp(moment / 1000, dt.UTC).isoformat(timespec="seconds")
        raise LakeError(
            f"{table} of {day} as published on {when}: {len(gone)} of its {len(parts)} files were cleaned up, "
            "for they were replaced too long ago (`keep_days`). Run the day again with the model of that time."
        )


def delta_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of a published table: plain strings instead of dictionaries, and the partition column `day`."""
    fields = [
        pa.field(each.name, each.type.value_type if pa.types.is_dictionary(each.type) else each.type) for each in schema
    ]
    return pa.schema([*fields, pa.field("day", pa.string())])


def delta_actions(day: str, added: Iterable[Part], removed: Iterable[str]) -> list[Any]:
    """What Delta's library is told to add and remove.

    What differs, not an overwrite: that would remove and add the same path in one commit, which Delta forbids.
    """
    from deltalake.transaction import AddAction, RemoveAction

    now, partition = int(time.time() * 1000), {"day": day}
    adding = [AddAction(p.path, p.size, partition, now, True, json.dumps({"numRecords": p.rows})) for p in added]
    return [*adding, *(RemoveAction(path, True, now, None, dict(partition)) for path in removed)]


def widen(table: DeltaTable, schema: pa.Schema) -> bool:
    """Give a table the columns that it lacks, without values in its older days; False if others committed meanwhile.

    Delta takes a file with further columns, and no reader would see them. One that differs from another in its capital
    letters alone is left out: Delta knows but one of them.
    """
    from deltalake.exceptions import CommitFailedError
    from deltalake.schema import Schema
    from deltalake.transaction import CommitProperties

    present = {field.name.lower() for field in table.schema().fields}
    lacking = [field for field in Schema.from_arrow(schema).fields if field.name.lower() not in present]
    if not lacking:
        return True
    try:
        # a commit of its own; should the run be killed behind it, an empty column does nobody harm
        table.alter.add_columns(lacking, commit_properties=CommitProperties(max_commit_retries=0))
    except CommitFailedError:
        return False
    return True


def published_paths(table: DeltaTable, day: str) -> set[str]:
    """Paths of the parts that a table has of a day."""
    uris = table.file_uris(file_pruning_predicate=[("day", "=", day)])
    return {match.group() for uri in uris if (match := re.search(r"day=[^/]*/[^/]*$", uri))}


def part_path(folder: Place, day: str, stem: str) -> Place:
    """Where the part `stem` of a day lies below the folder of its table."""
    return folder / f"day={day}" / f"{stem}.parquet"


def write_part_file(
    path: Place, data: pa.Table, report: dict[str, Any] | None = None, rows_a_group: int | None = None
) -> Written:
    """Write the file of one part so that it is either whole or absent.

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
        form: dict[str, Any] = {"write_statistics": ["shard"], "use_dictionary": _repeating(data)}
        return write_parquet(path, data, footer, rows_a_group, store_schema=False, **form)
    except OSError as error:
        why = error.strerror or error
        raise LakeError(f"{path}: cannot be written: {why}. Make room or give access, run again.") from error


def _repeating(data: pa.Table) -> list[str]:
    """The columns, as Parquet calls them, that are written as a dictionary of their values and a code a row.

    All but fractions of which next to none comes twice, such as probabilities: there a dictionary takes half as many
    bytes more, and ten times the work.
    """
    return [
        f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name
        for field in data.schema
        if not (pa.types.is_floating(field.type) and _is_distinct(data[field.name].slice(0, FIRST_ROWS)))
    ]


def _is_distinct(column: pa.ChunkedArray) -> bool:
    return bool(pc.count_distinct(column).as_py() > DISTINCT * len(column))


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

    Raises
    ------
    Damaged
        From the reader, if a part is not as it was written, or gone; none of its rows came.
    """
    schema = pa.schema([whole.field(name) for name in columns]) if columns else whole

    def batches() -> Iterator[pa.RecordBatch]:
        for path in paths:
            day = path.partition("/")[0].removeprefix("day=")
            with open_part(folder / path) as file:
                # a part that is older than a column of the contract lacks it
                stored = [name for name in schema.names if name in file.schema_arrow.names]
                for batch in file.iter_batches(batch_rows, columns=stored):
                    yield complete(batch, schema, day)

    return pa.RecordBatchReader.from_batches(schema, batches())


def complete(batch: pa.RecordBatch, schema: pa.Schema, day: str) -> pa.RecordBatch:
    """A batch of a part in the schema of its table: with its day, and without values where the part is older."""
    columns = []
    for column in schema:
        if column.name == "day":
            # Delta has the value of a partition in its log, not in the file
            columns.append(pa.repeat(pa.scalar(day, column.type), len(batch)))
        elif column.name in batch.schema.names:
            columns.append(batch.column(column.name).cast(column.type))
        else:
            columns.append(pa.nulls(len(batch), column.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def first_rows(reader: pa.RecordBatchReader, rows: int) -> pa.Table:
    """As many rows as asked, without reading many more."""
    batches: list[pa.RecordBatch] = []
    for batch in reader:
        batches.append(batch)
        if sum(map(len, batches)) >= rows:
            break
    return pa.Table.from_batches(batches, reader.schema).slice(0, rows)
