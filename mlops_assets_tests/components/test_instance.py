"""Both `dagster.yaml`: Dagster takes every key, and the two worlds differ in their storage alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._cli.utils import TMP_DAGSTER_HOME_PREFIX, get_possibly_temporary_instance_for_cli
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher.base import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._grpc.server import GrpcServerProcess

from mlops_assets import launcher
from mlops_assets.components.executing import at_work
from mlops_assets.components.home import TEMPORARY, HomeInstance
from mlops_assets.components.retro import CHANGE_TAG
from mlops_assets.launcher import WatchfulRunLauncher
from mlops_assets.settings import PACKAGE
from mlops_assets.work.presence import present

LAPTOP, STACK = PACKAGE.parent / "dagster.yaml", PACKAGE.parent / "deploy" / "dagster.yaml"
ONLY_ON_THE_STACK = {"storage", "compute_logs"}
ONLY_ON_THE_LAPTOP = {"instance_class"}


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def test_the_two_worlds_differ_in_their_storage_alone() -> None:
    laptop, stack = read(LAPTOP), read(STACK)
    assert set(stack) - set(laptop) == ONLY_ON_THE_STACK
    shared = {key: value for key, value in laptop.items() if key not in ONLY_ON_THE_LAPTOP}
    assert {key: value for key, value in stack.items() if key not in ONLY_ON_THE_STACK} == shared


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """The laptop's instance."""
    shutil.copy(LAPTOP, tmp_path / "dagster.yaml")
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as found:
        yield found


def test_dagster_takes_the_limits_as_they_are_meant(instance: dg.DagsterInstance) -> None:
    limits = instance.get_concurrency_config()
    queue, pools = limits.run_queue_config, limits.pool_config
    assert queue is not None
    assert queue.max_concurrent_runs == 2
    limited = {"dagster/backfill", CHANGE_TAG}
    assert queue.tag_concurrency_limits == [{"key": key, "limit": 1} for key in sorted(limited)]
    assert pools.pool_granularity is not None
    assert (pools.pool_granularity.value, pools.default_pool_limit) == ("run", 1)


def test_dagster_watches_runs_and_tries_lost_ones_again(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.run_launcher, WatchfulRunLauncher)
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_max_runtime_seconds == 4 * 3600
    assert instance.run_retries_enabled
    assert instance.run_retries_max_retries == 2
    assert not instance.run_retries_retry_on_asset_or_op_failure


def test_dagster_sends_nothing_home_and_forgets_old_ticks(instance: dg.DagsterInstance) -> None:
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled
    for kind, skipped in (("SCHEDULE", 7), ("SENSOR", 1)):
        days = instance.get_tick_retention_settings(InstigatorType(kind))
        assert {status.value.lower(): number for status, number in days.items() if number > 0} == {
            "skipped": skipped,
            "failure": 30,
            "success": 90,
        }


