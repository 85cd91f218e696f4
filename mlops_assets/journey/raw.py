"""In: a day's folder of files. Out: its manifest, every entry with size, time and the shard it belongs to."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlops_assets.journey.shards import fingerprint_table, shard_count
from mlops_assets.lake import Table, write_part
from mlops_assets.sources import Source
from mlops_assets.use_case import UseCase

SCHEMA = pa.schema(
    {
        "path": pa.string(),
        "size": pa.int64(),
        "modified": pa.int64(),
        "problem": pa.string(),
        "shard": pa.int32(),
    }
)
"""A manifest: path in the day's folder, bytes, nanoseconds since 1970, why it is no file (or empty), shard."""

BATCH = 10_000
BYTES_A_SHARD = 128 << 20
ROWS_A_GROUP = 20_000
"""Entries of a manifest that are read together: a shard must not cost the reading of a million others."""


@dataclass(frozen=True)
class Manifest:
    """The files of one day as they were listed.

    Attributes
    ----------
    day
        The day.
    path
        The Parquet file that holds the entries, sorted by shard and path.
    files, size
        Number of entries and their bytes.
    shards
        Number of shards.
    fingerprint
        Hash of all entries: the data version of the day.
    """

    day: str
    path: Path
    files: int
    size: int
    shards: int
    fingerprint: str


def list_day(
    use_case: UseCase, source: Source, table: Table, day: str, tell: Callable[[int], None] = lambda _: None
) -> Manifest:
    """List the files of a day and publish the manifest.

    Parameters
    ----------
    use_case
        The use case.
    source
        Where its raw files lie.
    table
        The table `raw_files`.
    day
        The day, `YYYY-MM-DD`; it may have no files at all.
    tell
        Is told now and then how many files were listed.
    """
    replaces = table.parts(day)
    manifest, shards = look_at_day(use_case, source, table, day, tell)
    size = pc.sum(manifest["size"]).as_py() or 0
    mark = fingerprint_table(manifest)
    part = write_part(table, day, f"manifest-{mark}", manifest, {"shards": shards}, rows_a_group=ROWS_A_GROUP)
    accounting = {"files": len(manifest), "bytes": size, "shards": shards, "fingerprint": mark}
    table.publish(day, [part], SCHEMA, accounting, replaces)
    return Manifest(day, table.folder / part.path, len(manifest), size, shards, mark)


def look_at_day(
    use_case: UseCase, source: Source, table: Table, day: str, tell: Callable[[int], None] = lambda _: None
) -> tuple[pa.Table, int]:
    """The files of a day as they lie there now, in `SCHEMA`, sorted by shard and path; and the number of shards.

    Parameters
    ----------
    use_case, source, day, tell
        As in `list_day`; nothing is written.
    table
        The table `raw_files`, which knows how many shards the day had before.
    """
    published = table.days().get(day)
    listed, hashes = _list(source, day, tell)
    size = pc.sum(listed["size"]).as_py() or 0
    # a few large files weigh as much as many small ones: a shard must fit into memory
    weight = max(len(listed), size * use_case.scale.files_a_shard // BYTES_A_SHARD)
    shards = shard_count(weight, use_case.scale.files_a_shard, published.accounting["shards"] if published else None)
    manifest = listed.append_column(SCHEMA.field("shard"), pa.array((hashes % shards).astype(np.int32)))
    return manifest.sort_by([("shard", "ascending"), ("path", "ascending")]), shards


def find_manifest(table: Table, day: str) -> Manifest | None:
    """The manifest of a day that was listed, or None."""
    published = table.days().get(day)
    if published is None:
        return None
    known = published.accounting
    path = table.place(day, f"manifest-{known['fingerprint']}")
    return Manifest(day, path, known["files"], known["bytes"], known["shards"], known["fingerprint"])


def shard_of(manifest: Path, shard: int) -> pa.Table:
    """The entries of one shard, in the order of their paths."""
    with pq.ParquetFile(manifest) as file:
        place = file.schema_arrow.get_field_index("shard")
        groups = []
        for number in range(file.num_row_groups):
            bounds = file.metadata.row_group(number).column(place).statistics
            if bounds is None or bounds.min <= shard <= bounds.max:
                groups.append(number)
        entries = file.read_row_groups(groups)
    return entries.filter(pc.equal(entries["shard"], shard))


def shard_of_path(path: str, shards: int) -> int:
    """The shard that a file belongs to on a day of so many."""
    return zlib.crc32(path.encode()) % shards


def _list(source: Source, day: str, tell: Callable[[int], None]) -> tuple[pa.Table, np.ndarray]:
    """The entries of a day as Arrow columns, and a hash of each path, without a Python object kept per file."""
    batches: list[pa.RecordBatch] = []
    hashes: list[np.ndarray] = []
    entries = source.list(day)
    schema = pa.schema([field for field in SCHEMA if field.name != "shard"])
    while chunk := list(islice(entries, BATCH)):
        columns = [[getattr(entry, name) for entry in chunk] for name in schema.names]
        batches.append(pa.record_batch(columns, schema=schema))
        hashes.append(np.array([zlib.crc32(entry.path.encode()) for entry in chunk], np.uint32))
        tell(sum(map(len, batches)))
    return pa.Table.from_batches(batches, schema), np.concatenate([np.zeros(0, np.uint32), *hashes])
