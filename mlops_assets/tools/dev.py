"""Dagster on one machine: the code location, the guarded webserver and the daemon, watched until somebody ends them.

`dagster dev` starts its own webserver, which obeys every page that a person opens.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mlops_assets.errors import MlopsError, UsageError, cannot_be_used
from mlops_assets.serving.guard import hosts_from_environment
from mlops_assets.serving.listening import check_address, listen
from mlops_assets.settings import Settings
from mlops_assets.tools.processes import Process

LOCK = "dev.lock"
"""File of Dagster's home that a running `dev` holds; it says which process that is, and where its pages are."""
WITHIN = 5.0
"""Seconds that they have to end by themselves."""
SLICE = 0.1
"""Seconds between two looks at them."""
ENDS, PERIOD = 3, 120.0
"""So many ends of one process in so many seconds are no accident: then all is ended."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(MlopsError):
    """A process ended again and again."""


@dataclass
class Service:
    """One of the processes.

    Attributes
    ----------
    name
        What people are told of it by.
    process
        The process.
    ends
        When it ended, in seconds of the monotonic clock.
    """

    name: str
    process: Process
    ends: list[float] = field(default_factory=list)


@contextmanager
def reserved(settings: Settings, host: str, port: int) -> Iterator[None]:
    """Be the one `dev` of this home, with a port that is free: found out before anything heavy is imported.

    Parameters
    ----------
    settings
        Where things are.
    host, port
        Where the pages shall be.

    Raises
    ------
    UsageError
        If the port is taken, another one runs on this home, or the home cannot be used.
    """
    check_address(host, hosts_from_environment())
    file = settings.dagster_home / LOCK
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = file.open("a+", encoding="utf-8")
    except OSError as error:
        raise UsageError(cannot_be_used(error.filename, error.strerror)) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise UsageError(_runs_already(handle.read(), settings.dagster_home)) from None
        listen(host, port).close()
        handle.truncate(0)
        handle.write(json.dumps({"process": os.getpid(), "address": address(host, port)}))
        handle.flush()
        yield
        handle.truncate(0)


def _runs_already(said: str, home: Path) -> str:
    try:
        known = json.loads(said)
        which, end = f" (process {known['process']}): {known['address']}", f"end it (kill {known['process']})"
    except (ValueError, KeyError, TypeError):  # it is only about to say so
        which, end = "", "end it"
    return (
        f"mlops-assets dev runs on {home} already{which}. Open that one, or {end}; "
        "or give another home, MLOPS_HOME=FOLDER, and another port, --port."
    )


def address(host: str, port: int) -> str:
    """Where a person looks."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def make_storage(settings: Settings) -> None:
    """Have Dagster make its tables where there may be none yet; three processes at once would collide."""
    if settings.database or not (settings.dagster_home / "schedules" / "schedules.db").exists():
        from mlops_assets.running import dagster_instance

        with dagster_instance(settings) as instance:
            instance.get_runs(limit=1)


def run(host: str, port: int, log_level: str, tell: Callable[[str], None]) -> None:
    """Start all, and start again what ends, until a signal ends it.

    Parameters
    ----------
    host, port
        Where the pages are.
    log_level
        Least level of what Dagster's daemon and webserver say.
    tell
        Is told what people must know.

    Raises
    ------
    Ended
        If a process ended again and again.
    """
    told: list[int] = []
    before = {number: signal.signal(number, lambda got, _: told.append(got)) for number in SIGNALS}
    try:
        with tempfile.TemporaryDirectory(prefix="mlops-dev-") as folder, ExitStack() as ending:
            tell(f"Dagster comes up on {address(host, port)}; Ctrl-C ends it.")
            code = Path(folder, "code")
            waiting = _services(code, host, port, log_level)
            running = [waiting.pop(0)]
            ending.callback(_end, running)
            running[0].process.start()
            while not told:
                if waiting and _answers(code):  # the others would only note that there is no code yet
                    for service in waiting:
                        service.process.start()
                    running += waiting
                    waiting = []
                for service in running:
                    _look_after(service, tell)
                time.sleep(SLICE)
            tell("Ending.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _answers(path: Path) -> bool:
    """Whether a process listens on a socket of the file system."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def _look_after(service: Service, tell: Callable[[str], None]) -> None:
    code = service.process.code
    if code is None:
        return
    now = time.monotonic()
    service.ends = [*(end for end in service.ends if now - end < PERIOD), now]
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    if code == 2 or len(service.ends) == ENDS:  # wrong usage, such as a port that was taken just now, stays wrong
        raise Ended(f"{service.name} {how}; what it said stands above.")
    tell(f"{service.name} {how}, and is started again.")
    service.process.start()


def _end(services: list[Service]) -> None:
    for service in services:
        service.process.tell()  # all at once: each has as long as the slowest
    for service in services:
        service.process.stop()


def _services(code: Path, host: str, port: int, log_level: str) -> list[Service]:
    """What runs, the code server first: it listens on a socket in a folder where nobody else can reach it."""
    folder = code.parent
    workspace = folder / "workspace.yaml"
    location = {"location_name": "mlops_assets", "socket": str(code)}
    workspace.write_text(json.dumps({"load_from": [{"grpc_server": location}]}), encoding="utf-8")  # JSON is YAML
    commands: Mapping[str, tuple[str, ...]] = {
        "The code server": (
            *("dagster", "code-server", "start", "--module-name", "mlops_assets.definitions"),
            *("--location-name", "mlops_assets", "--socket", str(code), "--log-level", "warning"),
            *("--working-directory", str(folder)),
        ),
        "The webserver": (
            *("mlops_assets.components.webserver", "--workspace", str(workspace)),
            *("--host", host, "--port", str(port), "--dagster-log-level", log_level),
        ),
        "The daemon": ("dagster._daemon", "run", "--workspace", str(workspace), "--log-level", log_level),
    }
    # Dagster's beta notices are for us, also in the processes that these start
    environment = {"PYTHONWARNINGS": "ignore", **os.environ}
    # as `dagster dev` says it to its processes: it is not a deployment
    environment["DAGSTER_IS_DEV_CLI"] = "1"
    return [
        Service(
            name,
            Process(
                [sys.executable, "-m", *command],
                environment=environment,
                # relative paths of use cases count from here, where the others would read a `.env`
                folder=None if name == "The code server" else folder,
                within=WITHIN,
                scratch=folder,
            ),
        )
        for name, command in commands.items()
    ]
