"""A step that lost Dagster's database is tried again; one that failed for a reason of its own is not."""

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy

from mlops_assets.components.lost_database import retry_after_lost_database

RETRIES = {"run_retries": {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False}}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=RETRIES) as found:
        yield found


def run(instance: dg.DagsterInstance, work: Callable[[dg.AssetExecutionContext], None]) -> dg.DagsterRun:
    @dg.asset
    def day(context: dg.AssetExecutionContext) -> None:
        work(context)

    job = dg.define_asset_job("daily", selection=[day], hooks={retry_after_lost_database})
    done = (
        dg.Definitions(assets=[day], jobs=[job])
        .resolve_job_def("daily")
        .execute_in_process(instance=instance, raise_on_error=False)
    )
    assert not done.success
    found = instance.get_run_by_id(done.run_id)
    assert found is not None
    return found


def test_a_step_that_lost_the_database_of_dagster_is_tried_again(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    def lose(context: dg.AssetExecutionContext) -> None:
        (index,) = tmp_path.rglob("index.db")
        away = index.rename(index.with_name("away"))
        index.mkdir()  # cannot be opened, as a server that is down
        try:
            context.instance.get_asset_records([dg.AssetKey("day")])
        finally:
            index.rmdir()
            away.rename(index)  # and is up again

    assert run(instance, lose).tags["dagster/will_retry"] == "true"


def test_a_step_that_lost_another_database_is_not_tried_again(instance: dg.DagsterInstance) -> None:
    def lose(context: dg.AssetExecutionContext) -> None:
        with sqlalchemy.create_engine("sqlite:////no/such/folder/its.db").connect():
            pass

    assert run(instance, lose).tags["dagster/will_retry"] == "false"


def test_a_step_that_says_why_it_failed_is_not_tried_again(instance: dg.DagsterInstance) -> None:
    def refuse(context: dg.AssetExecutionContext) -> None:
        raise dg.Failure("no raw files")

    assert run(instance, refuse).tags["dagster/will_retry"] == "false"
