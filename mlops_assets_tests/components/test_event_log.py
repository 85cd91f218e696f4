"""The event log of a home without a database: Dagster's own files, by connections that are kept."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from mlops_assets.components.event_log import KEPT, KeptEventLog
from mlops_assets.components.private import InMemoryJob, execute_run
from mlops_assets.settings import PACKAGE

EVENTS = 5


@dg.asset
def told(context: dg.AssetExecutionContext) -> None:
    for number in range(EVENTS):
        context.log_event(dg.AssetObservation("told", metadata={"number": number}))


JOB = dg.Definitions(
    assets=[told], jobs=[dg.define_asset_job("tell")], executor=dg.in_process_executor
).resolve_job_def("tell")


def log_of(instance: dg.DagsterInstance) -> KeptEventLog:
    assert isinstance(instance.event_log_storage, KeptEventLog)
    return instance.event_log_storage


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance of a home as every command and `dev` make it."""
    shutil.copy(PACKAGE / "dagster.yaml", tmp_path / "dagster.yaml")
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as found:
        yield found


def tell(instance: dg.DagsterInstance) -> str:
    done = JOB.execute_in_process(instance=instance)
    assert done.success
    return done.run_id


def numbers(log: SqliteEventLogStorage, run: str) -> list[Any]:
    entries = (entry.dagster_event for entry in log.get_logs_for_run(run))
    observed = [one.asset_observation_data.asset_observation for one in entries if one and one.is_asset_observation]
    return [one.metadata["number"].value for one in observed]


def test_an_event_log_of_dagster_reads_what_was_written_while_connections_are_still_kept(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run = tell(instance)
    theirs = SqliteEventLogStorage(str(tmp_path / "history" / "runs"))
    assert numbers(theirs, run) == numbers(log_of(instance), run) == [*range(EVENTS)]
    seen = instance.fetch_observations(dg.AssetKey("told"), limit=10).records
    assert len(seen) == EVENTS


def test_of_many_runs_no_more_than_two_files_stay_open(instance: dg.DagsterInstance) -> None:
    log = log_of(instance)
    runs = [tell(instance) for _ in range(KEPT + 1)]
    assert len(log._kept) == KEPT
    assert [len(numbers(log, run)) for run in runs] == [EVENTS] * len(runs)
    instance.wipe()
    assert numbers(log, runs[0]) == []
    assert numbers(log, tell(instance)) == [*range(EVENTS)]
    log.dispose()
    assert not log._kept


def test_the_page_of_a_run_hears_of_its_events_though_the_writer_closes_nothing(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """Dagster looks for changes of the file, and these lie in the write-ahead log beside it."""
    run = instance.create_run_for_job(JOB)
    heard, ended = list[str](), threading.Event()

    def hear(entry: dg.EventLogEntry, _cursor: str) -> None:
        heard.append(entry.dagster_event.event_type_value if entry.dagster_event else "")
        if heard[-1] == "PIPELINE_SUCCESS":
            ended.set()

    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as page:
        log_of(page).watch(run.run_id, None, hear)
        execute_run(InMemoryJob(JOB), run, instance)
        assert ended.wait(20)
    assert heard.count("ASSET_OBSERVATION") == EVENTS


def test_files_that_another_process_removed_are_made_anew_and_no_event_goes_where_nobody_looks(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """As `dagster run wipe` does, or whoever empties the home below a service that runs."""
    runs = tmp_path / "history" / "runs"
    before = tell(instance)
    SqliteEventLogStorage(str(runs)).wipe()
    assert numbers(log_of(instance), before) == []
    shutil.rmtree(runs)
    runs.mkdir()
    run = tell(instance)
    assert numbers(SqliteEventLogStorage(str(runs)), run) == [*range(EVENTS)]
    assert len(instance.fetch_observations(dg.AssetKey("told"), limit=10).records) == EVENTS
