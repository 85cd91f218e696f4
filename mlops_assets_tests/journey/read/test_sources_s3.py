"""What a prefix on S3 lists, and what it gives back of an object that was listed: as a folder does."""

from __future__ import annotations

import pickle

import pytest

from mlops_assets.errors import S3Error
from mlops_assets.journey.read.sources import Entry, S3Source, SourceError
from mlops_assets.storage.places import S3Path
from mlops_assets_tests.helpers.s3_server import Server

DAY = "2026-01-01"


@pytest.fixture
def source(bucket: S3Path) -> S3Source:
    return S3Source(bucket / "raw" / "toy")


def put(source: S3Source, name: str, data: bytes = b"data", day: str = DAY) -> None:
    (source.root / f"day={day}" / name).write_bytes(data)


def entries(source: S3Source) -> dict[str, Entry]:
    return {entry.path: entry for entry in source.list(DAY)}


# -- days -------------------------------------------------------------------------------------------------------------


def test_the_days_are_the_prefixes_named_by_day_in_order(source: S3Source) -> None:
    for day in ("2026-02-01", "2025-12-31", "tomorrow"):
        put(source, "a.csv", day=day)
    (source.root / "feedback" / "x.csv").write_bytes(b"")
    assert source.days() == ["2025-12-31", "2026-02-01"]


def test_a_source_without_objects_has_no_days(source: S3Source) -> None:
    assert source.days() == []
    assert not source.delivered(DAY)
    assert entries(source) == {}


def test_a_day_with_any_object_was_delivered(source: S3Source) -> None:
    put(source, "_SUCCESS", b"")
    assert source.delivered(DAY)
    assert source.has(DAY, "_SUCCESS")
    assert not source.has(DAY, "_SUCC")
    assert not source.delivered("2026-01-02")
    assert source.place(DAY).startswith("s3://")


# -- listing ----------------------------------------------------------------------------------------------------------


def test_every_object_below_the_day_is_listed_with_size_and_etag(source: S3Source) -> None:
    put(source, "a.csv", b"12345")
    put(source, "deep/er/b.csv", b"")
    found = entries(source)
    assert {path: (entry.size, entry.problem) for path, entry in found.items()} == {
        "a.csv": (5, ""),
        "deep/er/b.csv": (0, ""),
    }
    assert found["a.csv"].etag not in ("", found["deep/er/b.csv"].etag)
    assert found["a.csv"].modified > 1_700_000_000 * 10**9


def test_another_day_that_begins_alike_is_another_day(source: S3Source, bucket: S3Path) -> None:
    (bucket / f"raw/toy/day={DAY}-old/a.csv").write_bytes(b"1")
    assert entries(source) == {}


def test_names_that_begin_with_a_dot_or_underscore_are_no_data(source: S3Source) -> None:
    for name in ("_SUCCESS", ".hidden.csv", "_temporary/a.csv", "deep/_a.csv", "deep/.x/a.csv"):
        put(source, name)
    assert entries(source) == {}


def test_the_marks_that_tools_leave_for_folders_are_passed_over(source: S3Source, s3_server: Server) -> None:
    put(source, "deep/a.csv")
    for key in ("", "deep/", "empty/"):
        s3_server.client().put_object(Bucket=source.root.bucket, Key=f"{source.root.key}/day={DAY}/{key}", Body=b"")
    assert list(entries(source)) == ["deep/a.csv"]


@pytest.mark.parametrize("name", ["a b+c.csv", "a%20b.csv", "ção~2f~.csv", "#?&=.csv", "back\\slash.csv", "'\".csv"])
def test_an_object_with_a_strange_name_is_listed_and_read(source: S3Source, s3_server: Server, name: str) -> None:
    key = f"{source.root.key}/day={DAY}/{name}"
    s3_server.client().put_object(Bucket=source.root.bucket, Key=key, Body=b"x")
    assert source.read(DAY, entries(source)[name]) == b"x"


@pytest.mark.parametrize("name", ["a//b.csv", "line\nend.csv"])
def test_a_key_that_is_no_path_stops_the_listing_with_its_name(source: S3Source, s3_server: Server, name: str) -> None:
    if not s3_server.is_real:
        pytest.skip("the mock lists such keys in another form")
    key = f"{source.root.key}/day={DAY}/{name}"
    s3_server.client().put_object(Bucket=source.root.bucket, Key=key, Body=b"x")
    with pytest.raises(S3Error, match=r"a key there has no form that can be read \(.*delete it"):
        entries(source)


def test_a_listing_of_several_pages_goes_on_behind_any_entry(source: S3Source) -> None:
    for number in range(30):
        put(source, f"{number:02d}.csv", b"")
    whole = [entry.path for entry in source.list(DAY)]
    assert whole == [f"{number:02d}.csv" for number in range(30)]
    assert [entry.path for entry in source.list(DAY, after="17.csv")] == whole[18:]


# -- reading ----------------------------------------------------------------------------------------------------------


def test_an_object_is_read_as_it_was_listed(source: S3Source) -> None:
    put(source, "a.csv", b"1\r\n2")
    assert pickle.loads(pickle.dumps(source)).read(DAY, entries(source)["a.csv"]) == b"1\r\n2"


def test_an_object_that_changed_since_is_told_even_if_it_is_as_long(source: S3Source) -> None:
    put(source, "a.csv", b"before")
    entry = entries(source)["a.csv"]
    put(source, "a.csv", b"behind")
    with pytest.raises(SourceError, match=r"s3://.*/a\.csv: changed after the day was listed\. Run 2026-01-01 again"):
        source.read(DAY, entry)


def test_an_object_that_vanished_since_is_told(source: S3Source) -> None:
    put(source, "a.csv")
    entry = entries(source)["a.csv"]
    from mlops_assets.storage import s3

    s3.remove(source.root.bucket, [f"{source.root.key}/day={DAY}/a.csv"])
    with pytest.raises(SourceError, match="vanished after the day was listed"):
        source.read(DAY, entry)
