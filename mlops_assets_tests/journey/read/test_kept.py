"""Raw files that are kept: read again as they were published, whatever became of them at their source."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.errors import PublishConflict
from mlops_assets.journey.read.attachments import Attachments
from mlops_assets.journey.read.kept import files_to_keep, keep_shard
from mlops_assets.journey.read.kept_cleaning import clean_kept, look_at_kept
from mlops_assets.journey.read.listing import find_manifest, list_day, shard_of
from mlops_assets.journey.read.rows import read_day
from mlops_assets.journey.read.sources import Entry, FolderSource, SourceError
from mlops_assets.journey.read.sources.kept import KeptSource, packs_before, with_kept
from mlops_assets.storage.accounting import KeepingAccounting
from mlops_assets.storage.catalog import MANIFEST, Lake
from mlops_assets.storage.files import read_part
from mlops_assets.storage.integrity import Damaged, sha256
from mlops_assets.storage.kept import KEPT
from mlops_assets.storage.places import S3Path
from mlops_assets.storage.verification import verify
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.source import Origin
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets_tests.helpers.account_files import ROW, account_file, changed
from mlops_assets_tests.helpers.days import ignore, in_shards_of

DAY = "2026-01-01"
FIRST, SECOND = account_file([ROW]), account_file([changed(valor="7,77"), ROW])


@dataclass
class Kept:
    """A use case that keeps its raw files, with a folder of them and a lake."""

    use_case: UseCase
    folder: Path
    lake: Lake

    @property
    def source(self) -> FolderSource:
        return FolderSource(self.folder, self.use_case.files.suffix)

    def put(self, **files: bytes) -> None:
        for name, data in files.items():
            path = self.folder / f"day={DAY}" / f"{name}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def run(self) -> list[Entry]:
        """List and read the day; what was listed."""
        manifest = list_day(self.use_case, self.source, self.lake.raw_files, DAY)
        read_day(self.use_case, self.source, self.lake, manifest, LocalEngine(1), ignore)
        return self.listed()

    def listed(self) -> list[Entry]:
        manifest = find_manifest(self.lake.raw_files, DAY)
        assert manifest is not None
        tables = [shard_of(manifest.path, shard) for shard in range(manifest.shards)]
        return [Entry(*row.values()) for table in tables for row in table.drop_columns(["shard"]).to_pylist()]

    def again(self, entries: list[Entry]) -> dict[str, bytes]:
        """The bytes of files as they were listed once."""
        source = with_kept(self.use_case, self.source, self.lake)
        return {entry.path: source.read(DAY, entry) for entry in entries}

    def packs(self) -> dict[str, list[dict[str, object]]]:
        """The published packs, each with its rows."""
        folder = self.lake.kept_files.folder
        return {path: read_part(folder / path).to_pylist() for path in self.lake.kept_files.parts(DAY)}

    def contents(self) -> list[bytes]:
        """The contents that the published packs have, in order."""
        return sorted(bytes(row["content"]) for rows in self.packs().values() for row in rows if row["content"])  # type: ignore[call-overload]


@pytest.fixture
def kept(transactions: UseCase, tmp_path: Path) -> Kept:
    use_case = in_shards_of(3, transactions).model_copy(update={"source": Origin(keep="versions")})
    return Kept(use_case, tmp_path / "raw", Lake(tmp_path / "lake", transactions.name))


# -- what was read can be read again ------------------------------------------------------------------------------------


def test_a_file_that_was_overwritten_or_deleted_is_read_as_it_was(kept: Kept) -> None:
    kept.put(a=FIRST, b=FIRST, c=SECOND)
    then = kept.run()
    kept.put(a=SECOND)
    (kept.folder / f"day={DAY}" / "b.csv").unlink()
    with pytest.raises(SourceError, match="changed after the day was listed"):
        kept.source.read(DAY, then[0])
    assert kept.again(then) == {"a.csv": FIRST, "b.csv": FIRST, "c.csv": SECOND}
    now = kept.run()
    assert kept.again(now) == {"a.csv": SECOND, "c.csv": SECOND}
    assert kept.again(then) == {"a.csv": FIRST, "b.csv": FIRST, "c.csv": SECOND}, "as of the publication before"


def test_of_a_source_that_has_the_file_nothing_is_taken_from_the_lake(kept: Kept) -> None:
    kept.put(a=FIRST)
    entries = kept.run()
    shutil.rmtree(kept.lake.kept_files.folder)
    assert kept.again(entries) == {"a.csv": FIRST}


def test_a_use_case_that_keeps_nothing_keeps_nothing(kept: Kept) -> None:
    kept.use_case = kept.use_case.model_copy(update={"source": None})
    kept.put(a=FIRST)
    then = kept.run()
    kept.put(a=SECOND)
    assert "kept_files" not in kept.lake.tables()
    with pytest.raises(SourceError):
        kept.again(then)


def test_a_file_that_is_refused_unread_has_no_content_and_is_told(kept: Kept) -> None:
    files = kept.use_case.files.model_copy(update={"largest": 300})
    kept.use_case = kept.use_case.model_copy(update={"files": files})
    kept.put(a=FIRST, large=FIRST * 9)
    kept.run()
    assert {row["path"]: row["sha256"] is not None for rows in kept.packs().values() for row in rows} == {
        "a.csv": True,
        "large.csv": False,
    }


# -- each content once --------------------------------------------------------------------------------------------------


def test_each_content_of_a_shard_is_kept_once_whatever_is_listed_again(kept: Kept) -> None:
    kept.use_case = in_shards_of(100, kept.use_case)
    kept.put(a=FIRST, b=FIRST, c=SECOND)
    kept.run()
    assert kept.contents() == sorted([FIRST, SECOND])
    before = set(kept.packs())
    kept.run()
    assert set(kept.packs()) == before, "nothing new, nothing written"
    third = account_file([ROW] * 3)
    kept.put(d=third)
    kept.run()
    assert kept.contents() == sorted([FIRST, SECOND, third])
    (new,) = set(kept.packs()) - before
    assert before <= set(kept.packs()), "what the new one names is published with it"
    assert {row["path"]: bool(row["pack"]) for row in kept.packs()[new]} == {
        "a.csv": True,
        "b.csv": True,
        "c.csv": True,
        "d.csv": False,
    }


def test_another_contract_keeps_nothing_twice(kept: Kept) -> None:
    kept.put(a=FIRST, b=SECOND)
    kept.run()
    before = kept.packs()
    columns = dict(kept.use_case.columns)
    columns["amount"] = columns["amount"].model_copy(update={"maximum": 20.0})
    kept.use_case = kept.use_case.model_copy(update={"columns": columns})
    kept.run()
    assert kept.packs() == before


def test_files_of_days_that_were_read_before_are_kept_once_it_is_said(kept: Kept) -> None:
    keeping, kept.use_case = kept.use_case, kept.use_case.model_copy(update={"source": None})
    kept.put(a=FIRST, b=SECOND)
    kept.run()
    rows = kept.lake.rows.parts(DAY)
    kept.use_case = keeping
    kept.run()
    assert kept.lake.rows.parts(DAY) == rows, "no row is read again for it"
    assert kept.contents() == sorted([FIRST, SECOND])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([b"", b"1", b"22", b"333"]), min_size=1), max_size=4
    )
)
def test_whatever_is_listed_in_whatever_order_is_found_by_its_listing(
    tmp_path_factory: pytest.TempPathFactory, versions: list[dict[str, bytes]]
) -> None:
    """Each version is a listing of the same shard; whatever was kept of any of them is found, and once."""
    lake = Lake(tmp_path_factory.mktemp("lake"), "shop")
    said: dict[Entry, bytes] = {}
    for number, files in enumerate(versions):
        entries = {Entry(path, len(data), number): data for path, data in sorted(files.items())}
        keep(lake, entries)
        said |= entries
    contents = [
        sha256(row["content"])
        for parts in packs_before(lake, DAY).values()
        for part in parts
        for row in read_part(lake.kept_files.folder / part.path).to_pylist()
        if row["content"] is not None
    ]
    assert len(contents) == len(set(contents)) == len({sha256(data) for data in said.values()})
    source = KeptSource(Gone(), lake.root, "shop")  # type: ignore[arg-type]
    assert all(source.read(DAY, entry) == data for entry, data in said.items())


def keep(lake: Lake, entries: dict[Entry, bytes]) -> None:
    """Keep and publish the files of a day of one shard."""
    listing = pa.Table.from_pylist([{**entry._asdict(), "shard": 0} for entry in entries], MANIFEST)
    table = files_to_keep(listing, MANIFEST.empty_table(), 0, 1)
    packs = keep_shard(lake, DAY, 0, table, packs_before(lake, DAY).get(0, ()), entries.__getitem__)
    lake.kept_files.publish(DAY, packs, KEPT, KeepingAccounting(files=len(entries)), lake.kept_files.parts(DAY))


class Gone:
    """A source that has nothing any more."""

    def read(self, day: str, entry: Entry) -> bytes:
        raise SourceError(f"{entry.path} of {day} is gone")


# -- cleaning, damage, kills --------------------------------------------------------------------------------------------


def test_cleaning_takes_what_no_publication_refers_to_and_nothing_of_the_day_as_it_is(kept: Kept) -> None:
    kept.use_case = in_shards_of(100, kept.use_case)
    kept.put(a=FIRST, b=FIRST)
    then = kept.run()
    kept.put(a=SECOND, b=SECOND)
    now = kept.run()
    assert kept.again(then) == {"a.csv": FIRST, "b.csv": FIRST}
    kept.lake.kept_files.clean(0)
    assert kept.contents() == [SECOND]
    shutil.rmtree(kept.folder)
    assert kept.again(now) == {"a.csv": SECOND, "b.csv": SECOND}
    with pytest.raises(SourceError, match="vanished.* Nothing that is kept has it as it was listed"):
        kept.again(then)


def test_a_content_that_nothing_refers_to_is_shown_and_taken_out_of_its_pack(kept: Kept) -> None:
    kept.use_case = in_shards_of(100, kept.use_case)
    third = account_file([ROW] * 3)
    kept.put(a=FIRST, b=SECOND, c=third)
    kept.run()
    kept.put(a=SECOND)
    (kept.folder / f"day={DAY}" / "c.csv").unlink()
    now = kept.run()
    found = look_at_kept(kept.lake, DAY, keep_days=1)
    assert (found.files, found.contents, found.dead) == (4, 3, 0), "those of the listing before count, too"
    found = look_at_kept(kept.lake, DAY, keep_days=0)
    assert (found.files, found.contents, found.bytes) == (2, 1, len(SECOND))
    assert (found.dead, found.dead_bytes, found.unknown) == (2, len(FIRST) + len(third), "")
    assert kept.contents() == sorted([FIRST, SECOND, third]), "looking removes nothing"
    assert clean_kept(kept.lake, found, keep_days=0) > 0
    assert kept.contents() == [SECOND]
    on_disk = [path for path in kept.lake.kept_files.folder.rglob("*.parquet") if path.parent.name != "_delta_log"]
    assert len(on_disk) == len(kept.packs()) == 1
    assert look_at_kept(kept.lake, DAY, keep_days=0).dead == 0
    assert verify(kept.lake).findings == []
    kept.run()
    assert kept.contents() == [SECOND], "the next run keeps nothing twice"
    shutil.rmtree(kept.folder)
    assert kept.again(now) == {"a.csv": SECOND, "b.csv": SECOND}


def test_what_is_known_of_a_day_whose_listing_is_gone_removes_nothing(kept: Kept) -> None:
    kept.put(a=FIRST)
    kept.run()
    for path in kept.lake.raw_files.folder.rglob("manifest-*.parquet"):
        path.unlink()
    found = look_at_kept(kept.lake, DAY, keep_days=0)
    assert found.unknown == "a listing that is referred to is not there any more"
    assert clean_kept(kept.lake, found, keep_days=0) == 0
    assert kept.contents() == [FIRST]


def test_a_cleaning_that_meets_a_run_removes_nothing(kept: Kept) -> None:
    kept.use_case = in_shards_of(100, kept.use_case)
    kept.put(a=FIRST, b=FIRST)
    kept.run()
    kept.put(a=SECOND)
    kept.run()
    (kept.folder / f"day={DAY}" / "b.csv").unlink()
    kept.run()
    found = look_at_kept(kept.lake, DAY, keep_days=0)
    meeting = Lake(kept.lake.root, kept.lake.use_case)

    class Met(type(meeting.kept_files)):  # type: ignore[misc]
        """A table that another run publishes to after it was looked at."""

        def publish(self, *given: object, **named: object) -> bool:
            kept.put(c=account_file([ROW] * 5))
            kept.run()
            return bool(super().publish(*given, **named))

    meeting.kept_files.__class__ = Met
    with pytest.raises(PublishConflict):
        clean_kept(meeting, found, keep_days=0)
    assert kept.again(kept.listed()).keys() == {"a.csv", "c.csv"}
    shutil.rmtree(kept.folder)
    assert kept.again(kept.listed()).keys() == {"a.csv", "c.csv"}


def test_files_that_records_refer_to_are_kept_too(compound_rings: UseCase, tmp_path: Path) -> None:
    use_case = in_shards_of(2, compound_rings).model_copy(update={"source": Origin(keep="versions")})
    day = dt.date.fromisoformat(DAY)
    for _ in write_sample(use_case, tmp_path / "raw", day, 4, 3, 0, 7):
        pass
    kept = Kept(use_case, tmp_path / "raw" / use_case.name, Lake(tmp_path / "lake", use_case.name))
    kept.run()
    listed = find_manifest(kept.lake.raw_files, DAY)
    assert listed is not None
    folder = kept.folder / f"day={DAY}"
    pictures = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}
    assert listed.attachments == len(pictures) > 0
    shutil.rmtree(kept.folder)
    attached = Attachments(with_kept(use_case, kept.source, kept.lake), DAY, listed.path, use_case.files.largest)
    assert {path: attached(0, path) for path in pictures} == pictures


def test_on_s3_what_is_kept_is_read_again(bucket: S3Path) -> None:
    lake = Lake(bucket / "lake", "shop")
    entries = {Entry("a.csv", len(FIRST), 1, etag="x"): FIRST, Entry("b/é.csv", len(SECOND), 2): SECOND}
    keep(lake, entries)
    source = KeptSource(Gone(), lake.root, "shop")  # type: ignore[arg-type]
    assert all(source.read(DAY, entry) == data for entry, data in entries.items())


def test_a_pack_that_is_damaged_is_found_and_made_again_while_the_source_has_its_files(kept: Kept) -> None:
    kept.put(a=FIRST)
    entries = kept.run()
    (path,) = kept.packs()
    file = kept.lake.kept_files.folder / path
    whole = file.read_bytes()
    file.write_bytes(whole[:50] + b"x" + whole[51:])
    assert [finding.table for finding in verify(kept.lake).findings] == ["kept_files"]
    kept.run()
    assert (verify(kept.lake).findings, kept.again(entries)) == ([], {"a.csv": FIRST})
    file.write_bytes(whole[:50] + b"x" + whole[51:])
    shutil.rmtree(kept.folder)
    kept.lake = Lake(kept.lake.root, kept.lake.use_case)
    moved = kept.folder.parent / "elsewhere"
    shutil.copytree(kept.lake.root, moved)
    with pytest.raises(Damaged):
        KeptSource(kept.source, moved, kept.lake.use_case).read(DAY, entries[0])


def test_a_pack_that_another_one_was_put_in_the_place_of_is_made_again(kept: Kept) -> None:
    kept.put(a=FIRST)
    kept.run()
    (first,) = kept.packs()
    kept.put(a=account_file([ROW] * 50))
    kept.run()
    (second,) = kept.packs()
    folder = kept.lake.kept_files.folder
    (folder / second).write_bytes((folder / first).read_bytes())
    assert len(verify(kept.lake).findings) == 1
    kept.run()
    assert (verify(kept.lake).findings, kept.packs().keys()) == ([], {second})


def test_a_run_that_ends_before_its_commit_leaves_the_day_as_it_was_and_the_next_one_keeps_it(kept: Kept) -> None:
    kept.put(a=FIRST)
    kept.run()
    before = kept.packs()
    kept.put(a=SECOND)
    entries = list_day(kept.use_case, kept.source, kept.lake.raw_files, DAY)
    table = files_to_keep(shard_of(entries.path, 0), shard_of(entries.path, -1), 0, 1)
    keep_shard(kept.lake, DAY, 0, table, (), lambda entry: kept.source.read(DAY, entry))
    assert kept.packs() == before
    kept.run()
    assert kept.again(kept.listed()) == {"a.csv": SECOND}
    assert SECOND in kept.contents()


def test_what_keep_may_say_is_told() -> None:
    assert Origin.model_validate({"keep": "versions"}).keep == "versions"
    with pytest.raises(ValidationError, match="Input should be 'versions'"):
        Origin.model_validate({"keep": "all"})
    with pytest.raises(ValidationError, match="say `use`, or `follow_links` or `keep` for files in a folder"):
        Origin.model_validate({})
