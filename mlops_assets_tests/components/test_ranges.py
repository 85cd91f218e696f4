"""A day by the engine `runs`: ranges that publish nothing, and the same day as by the local engine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.use_case import Scale
from mlops_assets_tests.helpers.homes import copy_home
from mlops_assets_tests.helpers.queue_here import Queue, queue
from mlops_assets_tests.helpers.stage import Stage, small

DAY = "2026-01-01"
TABLES = ("rows", "rejects", "features", "predictions")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A day of three shards by the local engine, and a champion."""
    use_case = small().model_copy(update={"scale": Scale(files_a_shard=2)})
    with Stage.of(use_case, tmp_path_factory.mktemp("ranges") / "home") as stage:
        stage.sample(DAY)
        stage.run(DAY, train=True)
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
def undone(local: Stage, tmp_path: Path) -> Iterator[Queue]:
    """The same home before anything was done of the day, and a queue."""
    by_runs = local.use_case.model_copy(update={"scale": Scale(files_a_shard=2, ranges=2, engine="runs")})
    copy_home(local.home, tmp_path / "home")
    with Stage.of(by_runs, tmp_path / "home") as stage, queue(stage, tmp_path / "dagster") as found:
        for name in (*TABLES, "profiles", "unpredicted", "raw_files"):
            shutil.rmtree(tmp_path / "home" / "lake" / stage.use_case.name / name, ignore_errors=True)
        yield found


def test_a_day_by_ranges_is_the_day_by_the_local_engine(undone: Queue, local: Stage) -> None:
    day = undone.day(DAY)
    assert day.status == dg.DagsterRunStatus.SUCCESS
    assert content(undone.stage) == content(local)
    ranges = undone.ranges(day)
    assert [run.status for run in ranges] == [dg.DagsterRunStatus.SUCCESS] * 6
