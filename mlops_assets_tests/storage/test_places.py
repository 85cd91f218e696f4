"""Places: a folder and a prefix on S3 are used alike, and what is written is there whole, or once, or not at all."""

from __future__ import annotations

import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.errors import UsageError
from mlops_assets.storage import places
from mlops_assets.storage.places import Place, S3Path, parse_place
from mlops_assets_tests.helpers.s3_server import Server


@pytest.fixture(params=["folder", "s3"])
def top(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place that is empty, on either."""
    if request.param == "folder":
        return tmp_path
    bucket: S3Path = request.getfixturevalue("bucket")
    return bucket / "some" / "prefix"


def write(place: Place, text: str = "text") -> Place:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(text.encode())
    return place


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["s3://bucket/a/b", "s3://bucket/a/b/", "s3://bucket", "s3://my.bucket-1/x=1"])
def test_a_place_on_s3_is_named_by_its_address(text: str) -> None:
    assert str(parse_place(text)) == text.rstrip("/")


def test_a_folder_is_a_path_from_the_root_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_place("raw") == tmp_path / "raw"
    assert parse_place("~/raw") == Path.home() / "raw"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gs://bucket/a", "name a folder of this machine, or s3://bucket/prefix"),
        ("s3://", "is no name of a bucket"),
        ("s3://Bucket/a", "'Bucket' is no name of a bucket"),
        ("s3://bucket/a//b", "a part that is empty"),
        ("s3://bucket/a/../b", "a part that is empty, '.' or '..'"),
    ],
)
def test_an_address_that_cannot_be_one_is_told(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_place(text)


def test_a_place_on_s3_has_the_parts_of_a_path() -> None:
    place = S3Path("bucket", "a/b") / "c.tar.gz"
    same = Path("/bucket/a/b/c.tar.gz")
    assert (place.name, place.stem, place.parent.name) == (same.name, same.stem, same.parent.name)
    assert str(place / "d/e") == "s3://bucket/a/b/c.tar.gz/d/e"
    assert pickle.loads(pickle.dumps(place)) == place


# -- reading and writing ----------------------------------------------------------------------------------------------


def test_what_was_written_is_read(top: Place) -> None:
    place = write(top / "a" / "ção b+c%20#?.txt", "é")
    assert (place.read_bytes(), place.read_text(encoding="utf-8")) == ("é".encode(), "é")
    assert place.stat().st_size == 2
    assert abs(place.stat().st_mtime - time.time()) < 60


def test_what_is_not_there_is_an_error_as_for_any_file(top: Place) -> None:
    assert not (top / "no").exists()
    with pytest.raises(FileNotFoundError):
        (top / "no").read_bytes()
    with pytest.raises(FileNotFoundError):
        (top / "no").stat()


def test_a_folder_exists_where_anything_is_below_it(top: Place) -> None:
    write(top / "folder" / "deep" / "file")
    assert (top / "folder").exists()
    assert not (top / "fold").exists()


def test_a_folder_is_looked_at_one_level_deep(top: Place) -> None:
    for name in ("a.csv", "b.csv", "c/d.csv", "e.txt"):
        write(top / name)
    assert sorted(path.name for path in top.glob("*")) == ["a.csv", "b.csv", "c", "e.txt"]
    assert sorted(path.name for path in top.glob("[ab]*.csv")) == ["a.csv", "b.csv"]
    assert list((top / "none").glob("*")) == []


def test_a_document_is_replaced_whole(top: Place) -> None:
    for text in (b"one", b"two"):
        places.write_whole(top / "folder" / "state.json", text)
    assert (top / "folder" / "state.json").read_bytes() == b"two"
    assert [path.name for path in (top / "folder").glob("*")] == ["state.json"]


def test_a_document_is_created_once(top: Place) -> None:
    places.create(top / "1.json", b"one")
    with pytest.raises(FileExistsError):
        places.create(top / "1.json", b"two")
    assert (top / "1.json").read_bytes() == b"one"


def test_of_many_who_create_the_same_document_at_once_one_does(top: Place) -> None:
    start = Barrier(8)

    def attempt(number: int) -> bool:
        start.wait()
        try:
            places.create(top / "1.json", f"by {number}".encode())
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(8))) == 1


# -- ranges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [8, 1_000, places.FOOTER, places.WHOLE])
def test_a_parquet_file_is_read_by_its_end_and_by_ranges(top: Place, tmp_path: Path, ahead: int) -> None:
    table = pa.table({"a": range(50_000), "b": [str(number) for number in range(50_000)]})
    pq.write_table(table, tmp_path / "local.parquet", row_group_size=10_000, compression="none")
    (top / "x.parquet").write_bytes((tmp_path / "local.parquet").read_bytes())
    with pq.ParquetFile(places.readable(top / "x.parquet", ahead)) as file:
        assert file.read_row_group(2).equals(table.slice(20_000, 10_000))
        assert file.read().equals(table)


def test_a_file_of_s3_is_like_any_other(bucket: S3Path) -> None:
    data = os.urandom(1_000)
    (bucket / "x").write_bytes(data)
    with places.readable(bucket / "x", 100) as file:
        assert file.read(10) == data[:10]
        assert file.seek(-150, os.SEEK_END) == 850
        assert file.read(100) == data[850:950]
        assert file.read() == data[950:]
        assert file.read(10) == b""
        assert file.seek(890) == 890
        assert file.read(20) == data[890:910]


def test_an_object_that_is_replaced_while_it_is_read_is_told(bucket: S3Path) -> None:
    (bucket / "x").write_bytes(bytes(1_000))
    file = places.readable(bucket / "x", 100)
    (bucket / "x").write_bytes(bytes(1_001))
    with pytest.raises(Exception, match="s3://.*/x: changed while it was read"):
        file.read(10)


def test_an_empty_object_is_no_parquet_file(bucket: S3Path) -> None:
    (bucket / "x").write_bytes(b"")
    with pytest.raises(pa.ArrowInvalid):
        pq.ParquetFile(places.readable(bucket / "x"))


# -- trees ------------------------------------------------------------------------------------------------------------


def test_a_tree_is_removed_with_nothing_beside_it(top: Place) -> None:
    for name in ("tree/a", "tree/b/c", "treetop"):
        write(top / name)
    places.remove_tree(top / "tree")
    places.remove_tree(top / "tree")
    assert [path.name for path in top.glob("*")] == ["treetop"]


def test_more_than_a_thousand_objects_are_listed_and_removed(bucket: S3Path) -> None:
    names = [f"{number:04d}" for number in range(1_205)]
    list(places.side_by_side(bucket, lambda name: (bucket / "many" / name).write_bytes(b"x"), names))
    assert [path.name for path, _ in (bucket / "many").files()] == names
    assert len(list((bucket / "many").iterdir())) == 1_205
    places.remove_tree(bucket / "many")
    assert not (bucket / "many").exists()


def test_only_what_is_old_is_removed(top: Place) -> None:
    write(top / "left" / "a" / "file")
    places.remove_older(top / "left", 3_600)
    assert (top / "left" / "a" / "file").exists()
    places.remove_older(top / "left", -3_600)
    assert not list((top / "left").glob("*"))


def test_the_newest_of_several_files_of_a_name_is_found(top: Place, s3_server: Server) -> None:
    if isinstance(top, S3Path) and not s3_server.is_real:
        pytest.skip("the mock tells the time in seconds")
    assert places.newest(top / "runs", "step.json") is None
    for name in ("b", "a"):
        time.sleep(0.02)
        write(top / "runs" / name / "step.json", name)
    write(top / "runs" / "c" / "deep" / "step.json")
    write(top / "runs" / "c" / "other.json")
    found = places.newest(top / "runs", "step.json")
    assert found is not None
    assert found.read_bytes() == b"a"


def test_what_goes_while_a_folder_is_listed_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("12")
    (tmp_path / "b").symlink_to("gone")
    assert places.sizes(tmp_path) == {"a": 2}


def test_files_of_either_kind_are_on_disk_for_those_who_need_it(top: Place) -> None:
    wanted = [write(top / "a" / "x", "1"), write(top / "b" / "x", "2")]
    with places.on_disk(wanted) as paths:
        assert [path.read_text() for path in paths] == ["1", "2"]
    assert all(place.exists() for place in wanted)
