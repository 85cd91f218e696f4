"""The forecast: what earlier days cost says how long another one takes, and a deadline that will not hold is told."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pyarrow as pa
import pytest

from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.work.forecast import Pace, expect, measured
from mlops_assets.work.progress import Deadline, Progress
from mlops_assets.work.shards import Made, Report, finish

PACES = {"rows": Pace(2e-6, 20.0, 0.02), "features": Pace(1e-6, 1.0, 0.0)}


def test_what_was_never_run_was_never_measured(tmp_path: Path) -> None:
    assert measured(Lake(tmp_path, "toy")) == {}


def test_the_pace_is_that_of_the_newest_published_day(tmp_path: Path) -> None:
    lake = Lake(tmp_path, "toy")
    table = lake.table("rows")
    data = pa.table({"x": list(range(100))})
    for day in ("2026-01-01", "2026-01-02"):
        rows = 50 if day.endswith("1") else 100
        made = Made({table: data}, {"files": 1, "rows": rows, "bytes": 5_000})
        report = finish(table, day, 0, "mark", lambda made=made: made)  # type: ignore[misc]
        table.publish(day, report.parts, data.schema, ReadingAccounting(), set())
    pace = measured(lake)["rows"]
    assert pace.rows_a_byte == 100 / 5_000
    assert pace.stored_a_row == (table.folder / "day=2026-01-02" / "00000-mark.parquet").stat().st_size / 100


def test_twice_the_processes_take_half_the_time() -> None:
    assert expect(PACES, ["rows", "features"], 1_000_000, 1) == pytest.approx(3.0)
    assert expect(PACES, ["rows", "features"], 1_000_000, 2) == pytest.approx(1.5)


def test_nothing_is_expected_of_a_step_that_was_never_measured() -> None:
    assert expect(PACES, ["rows", "predictions"], 1_000_000, 2) is None


def shards(number: int) -> list[Report]:
    return [Report("2026-01-01", shard, {"files": 10, "rows": 100}, ()) for shard in range(number)]


def watched(deadline: Deadline, done: int, files: int = 1_000) -> Progress:
    progress = Progress("toy rows", files, deadline, early=2)
    for report in shards(done):
        progress(report)
    return progress


def test_a_run_that_will_be_late_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mlops_assets.work.progress"):
        watched(Deadline(30, time.time(), later=3_600.0), done=5)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("toy rows: THE DEADLINE WILL BE MISSED, 60:0")
    assert "of 30:00 min for the run. More processes (MLOPS_WORKERS)" in caplog.messages[0]


def test_the_first_shards_are_not_trusted_enough_for_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mlops_assets.work.progress"):
        watched(Deadline(30, time.time(), later=3_600.0), done=1)
    assert caplog.messages == []


def test_a_run_in_time_says_so_and_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mlops_assets.work.progress"):
        progress = watched(Deadline(30, time.time(), later=60.0), done=99)
    assert "; the deadline holds, 1:0" in progress.line()
    assert caplog.messages == []


def test_time_that_the_run_had_taken_before_counts() -> None:
    numbers = watched(Deadline(30, time.time() - 2_000), done=100).numbers()
    assert numbers["deadline_held"] is False
    assert numbers["deadline_minutes"] == 30
    assert numbers["expected_minutes"] == pytest.approx(33.3, abs=0.1)


def test_where_later_steps_were_never_measured_the_forecast_is_a_least_one() -> None:
    assert "at least 0:00 min of 30:00 min for the run" in watched(Deadline(30, time.time(), None), done=100).line()


def test_without_a_deadline_there_is_no_word_of_one() -> None:
    progress = Progress("toy rows", 10)
    assert "deadline" not in progress.line()
    assert progress.numbers().keys() == {"files_a_second", "rows_a_second"}
