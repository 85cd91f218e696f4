"""A queue of Dagster's whose runs are done in this process as they come: without a daemon, and without other machines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext

from mlops_assets.work.engines.runs import RunsEngine
from mlops_assets_tests.helpers.homes import measured_briefly
from mlops_assets_tests.helpers.stage import Stage

LAUNCHED: dict[str, Any] = {}
"""What takes runs out of the queue, by the name of an instance's folder; what is not here leaves them there."""


class QueueHere(QueuedRunCoordinator):
    """The queue, and a daemon that looks at it at once."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        run = super().submit_run(context)
        if launch := LAUNCHED.get(self._instance.root_directory):
            launch(run)
        return run


class _InRepository(InMemoryJob):
    """A job that knows the definitions around it, as one that a code server has loaded."""

    def __init__(self, definitions: dg.Definitions, name: str) -> None:
        super().__init__(definitions.resolve_job_def(name))
        self._repository = definitions.get_repository_def()

    def get_repository_definition(self) -> Any:
        return self._repository


class Queue:
    """The runs of a stage, as the daemon launches them."""

    def __init__(self, stage: Stage, instance: dg.DagsterInstance) -> None:
        self.stage = stage
        self.instance = instance
        self.takes, self.loses = True, False
        self.before: Callable[[], object] = lambda: None
        LAUNCHED[instance.root_directory] = self.take

    def take(self, run: dg.DagsterRun) -> None:
        """Do a run here, or lose its machine, or leave it in the queue."""
        if not self.takes:
            return
        if self.loses:
            self.instance.report_run_failed(run, "the machine is gone")
            return
        self.before()
        starting = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_STARTING.value, run.job_name)
        self.instance.report_dagster_event(starting, run_id=run.run_id)
        execute_run(_InRepository(self.stage.definitions, run.job_name), self.run(run.run_id), self.instance)

    def day(self, day: str, **tags: str) -> dg.DagsterRun:
        """The run of a day, from the queue."""
        run = self._make(f"{self.stage.use_case.name}_daily", {"dagster/partition": day, **tags})
        return self._execute(run)

    def range(self, tags: dict[str, str], config: dict[str, Any]) -> dg.DagsterRun:
        """The run of a range."""
        name = self.stage.use_case.name
        return self._execute(self._make(f"{name}_range", tags, {"ops": {f"{name}_do_range": {"config": config}}}))

    def _make(self, name: str, tags: dict[str, str], config: dict[str, Any] | None = None) -> dg.DagsterRun:
        code = RepositoryPythonOrigin(sys.executable, ModuleCodePointer("nowhere", "defs", None))
        where = GrpcServerCodeLocationOrigin(host="nowhere", port=1, location_name="mlops_assets")
        return self.instance.create_run_for_job(
            self.stage.definitions.resolve_job_def(name),
            run_config=config,
            tags=tags,
            remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(where, "__repository__"), name),
            job_code_origin=JobPythonOrigin(name, code),
        )

    def _execute(self, run: dg.DagsterRun) -> dg.DagsterRun:
        with self.stage.settings(), measured_briefly():
            execute_run(_InRepository(self.stage.definitions, run.job_name), run, self.instance)
        return self.run(run.run_id)

    def metadata(self, asset: str) -> dict[str, Any]:
        """What the newest materialisation shows in the UI."""
        key = dg.AssetKey([self.stage.use_case.name, asset])
        (record,) = self.instance.fetch_materializations(dg.AssetRecordsFilter(key), limit=1).records
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    def run(self, run_id: str) -> dg.DagsterRun:
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    def ranges(self, day: dg.DagsterRun) -> list[dg.DagsterRun]:
        """The runs that did ranges for a day, the first one first."""
        found = self.instance.get_runs(dg.RunsFilter(tags={"mlops_assets/range_of": day.run_id}))
        return sorted(found, key=lambda run: str(run.run_config))


@contextmanager
def queue(stage: Stage, folder: Path, room: int = 10) -> Iterator[Queue]:
    """A queue of a stage, in an instance of its own, from which so many runs are taken at a time."""
    folder.mkdir()
    config = {"max_concurrent_runs": room}
    coordinator = {"run_coordinator": {"module": __name__, "class": "QueueHere", "config": config}}
    with (
        dg.DagsterInstance.local_temp(str(folder), overrides=coordinator) as instance,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("mlops_assets.work.engines.RunsEngine", partial(RunsEngine, look=0.01))
        try:
            yield Queue(stage, instance)
        finally:
            LAUNCHED.pop(instance.root_directory, None)
