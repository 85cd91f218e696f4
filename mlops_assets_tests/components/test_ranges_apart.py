"""The engine `runs` on machines that share nothing but S3 and PostgreSQL: real runs, launched as a cluster launches them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.database import with_driver
from mlops_assets.storage.places import S3Path, below, remove
from mlops_assets_tests.helpers import s3_server as s3_servers
from mlops_assets_tests.helpers.apart import USE_CASE, Apart, apart, until, write_use_case
from mlops_assets_tests.helpers.postgres import Server
from mlops_assets_tests.helpers.stack import customers

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="mount namespaces are root's"),
]

DAY, TAGS = "2026-02-01", {"dagster/partition": "2026-02-01"}
FILES = 18
STEPS = ("rows", "features", "predictions")
TABLES = ("rows", "rejects", "features", "predictions", "unpredicted", "profiles")


@pytest.fixture(scope="module")
def cluster(
    s3_server: s3_servers.Server, postgres: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Apart, S3Path, dict[str, Any]]]:
    """A cluster, its bucket, and what the local engine made of a day of six shards."""
    folder = tmp_path_factory.mktemp("apart")
    with (
        postgres.database() as url,
        s3_servers.new_bucket(s3_server) as bucket,
        pytest.MonkeyPatch.context() as environment,
    ):
        for name in s3_servers.VARIABLES:
            environment.delenv(name, raising=False)
        write_use_case(folder / "use_cases")
        told = {
            **s3_server.environment,
            "MLFLOW_S3_ENDPOINT_URL": s3_server.environment["S3_ENDPOINT_URL"],
            "MLOPS_HOME": str(folder / "home"),
            "MLOPS_USE_CASES": str(folder / "use_cases"),
            "MLOPS_DATABASE_URL": with_driver(url),
            "MLOPS_WORKERS": "1",
            **{f"MLOPS_{name.upper()}": str(bucket / name) for name in ("raw", "lake", "artifacts")},
        }
        for name, value in told.items():
            environment.setenv(name, value)
        for number in range(FILES):
            (bucket / "raw" / USE_CASE / f"day={DAY}" / f"{number:03}.csv").write_bytes(customers(number))
        command = [sys.executable, "-m", "mlops_assets.cli", "run", USE_CASE, "--train"]
        subprocess.run(command, check=True, cwd=folder)
        by_local = content(bucket)
        with apart(folder) as found:
            yield found, bucket, by_local


def content(bucket: S3Path) -> dict[str, Any]:
    """What is published of the day: the hash of every file, and the accounting."""
    lake, found = Lake(bucket / "lake", USE_CASE), {}
    for name in STEPS:
        table = lake.table(name)
        parts = {path: table.written(DAY)[path].sha256 for path in table.parts(DAY)}
        found[name] = parts, table.days()[DAY].accounting.to_json()
    return found


def undo(bucket: S3Path, *tables: str) -> None:
    """Take away what was done of some tables, as if it had never been."""
    for name in tables:
        folder = bucket / "lake" / USE_CASE / name
        remove(folder, [*below(folder)])


def reused(cluster: Apart, run_id: str, step: str) -> tuple[int, int]:
    """Shards of a step, and those of them that an earlier run had done, as the run tells."""
    key = dg.AssetKey([USE_CASE, step])
    (record,) = cluster.instance.fetch_materializations(dg.AssetRecordsFilter(key), limit=1).records
    assert record.run_id == run_id
    metadata = record.asset_materialization.metadata
    return metadata["shards"].value, metadata["reused"].value


def test_a_day_on_machines_that_share_nothing_is_the_day_of_one(cluster: tuple[Apart, S3Path, dict[str, Any]]) -> None:
    here, bucket, by_local = cluster
    undo(bucket, *TABLES)
    day = here.ended(here.launch("daily", TAGS))
    assert day.status == dg.DagsterRunStatus.SUCCESS
    assert content(bucket) == by_local
    for step in STEPS:
        assert [run.status for run in here.ranges(day.run_id, step)] == [dg.DagsterRunStatus.SUCCESS] * 2
        assert reused(here, day.run_id, step) == (6, 0)


def test_a_machine_that_is_lost_is_replaced_once(cluster: tuple[Apart, S3Path, dict[str, Any]]) -> None:
    here, bucket, by_local = cluster
    undo(bucket, "predictions", "unpredicted", "profiles")
    run_id = here.launch("daily", TAGS)
    lost = until(lambda: here.at_work(run_id, "predictions"), "a range at work")
    here.kill(lost.run_id)
    assert here.ended(run_id).status == dg.DagsterRunStatus.SUCCESS
    assert content(bucket) == by_local
    statuses = [run.status.value for run in here.ranges(run_id, "predictions")]
    assert sorted(statuses) == ["FAILURE", "SUCCESS", "SUCCESS"]


def test_a_range_that_is_done_twice_at_once_changes_nothing(cluster: tuple[Apart, S3Path, dict[str, Any]]) -> None:
    here, bucket, by_local = cluster
    undo(bucket, "predictions", "unpredicted", "profiles")
    run_id = here.launch("daily", TAGS)
    first = until(lambda: here.ranges(run_id, "predictions"), "a range")[0]
    twin = here.launch("range", {"mlops_assets/range_of": run_id}, dict(first.run_config))
    assert here.ended(run_id).status == dg.DagsterRunStatus.SUCCESS
    assert here.ended(twin).status == dg.DagsterRunStatus.SUCCESS
    assert content(bucket) == by_local


def test_a_publisher_that_is_killed_is_tried_again_and_finds_what_was_done(
    cluster: tuple[Apart, S3Path, dict[str, Any]],
) -> None:
    here, bucket, by_local = cluster
    undo(bucket, "predictions", "unpredicted", "profiles")
    run_id = here.launch("daily", TAGS)
    until(lambda: here.at_work(run_id, "predictions"), "a range at work")
    here.kill(run_id)
    assert here.ended(run_id).status == dg.DagsterRunStatus.FAILURE
    again = until(lambda: here.run(run_id).tags.get("dagster/auto_retry_run_id"), "the retry")
    assert here.ended(again).status == dg.DagsterRunStatus.SUCCESS
    assert content(bucket) == by_local
    for run in here.ranges(run_id):
        assert here.ended(run.run_id).status == dg.DagsterRunStatus.SUCCESS


def test_a_day_that_is_cancelled_ends_its_ranges(cluster: tuple[Apart, S3Path, dict[str, Any]]) -> None:
    here, bucket, _ = cluster
    undo(bucket, "predictions", "unpredicted", "profiles")
    run_id = here.launch("daily", TAGS)
    until(lambda: here.at_work(run_id, "predictions"), "a range at work")
    here.instance.run_coordinator.cancel_run(run_id)
    assert here.ended(run_id).status == dg.DagsterRunStatus.CANCELED
    ends = {here.ended(run.run_id).status for run in here.ranges(run_id, "predictions")}
    assert ends == {dg.DagsterRunStatus.CANCELED}
