"""What lies beside the days: every entry is a day, feedback, or named; on disk and on S3."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlops_assets.journey.read.sources import FolderSource, S3Source, open_source
from mlops_assets.journey.read.sources.entries import Lying, day_of
from mlops_assets.journey.read.strays import MOST_COUNTED, MOST_TOLD, _why_stray, find_strays
from mlops_assets.storage.places import S3Path
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.s3_server import Server

TODAY = dt.date(2026, 3, 31)
DAYS = ["2026-03-01", "2026-03-31"]
MISWRITTEN = {
    "day=2026-3-4": "day=2026-03-04",
    "day=20260305": "day=2026-03-05",
    "2026-03-06": "day=2026-03-06",
    "Day=2026-03-07": "day=2026-03-07",
    "day=2026-03-09 ": "day=2026-03-09",
}
NO_DATES = ("day=2026-03-08.tmp", "day=zzzz-zz-zz", "Feedback")
FILES = {f"{name}/a.csv" for name in (*MISWRITTEN, *NO_DATES)} | {
    *(f"day={day}/a.csv" for day in DAYS),
    *("day=2026-02-30/a.csv", "day=2026-02-30/deep/b.csv", "day=2018-01-01/a.csv", "day=2026-04-01/a.csv"),
    *("day=2026-03-02", "notes.txt", "feedback/people.csv", ".DS_Store", ".upload/a.csv", "_SUCCESS"),
}
WHY = {
    **{name: f"(1 file, not named day=YYYY-MM-DD; write it {right})" for name, right in MISWRITTEN.items()},
    **dict.fromkeys(NO_DATES, "(1 file, not named day=YYYY-MM-DD, and no date)"),
    "day=2026-02-30": "(2 files, there is no such date)",
    "day=2018-01-01": "(1 file, before the first day, 2024-01-01)",
    "day=2026-04-01": "(1 file, in the future: today is 2026-03-31 (UTC))",
    "day=2026-03-02": "(1 file, a file where a folder should be)",
    "notes.txt": "(1 file, a file beside the days)",
}


@pytest.fixture(params=["folder", "s3"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> FolderSource | S3Source:
    """The same files on disk and on S3."""
    if request.param == "folder":
        for name in FILES:
            path = tmp_path / "shop" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        return FolderSource(tmp_path / "shop", ".csv")
    bucket: S3Path = request.getfixturevalue("bucket")
    server: Server = request.getfixturevalue("s3_server")
    for name in FILES:
        server.client().put_object(Bucket=bucket.bucket, Key=f"raw/shop/{name}", Body=b"x")
    return S3Source(bucket / "raw" / "shop")


@pytest.fixture
def shop(transactions: UseCase) -> UseCase:
    return transactions.model_copy(update={"start": dt.date(2024, 1, 1)})


def test_every_entry_is_a_day_or_feedback_or_hidden_or_named_with_its_reason(
    source: FolderSource | S3Source, shop: UseCase
) -> None:
    assert source.days() == ["2018-01-01", *DAYS, "2026-04-01"]
    assert not source.delivered("2026-03-02")
    strays = find_strays(shop, source, TODAY)
    assert strays.entries == len(WHY)
    told = str(strays)
    assert told.startswith(f"passed over in {source.root}: {len(WHY)} entries that no run reads: ")
    named = sorted(WHY)[:MOST_TOLD]
    assert [stray.name for stray in strays.first] == named
    for name in named:
        assert f"{name!r} {WHY[name]}" in told
    assert told.endswith(f"and {len(WHY) - MOST_TOLD} more")


def test_where_there_are_days_alone_nothing_is_said(tmp_path: Path, shop: UseCase) -> None:
    (tmp_path / "transactions" / "day=2026-03-01").mkdir(parents=True)
    assert str(find_strays(shop, open_source(shop, tmp_path), TODAY)) == ""
    assert str(find_strays(shop, open_source(shop, tmp_path / "nowhere"), TODAY)) == ""


def test_files_of_an_entry_are_counted_up_to_a_number(tmp_path: Path, shop: UseCase) -> None:
    (tmp_path / "old").mkdir()
    for number in range(MOST_COUNTED + 1):
        (tmp_path / "old" / f"{number}.csv").touch()
    assert "'old' (1,000 files or more, " in str(find_strays(shop, FolderSource(tmp_path, ".csv"), TODAY))


@given(
    st.dates(),
    st.sampled_from(["day={0.year:04}-{0.month}-{0.day}", "{0.year:04}{0:%m%d}", "DAY={0.year:04}_{0:%m_%d}"]),
)
def test_a_date_that_is_written_in_another_way_is_told_as_it_must_be(
    transactions: UseCase, day: dt.date, written: str
) -> None:
    name = written.format(day)
    assume(day_of(name) is None)
    told = _why_stray(transactions, Lying(name, folder=True), TODAY)
    assert told == f"not named day=YYYY-MM-DD; write it day={day.isoformat()}"


@given(st.dates())
def test_a_day_is_named_by_its_date_and_in_no_other_way(day: dt.date) -> None:
    assert day_of(f"day={day.isoformat()}") == day.isoformat()
    for name in (f"day={day:%Y%m%d}", f"Day={day}", f"{day}", f"day={day} ", f"day={day}.tmp", f"day={day}\n"):
        assert day_of(name) is None
