"""Raw files as they were read once: from where they come, or else from what was kept of them in the lake."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import pyarrow as pa

from mlops_assets.errors import LakeError
from mlops_assets.plugins.sources import Entry, Source, SourceError
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import open_part, read_part
from mlops_assets.storage.integrity import Damaged, sha256
from mlops_assets.storage.parts import Part
from mlops_assets.storage.places import Place, sizes
from mlops_assets.storage.tables import Table
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import shard_number

BYTES_A_GROUP = 2 << 20
"""What is read, about, for the sake of one file."""

INDEX = ("path", "size", "modified", "etag", "sha256", "pack")

Packs = tuple[Part, ...]
Key = tuple[str, int, int, str]
"""What a file was listed as: path, bytes, time, ETag."""


@dataclass(frozen=True)
class Kept:
    """Where a content lies.

    Attributes
    ----------
    sha256
        Its hash.
    pack
        Path of the part that has it.
    """

    sha256: str
    pack: str


def packs_before(lake: Lake, day: str) -> dict[int, Packs]:
    """The packs of a day that are there, by the number of their shard: also those that its publication has no more."""
    table = lake.kept_files
    there = sizes(table.folder / f"day={day}")
    packs: dict[int, list[Part]] = {}
    for path, part in table.written(day).items():
        # one of another size was changed since, and is made again
        if there.get(path.rpartition("/")[2]) == part.size:
            packs.setdefault(shard_number(path), []).append(part)
    return {number: tuple(parts) for number, parts in packs.items()}


def key_of(entry: Entry) -> Key:
    """What a file was listed as."""
    return entry.path, entry.size, entry.modified, entry.etag


def index_of(folder: Place, path: str) -> dict[Key, Kept]:
    """The files of a pack as they were listed, each with the place of its content; files that were not read are not."""
    columns = read_part(folder / path, INDEX).to_pydict()
    return {
        (name, size, modified, etag): Kept(mark, pack or path)
        for name, size, modified, etag, mark, pack in zip(*columns.values(), strict=True)
        if mark
    }


class KeptSource:
    """A source that has what is kept, too: of a file that it has no longer, the content that was read once.

    Parameters
    ----------
    source
        The source itself; it is asked first.
    lake
        Where the lake lies.
    use_case
        Name of the use case.
    """

    def __init__(self, source: Source, lake: Place, use_case: str) -> None:
        self.source = source
        self._lake = lake
        self._use_case = use_case
        self._packs: dict[str, tuple[dict[int, Packs], set[int]]] = {}

    @property
    def readers(self) -> int:
        """Threads that should wait for it side by side."""
        return getattr(self.source, "readers", 0)

    def days(self) -> list[str]:
        """As the source says."""
        return self.source.days()

    def place(self, day: str) -> str:
        """As the source says."""
        return self.source.place(day)

    def delivered(self, day: str) -> bool:
        """As the source says."""
        return self.source.delivered(day)

    def has(self, day: str, name: str) -> bool:
        """As the source says."""
        return self.source.has(day, name)

    def list(self, day: str, after: str = "") -> Iterator[Entry]:
        """As the source says."""
        return self.source.list(day, after)

    def read(self, day: str, entry: Entry) -> bytes:
        """The bytes of a file as it was listed, from the source, or else from what was kept.

        Raises
        ------
        OSError
            If neither has it, and the source could not read it.
        SourceError
            If neither has it: it is gone, or was changed since.
        Damaged
            If what was kept is not what it was.
        """
        try:
            return self.source.read(day, entry)
        except (SourceError, OSError) as error:
            kept = self._find(day, entry)
            if kept is None and isinstance(error, SourceError) and self._packs[day][0]:
                what = "Nothing that is kept has it as it was listed, either: see `mlops-assets verify`."
                raise SourceError(f"{error} {what}") from None
            if kept is None:
                raise
            return kept

    def _find(self, day: str, entry: Entry) -> bytes | None:
        lake = Lake(self._lake, self._use_case)
        if day not in self._packs:
            listings = lake.raw_files.publications().get(day, [])
            counts = {listing.accounting.shards for listing in listings if listing.accounting.shards}
            self._packs[day] = packs_before(lake, day), counts
        packs, counts = self._packs[day]
        # where it must be, first: of millions of files, those of one shard
        likely = {zlib.crc32(entry.path.encode()) % count for count in counts}
        damaged: Damaged | None = None
        for number in chain(likely & packs.keys(), packs.keys() - likely):
            for part in reversed(packs[number]):
                try:
                    kept = _known(lake.kept_files.folder, part.path).get(key_of(entry))
                except Damaged as error:  # another one may have it
                    damaged = error
                    continue
                if kept is not None:
                    return _content(lake.kept_files, kept)
        if damaged is not None:
            raise damaged
        return None


@lru_cache(maxsize=64)
def _known(folder: Place, path: str) -> dict[Key, Kept]:
    return index_of(folder, path)


@lru_cache(maxsize=64)
def _rows_of(folder: Place, path: str) -> dict[str, int]:
    """Where in a pack each content is that it has itself."""
    columns = read_part(folder / path, ["sha256", "pack"]).to_pydict()
    rows: dict[str, int] = {}
    for row, (mark, pack) in enumerate(zip(columns["sha256"], columns["pack"], strict=True)):
        if mark and not pack:
            rows.setdefault(mark, row)
    return rows


@lru_cache(maxsize=8)
def _group(folder: Place, path: str, group: int) -> pa.ChunkedArray:
    """The contents of a row group."""
    with open_part(folder / path, BYTES_A_GROUP) as file:
        return file.read_row_group(group, ["content"])["content"]


@lru_cache(maxsize=64)
def _rows_a_group(folder: Place, path: str) -> int:
    with open_part(folder / path, BYTES_A_GROUP) as file:
        return int(file.metadata.row_group(0).num_rows)


def _content(table: Table[Any], kept: Kept) -> bytes:
    """A content, seen to be the one that was kept."""
    row = _rows_of(table.folder, kept.pack).get(kept.sha256)
    if row is None:
        raise LakeError(f"{table.folder / kept.pack}: has not the file that another pack says it has.")
    number, within = divmod(row, _rows_a_group(table.folder, kept.pack))
    data = _group(table.folder, kept.pack, number)[within].as_py()
    if data is None or sha256(data) != kept.sha256:
        raise Damaged(table.folder / kept.pack, "holds another content than its hash says")
    return bytes(data)


def with_kept(use_case: UseCase, source: Source, lake: Lake) -> Source:
    """A source that has what is kept, too, where the use case keeps its raw files."""
    return KeptSource(source, lake.root, use_case.name) if use_case.keeps else source
