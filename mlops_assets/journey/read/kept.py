"""In: the bytes of a day's files, as they are read. Out: the same, kept in the lake; `sources.kept` finds them there.

A part of `kept_files` is a pack: a row for each of some files of a shard, with its SHA-256 and its bytes. A content
that an earlier pack of the shard has is not kept twice: the row names that pack. A day's publication has its packs and
those that they name, so that cleaning takes nothing that a day refers to.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa

from mlops_assets.journey.read.sources import Entry
from mlops_assets.journey.read.sources.kept import BYTES_A_GROUP, Kept, Key, Packs, index_of, key_of
from mlops_assets.storage.accounting import KeepingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_part
from mlops_assets.storage.integrity import Damaged, sha256
from mlops_assets.storage.kept import KEPT
from mlops_assets.storage.parts import Part
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import write_part
from mlops_assets.work.shards import Report, fingerprint_table, parts_of

BYTES_A_PACK = 64 << 20
"""Where a pack ends: it is in memory while it is written."""

Fetch = Callable[[Entry], bytes | None]


def keep_shard(lake: Lake, day: str, shard: int, entries: pa.Table, before: Packs, fetch: Fetch) -> Packs:
    """Keep the files of a shard; the packs that have them, written now or before.

    Parameters
    ----------
    lake
        The tables of the use case.
    day, shard
        Which shard.
    entries
        Its files as they were listed, attachments included.
    before
        The packs of the shard that are there.
    fetch
        The bytes of a file; None of one that is not read.
    """
    table, known = lake.kept_files, {part.path: part for part in before}
    packs: dict[str, Part] = {}
    contents: _Contents | None = None
    for some in _packs_of(entries):
        stem = f"{shard:05d}-{fingerprint_table(some)}"
        path = f"day={day}/{stem}.parquet"
        # one that is damaged is made again, of the files as they lie there
        named = _named_by(table.folder / path) if path in known else None
        if named is None or not named <= known.keys():
            # looked into only when there is something to keep
            contents = contents or _Contents(table.folder, before)
            rows = contents.pack(some, path, fetch)
            mean = sum(len(row["content"] or b"") for row in rows) // len(rows)
            a_group = max(1, BYTES_A_GROUP // max(1, mean))
            known[path] = write_part(table, day, stem, pa.Table.from_pylist(rows, KEPT), rows_a_group=a_group)
            named = {row["pack"] for row in rows if row["pack"]}
        packs |= {other: known[other] for other in (path, *named)}
    return tuple(packs.values())


def publish_kept(
    lake: Lake, day: str, reports: Sequence[Report], listed: Mapping[str, int | str], replaces: set[str]
) -> None:
    """Publish what was kept of a day.

    Parameters
    ----------
    lake, day
        Of what.
    reports
        Of the shards.
    listed
        `files`, `bytes` and `manifest` of the listing.
    replaces
        What `parts` said when the work began.
    """
    parts = {part.path: part for part in parts_of(reports, lake.kept_files)}
    stored = sum(part.size for part in parts.values())
    kept = KeepingAccounting.from_json({**listed, "packs": len(parts), "stored": stored})
    lake.kept_files.publish(day, parts.values(), KEPT, kept, replaces)


def files_to_keep(entries: pa.Table, attachments: pa.Table, shard: int, shards: int) -> pa.Table:
    """What a shard keeps: its files, and its share of those that records refer to."""
    ours = [zlib.crc32(path.encode()) % shards == shard for path in attachments["path"].to_pylist()]
    return pa.concat_tables([entries, attachments.filter(pa.array(ours, pa.bool_()))]).drop_columns(["shard"])


def _packs_of(entries: pa.Table) -> Iterator[pa.Table]:
    """Files that are kept together: in their order, by the bytes that were listed."""
    numbers = np.cumsum(entries["size"].to_numpy()) // BYTES_A_PACK
    ends = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(entries)]
    for first, end in itertools.pairwise(ends):
        if end > first:
            yield entries.slice(first, end - first)


def _named_by(place: Place) -> set[str] | None:
    """The other packs that a pack names; None if it is not as it was written."""
    try:
        return {path for path in read_part(place, ["pack"])["pack"].unique().to_pylist() if path}
    except Damaged:
        return None


class _Contents:
    """What is kept of a shard already, by listing and by hash.

    Parameters
    ----------
    folder
        Of the table.
    packs
        The packs that are there; one that is damaged has nothing.
    """

    def __init__(self, folder: Place, packs: Sequence[Part]) -> None:
        found: dict[str, dict[Key, Kept]] = {}
        for part in packs:
            with suppress(Damaged):
                found[part.path] = index_of(folder, part.path)
        every = ((listed, kept) for index in found.values() for listed, kept in index.items())
        # a pack may name one that was cleaned up since
        self._listed = {listed: kept for listed, kept in every if kept.pack in found}
        self._packs = {kept.sha256: kept.pack for kept in self._listed.values()}

    def pack(self, entries: pa.Table, path: str, fetch: Fetch) -> list[dict[str, Any]]:
        """The rows of a pack that is written to a path.

        Parameters
        ----------
        entries
            Its files.
        path
            Where it will lie.
        fetch
            The bytes of a file; it is not asked for what was kept as this very file.
        """
        rows: list[dict[str, Any]] = []
        inside: set[str] = set()
        for values in zip(*(entries[name].to_pylist() for name in Entry._fields), strict=True):
            entry = Entry(*values)
            known = self._listed.get(key_of(entry))
            data = fetch(entry) if known is None else None
            mark = known.sha256 if known is not None else None if data is None else sha256(data)
            pack = path if mark is None else self._packs.setdefault(mark, path)
            is_first = pack == path and mark not in inside
            inside |= {mark} if mark else set()
            listed = dict(zip(("path", "size", "modified", "etag"), key_of(entry), strict=True))
            at = {"sha256": mark, "pack": "" if pack == path else pack, "content": data if is_first else None}
            rows.append({**listed, **at})
        return rows
