"""The services of docker-compose.yml as plain processes of this machine, on loopback.

Those that are built from this project are started with the command, environment and health check that the file has;
its STACK_ variables alone say where they listen. PostgreSQL and the S3 store have stand-ins.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil

from deploy.services import compose
from deploy.services.postgres import Postgres
from deploy.services.s3 import S3Server, free_port, s3_server

PATIENCE = 240.0
"""Seconds that a service may take to be healthy; on a busy machine an import alone takes ten."""

KEPT = ("PATH", "PYTHONPATH", "LANG", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_START")
"""What a process has of our own environment; a container would have less."""

BUCKET = "mlops"


class NotHealthy(RuntimeError):
    """A service ended, or did not become healthy in time."""


@dataclass
class Process:
    """One service that is a process of this project.

    Attributes
    ----------
    service
        What docker-compose.yml says of it.
    log
        Where its output goes.
    environment
        Its whole environment.
    """

    service: compose.Service
    log: Path
    environment: Mapping[str, str]
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it, in a group of its own, so that Ctrl-C is ours to answer; `wait` tells when it is healthy."""
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self.service.command,
                env=self.environment,
                cwd=compose.ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until its health check is content.

        Raises
        ------
        NotHealthy
            If it ends, or takes too long; the message has the end of its log.
        """
        deadline = time.monotonic() + PATIENCE
        while not self.is_healthy():
            if self.code is not None or time.monotonic() > deadline:
                raise NotHealthy(f"{self.service.name} does not come up: {self.tail()}")
            time.sleep(0.2)

    def is_healthy(self) -> bool:
        """What its health check says now."""
        done = subprocess.run(
            self.service.health, env=self.environment, cwd=compose.ROOT, capture_output=True, timeout=60, check=False
        )
        return done.returncode == 0

    @property
    def code(self) -> int | None:
        """Its exit code; none while it runs."""
        return self._process.poll() if self._process else None

    @property
    def pid(self) -> int:
        """Its first process."""
        assert self._process is not None, "started before"  # noqa: S101 - a mistake of the caller
        return self._process.pid

    def memory(self) -> int:
        """Bytes that it and all that it started hold in memory, shared pages counted once."""
        try:
            family = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return 0
        return sum(_private(process) for process in family)

    def kill(self) -> None:
        """Kill it and all that it started, as the end of its container does."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and kill what is still there after twenty seconds."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        try:
            family = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        for one in family:  # such as workers in a group of their own
            try:
                one.send_signal(number)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(family, timeout=20)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            return

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace").strip()[-1500:]


def _private(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


@dataclass
class Stack:
    """All services of docker-compose.yml.

    Attributes
    ----------
    folder
        Where logs and data lie.
    s3, postgres
        The stand-ins.
    processes
        The services of this project, by name.
    variables
        The STACK_ variables that they were started with.
    """

    folder: Path
    s3: S3Server
    postgres: Postgres
    processes: dict[str, Process]
    variables: Mapping[str, str]

    @property
    def addresses(self) -> dict[str, str]:
        """Where a person looks."""
        return {
            "Dagster": f"http://127.0.0.1:{self.variables['STACK_WEBSERVER_PORT']}",
            "MLflow": f"http://127.0.0.1:{self.variables['STACK_MLFLOW_PORT']}",
            "S3": self.s3.url,
        }

    @property
    def environment(self) -> dict[str, str]:
        """What `mlops-assets` and tests are told to work beside the services."""
        return dict(self.processes["code"].service.environment)

    def revive(self, tell: Callable[[str], Any]) -> None:
        """Start services again that ended, as `restart: unless-stopped` does, and wait until all are healthy.

        Parameters
        ----------
        tell
            Is told of each service that ended, with the end of its log.
        """
        for name, process in self.processes.items():
            if process.code is not None:
                tell(
                    f"{name} ended with code {process.code} and is started again. The end of its log:\n{process.tail()}"
                )
                process.start()
        for process in self.processes.values():
            process.wait()


@contextmanager
def stack(folder: Path, tell: Callable[[str], Any], **more: str) -> Iterator[Stack]:
    """Start all services, and end them with the context.

    Parameters
    ----------
    folder
        Where logs and data go; emptied first, for the S3 server keeps its objects in memory.
    tell
        Is told of each service.
    **more
        Further STACK_ variables.
    """
    shutil.rmtree(folder, ignore_errors=True)
    dagster_home, home = folder / "dagster", folder / "home"
    for one in (dagster_home, home, folder / "tmp"):
        one.mkdir(parents=True)
    shutil.copy(compose.ROOT / "deploy" / "dagster.yaml", dagster_home)
    with ExitStack() as cleaning:
        password = secrets.token_hex(16)
        postgres = Postgres(folder / "postgres", more.get("STACK_POSTGRES_PASSWORD", password))
        cleaning.callback(postgres.stop)
        tell("postgres is there")
        s3 = cleaning.enter_context(s3_server(folder / "s3"))
        _make_bucket(s3)
        tell(f"s3 is there: {s3.url}")
        ports = {f"STACK_{name}_PORT": str(free_port()) for name in ("MLFLOW", "CODE", "WEBSERVER")}
        variables = {
            "STACK_POSTGRES_PASSWORD": password,
            "STACK_S3_ACCESS_KEY": s3.access_key,
            "STACK_S3_SECRET_KEY": s3.secret_key,
            "STACK_S3_URL": s3.url,
            "STACK_BUCKET": BUCKET,
            "STACK_DATABASE_URL": postgres.url(),
            "STACK_MLFLOW_DATABASE_URL": postgres.url(options="-csearch_path=mlflow"),
            "STACK_MLFLOW_URL": f"http://127.0.0.1:{ports['STACK_MLFLOW_PORT']}",
            "STACK_CODE_HOST": "127.0.0.1",
            "STACK_LISTEN": "127.0.0.1",
            "STACK_HOME": str(home),
            "STACK_DAGSTER_HOME": str(dagster_home),
            **ports,
            **more,
        }
        processes: dict[str, Process] = {}
        base = {name: os.environ[name] for name in KEPT if name in os.environ} | {"HOME": str(folder / "tmp")}
        base |= {"TMPDIR": str(folder / "tmp"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        for service in compose.services(variables).values():
            if not service.ours:
                continue
            for name in service.needs:
                if name in processes:
                    processes[name].wait()
            process = Process(service, folder / f"{service.name}.log", {**base, **service.environment})
            processes[service.name] = process
            cleaning.callback(process.stop)
            process.start()
            tell(f"{service.name} starts")
        for process in processes.values():
            process.wait()
        yield Stack(folder, s3, postgres, processes, variables)


def _make_bucket(s3: S3Server) -> None:
    """The bucket that the store of docker-compose.yml makes by itself."""
    keys = {"aws_access_key_id": s3.access_key, "aws_secret_access_key": s3.secret_key}
    boto3.client("s3", endpoint_url=s3.url, region_name="us-east-1", **keys).create_bucket(Bucket=BUCKET)
