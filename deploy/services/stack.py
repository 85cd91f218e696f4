"""The services of docker-compose.yml as plain processes of this machine, on loopback.

Those that are built from this project are started with the command, environment and health check that the file has;
its STACK_ variables alone say where they listen. PostgreSQL and the S3 store have stand-ins.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import boto3

from deploy import new_secrets
from deploy.healthy import is_healthy
from deploy.services import compose
from deploy.services.folder import taken
from deploy.services.postgres import Postgres
from deploy.services.process import Health, Process, holds
from deploy.services.s3 import FILE, S3Server, free_port, s3_server
from deploy.services.supervisor import Supervisor
from mlops_assets.errors.secret_files import read_secret_files
from mlops_assets.serving.entrance.callers import RIGHTS
from mlops_assets.serving.entrance.keys import new_key
from mlops_assets.storage import modes

KEPT = ("PATH", "PYTHONPATH", "LANG", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_START", modes.VARIABLE)
"""What a process has of our own environment; a container would have less."""

SLOWEST = 60.0
"""Seconds that a health check may take that is a program; that many, for its own start counts, too."""

BUCKET = "mlops"
PORTS = tuple(
    f"STACK_{name}"
    for name in (
        *("MLFLOW_PORT", "CODE_PORT", "WEBSERVER_PORT", "API_PORT", "NOTEBOOKS_PORT"),
        *("SPARK_MASTER_PORT", "SPARK_MASTER_PAGE", "SPARK_WORKER_PAGE"),
    )
)


PAGES = {
    "Dagster": ("webserver", "WEBSERVER_PORT"),
    "MLflow": ("mlflow", "MLFLOW_PORT"),
    "API": ("api", "API_PORT"),
    "Spark": ("spark-master", "SPARK_MASTER_PAGE"),
    "Notebooks": ("notebooks", "NOTEBOOKS_PORT"),
}
"""What a person looks at: its service, and the variable that names its port."""


class PortTaken(RuntimeError):
    """A port that was asked for is somebody else's."""


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
        All processes by name: those of the stand-ins, and the services of this project.
    supervisor
        Watches them.
    variables
        The STACK_ variables that they were started with.
    key
        A key of the API with all rights.
    """

    folder: Path
    s3: S3Server
    postgres: Postgres
    processes: dict[str, Process]
    supervisor: Supervisor
    variables: Mapping[str, str]
    key: str = field(default="", repr=False)

    @property
    def addresses(self) -> dict[str, str]:
        """Where a person looks."""
        found = {
            name: f"http://127.0.0.1:{self.variables[f'STACK_{port}']}"
            for name, (service, port) in PAGES.items()
            if service in self.processes
        }
        return {**found, "S3": self.s3.url}

    @property
    def environment(self) -> dict[str, str]:
        """What `mlops-assets` and tests are told to work beside the services."""
        found = dict(compose.services(self.variables)["code"].environment)
        read_secret_files(found)
        return found


@contextmanager
def stack(folder: Path, tell: Callable[[str], Any], password: str = "", **more: str) -> Iterator[Stack]:
    """Start all services, watch them, and end them with the context.

    Parameters
    ----------
    folder
        Where logs and data go; emptied first, for every stack begins anew.
    tell
        Is told of each service.
    password
        That of PostgreSQL; a new one by default.
    **more
        Further STACK_ variables, and `COMPOSE_PROFILES`; `api` by default.

    Raises
    ------
    FolderTaken
        If a stack runs in the folder, or it holds what is not a stack's.
    PortTaken
        If one of `more` names a port that somebody else listens on.
    NotHealthy, GaveUp
        If a service does not come up.
    """
    for name in PORTS:
        if name in more and (holder := holds(int(more[name]))):
            raise PortTaken(f"port {more[name]} is taken by {holder}. End it, or name another port by {name}")
    with ExitStack() as cleaning:
        cleaning.enter_context(modes.private())  # what they write is for us alone; they inherit the umask
        held = (cleaning.enter_context(taken(folder)),)
        for one in ("dagster", "home", "spark", "tmp"):
            (folder / one).mkdir(mode=0o700)
        shutil.copyfile(compose.ROOT / "deploy" / "dagster.yaml", folder / "dagster" / "dagster.yaml")  # not its mode
        postgres = Postgres(folder / "postgres", password or secrets.token_hex(16), folder / "postgres.log", held)
        cleaning.callback(postgres.stop)
        tell("postgres is there")
        s3 = cleaning.enter_context(s3_server(folder / "s3", objects=FILE, held=held))
        _make_bucket(s3)
        tell(f"s3 is there: {s3.url}")
        token, key = new_key("services", frozenset(RIGHTS))
        _write_secrets(folder / "secrets", postgres, s3, key.entry)
        variables = _variables(folder, s3, more)
        services = [service for service in compose.services(variables).values() if service.ours]
        ours = [_process(service, folder, held, variables) for service in services]
        processes = [postgres.process, *s3.processes, *ours]
        supervisor = Supervisor(processes, tell)
        cleaning.callback(supervisor.stop)
        tell(f"{', '.join(process.name for process in ours)} start")
        supervisor.start()
        supervisor.until_well()
        yield Stack(folder, s3, postgres, {one.name: one for one in processes}, supervisor, variables, token)


def _write_secrets(folder: Path, postgres: Postgres, s3: S3Server, api_keys: str) -> None:
    """What lies in /run/secrets of a container, but for what the stand-ins do not read."""
    values = new_secrets.of_store(s3.access_key, s3.secret_key)
    values |= {"database_url": postgres.url(), "mlflow_database_url": postgres.url(options="-csearch_path=mlflow")}
    new_secrets.write(folder, {**values, "api_keys": api_keys, "notebook_token": secrets.token_hex(24)}, mode=0o400)


def _variables(folder: Path, s3: S3Server, more: Mapping[str, str]) -> dict[str, str]:
    """What docker-compose.yml is told of this machine, and further variables."""
    ports = {name: more.get(name) or str(free_port()) for name in PORTS}
    profiles = more.get("COMPOSE_PROFILES", "api")
    if "spark" in profiles.split(","):
        ports["STACK_SPARK_MASTER"] = f"spark://127.0.0.1:{ports['STACK_SPARK_MASTER_PORT']}"
    return {
        "COMPOSE_PROFILES": profiles,
        "STACK_SECRETS_IN": str(folder / "secrets"),
        "STACK_S3_URL": s3.url,
        "STACK_BUCKET": BUCKET,
        "STACK_MLFLOW_URL": f"http://127.0.0.1:{ports['STACK_MLFLOW_PORT']}",
        "STACK_CODE_HOST": "127.0.0.1",
        "STACK_WEBSERVER_HOST": "127.0.0.1",
        "STACK_LISTEN": "127.0.0.1",
        "STACK_HOME": str(folder / "home"),
        "STACK_DAGSTER_HOME": str(folder / "dagster"),
        "STACK_USE_CASES_IN": more.get("STACK_USE_CASES", ""),
        "STACK_SPARK_MASTER_HOST": "127.0.0.1",
        "STACK_SPARK_WORKER_HOST": "127.0.0.1",
        "STACK_SPARK_DISK": str(folder / "spark"),
        "STACK_NOTEBOOKS_IN": str(compose.ROOT / "notebooks"),
        "STACK_JUPYTER": str(compose.ROOT / "deploy" / "jupyter"),
        **ports,
        **more,
    }


STAND_INS = {"postgres": ("postgres",), "s3": ("ceph-mon", "ceph-osd", "radosgw")}
"""The processes that are here what a service of docker-compose.yml is there."""


def _process(service: compose.Service, folder: Path, held: tuple[int, ...], variables: Mapping[str, str]) -> Process:
    """A service of this project as a process."""
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment |= {"HOME": str(folder / "tmp"), "TMPDIR": str(folder / "tmp")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **service.environment}
    port = variables.get(f"STACK_{service.name.upper().replace('-', '_')}_PORT")
    return Process(
        service.name,
        service.command,
        environment,
        folder / f"{service.name}.log",
        Health(partial(asked, service, environment), service.interval, service.retries),
        tuple(name for need in service.needs for name in STAND_INS.get(need, (need,))),
        int(port) if port else None,
        held=held,
    )


def asked(service: compose.Service, environment: Mapping[str, str]) -> bool:
    """What the health check of a service says now.

    `deploy.healthy` is asked in this process: on a busy machine the start of another one takes longer than its answer.

    Parameters
    ----------
    service
        The service.
    environment
        Its environment.
    """
    if service.health[:3] == ("python", "-m", "deploy.healthy"):
        return is_healthy(service.health[3], service.timeout)
    try:
        done = subprocess.run(
            service.health, env=environment, cwd=compose.ROOT, capture_output=True, timeout=SLOWEST, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _make_bucket(s3: S3Server) -> None:
    """The bucket that the store of docker-compose.yml makes by itself."""
    keys = {"aws_access_key_id": s3.access_key, "aws_secret_access_key": s3.secret_key}
    client = boto3.client("s3", endpoint_url=s3.url, region_name="us-east-1", **keys)
    client.create_bucket(Bucket=BUCKET)
    client.close()
