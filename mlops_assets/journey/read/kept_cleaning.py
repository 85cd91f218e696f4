"""In: what is kept of a day. Out: which contents nothing refers to any more; and the same packs without them.

A content is referred to by the listing of the day as it is, and by those of publications that were replaced less than
`keep_days` ago.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mlops_assets.errors import LakeError
from mlops_assets.journey.read.kept import BYTES_A_PACK
from mlops_assets.journey.read.listing import manifest_path
from mlops_assets.journey.read.sources.kept import BYTES_A_GROUP, Key, Packs, packs_before
from mlops_assets.storage.catalog import DAY_SECONDS, Lake
from mlops_assets.storage.files import read_part
from mlops_assets.storage.kept import KEPT
from mlops_assets.storage.parts import Part
from mlops_assets.storage.places import remove
from mlops_assets.storage.tables import write_part
from mlops_assets.work.shards import fingerprint


@dataclass(frozen=True)
class KeptDay:
    """What is kept of a day.

    Attributes
    ----------
    day
        The day.
    files
        Files of listings that are referred to.
    contents, bytes
        Distinct contents that they have, and their bytes.
    stored
        Bytes of the packs that are there.
    dead, dead_bytes
        Contents that nothing refers to, and their bytes.
    shards
        The shards that have such, by number.
    unknown
        Why it cannot be said of what nothing refers to; empty if it can.
    """

    day: str
    files: int
    contents: int
    bytes: int
    stored: int
    dead: int
    dead_bytes: int
    shards: frozenset[int] = field(default_factory=frozenset)
    unknown: str = ""


def look_at_kept(lake: Lake, day: str, keep_days: int) -> KeptDay:
    """What is kept of a day, and what nothing refers to.

    Parameters
    ----------
    lake
        The tables of the use case.
    day
        The day.
    keep_days
        Days for which replaced publications are referred to.

    Raises
    ------
    Damaged
        If a pack or a listing is not as it was written.
    """
    packs = packs_before(lake, day)
    wanted = _listed(lake, day, keep_days)
    stored = sum(part.size for parts in packs.values() for part in parts)
    if wanted is None:
        unknown = "a listing that is referred to is not there any more"
        return KeptDay(day, 0, 0, 0, stored, 0, 0, unknown=unknown)
    sizes: dict[str, int] = {}
    needed: set[str] = set()
    files, holders = set[Key](), dict[str, set[int]]()
    for number, parts in packs.items():
        for row in _rows(lake, parts, ["path", "size", "modified", "etag", "sha256"]):
            if row["sha256"]:
                key = row["path"], row["size"], row["modified"], row["etag"]
                sizes[row["sha256"]] = row["size"]
                holders.setdefault(row["sha256"], set()).add(number)
                if key in wanted:
                    needed.add(row["sha256"])
                    files.add(key)
    dead = sizes.keys() - needed
    return KeptDay(
        day,
        len(files),
        len(needed),
        sum(sizes[mark] for mark in needed),
        stored,
        len(dead),
        sum(sizes[mark] for mark in dead),
        frozenset(number for mark in dead for number in holders[mark]),
    )


def clean_kept(lake: Lake, found: KeptDay, keep_days: int) -> int:
    """Write the packs of a day anew without what nothing refers to, publish them, and remove the others.

    The commit comes first: a process that is killed behind it leaves packs that nobody names, which the next cleaning
    or Delta's own takes.

    Parameters
    ----------
    lake
        The tables of the use case.
    found
        What `look_at_kept` said of it.
    keep_days
        As there.

    Returns
    -------
    int
        Bytes of the packs that were removed, less those that were written.

    Raises
    ------
    PublishConflict
        If a run published the day meanwhile; nothing is removed then.
    """
    table, day = lake.kept_files, found.day
    published, replaces = table.days().get(day), table.parts(day)
    wanted = _listed(lake, day, keep_days)
    if published is None or wanted is None or not found.shards:
        return 0
    packs = packs_before(lake, day)
    known = {part.path: part for parts in packs.values() for part in parts}
    if lost := replaces - known.keys():
        raise LakeError(f"{table.folder / min(lost)} is gone: see `mlops-assets verify`. Nothing was removed.")
    written = [part for shard in sorted(found.shards) for part in _written(lake, day, shard, packs[shard], wanted)]
    old = [part for shard in found.shards for part in packs[shard] if part.path not in {one.path for one in written}]
    gone = {part.path for part in old}
    table.publish(day, [*(known[path] for path in replaces - gone), *written], KEPT, published.accounting, replaces)
    remove(table.folder, gone)
    return sum(part.size for part in old) - sum(part.size for part in written)


def _listed(lake: Lake, day: str, keep_days: int) -> set[Key] | None:
    """The files of all listings that are referred to; None if one of these is not there."""
    since = (time.time() - keep_days * DAY_SECONDS) * 1000
    every = lake.raw_files.publications().get(day, [])
    # a listing counts until `keep_days` after the next one took its place
    ends = [following.time for following in every[1:]]
    counting = [one for one, end in zip(every, [*ends, since], strict=True) if end >= since]
    wanted: set[Key] = set()
    for mark in {one.accounting.fingerprint for one in counting}:
        place = manifest_path(lake.raw_files, day, mark)
        if not place.exists():
            return None
        columns = read_part(place).to_pydict()
        columns.setdefault("etag", [""] * len(columns["path"]))  # listed before there was one
        wanted |= set(zip(*(columns[name] for name in ("path", "size", "modified", "etag")), strict=True))
    return wanted


def _rows(lake: Lake, packs: Packs, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    for part in packs:
        yield from read_part(lake.kept_files.folder / part.path, columns).to_pylist()


def _written(lake: Lake, day: str, shard: int, packs: Packs, wanted: set[Key]) -> list[Part]:
    """New packs of a shard with the files that are wanted, each content once."""
    there = {part.path for part in packs}
    contents: dict[str, str] = {}  # by hash, the old pack that has it
    rows: dict[Key, dict[str, Any]] = {}
    for part in packs:
        for row in _rows(lake, (part,), ["path", "size", "modified", "etag", "sha256", "pack"]):
            key = row["path"], row["size"], row["modified"], row["etag"]
            holder = row["pack"] or part.path
            # a pack may name one that was cleaned up since
            if key in wanted and row["sha256"] and holder in there:
                rows.setdefault(key, row)
                contents.setdefault(row["sha256"], holder)
    written: list[Part] = []
    placed: dict[str, str] = {}
    for some in _in_packs([rows[key] for key in sorted(rows)]):
        stem = f"{shard:05d}-{fingerprint('cleaned', [(row['path'], row['etag'], row['sha256']) for row in some])}"
        path = f"day={day}/{stem}.parquet"
        full = _filled(lake, some, contents, placed, path)
        mean = sum(row["size"] for row in some) // len(some)
        a_group = max(1, BYTES_A_GROUP // max(1, mean))
        written.append(write_part(lake.kept_files, day, stem, pa.Table.from_pylist(full, KEPT), rows_a_group=a_group))
    return written


def _in_packs(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    some: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        some.append(row)
        size += row["size"]
        if size >= BYTES_A_PACK:
            yield some
            some, size = [], 0
    if some:
        yield some


def _filled(
    lake: Lake, rows: Sequence[dict[str, Any]], contents: dict[str, str], placed: dict[str, str], path: str
) -> list[dict[str, Any]]:
    """Rows with their contents, where those are not in an earlier new pack or row."""
    missing = {row["sha256"] for row in rows} - placed.keys()
    loaded: dict[str, bytes] = {}
    for pack in {contents[mark] for mark in missing}:
        for row in read_part(lake.kept_files.folder / pack, ["sha256", "content"]).to_pylist():
            if row["content"] is not None and row["sha256"] in missing:
                loaded[row["sha256"]] = row["content"]
    full = []
    for row in rows:
        mark = row["sha256"]
        pack = placed.setdefault(mark, path)
        full.append({**row, "pack": "" if pack == path else pack, "content": loaded.pop(mark, None)})
    return full