def test_the_stack_keeps_everything_in_postgresql_and_its_logs_on_s3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at without a connection: what Dagster would open."""
    shutil.copy(STACK, tmp_path / "dagster.yaml")
    reference = InstanceRef.from_dir(str(tmp_path))
    stores = (reference.run_storage_data, reference.event_storage_data, reference.schedule_storage_data)
    for data in stores:
        assert data is not None
        assert data.module_name == "dagster_postgres"
        assert data.config_dict == {"postgres_url": {"env": "MLOPS_DATABASE_URL"}}
    monkeypatch.setenv("MLOPS_BUCKET", "mlops")
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    logs = reference.compute_logs_data.rehydrate(as_type=object)
    assert type(logs).__name__ == "S3ComputeLogManager"


# -- runs whose process is gone -----------------------------------------------------------------------------------------


@pytest.fixture
def server(instance: dg.DagsterInstance, tmp_path: Path) -> Iterator[Any]:
    """A code server that runs nothing."""
    (tmp_path / "empty.py").write_text("import dagster as dg\n\ndefs = dg.Definitions()\n")
    origin = LoadableTargetOrigin(executable_path=sys.executable, python_file=str(tmp_path / "empty.py"))
    process = GrpcServerProcess(instance_ref=instance.get_ref(), loadable_target_origin=origin, wait_on_exit=True)
    with process:
        yield process


@dg.job
def nothing() -> None:
    """The job of a run that is only looked at."""


def started_run(instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.DagsterRun:
    return instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED, tags=tags)


def grpc_tag(**where: Any) -> dict[str, str]:
    return {GRPC_INFO_TAG: json.dumps({"host": "localhost", **where})}


def test_a_run_that_nobody_here_has_seen_is_left_alone(instance: dg.DagsterInstance) -> None:
    run = started_run(instance, {})
    assert instance.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING


HOLDER = """import signal, sys; from pathlib import Path; from mlops_assets.work.presence import present
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has it ignored
with present(Path(sys.argv[1]), sys.argv[2]): print("there", flush=True); signal.pause()"""


@contextmanager
def process_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[subprocess.Popen[str]]:
    """The process of a command that does a run."""
    command = [sys.executable, "-c", HOLDER, str(at_work(instance)), run.run_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        yield process
        process.kill()


def test_a_run_of_a_command_is_watched_by_the_file_that_its_process_holds(instance: dg.DagsterInstance) -> None:
    """Also where the code server has forgotten it, which it does when it loads its code again."""
    run = started_run(instance, grpc_tag(port=1))
    with process_of(instance, run) as process:
        assert instance.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
        process.kill()
        process.wait()
        health = instance.run_launcher.check_run_worker_health(run)
    assert health.status == WorkerStatus.FAILED
    assert "the process of the run is gone" in str(health.msg)
    assert [*at_work(instance).iterdir()] == []


def test_terminate_reaches_a_command_as_ctrl_c_does(instance: dg.DagsterInstance) -> None:
    run = started_run(instance, {})
    with process_of(instance, run) as process:
        assert instance.run_launcher.terminate(run.run_id)
        assert process.wait() == -signal.SIGINT
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.CANCELING  # type: ignore[union-attr]


def test_a_run_whose_command_is_gone_is_canceled_at_once(instance: dg.DagsterInstance) -> None:
    run = started_run(instance, {})
    with process_of(instance, run) as process:
        process.kill()
        process.wait()
    assert instance.run_launcher.terminate(run.run_id)
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.CANCELED  # type: ignore[union-attr]


def test_a_process_elsewhere_is_not_signalled(instance: dg.DagsterInstance) -> None:
    """Numbers of processes are those of a machine or container; somebody else may have that number here."""
    run = started_run(instance, {})
    with present(at_work(instance), run.run_id):
        file = at_work(instance) / run.run_id
        file.write_text(json.dumps({"host": "elsewhere", "process": os.getpid()}))
        assert not instance.run_launcher.terminate(run.run_id)
        for forged in ("", "{}", "[1]", '{"host": "' + socket.gethostname() + '", "process": -1}'):
            file.write_text(forged)
            assert not instance.run_launcher.terminate(run.run_id), forged


def test_a_run_whose_code_server_does_not_know_it_is_given_up(instance: dg.DagsterInstance, server: Any) -> None:
    run = started_run(instance, grpc_tag(socket=server.socket) if server.socket else grpc_tag(port=server.port))
    health = instance.run_launcher.check_run_worker_health(run)
    assert health.status == WorkerStatus.FAILED
    assert "the process of the run is gone" in str(health.msg)


def test_a_run_whose_code_server_is_starting_again_is_waited_for(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started_run(instance, grpc_tag(port=1))
    assert instance.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    monkeypatch.setattr(launcher, "PATIENCE", 0.0)
    health = instance.run_launcher.check_run_worker_health(run)
    assert health.status == WorkerStatus.FAILED
    assert "out of reach" in str(health.msg)


# -- `dagster dev` in the checkout --------------------------------------------------------------------------------------


def test_dagsters_own_dev_has_the_home_of_all_commands_and_keeps_nothing_beside_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    shutil.copy(LAPTOP, tmp_path / "dagster.yaml")
    with get_possibly_temporary_instance_for_cli("dagster dev") as ours:
        run = ours.create_run_for_job(nothing)
        assert isinstance(ours, HomeInstance)
        assert Path(ours.root_directory) == tmp_path / "home" / "dagster"
        assert isinstance(ours.run_launcher, WatchfulRunLauncher)
    assert {one.name for one in tmp_path.iterdir()} == {"home", "dagster.yaml"}
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path / "home" / "dagster"))) as commands:
        assert commands.has_run(run.run_id)


def test_a_home_that_is_named_is_that_home(tmp_path: Path) -> None:
    ours, theirs = HomeInstance.config_defaults(str(tmp_path)), InstanceRef.config_defaults(str(tmp_path))
    assert {name for name in theirs if ours[name] != theirs[name]} == {"storage"}
    assert [one and one.config_dict for one in (ours["storage"], theirs["storage"])] == [
        {"base_dir": str(tmp_path)}
    ] * 2


def test_dagsters_temporary_homes_are_called_so() -> None:
    assert TMP_DAGSTER_HOME_PREFIX == TEMPORARY
