"""Hours over a change of the clock, north and south, and weeks: through Dagster, from raw files to published predictions.

One training is enough: the southern hours are scored by what the northern ones taught.
"""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets import running
from mlops_assets.errors import UsageError
from mlops_assets.journey.read.rhythm import OtherRhythm
from mlops_assets.journey.read.strays import find_strays
from mlops_assets.monitoring.verdicts import Watcher
from mlops_assets.use_case import Delivering, Partitions, UseCase
from mlops_assets.use_case.partitions import Every, folder_of
from mlops_assets.views.performance import performance
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asked_api import Api, problem
from mlops_assets_tests.helpers.backfills import backfill, daemon
from mlops_assets_tests.helpers.homes import copy_home
from mlops_assets_tests.helpers.stage import Stage, small

NORTH = ("2025-10-26T01", "2025-10-26T02", "2025-10-26T02+0100", "2025-10-26T03")
"""Hours of Berlin, of which one comes again."""

LEAPT = ("2025-03-30T01", "2025-03-30T03")
"""Two that follow each other there."""

SOUTH = ("2025-04-05T22", "2025-04-05T23", "2025-04-05T23-0400", "2025-04-06T00")
"""Hours of Santiago, where midnight comes an hour later."""

WEEKS = ("2025-12-22", "2025-12-29", "2026-01-05")
"""Of which one lies in two years."""

FILES, ROWS = 4, 20

OF_THE_CHAMPION = ("history", "versions", "models", "training", "training_sets", "training_profiles")
"""What belongs to a champion, and to no day."""


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


def copy_champion(stage: Stage, home: Path) -> None:
    """A home that has nothing of another one but its champion."""
    copy_home(stage.home, home)
    for place in (home / "lake" / "transactions").iterdir():
        if place.is_dir() and place.name not in OF_THE_CHAMPION:
            shutil.rmtree(place)
    (home / "lake" / "transactions" / "partitions.json").unlink()
    shutil.rmtree(home / "raw")


@pytest.fixture(scope="module")
def north(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Hours of Berlin: of a day on which the clock is put back and of one on which it is put on, and a champion."""
    with Stage.of(every("hour", "Europe/Berlin"), tmp_path_factory.mktemp("north") / "home") as stage:
        filled(stage, (*LEAPT, *NORTH))
        stage.run(NORTH[0], NORTH[-1], train=True)
        stage.run(*LEAPT)
        yield stage


@pytest.fixture(scope="module")
def south(north: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Hours of Santiago, in a home that has nothing of the northern one but its champion."""
    home = tmp_path_factory.mktemp("south") / "home"
    copy_champion(north, home)
    with Stage.of(every("hour", "America/Santiago"), home) as stage:
        filled(stage, SOUTH)
        stage.run(SOUTH[0], SOUTH[-1])
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


def test_how_well_hours_do_is_told_of_fewer_days_for_each_has_a_profile_to_be_read(north: Stage) -> None:
    with north.stores() as stores, pytest.raises(UsageError, match="say from 1 to 62 days"):
        performance(stores, "2025-08-01", "2025-10-26")


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


def test_weeks_over_the_end_of_a_year_are_read_predicted_judged_audited_and_delivered(
    north: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path}/shop.db")
    copy_champion(north, tmp_path / "home")
    use_case = every("week", "America/Santiago")
    shop = Delivering.model_validate({"use": "sql", "parameters": {"url_variable": "SHOP_URL", "table": "answers"}})
    with Stage.of(use_case.model_copy(update={"targets": {"shop": shop}}), tmp_path / "home") as stage:
        filled(stage, WEEKS)
        (stage.home / "raw" / "transactions" / "day=2025-12-31").mkdir()
        with stage.stores() as stores:
            assert stores.source.days() == [*WEEKS]
            told = str(find_strays(stores.use_case, stores.source))
            assert "'2025-12-31' is no week, which is named by its Monday: 2025-12-31 lies in 2025-12-29" in told
            asked = running.days_to_run(stores, "2025-12-24", "2026-01-11")
            assert asked == (WEEKS[0], WEEKS[-1])
        stage.run(*asked)
        assert stage.materialised("predictions") == {*WEEKS}
        for week in WEEKS:
            assert read_of(stage, week) == lying(stage, week)
            assert {row["day"] for row in stage.published("predictions", week)} == {week}
        with stage.stores() as stores:
            assert [judged.verdict.day for judged in Watcher(stores).explain_all(WEEKS)] == [*WEEKS]
            assert all(stores.lake.audit(week).exists() for week in WEEKS)
            assert days_with(tmp_path / "shop.db") == {*WEEKS}
            see_week_by_any_of_its_days(Api.of(Workspace(stores.settings), stores.use_case), WEEKS[1], "2026-01-01")
    assert folder_of(WEEKS[1]) == "day=2025-12-29"


def see_week_by_any_of_its_days(api: Api, week: str, day: str) -> None:
    """Who asks the API or a page by a date need not know on which day the week began."""
    base = "/v1/use-cases/transactions/days"
    assert api.read(f"{base}/{day}")["day"] == week
    assert [one["day"] for one in api.read(base, **{"from": day, "to": day})["days"]] == [week]
    for rows in ("predictions", "rejects"):
        told = api.read(f"{base}/{day}/{rows}")
        assert told == {**api.read(f"{base}/{week}/{rows}"), "day": week}
    for page in ("data", "data/rejects", "predictions", "label", "drift"):
        shown = api.get(f"/pages/transactions/{page}", day=day)
        assert (shown.status, week in shown.text, day in shown.text) == (200, True, False), page
    assert problem(api.get(f"{base}/2027-01-06"), 404)["detail"].startswith("Nothing of 2027-01-04 is known of")


def days_with(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as opened:
        return {str(day) for (day,) in opened.execute("SELECT DISTINCT day FROM answers")}


# -- in the UI ---------------------------------------------------------------------------------------------------------


# what Dagster does itself as it loads a code location and reads a backfill
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_backfill_over_the_hour_that_comes_again_does_each_hour_once(north: Stage, tmp_path: Path) -> None:
    assets = [dg.AssetKey(["transactions", name]) for name in ("raw_files", "rows", "rejects")]
    with north.copy(tmp_path / "home") as copy, daemon(copy, tmp_path / "dagster") as (instance, workspace):
        before = [copy.table("rows").days()[hour].version for hour in NORTH]
        ended, runs = backfill(instance, workspace, "over", assets, NORTH)
        assert ended == "COMPLETED_SUCCESS"
        assert [(run.tags[running.RANGE_START], run.tags[running.RANGE_END]) for run in runs] == [(NORTH[0], NORTH[-1])]
        assert instance.get_materialized_partitions(assets[1]) == {*NORTH}
        assert [copy.table("rows").days()[hour].version for hour in NORTH] == before
