"""Hours over a change of the clock, north and south, and weeks: through Dagster, from raw files to published predictions.

One champion is enough: the northern hours train it, the southern ones are scored by the same recipe's rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets import running
from mlops_assets.errors import UsageError
from mlops_assets.journey.read.rhythm import OtherRhythm
from mlops_assets.use_case import Partitions, UseCase
from mlops_assets.use_case.partitions import Every, folder_of
from mlops_assets_tests.helpers.stage import Stage, small

NORTH = ("2025-10-26T01", "2025-10-26T02", "2025-10-26T02+0100", "2025-10-26T03")
"""Hours of Berlin, of which one comes again."""

LEAPT = ("2025-03-30T01", "2025-03-30T03")
"""Two that follow each other there."""

SOUTH = ("2025-04-05T22", "2025-04-05T23", "2025-04-05T23-0400", "2025-04-06T00")
"""Hours of Santiago, where midnight comes an hour later."""

WEEKS = ("2025-04-07", "2025-04-14")

FILES, ROWS = 4, 20


def every(period: Every, zone: str) -> UseCase:
    rhythm = Partitions(every=period, timezone=zone)
    return small().model_copy(update={"partitions": rhythm, "start": dt.date(2025, 3, 1)})


def filled(stage: Stage, days: tuple[str, ...]) -> None:
    for day in days:
        stage.sample(day, files=FILES, rows=ROWS)


def read_of(stage: Stage, day: str) -> set[tuple[str, int]]:
    """Names and sizes of the files that a published day is of."""
    return {(one["path"], one["size"]) for one in stage.published("raw_files", day)}


def lying(stage: Stage, day: str) -> set[tuple[str, int]]:
    return {(path.name, path.stat().st_size) for path in stage.folder(day).iterdir()}


@pytest.fixture(scope="module")
def north(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Hours of Berlin: of a day on which the clock is put back and of one on which it is put on, and a champion."""
    with Stage.of(every("hour", "Europe/Berlin"), tmp_path_factory.mktemp("north") / "home") as stage:
        filled(stage, (*LEAPT, *NORTH))
        stage.run(NORTH[0], NORTH[-1], train=True)
        stage.run(*LEAPT)
        yield stage


@pytest.fixture(scope="module")
def south(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Hours of Santiago."""
    with Stage.of(every("hour", "America/Santiago"), tmp_path_factory.mktemp("south") / "home") as stage:
        filled(stage, SOUTH)
        stage.run(SOUTH[0], SOUTH[-1], train=True)
        yield stage


# -- hours -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("where", "hours"), [("north", (*LEAPT, *NORTH)), ("south", SOUTH)])
def test_no_hour_is_lost_or_done_twice(where: str, hours: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    stage: Stage = request.getfixturevalue(where)
    assert list(stage.table("predictions").days()) == sorted(hours)
    assert stage.materialised("predictions") == {*hours}
    for hour in hours:
        assert read_of(stage, hour) == lying(stage, hour), "each is of its own folder"
    rows = {hour: stage.table("rows").days()[hour].accounting.rows for hour in hours}
    assert all(len(stage.published("predictions", hour)) == number > 0 for hour, number in rows.items())


def test_the_rows_of_all_hours_come_in_the_order_of_time(north: Stage) -> None:
    days = north.table("predictions").read_all(columns=["day"])["day"].to_pylist()
    assert list(dict.fromkeys(days)) == sorted((*LEAPT, *NORTH))


def test_hours_that_did_not_change_are_not_done_again(north: Stage) -> None:
    before = [north.state(hour) for hour in NORTH]
    north.run(NORTH[0], NORTH[-1])
    assert [north.state(hour) for hour in NORTH] == before


def test_the_schedule_of_hours_asks_for_the_one_that_is_over(north: Stage) -> None:
    repository = north.definitions.get_repository_def()
    schedule = repository.get_schedule_def("transactions_daily_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("5 * * * *", "Europe/Berlin")
    asked = []
    for hour in (1, 2, 3):  # of UTC, as the clock goes through 02:05, 02:05 once more, and 03:05
        moment = dt.datetime(2025, 10, 26, hour - 1, 5, tzinfo=dt.UTC)
        context = dg.build_schedule_context(
            instance=north.instance, scheduled_execution_time=moment, repository_def=repository
        )
        asked += [one.partition_key for one in schedule.evaluate_tick(context).run_requests or ()]
    assert asked == ["2025-10-26T01", "2025-10-26T02", "2025-10-26T02+0100"]


def test_a_range_of_calendar_days_is_all_their_hours_with_files(north: Stage) -> None:
    with north.stores() as stores:
        assert running.days_to_run(stores, "2025-10-26", "2025-10-26") == ("2025-10-26T00", "2025-10-26T23")
        assert running.days_to_run(stores, None, None) == (LEAPT[0], NORTH[-1])
        with pytest.raises(UsageError, match="'2025-10-26T02:00' is no hour; write it like 2026-01-31T05"):
            running.days_to_run(stores, "2025-10-26T02:00", None)


# -- another rhythm ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "zone", "said"),
    [("day", "UTC", "says days of UTC"), ("hour", "UTC", "says hours of UTC"), ("week", "Europe/Berlin", "says weeks")],
)
def test_what_is_stored_by_hours_is_not_gone_on_with_by_others(
    north: Stage, tmp_path: Path, period: Every, zone: str, said: str
) -> None:
    with north.copy(tmp_path / "home") as copy, copy.stores() as stores:
        other = stores.workspace.of(every(period, zone))
        with pytest.raises(OtherRhythm, match=r"are hours of Europe/Berlin, .*partitions.* " + said) as told:
            running.days_to_run(other, None, None)
    assert "Write `partitions: {every: hour, timezone: Europe/Berlin}` again" in str(told.value)


# -- weeks -------------------------------------------------------------------------------------------------------------


def test_a_week_is_the_folder_of_its_monday(tmp_path: Path) -> None:
    with Stage.of(every("week", "America/Santiago"), tmp_path / "home") as stage:
        filled(stage, WEEKS)
        stray = stage.home / "raw" / "transactions" / "day=2025-04-09"
        stray.mkdir()
        with stage.stores() as stores:
            assert stores.source.days() == [*WEEKS]
            assert running.days_to_run(stores, "2025-04-09", "2025-04-16") == WEEKS
        assert stage.execute("daily", "raw_files", "rows", "rejects", days=WEEKS).success
        assert stage.materialised("rows") == {*WEEKS}
    assert folder_of(WEEKS[0]) == "day=2025-04-07"
