"""Launches runs as Dagster does by default, and notices when the process of a run is gone."""

from __future__ import annotations

import time
from typing import Any

from dagster import DagsterRun

from mlops_assets.components.private import (
    CanCancelExecutionRequest,
    CanCancelExecutionResult,
    CheckRunHealthResult,
    DagsterUserCodeUnreachableError,
    DefaultRunLauncher,
    WorkerStatus,
    deserialize_value,
)

PATIENCE = 120.0
"""Seconds that a code server may be out of reach before its runs are given up: it may be starting again."""


class WatchfulRunLauncher(DefaultRunLauncher):
    """Dagster's default launcher, with an answer to whether a run is still worked on.

    Without one, a run whose code server was killed is shown as running for hours, and holds a place in the queue. With
    it, run monitoring ends such a run within `PATIENCE` and says why, and run retries start it again.
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
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:  # it was not launched here, such as one of `mlops-assets run`
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
        why = "the process of the run is gone: it was killed, or its code server was started anew"
        return CheckRunHealthResult(WorkerStatus.FAILED, why)
