"""All on one machine: code location, guarded webserver, API and daemon, watched until somebody ends them.

`dagster dev` starts its own webserver, which obeys every page that a person opens.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread
from urllib.request import Request, urlopen

from mlops_assets.errors import UsageError, cannot_be_used
from mlops_assets.serving.entrance.guard import hosts_from_environment
from mlops_assets.serving.entrance.listening import address, check_address, listen
from mlops_assets.settings import CODE_LOCATION, Settings
from mlops_assets.storage.last_dev import LOCK
from mlops_assets.tools.keeping import SLICE, Service, end_all, ended_by_signals, look_after
from mlops_assets.tools.processes import Process

RELOAD = "mutation($location: String!) { reloadRepositoryLocation(repositoryLocationName: $location) { __typename } }"
WITHIN = 5.0
"""Seconds that they have to end by themselves."""
LOADING = 120.0
"""Seconds that the code location has to be loaded again."""
LOOPBACK = "127.0.0.1"


@contextmanager
def reserved(settings: Settings, host: str, port: int, api_port: int) -> Iterator[None]:
    """Be the one `dev` of this home, with a port that is free: found out before anything heavy is imported.

    Parameters
    ----------
    settings
        Where things are.
    host, port
        Where the pages shall be.
    api_port
        Where the API shall be, on loopback.

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
        listen(LOOPBACK, api_port, "--api-port").close()
        handle.truncate(0)
        at = {"dagster": address(_reached_at(host), port), "api": address(LOOPBACK, api_port)}
        handle.write(json.dumps({"process": os.getpid(), "address": address(host, port), **at}))
        handle.flush()  # it stays: who runs a day meanwhile, or after it, links to these pages
        yield


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


def _reached_at(host: str) -> str:
    """Where a process of this machine reaches what listens on an address: `0.0.0.0` and `::` are all of ours."""
    return {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - it is compared, not listened on


def make_storage(settings: Settings) -> None:
    """Have Dagster make its tables where there may be none yet; three processes at once would collide."""
    if settings.database or not (settings.dagster_home / "schedules" / "schedules.db").exists():
        from mlops_assets.running import dagster_instance

        with dagster_instance(settings) as instance:
            instance.get_runs(limit=1)


def run(settings: Settings, host: str, port: int, api_port: int, log_level: str, tell: Callable[[str], None]) -> None:
    """Start all, and start again what ends, until a signal ends it.

    Parameters
    ----------
    settings
        Where things are.
    host, port
        Where the pages are.
    api_port
        Where the API is, on loopback.
    log_level
        Least level of what Dagster's daemon and webserver say.
    tell
        Is told what people must know.

    Raises
    ------
    Ended
        If a process ended again and again.
    """
    with ended_by_signals() as told, tempfile.TemporaryDirectory(prefix="mlops-dev-") as folder, ExitStack() as ending:
        tell(f"Dagster comes up on {address(host, port)}; Ctrl-C ends it.")
        site = address(LOOPBACK, api_port)
        tell(f"The API comes up on {site}; its pages are {site}/docs and, for people, {site}/pages/")
        code = Path(folder, "code")
        waiting = _services(code, host, port, api_port, log_level)
        running = [waiting.pop(0)]
        ending.callback(end_all, running)
        running[0].process.start()
        while not told:
            if waiting and _answers(code):  # the others would only note that there is no code yet
                for service in waiting:
                    service.process.start()
                running += waiting
                waiting = []
            for service in running:
                look_after(service, tell)
            if settings.wanted_reload.exists():
                settings.wanted_reload.unlink(missing_ok=True)
                Thread(target=load_again, args=(address(_reached_at(host), port),), daemon=True).start()
            time.sleep(SLICE)
        tell("Ending.")


def load_again(pages: str) -> None:
    """Have Dagster load the code location again, as *Reload* in its pages does; what runs there goes on.

    Parameters
    ----------
    pages
        Address of the webserver; if nobody answers there, nothing is done.
    """
    asked = json.dumps({"query": RELOAD, "variables": {"location": CODE_LOCATION}}).encode()
    request = Request(f"{pages}/graphql", asked, {"Content-Type": "application/json"})  # noqa: S310 - it is of our own pages
    # pages that are starting have it loaded just now; and whoever wants it asks again in a minute
    with suppress(OSError), urlopen(request, timeout=LOADING):  # noqa: S310
        pass


def _answers(path: Path) -> bool:
    """Whether a process listens on a socket of the file system."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def _services(code: Path, host: str, port: int, api_port: int, log_level: str) -> list[Service]:
    """What runs, the code server first: it listens on a socket in a folder where nobody else can reach it."""
    folder = code.parent
    workspace = folder / "workspace.yaml"
    location = {"location_name": CODE_LOCATION, "socket": str(code)}
    workspace.write_text(json.dumps({"load_from": [{"grpc_server": location}]}), encoding="utf-8")  # JSON is YAML
    commands: Mapping[str, tuple[str, ...]] = {
        "The code server": (
            *("dagster", "code-server", "start", "--module-name", "mlops_assets.definitions"),
            *("--location-name", CODE_LOCATION, "--socket", str(code), "--log-level", "warning"),
            *("--working-directory", str(folder)),
        ),
        "The webserver": (
            *("mlops_assets.components.webserver", "--workspace", str(workspace)),
            *("--host", host, "--port", str(port), "--dagster-log-level", log_level),
        ),
        "The API": ("mlops_assets.cli", "serve", "--host", LOOPBACK, "--port", str(api_port)),
        "The daemon": ("mlops_assets.components.daemon", "--workspace", str(workspace), "--log-level", log_level),
    }
    # Dagster's beta notices are for us, also in the processes that these start
    environment = {"PYTHONWARNINGS": "ignore", **os.environ}
    # as `dagster dev` says it to its processes: it is not a deployment
    environment["DAGSTER_IS_DEV_CLI"] = "1"
    # the API asks this webserver for runs, on whatever port it is
    environment["MLOPS_DAGSTER_URL"] = os.environ.get("MLOPS_DAGSTER_URL") or address(_reached_at(host), port)
    # and Dagster's pages have links to those of the API
    environment["MLOPS_API_PAGES"] = os.environ.get("MLOPS_API_PAGES") or address(LOOPBACK, api_port)
    return [
        Service(
            name,
            Process(
                [sys.executable, "-m", *command],
                environment=environment,
                # relative paths of use cases count from here, where the others would read a `.env`
                folder=None if name in ("The code server", "The API") else folder,
                within=WITHIN,
                scratch=folder,
            ),
        )
        for name, command in commands.items()
    ]
