"""In: a day's folder of files. Out: its manifest, every entry with size, time and the shard it belongs to.

Files that records refer to (`files.attachments`) are in the manifest, too, but belong to no shard.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.read.readers.packing import USUAL_RATIO
from mlops_assets.journey.read.sources import Entry, Source, SqlSource
from mlops_assets.journey.read.sources.folder import Below, FolderSource
from mlops_assets.storage.accounting import ListingAccounting
from mlops_assets.storage.catalog import MANIFEST
from mlops_assets.storage.files import open_part
from mlops_assets.storage.integrity import read_stored
from mlops_assets.storage.places import WHOLE, Place
from mlops_assets.storage.tables import Table, write_part
from mlops_assets.use_case import FileFormat, UseCase
from mlops_assets.work.shards import Spread, fingerprint_table, shard_count

LISTED = pa.schema([MANIFEST.field(name) for name in Entry._fields])
"""What a source tells of a file; its shard is decided when all of them are known."""

ATTACHMENT = -1
"""What stands in the place of a shard for files that records refer to."""

BATCH = 10_000
FOLDERS = 8
"""Folders at most that are listed as one piece of work."""
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
        Number of files with rows, and the bytes of all entries.
    shards
        Number of shards.
    fingerprint
        Hash of all entries: the data version of the day.
    attachments
        Number of files that records refer to.
    """

    day: str
    path: Place
    files: int
    size: int
    shards: int
    fingerprint: str
    attachments: int = 0


