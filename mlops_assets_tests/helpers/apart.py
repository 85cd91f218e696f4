"""Dagster as a cluster has it: a code server, a daemon, and a machine for each run; S3 and PostgreSQL are all they share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._cli.job import execute_launch_command
from dagster._core.instance.ref import InstanceRef
from dagster_shared.cli import WorkspaceOpts

from deploy.services.s3 import free_port
from mlops_assets_tests.helpers.apart_launcher import ApartLauncher
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.readme import shown

USE_CASE = "churn"
BY_FILE = "CREATE VIEW file_features AS SELECT file, count(*) AS rows, avg(balance) AS mean FROM rows GROUP BY file;\n"
SCALE = "  scale: {files_a_shard: 3, ranges: 2}\n"
DONE = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


def write_use_case(folder: Path) -> None:
    """The use case of the README with features of files, a few shards a day."""
    place = folder / USE_CASE
    place.mkdir(parents=True)
    (place / "defs.yaml").write_text(shown("defs.yaml") + SCALE)
    (place / "features.sql").write_text(BY_FILE + shown("features.sql"))


def until(found: Callable[[], Any], what: str, seconds: float = 600) -> Any:
    """What a question finds once it finds something."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"{what} did not come in {seconds:.0f} s"
        time.sleep(0.2)
    return value


@dataclass
class Apart:
    """The cluster, seen from outside."""

    folder: Path
    instance: dg.DagsterInstance

    def launch(self, job: str, tags: dict[str, str], config: dict[str, Any] | None = None) -> str:
        """Put a run into the queue, as a click does."""
        run = execute_launch_command(
            instance=self.instance,
            workspace_opts=WorkspaceOpts(workspace=(str(self.folder / "workspace.yaml"),)),
            job_name=f"{USE_CASE}_{job}",
            config_json=json.dumps(config) if config else None,
            tags=json.dumps(tags),
        )
        return run.run_id

    def run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def ended(self, run_id: str) -> dg.DagsterRun:
        """A run once it has ended."""
        until(lambda: self.run(run_id).status in DONE, f"the end of {run_id}")
        return self.run(run_id)

    def ranges(self, run_id: str, step: str = "") -> list[dg.DagsterRun]:
        """The ranges of a day's run, of one step if one is named."""
        found = self.instance.get_runs(dg.RunsFilter(tags={"mlops_assets/range_of": run_id}))
        return [
            run for run in found if not step or run.run_config["ops"][f"{USE_CASE}_do_range"]["config"]["step"] == step
        ]

    def at_work(self, run_id: str, step: str) -> dg.DagsterRun | None:
        """A range of a step whose process has begun."""
        found = (run for run in self.ranges(run_id, step) if run.status == dg.DagsterRunStatus.STARTED)
        return next(found, None)

    def kill(self, run_id: str) -> None:
        """Take the machine of a run away."""
        launcher = self.instance.run_launcher
        assert isinstance(launcher, ApartLauncher)
        process = launcher.process(run_id)
        assert process is not None
        for one in [*process.children(recursive=True), process]:
            one.kill()


@contextmanager
def apart(folder: Path, runs_at_once: int = 6) -> Iterator[Apart]:
    """The cluster; its environment is that of this process, with the engine `runs`."""
    (folder / "machines" / "home").mkdir(parents=True)
    home, port = folder / "dagster", free_port()
    home.mkdir()
    told = {
        "telemetry": {"enabled": False},
        "storage": {"postgres": {"postgres_url": {"env": "MLOPS_DATABASE_URL"}}},
        "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"},
        "run_launcher": {
            "module": "mlops_assets_tests.helpers.apart_launcher",
            "class": "ApartLauncher",
            "config": {"folder": str(folder / "machines")},
        },
        "concurrency": {"runs": {"max_concurrent_runs": runs_at_once}},
        "run_monitoring": {"enabled": True, "poll_interval_seconds": 2},
        "run_retries": {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False},
    }
    (home / "dagster.yaml").write_text(yaml.safe_dump(told))
    server = {"grpc_server": {"host": "127.0.0.1", "port": port, "location_name": "mlops_assets"}}
    (folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [server]}))
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(home),
        "MLOPS_ENGINE": "runs",
    }
    code = ["dagster", "api", "grpc", "-m", "mlops_assets.definitions", "-h", "127.0.0.1", "-p", str(port)]
    daemon = ["dagster-daemon", "run", "-w", str(folder / "workspace.yaml")]
    with ExitStack() as stack:
        for command in (code, daemon):
            log = stack.enter_context((folder / f"{command[0]}.log").open("wb"))
            process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            if command is code:
                until(partial(_listens, process, folder / "dagster.log"), "the code server")
        instance = stack.enter_context(dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home))))
        try:
            yield Apart(folder, instance)
        finally:
            for pid in (folder / "machines").glob("*.pid"):
                process_of_run = instance.run_launcher.process(pid.stem)  # type: ignore[attr-defined]
                if process_of_run is not None:
                    process_of_run.kill()


def _listens(process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    return b"Started Dagster code server" in log.read_bytes()
