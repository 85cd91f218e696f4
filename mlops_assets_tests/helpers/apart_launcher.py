"""A run launcher as those of Kubernetes and ECS are: each run is `dagster api execute_run` on a machine of its own.

Here a machine is a process in a mount namespace of its own, in which MLOPS_HOME is an empty disk that nobody else sees.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import dagster as dg
import psutil
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData

ON_AN_EMPTY_DISK = 'mount -t tmpfs -o mode=700 apart "$MLOPS_HOME" && exec "$@"'


class ApartLauncher(RunLauncher, ConfigurableClass):  # type: ignore[type-arg]
    """Launches runs on machines of their own."""

    def __init__(self, folder: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._folder = Path(folder)
        self._inst_data = inst_data
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {"folder": str}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(**config_value, inst_data=inst_data)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def launch_run(self, context: LaunchRunContext) -> None:
        run, origin = context.dagster_run, context.dagster_run.job_code_origin
        assert origin is not None
        command = ExecuteRunArgs(origin, run.run_id, self._instance.get_ref(), True).get_command_args()
        with (self._folder / f"{run.run_id}.log").open("wb") as log:
            # by a shell that is not ours to wait for, as no cluster's machines are
            process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", ON_AN_EMPTY_DISK, "sh", *command],
                stdout=log,
                stderr=log,
                env=os.environ | {"MLOPS_HOME": str(self._folder / "home")},
                start_new_session=True,
            )
        (self._folder / f"{run.run_id}.pid").write_text(str(process.pid))

    def process(self, run_id: str) -> psutil.Process | None:
        """The process of a run, if it is there."""
        found = self._folder / f"{run_id}.pid"
        try:
            process = psutil.Process(int(found.read_text()))
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None

    def terminate(self, run_id: str) -> bool:
        run, process = self._instance.get_run_by_id(run_id), self.process(run_id)
        if run is None or run.is_finished or process is None:
            return False
        self._instance.report_run_canceling(run)
        process.terminate()
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        there = self.process(run.run_id) is not None
        return CheckRunHealthResult(WorkerStatus.RUNNING if there else WorkerStatus.FAILED, "the machine is gone")
