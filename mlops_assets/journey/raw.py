"""In: a day's folder of files. Out: its manifest, every entry with size, time and the shard it belongs to."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlops_assets.journey.shards import fingerprint_table, shard_count
from mlops_assets.lake import Table, write_part
from mlops_assets.sources import Entry, Source
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

ENTRY = tuple(name for name in SCHEMA.names if name != "shard")
"""What a source says of an entry."""

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
    manifest, shards, content = look_at_day(use_case, source, table, day, tell)
    size = pc.sum(manifest["size"]).as_py() or 0
    mark = fingerprint_table(manifest)
    part = write_part(table, day, f"manifest-{mark}", manifest, {"shards": shards}, rows_a_group=ROWS_A_GROUP)
    accounting = {"files": len(manifest), "bytes": size, "shards": shards, "fingerprint": mark, "content": content}
    table.publish(day, [part], SCHEMA, accounting, replaces)
    return Manifest(day, table.folder / part.path, len(manifest), size, shards, mark)


class Listed(NamedTuple):
    """A day as it lies there now.

    Attributes
    ----------
    manifest
        Its entries in `SCHEMA`, sorted by shard and path.
    shards
        The number of shards.
    content
        Fingerprint of the entries in any order; see `Content`.
    """

    manifest: pa.Table
    shards: int
    content: str


class Content:
    """Fingerprint of entries that is the same in whatever order, and in however many goes, they are added.

    A sum of hashes: it can be kept while a listing is interrupted, and takes no memory.

    Parameters
    ----------
    mark
        Where to go on, or empty.
    """

    def __init__(self, mark: str = "") -> None:
        self._sum = int(mark or "0", 16)

    def add(self, entry: Entry) -> None:
        """Take an entry in."""
        self.add_values(ENTRY_VALUES(entry))

    def add_values(self, values: tuple[object, ...]) -> None:
        """Take in what is said of an entry, in the order of `ENTRY`."""
        self._sum += int.from_bytes(hashlib.blake2b(repr(values).encode(), digest_size=16).digest(), "big")

    @property
    def mark(self) -> str:
        """The fingerprint, 32 hexadecimal digits."""
        return f"{self._sum % 2**128:032x}"


ENTRY_VALUES = attrgetter(*ENTRY)


def look_at_day(
    use_case: UseCase, source: Source, table: Table, day: str, tell: Callable[[int], None] = lambda _: None
) -> Listed:
    """The files of a day as they lie there now.

    Parameters
    ----------
    use_case, source, day, tell
        As in `list_day`; nothing is written.
    table
        The table `raw_files`, which knows how many shards the day had before.
    """
    published = table.days().get(day)
    listed, hashes, content = _list(source, day, tell)
    size = pc.sum(listed["size"]).as_py() or 0
    # a few large files weigh as much as many small ones: a shard must fit into memory
    weight = max(len(listed), size * use_case.scale.files_a_shard // BYTES_A_SHARD)
    shards = shard_count(weight, use_case.scale.files_a_shard, published.accounting["shards"] if published else None)
    manifest = listed.append_column(SCHEMA.field("shard"), pa.array((hashes % shards).astype(np.int32)))
    return Listed(manifest.sort_by([("shard", "ascending"), ("path", "ascending")]), shards, content)


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


def _list(source: Source, day: str, tell: Callable[[int], None]) -> tuple[pa.Table, np.ndarray, str]:
    """The entries of a day as Arrow columns, a hash of each path, and the fingerprint of all entries.

    No Python object is kept per file.
    """
    batches: list[pa.RecordBatch] = []
    hashes: list[np.ndarray] = []
    content = Content()
    entries = source.list(day)
    schema = pa.schema([SCHEMA.field(name) for name in ENTRY])
    while chunk := list(islice(entries, BATCH)):
        columns = [[getattr(entry, name) for entry in chunk] for name in ENTRY]
        batches.append(pa.record_batch(columns, schema=schema))
        hashes.append(np.array([zlib.crc32(entry.path.encode()) for entry in chunk], np.uint32))
        for values in zip(*columns, strict=True):
            content.add_values(values)
        tell(sum(map(len, batches)))
    return pa.Table.from_batches(batches, schema), np.concatenate([np.zeros(0, np.uint32), *hashes]), content.mark
