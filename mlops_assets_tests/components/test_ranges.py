"""A day by the engine `runs`: ranges that publish nothing, and the same day as by the local engine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.components.alerting import errors_of
from mlops_assets.use_case import Scale
from mlops_assets_tests.helpers.homes import copy_home, give_stores
from mlops_assets_tests.helpers.queue_here import Queue, queue
from mlops_assets_tests.helpers.stage import Stage, small
from mlops_assets_tests.helpers.versions import register

DAY = "2026-01-01"
STEPS = ("rows", "features", "predictions")
TABLES = ("rows", "rejects", "features", "predictions")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A day of three shards by the local engine, and a champion."""
    use_case = small().model_copy(update={"scale": Scale(files_a_shard=2)})
    with Stage.of(use_case, tmp_path_factory.mktemp("ranges") / "home") as stage:
        stage.sample(DAY)
        with stage.stores() as stores:
            give_stores(stage.home, "mlflow")
            made = register(stores, stage.home, boundary=50, accuracy=0.8)
            stores.registry.promote(made, "ann", "the first one")
        stage.run(DAY)
        yield stage


def content(stage: Stage) -> dict[str, Any]:
    """What is published of the day: the hash of every file, and the accounting."""
    found = {}
    for name in TABLES:
        table = stage.table(name)
        parts = {path: part.sha256 for path, part in table.written(DAY).items() if path in table.parts(DAY)}
        found[name] = parts, table.days()[DAY].accounting.to_json()
    return found


@pytest.fixture
def undone(local: Stage, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Queue]:
    """The same home before anything was done of the day, and a queue with the room that a test asks for."""
    room = getattr(request, "param", 10)
    by_runs = local.use_case.model_copy(update={"scale": Scale(files_a_shard=2, ranges=2, engine="runs")})
    copy_home(local.home, tmp_path / "home")
    with Stage.of(by_runs, tmp_path / "home") as stage, queue(stage, tmp_path / "dagster", room) as found:
        for name in (*TABLES, "profiles", "unpredicted", "raw_files"):
            shutil.rmtree(tmp_path / "home" / "lake" / stage.use_case.name / name, ignore_errors=True)
        yield found


def test_a_day_by_ranges_is_the_day_by_the_local_engine(undone: Queue, local: Stage) -> None:
    day = undone.day(DAY)
    assert day.status == dg.DagsterRunStatus.SUCCESS
    assert content(undone.stage) == content(local)
    ranges = undone.ranges(day)
    assert [run.status for run in ranges] == [dg.DagsterRunStatus.SUCCESS] * 6
    for step in STEPS:
        told = undone.metadata(step)
        assert (told["shards"], "reused" in told) == (3, False)
    # its time is known, though another run took it
    assert all(part.seconds for part in undone.stage.table("predictions").written(DAY).values())
    assert_they_belong_to_their_day(ranges, day)
    assert_they_refuse_what_is_other_there(undone, ranges[0])


def assert_they_belong_to_their_day(ranges: list[dg.DagsterRun], day: dg.DagsterRun) -> None:
    """No limit of a backfill holds them, Dagster does not try them again, and the sensor for files does not see them."""
    for run in ranges:
        assert {
            name: tag for name, tag in run.tags.items() if name not in (".dagster/repository", "dagster/code_location")
        } == {
            "mlops_assets/range_of": day.run_id,
            "mlops_assets/day": DAY,
            "dagster/max_retries": "0",
            "dagster/priority": "1",
        }


def assert_they_refuse_what_is_other_there(queue: Queue, run: dg.DagsterRun) -> None:
    config = run.run_config["ops"]["transactions_do_range"]["config"]
    other = {**config, "code": "0" * 16}
    refused = queue.range({}, other)
    assert refused.status == dg.DagsterRunStatus.FAILURE
    (said,) = errors_of(queue.instance, refused.run_id)
    assert f"{config['code']} here and 0000000000000000 there" in said
    with pytest.raises(dg.DagsterInvalidConfigError, match="config:step not in enum type Step got row"):
        queue.range({}, {**config, "step": "row"})
    # and a range whose day has ended does nothing
    left = queue.range({"mlops_assets/range_of": run.tags["mlops_assets/range_of"]}, other)
    assert left.status == dg.DagsterRunStatus.SUCCESS


@pytest.mark.parametrize("undone", [1], indirect=True)
def test_where_the_queue_has_room_for_the_day_alone_nobody_waits_for_ranges(
    undone: Queue, local: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    day = undone.day(DAY)
    assert day.status == dg.DagsterRunStatus.SUCCESS
    assert content(undone.stage) == content(local)
    assert undone.ranges(day) == []
    why = "no run can be asked for: Dagster's queue has no room: 1 runs are at work, and max_concurrent_runs is 1"
    assert sum(why in message for message in caplog.messages) == len(STEPS)


def test_a_model_that_is_promoted_while_ranges_work_scores_the_next_day(undone: Queue, local: Stage) -> None:
    def promote() -> None:
        with undone.stage.stores() as stores:
            registry = stores.registry
            if stores.lake.features.days() and len(stores.history.changes()) == 1:
                made = register(stores, undone.stage.home, boundary=10, accuracy=0.9)
                registry.promote(made, "ann", "in the middle of a day")

    undone.before = promote
    assert undone.day(DAY).status == dg.DagsterRunStatus.SUCCESS
    assert content(undone.stage) == content(local)
    with undone.stage.stores() as stores:
        champion = stores.champion()
    assert champion is not None
    assert champion.version == 2


def test_ranges_that_are_lost_are_asked_for_once_more_and_then_done_by_the_day(
    undone: Queue, local: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    undone.loses = True
    day = undone.day(DAY)
    assert day.status == dg.DagsterRunStatus.SUCCESS
    assert content(undone.stage) == content(local)
    lost = undone.ranges(day)
    assert [run.status for run in lost] == [dg.DagsterRunStatus.FAILURE] * 12
    assert all(run.run_id in caplog.text for run in lost)


@pytest.mark.long
def test_ranges_that_nobody_takes_from_the_queue_are_taken_back_and_done_by_the_day(
    undone: Queue, local: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Two minutes of waiting: a full queue, or no daemon, makes a day slower and does not stop it."""
    for name in ("raw_files", "rows", "rejects", "features"):
        shutil.copytree(local.home / "lake" / "transactions" / name, undone.stage.home / "lake" / "transactions" / name)
    undone.takes = False
    day = undone.day(DAY)
    assert day.status == dg.DagsterRunStatus.SUCCESS
    assert content(undone.stage) == content(local)
    assert [run.status for run in undone.ranges(day)] == [dg.DagsterRunStatus.CANCELED] * 2
    assert "s in the queue, 1 of its shards are not done: is Dagster's daemon running" in caplog.text
