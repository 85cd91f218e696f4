"""The manifest of a day: which files it holds, in which shards, and under which fingerprint."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow.parquet as pq
import pytest

from mlops_assets.journey.read.listing import Manifest, find_manifest, list_day, shard_of
from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.tables import Table
from mlops_assets.use_case import Scale, UseCase
from mlops_assets.work.shards import Spread
from mlops_assets_tests.helpers.account_files import WriteDay

Item, Result = TypeVar("Item"), TypeVar("Result")
DAY = "2026-01-01"


class Listing:
    """Lists the day again and again, as runs do; a shard holds two files."""

    def __init__(self, settings: Settings, use_case: UseCase) -> None:
        self.use_case = use_case.model_copy(update={"scale": Scale(files_a_shard=2)})
        self.source = FolderSource(settings.raw / use_case.name, ".csv")
        self.table: Table = Lake(settings.lake, use_case.name).table("raw_files")

    def __call__(self, day: str = DAY, spread: Spread | None = None) -> Manifest:
        return list_day(self.use_case, self.source, self.table, day, spread=spread)


@pytest.fixture
def listing(settings: Settings, transactions: UseCase) -> Listing:
    return Listing(settings, transactions)


def shards(manifest: Manifest) -> dict[str, int]:
    """The shard of every file."""
    return {path: n for n in range(manifest.shards) for path in shard_of(manifest.path, n)["path"].to_pylist()}


def numbered(count: int) -> dict[str, bytes]:
    return {f"{number}.csv": b"x" * number for number in range(count)}


def test_a_manifest_counts_files_bytes_and_shards(listing: Listing, write_day: WriteDay) -> None:
    write_day("transactions", DAY, numbered(8))
    manifest = listing()
    assert (manifest.day, manifest.files, manifest.size, manifest.shards) == (DAY, 8, 28, 4)


def test_an_entry_has_path_size_time_and_problem(listing: Listing, write_day: WriteDay) -> None:
    folder = write_day("transactions", DAY, {"deep/a.csv": b"123"})
    os.utime(folder / "deep" / "a.csv", ns=(7, 7))
    now = (folder / "deep" / "a.csv").stat()
    etag = f"{now.st_ctime_ns:x}-{now.st_ino:x}"
    assert shard_of(listing().path, 0).to_pylist() == [
        {"path": "deep/a.csv", "size": 3, "modified": 7, "problem": "", "etag": etag, "shard": 0}
    ]


def test_an_entry_that_is_no_data_file_is_counted_too(listing: Listing, write_day: WriteDay) -> None:
    others = ("b.txt", "a.csv.gz", "a.CSV")
    write_day("transactions", DAY, {"a.csv": b"", **dict.fromkeys(others, b"")})
    manifest = listing()
    assert manifest.files == 4
    problems = {
        row["path"]: row["problem"] for number in range(2) for row in shard_of(manifest.path, number).to_pylist()
    }
    assert problems == {"a.csv": "", **dict.fromkeys(others, "a name that does not end in .csv")}


@pytest.mark.parametrize("name", [b"\xff.csv", b"\xff/a.csv", b"\xff.csv/a.csv"])
def test_a_name_that_is_not_utf_8_does_not_stop_the_listing(listing: Listing, write_day: WriteDay, name: bytes) -> None:
    write_day("transactions", DAY, {os.fsdecode(name): b"", "good.csv": b""})
    assert listing().files == 2


def test_every_file_is_in_exactly_one_shard_in_the_order_of_paths(listing: Listing, write_day: WriteDay) -> None:
    write_day("transactions", DAY, numbered(50))
    manifest = listing()
    paths = [shard_of(manifest.path, number)["path"].to_pylist() for number in range(manifest.shards)]
    assert all(some == sorted(some) for some in paths)
    assert sorted(path for some in paths for path in some) == sorted(numbered(50))


def test_other_processes_list_what_this_one_would_refused_entries_too(
    listing: Listing, write_day: WriteDay, tmp_path: Path
) -> None:
    number = iter(range(1_000))
    folder = write_day("transactions", DAY, {f"{one % 40:02d}/{one}.csv": b"x" * one for one in range(120)})
    for name in ("beside.csv", "other.txt", "07/.hidden", "08/deep/er/a.csv", "09/no-data.txt", ".upload/part.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    (folder / "11" / "folder.csv").mkdir()
    (folder / "12" / os.fsdecode(b"caf\xe9.csv")).write_bytes(b"1")
    (folder / "13" / "out.csv").symlink_to(tmp_path / "elsewhere.csv")
    (folder / "14-link").symlink_to(folder / "14")
    handed: list[int] = []

    def spread(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """In another order than was asked for, and as if there were processes in between."""
        for item in reversed(items):
            handed.append(next(number))
            yield pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(function))(item)))

    alone = listing()
    shared = listing(spread=spread)
    assert shared == alone
    assert len(listing.table.publications()[DAY]) == 1, "the same content, so no second commit"
    assert len(handed) > 20, "most of it"
    assert alone.files == 120 + 8


def test_a_day_of_one_shard_is_listed_by_one_process(listing: Listing, write_day: WriteDay) -> None:
    write_day("transactions", DAY, {"a/1.csv": b"", "b/2.csv": b""})

    def nobody(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        assert not items
        yield from map(function, items)

    assert listing(spread=nobody).files == 2


def test_a_day_without_files_has_a_manifest_without_entries(listing: Listing) -> None:
    manifest = listing()
    assert (manifest.files, manifest.size) == (0, 0)
    assert shards(manifest) == {}


def test_the_same_files_give_the_same_fingerprint_and_no_second_commit(listing: Listing, write_day: WriteDay) -> None:
    write_day("transactions", DAY, numbered(3))
    first = listing()
    version = listing.table.days()[DAY].version
    assert listing() == first
    assert listing.table.days()[DAY].version == version


@pytest.mark.parametrize("change", ["content", "time", "new", "gone", "renamed"])
def test_any_change_of_a_file_changes_the_fingerprint(listing: Listing, write_day: WriteDay, change: str) -> None:
    folder = write_day("transactions", DAY, numbered(3))
    before = listing().fingerprint
    if change == "content":
        (folder / "1.csv").write_bytes(b"22")
    elif change == "time":
        os.utime(folder / "1.csv", (0, 0))
    elif change == "new":
        (folder / "3.csv").touch()
    elif change == "gone":
        (folder / "1.csv").unlink()
    else:
        (folder / "1.csv").rename(folder / "one.csv")
    assert listing().fingerprint != before


def test_a_manifest_can_be_found_again_without_listing(listing: Listing, write_day: WriteDay) -> None:
    write_day("transactions", DAY, numbered(3))
    assert find_manifest(listing.table, DAY) is None
    manifest = listing()
    assert find_manifest(listing.table, DAY) == manifest


def test_the_manifest_of_a_changed_day_is_the_newest_one(listing: Listing, write_day: WriteDay) -> None:
    for name in ("b.csv", "a.csv"):
        write_day("transactions", DAY, {name: b""})
        newest = listing()
    assert find_manifest(listing.table, DAY) == newest
    assert listing.table.read_all([DAY])["path"].to_pylist() == ["a.csv", "b.csv"]


def test_days_have_manifests_of_their_own(listing: Listing, write_day: WriteDay) -> None:
    write_day("transactions", DAY, numbered(3))
    write_day("transactions", "2026-01-02", numbered(5))
    first, second = listing(), listing("2026-01-02")
    assert (first.files, second.files) == (3, 5)
    assert find_manifest(listing.table, DAY) == first


# -- shards stay what they are -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("late", "shards"), [(0, 4), (1, 4), (8, 4), (9, 9)])
def test_a_day_keeps_its_shards_until_its_files_have_doubled(
    listing: Listing, write_day: WriteDay, late: int, shards: int
) -> None:
    write_day("transactions", DAY, numbered(8))
    assert listing().shards == 4
    write_day("transactions", DAY, {f"late {number}.csv": b"" for number in range(late)})
    assert listing().shards == shards


def test_a_day_that_loses_files_keeps_its_shards(listing: Listing, write_day: WriteDay) -> None:
    folder = write_day("transactions", DAY, numbered(8))
    listing()
    for number in range(1, 8):
        (folder / f"{number}.csv").unlink()
    assert listing().shards == 4


def test_late_files_leave_every_other_file_in_its_shard(listing: Listing, write_day: WriteDay) -> None:
    write_day("transactions", DAY, numbered(8))
    before = shards(listing())
    write_day("transactions", DAY, {f"late {number}.csv": b"" for number in range(8)})
    after = shards(listing())
    assert len(after) == 16
    assert {path: after[path] for path in before} == before


def test_the_shard_of_a_file_depends_on_its_path_alone(listing: Listing, write_day: WriteDay) -> None:
    write_day("transactions", DAY, numbered(8))
    write_day("transactions", "2026-01-02", dict.fromkeys(numbered(8), b"other"))
    assert shards(listing()) == shards(listing("2026-01-02"))


def test_a_manifest_from_before_etags_is_read_as_one_without_any(
    listing: Listing, write_day: WriteDay, tmp_path: Path
) -> None:
    write_day("transactions", DAY, numbered(2))
    whole = shard_of(listing().path, 0)
    pq.write_table(whole.drop_columns(["etag"]).replace_schema_metadata(None), tmp_path / "old.parquet")
    assert shard_of(tmp_path / "old.parquet", 0).to_pylist() == [{**row, "etag": ""} for row in whole.to_pylist()]
