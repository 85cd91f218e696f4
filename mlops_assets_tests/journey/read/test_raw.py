"""The manifest of a day: which files it holds, in which shards, and under which fingerprint."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mlops_assets.journey.read.listing import Manifest, find_manifest, list_day, shard_of
from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.tables import Table
from mlops_assets.use_case import Scale, UseCase
from mlops_assets_tests.helpers.account_files import WriteDay

DAY = "2026-01-01"


class Listing:
    """Lists the day again and again, as runs do; a shard holds two files."""

    def __init__(self, settings: Settings, use_case: UseCase) -> None:
        self.use_case = use_case.model_copy(update={"scale": Scale(files_a_shard=2)})
        self.source = FolderSource(settings.raw / use_case.name, ".csv")
        self.table: Table = Lake(settings.lake, use_case.name).table("raw_files")

    def __call__(self, day: str = DAY) -> Manifest:
        return list_day(self.use_case, self.source, self.table, day)


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
