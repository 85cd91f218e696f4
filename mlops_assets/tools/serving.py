"""The API as a process of its own, or as several that share a port."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.errors import UsageError, cannot_be_used
from mlops_assets.serving.entrance import listening
from mlops_assets.serving.entrance.guard import hosts_from_environment
from mlops_assets.serving.entrance.keys import Keys
from mlops_assets.settings import Settings
from mlops_assets.storage.exported import other_versions, see_whole
from mlops_assets.tools.keeping import SLICE, Service, end_all, ended_by_signals, look_after
from mlops_assets.tools.processes import Process
from mlops_assets.use_case import find_use_case

METERS = "PROMETHEUS_MULTIPROC_DIR"
"""Variable of prometheus-client: the folder in which processes that share a port lay what they measure."""
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks what runs here, whatever proxy the environment names."""
SPARE = 5.0
"""Seconds that a process has beyond those of its open answers."""


@dataclass(frozen=True)
class Wanted:
    """What is to be served, and where.

    Attributes
    ----------
    use_cases
        Names; all by default.
    host, port
        Where it listens.
    workers
        Processes.
    drain
        Seconds that open answers have at the end.
    """

    use_cases: tuple[str, ...]
    host: str
    port: int
    workers: int
    drain: int


def answer(wanted: Wanted, tell: Callable[[str], None], log: Callable[[str], None], *, shared: bool = False) -> None:
    """Answer in this process until a signal ends it.

    Parameters
    ----------
    wanted
        What, and where.
    tell
        Is told what people must know.
    log
        Is told a line of each request.
    shared
        Whether other processes share the port; then it is theirs to tell of it.

    Raises
    ------
    UsageError
        If there is no such use case, the port is taken, or others would reach it without a key.
    """
    keyed = check(wanted)
    with (listening.share if shared else listening.listen)(wanted.host, wanted.port) as taken:
        from mlops_assets.serving.lean import do_without_pandas
        from mlops_assets.work.memory import keep_one_pool

        keep_one_pool()
        do_without_pandas()
        from mlops_assets.serving.app import make_app, make_entrance, make_service
        from mlops_assets.serving.server import serve
        from mlops_assets.workspace import Workspace

        service = make_service(Workspace.from_environment(), wanted.use_cases)
        app = make_app(service, make_entrance(service), log)
        ready = app.state.readiness

        def started() -> None:
            if not shared:
                tell(_how(wanted, keyed, ready.versions))

        serve(app, taken, wanted.drain, started)


def share(wanted: Wanted, tell: Callable[[str], None]) -> None:
    """Answer in several processes, and start again what ends, until a signal ends all.

    Parameters
    ----------
    wanted
        What, and where.
    tell
        Is told what people must know.

    Raises
    ------
    UsageError
        As `answer`.
    Ended
        If a process ended again and again.
    """
    keyed = check(wanted)
    listening.listen(wanted.host, wanted.port).close()
    with (
        ended_by_signals() as told,
        tempfile.TemporaryDirectory(prefix="mlops-api-", ignore_cleanup_errors=True) as folder,
        listening.share(wanted.host, wanted.port),  # the port stays ours while one of them starts anew
        ExitStack() as ending,
    ):
        workers = [_worker(wanted, number, Path(folder)) for number in range(1, wanted.workers + 1)]
        ending.callback(end_all, workers)
        for worker in workers:
            worker.process.start()
        is_told = False
        while not told:
            for worker in workers:
                process = worker.process.pid
                if look_after(worker, tell):
                    _forget(process, Path(folder))
            if not is_told and (versions := _versions(wanted)) is not None:
                is_told = True
                tell(_how(wanted, keyed, versions))
            time.sleep(SLICE)
        tell("Ending: open answers are sent.")


def check(wanted: Wanted) -> bool:
    """See that it can be served, before anything heavy is imported; whether keys are asked for.

    Parameters
    ----------
    wanted
        What, and where.
    """
    settings, keys = Settings.from_environment(), Keys.from_environment()
    listening.check_api_address(wanted.host, hosts_from_environment(), keys is not None)
    for name in wanted.use_cases:
        find_use_case(settings.use_cases, name)
    if settings.alone:
        see_whole(settings.home)
        return keys is not None
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(settings.home, os.W_OK):  # what was tried of a model is kept there
        raise UsageError(cannot_be_used(settings.home, "Permission denied"))
    return keys is not None


def _how(wanted: Wanted, keyed: bool, served: Collection[str]) -> str:
    """Where it is, and how to ask it."""
    site = listening.address(wanted.host, wanted.port)
    settings = Settings.from_environment()
    told = f"The API is on {site}, its pages are {site}/docs"
    if not settings.alone:
        told += f" and, for people, {site}/pages/"
    elif others := other_versions(settings.home):
        told = f"Answers may differ in their last bits from those of the platform: here is {', '.join(others)}.\n{told}"
    if not served:
        return f"{told}\nNo use case has a champion yet; one that is trained answers without a new start."
    name = min(served)
    suffix = find_use_case(settings.use_cases, name).files.suffix
    key = "-H 'Authorization: Bearer KEY' " if keyed else ""
    return f"{told}\n  curl {key}-F file=@FILE{suffix} {site}/v1/use-cases/{name}/predictions"


def _worker(wanted: Wanted, number: int, folder: Path) -> Service:
    command = [sys.executable, "-m", "mlops_assets.cli", "serve", *wanted.use_cases, "--shared"]
    command += ["--host", wanted.host, "--port", str(wanted.port), "--drain", str(wanted.drain)]
    environment = {**os.environ, METERS: str(folder)}
    return Service(
        f"Process {number} of the API",
        Process(command, environment=environment, within=wanted.drain + SPARE, scratch=folder),
    )


def _versions(wanted: Wanted) -> Collection[str] | None:
    """The use cases for which a process has loaded a champion; none before one answers."""
    site = listening.address(wanted.host, wanted.port)
    asked = urllib.request.Request(f"{site}/ready", headers={"Host": "localhost"})  # noqa: S310 - it is http
    try:
        with DIRECT.open(asked, timeout=5) as answer:
            found: dict[str, int] = json.load(answer)["versions"]
    except urllib.error.HTTPError:  # it says what is wrong there, and in its log
        return ()
    except OSError:
        return None
    return found


def _forget(process: int, folder: Path) -> None:
    """Take what a process said of the present out of the meters; what it counted stays."""
    for file in folder.glob(f"gauge_live*_{process}.db"):
        file.unlink(missing_ok=True)