def list_day(
    use_case: UseCase,
    source: Source,
    table: Table[ListingAccounting],
    day: str,
    tell: Callable[[int], None] = lambda _: None,
    losing: Callable[[int], None] = lambda _: None,
    spread: Spread | None = None,
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
    losing
        Is told before a day is published of which files are gone how many; it raises where that must not be.
    spread
        By which a day of more than a shard is listed in several processes; without it, in this one.
    """
    # looked at before the work begins: if another run publishes the day meanwhile, this one must not win
    replaces = table.parts(day)
    # rows of a database become files first: from then on a day of it is read again like any other
    if isinstance(source, SqlSource):
        source.land(day, tell)
    manifest, shards, content = look_at_day(use_case, source, table, day, tell, spread)
    size = pc.sum(manifest["size"]).as_py() or 0
    mark = fingerprint_table(manifest)
    # the name is the content: a day that was listed before and did not change is not published again
    part = write_part(table, day, _stem(mark), manifest, {"shards": shards}, rows_a_group=ROWS_A_GROUP)
    attachments = len(attachments_of(manifest))
    before = table.days().get(day)
    gone = before.accounting.files + before.accounting.attachments - len(manifest) if before else 0
    if gone > 0:
        losing(gone)
    accounting = ListingAccounting(
        files=len(manifest) - attachments,
        attachments=attachments,
        bytes=size,
        shards=shards,
        fingerprint=mark,
        content=content,
    )
    table.publish(day, [part], MANIFEST, accounting, replaces)
    return _manifest(table, day, accounting)


def _manifest(table: Table[ListingAccounting], day: str, listed: ListingAccounting) -> Manifest:
    path = manifest_path(table, day, listed.fingerprint)
    return Manifest(day, path, listed.files, listed.bytes, listed.shards, listed.fingerprint, listed.attachments)


def manifest_path(table: Table[ListingAccounting], day: str, mark: str) -> Place:
    """Where the manifest of a fingerprint lies."""
    return table.place(day, _stem(mark))


def shards_listed(table: Table[ListingAccounting], day: str, mark: str) -> int | None:
    """The number of shards of a listing by its fingerprint; None where it is not known any more."""
    listings = table.publications().get(day, [])
    return next((one.accounting.shards for one in listings if one.accounting.fingerprint == mark), None)


def _stem(mark: str) -> str:
    return f"manifest-{mark}"


class Listed(NamedTuple):
    """A day as it lies there now.

    Attributes
    ----------
    manifest
        Its entries in `MANIFEST`, sorted by shard and path.
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
        self._sum += int.from_bytes(hashlib.blake2b(repr(tuple(entry)).encode(), digest_size=16).digest(), "big")

    def join(self, other: Content) -> None:
        """Take in what another one has."""
        self._sum += other._sum

    @property
    def mark(self) -> str:
        """The fingerprint, 32 hexadecimal digits."""
        return f"{self._sum % 2**128:032x}"


def look_at_day(
    use_case: UseCase,
    source: Source,
    table: Table[ListingAccounting],
    day: str,
    tell: Callable[[int], None] = lambda _: None,
    spread: Spread | None = None,
) -> Listed:
    """The files of a day as they lie there now.

    Parameters
    ----------
    use_case, source, day, tell, spread
        As in `list_day`; nothing is written.
    table
        The table `raw_files`, which knows how many shards the day had before.
    """
    published = table.days().get(day)
    listed, hashes, content = _list(use_case, source, day, tell, spread)
    rows = hashes != ATTACHMENT
    size = int(listed["size"].to_numpy()[rows].sum())
    # a few large files weigh as much as many small ones: a shard must fit into memory, also unpacked
    unpacked = size if use_case.files.compression == "none" else size * USUAL_RATIO
    weight = max(int(rows.sum()), unpacked * use_case.scale.files_a_shard // BYTES_A_SHARD)
    shards = shard_count(weight, use_case.scale.files_a_shard, published.accounting.shards if published else None)
    numbers = np.where(rows, hashes % shards, ATTACHMENT).astype(np.int32)
    manifest = listed.append_column(MANIFEST.field("shard"), pa.array(numbers))
    # by shard, so that one is found in few groups; by path, so that the same files are the same manifest
    return Listed(manifest.sort_by([("shard", "ascending"), ("path", "ascending")]), shards, content)


def find_manifest(table: Table[ListingAccounting], day: str) -> Manifest | None:
    """The manifest of a day that was listed, or None.

    Raises
    ------
    Damaged
        If it is not as it was written, or gone.
    """
    published = table.days().get(day)
    if published is None:
        return None
    manifest = _manifest(table, day, published.accounting)
    # here, for each shard reads a little of it
    read_stored(manifest.path)
    return manifest


def shard_of(manifest: Place, shard: int) -> pa.Table:
    """The entries of one shard, in the order of their paths."""
    with open_part(manifest, WHOLE) as file:
        column = file.schema_arrow.get_field_index("shard")
        # entries are sorted by shard, so that few groups hold one; the statistics say which
        groups = []
        for number in range(file.num_row_groups):
            bounds = file.metadata.row_group(number).column(column).statistics
            if bounds is None or bounds.min <= shard <= bounds.max:
                groups.append(number)
        entries = file.read_row_groups(groups)
    if "etag" not in entries.column_names:  # listed before there was one
        entries = entries.add_column(entries.column_names.index("shard"), MANIFEST.field("etag"), _blank(len(entries)))
    return entries.filter(pc.equal(entries["shard"], shard))


def _blank(rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(""), rows)


def shard_of_path(path: str, shards: int) -> int:
    """The shard that a file belongs to on a day of so many."""
    # not `hash`, which Python salts anew in every process
    return zlib.crc32(path.encode()) % shards


def attachments_of(entries: pa.Table) -> pa.Table:
    """Those entries of a manifest that are files which records refer to."""
    return entries.filter(pc.equal(entries["shard"], ATTACHMENT))


def attachments_mark(attachments: pa.Table) -> str:
    """Fingerprint of the attachments of a day, for any record of any shard may refer to any; empty without any."""
    return fingerprint_table(attachments) if len(attachments) else ""


def file_too_large(size: int, largest: int) -> str:
    """Why a file is not read that is larger than allowed, both in bytes."""
    return f"{size} bytes, allowed {largest}"


def named_wrongly(files: FileFormat) -> str:
    """Why a file of another name is not read."""
    return f"a name that does not end in {files.suffix}"


class _Part(NamedTuple):
    """Some entries as columns, a hash of each path or `ATTACHMENT`, and their fingerprint; no Python object a file."""

    entries: pa.RecordBatch
    hashes: np.ndarray
    content: Content


def _list(
    use_case: UseCase, source: Source, day: str, tell: Callable[[int], None], spread: Spread | None
) -> tuple[pa.Table, np.ndarray, str]:
    """The entries of a day, as `_Part` has them."""
    batches: list[pa.RecordBatch] = []
    hashes: list[np.ndarray] = [np.zeros(0, np.int64)]
    content, files = Content(), 0
    for part in _parts_of_day(use_case, source, day, spread):
        batches.append(part.entries)
        hashes.append(part.hashes)
        content.join(part.content)
        files += len(part.entries)
        tell(files)
    return pa.Table.from_batches(batches, LISTED), np.concatenate(hashes), content.mark


def _parts_of_day(use_case: UseCase, source: Source, day: str, spread: Spread | None) -> Iterator[_Part]:
    """The entries of a day, in any order."""
    files = use_case.files
    if spread is None or not isinstance(source, FolderSource):
        yield from _parts(files, source.list(day))
        return
    folders: list[Below] = []
    yield from _parts(files, _apart(source.top(day), folders))
    # here, as long as the day may be one that is not worth a process: most days are
    here, listed = 0, 0
    while here < len(folders) and listed <= use_case.scale.files_a_shard:
        for part in _parts_of_folders(files, source, folders[here : here + 1]):
            listed += len(part.entries)
            yield part
        here += 1
    left = folders[here:]
    together = max(1, min(FOLDERS, len(left) // (4 * FOLDERS)))  # few enough that none has the last ones alone
    some = [left[first : first + together] for first in range(0, len(left), together)]
    for parts in spread(partial(_parts_of_folders, files, source), some):
        yield from parts


def _apart(found: Iterable[Entry | Below], folders: list[Below]) -> Iterator[Entry]:
    """The entries among what lies beside each other; the folders are put aside."""
    for one in found:
        if isinstance(one, Below):
            folders.append(one)
        else:
            yield one


def _parts_of_folders(files: FileFormat, source: FolderSource, folders: Sequence[Below]) -> list[_Part]:
    """The entries of some folders of a day; what a process beside this one is asked for."""
    return [*_parts(files, chain.from_iterable(map(source.walk, folders)))]


def _parts(files: FileFormat, entries: Iterator[Entry]) -> Iterator[_Part]:
    while chunk := list(islice(entries, BATCH)):
        content = Content()
        for entry in chunk:
            content.add(entry)
        yield _Part(
            _record_batch(files, chunk), np.array([_hash(files, entry.path) for entry in chunk], np.int64), content
        )


def _record_batch(files: FileFormat, entries: list[Entry]) -> pa.RecordBatch:
    """Some entries as columns; those whose names the use case does not expect get that as their problem."""
    paths, size, modified, problems, etag = zip(*entries, strict=True)
    # listed all the same: what is named wrongly is refused with a reason, not passed over
    ends, wrong = (files.suffix, *files.attachments), named_wrongly(files)
    reasons = [why or ("" if path.endswith(ends) else wrong) for path, why in zip(paths, problems, strict=True)]
    return pa.record_batch([paths, size, modified, reasons, etag], schema=LISTED)


def _hash(files: FileFormat, path: str) -> int:
    """Decides the shard of a file; it depends on nothing but the path, so that a late file moves no other."""
    return ATTACHMENT if path.endswith(files.attachments) else zlib.crc32(path.encode())
