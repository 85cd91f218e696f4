"""The schedule that runs yesterday, and the check in the morning that yesterday is there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets_tests.helpers.stage import Stage, small


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A use case without any days."""
    with Stage.of(small(), tmp_path_factory.mktemp("idle") / "home") as stage:
        yield stage


# -- the daily schedule -------------------------------------------------------------------------------------------------


def asked_for(stage: Stage, moment: dt.datetime) -> list[dg.RunRequest]:
    """What the schedule asks for at a tick."""
    repository = stage.definitions.get_repository_def()
    context = dg.build_schedule_context(
        instance=stage.instance, scheduled_execution_time=moment, repository_def=repository
    )
    tick = repository.get_schedule_def("transactions_daily_schedule").evaluate_tick(context)
    return list(tick.run_requests or [])


def test_the_tick_at_one_in_the_morning_asks_for_yesterday(idle: Stage) -> None:
    (request,) = asked_for(idle, dt.datetime(2026, 3, 2, 1, tzinfo=dt.UTC))
    assert request.partition_key == "2026-03-01"


def test_a_late_tick_asks_for_the_day_it_was_meant_for(idle: Stage) -> None:
    keys = [asked_for(idle, dt.datetime(2026, 3, day, 1, tzinfo=dt.UTC))[0].partition_key for day in (1, 2, 3)]
    assert keys == ["2026-02-28", "2026-03-01", "2026-03-02"]


def test_a_tick_that_comes_twice_makes_one_run(idle: Stage) -> None:
    first, again, next_day = (asked_for(idle, dt.datetime(2026, 3, day, 1, tzinfo=dt.UTC))[0] for day in (2, 2, 3))
    assert first.run_key == again.run_key != next_day.run_key


def test_the_schedules_run_in_the_morning_of_utc(idle: Stage) -> None:
    schedules = {one.name: one for one in idle.definitions.get_repository_def().schedule_defs}
    assert schedules["transactions_daily_schedule"].cron_schedule == "0 1 * * *"
    assert schedules["transactions_watch_schedule"].cron_schedule == "0 3 * * *"
    assert {one.execution_timezone for one in schedules.values()} == {"UTC"}


# -- yesterday is not missing -------------------------------------------------------------------------------------------


def yesterday_and_today() -> tuple[str, str]:
    """Both, so that midnight may pass during a test."""
    today = dt.datetime.now(dt.UTC).date()
    return (today - dt.timedelta(days=1)).isoformat(), today.isoformat()


def watch(stage: Stage, days: tuple[str, str] | None = None) -> dg.AssetCheckEvaluation:
    """What the watch job finds; or the check in a run of some days, in which *Materialize all* has it."""
    result = stage.execute("watch", days=days)
    assert result.success
    (found,) = result.get_asset_check_evaluations()
    assert found.check_name == "transactions_yesterday_is_not_missing"
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A champion, and predictions of long ago."""
    with Stage.of(small(), tmp_path_factory.mktemp("watched") / "home") as stage:
        stage.sample("2026-01-01")
        stage.run("2026-01-01", train=True)
        yield stage


def test_the_watch_is_content_when_yesterday_is_published(trained: Stage, tmp_path: Path) -> None:
    with trained.copy(tmp_path / "home") as stage:
        for day in yesterday_and_today():
            stage.sample(day, files=2)
        stage.run(*yesterday_and_today())
        found = watch(stage)
    assert found.passed
    assert found.description == f"The predictions of {found.metadata['day'].value} are published."


def test_the_watch_is_red_when_yesterday_is_missing_and_says_what_to_run(trained: Stage) -> None:
    found = watch(trained)
    day = found.metadata["day"].value
    assert not found.passed
    assert found.description == (
        f"The predictions of {day} are missing. Run `mlops-assets run transactions --from {day} --to {day}`."
    )
    assert day in yesterday_and_today()
    assert found.severity == dg.AssetCheckSeverity.ERROR


def test_a_backfill_of_other_days_is_not_red_for_yesterday(trained: Stage) -> None:
    assert watch(trained, ("2026-01-01", "2026-01-10")).severity == dg.AssetCheckSeverity.WARN
    assert watch(trained, ("2026-01-01", yesterday_and_today()[1])).severity == dg.AssetCheckSeverity.ERROR


def test_the_watch_is_not_red_without_a_champion_but_says_so(idle: Stage) -> None:
    found = watch(idle)
    assert found.passed
    assert found.description == "transactions has no champion yet; run the job transactions_training."
