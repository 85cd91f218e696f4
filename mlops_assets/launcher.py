"""Launches runs as Dagster does by default, and notices when the process of a run is gone."""

from __future__ import annotations

import time
from typing import Any

from dagster import DagsterRun

from mlops_assets.components.executing import at_work
from mlops_assets.components.private import (
    GRPC_INFO_TAG,
    CanCancelExecutionRequest,
    CanCancelExecutionResult,
    CheckRunHealthResult,
    DagsterUserCodeUnreachableError,
    DefaultRunLauncher,
    WorkerStatus,
    deserialize_value,
)
from mlops_assets.work.presence import find, forget

PATIENCE = 120.0
"""Seconds that a code server may be out of reach before its runs are given up: it may be starting again."""


GONE = "the process of the run is gone: it was killed, or its code server or machine was started anew"


class WatchfulRunLauncher(DefaultRunLauncher):
    """Dagster's default launcher, with an answer to whether a run is still worked on, and to whether it can be stopped.

    Without one, a run whose code server was killed is shown as running for hours, and holds a place in the queue. With
    it, run monitoring ends such a run within `PATIENCE` and says why, and run retries start it again. A run is known by
    the file that its process holds, also one of a command such as `mlops-assets run`; where that cannot be seen from
    here, the code server is asked, which forgets its runs when it loads its code again.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._out_of_reach: dict[str, float] = {}

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether `check_run_worker_health` can be asked."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Ask the code server that the run was launched on whether it has the run.

        Parameters
        ----------
        run
            A run that Dagster's storage has as started.
        """
        seen = find(at_work(self._instance), run.run_id)
        if seen is None:
            return self._ask(run)
        if seen.alive:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        forget(at_work(self._instance), run.run_id)
        return CheckRunHealthResult(WorkerStatus.FAILED, GONE)

    def _ask(self, run: DagsterRun) -> CheckRunHealthResult:
        """What the code server of a run says of it."""
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:  # it was not launched here, such as by a command on another machine
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=10)
        except DagsterUserCodeUnreachableError:
            since = self._out_of_reach.setdefault(run.run_id, time.monotonic())
            if time.monotonic() - since < PATIENCE:
                return CheckRunHealthResult(WorkerStatus.RUNNING, "its code server is out of reach at the moment")
            why = f"the code server of the run was out of reach for {PATIENCE:.0f} seconds"
            return CheckRunHealthResult(WorkerStatus.FAILED, why)
        self._out_of_reach.pop(run.run_id, None)  # it answers again: its patience begins anew
        if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, GONE)

    def terminate(self, run_id: str) -> bool:
        """Stop a run; one whose process is of this machine as Ctrl-C would.

        Parameters
        ----------
        run_id
            Dagster's id of the run.
        """
        seen, run = find(at_work(self._instance), run_id), self._instance.get_run_by_id(run_id)
        if seen is None or run is None or run.is_finished:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        if not seen.alive:
            forget(at_work(self._instance), run_id)
            self._instance.report_run_canceled(run, GONE)
            return True
        if seen.process:
            self._instance.report_run_canceling(run)
            return seen.interrupt()
        if GRPC_INFO_TAG in run.tags:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        said = "A command on another machine, or in another container, does this run: press Ctrl-C there."
        self._instance.report_engine_event(said, run)
        return False
