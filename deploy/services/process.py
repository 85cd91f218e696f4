"""One service as processes of this machine: started, asked whether it is well, ended with all that it started."""

from __future__ import annotations

import errno
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.services.compose import ROOT
from mlops_assets.serving.entrance.listening import listener
from mlops_assets.tools import processes

PATIENCE = 240.0
"""Seconds that a service may take to be healthy; on a busy machine an import alone takes ten."""

GRACE = 10.0
"""Seconds that a service has to end by itself when it is asked to; as many as a container has."""

LOG = 10_000_000
"""Bytes of a log with which the next start begins a new one; the one before is kept beside it."""


class NotHealthy(RuntimeError):
    """A service ended, cannot be started, or did not become healthy in time."""


@dataclass(frozen=True)
class Health:
    """How to ask a service whether it is well, and how often.

    Attributes
    ----------
    check
        Whether it is well now; takes a bounded time.
    interval
        Seconds between two questions.
    retries
        Bad answers one after the other that make a service that runs a dead one: it hangs.
    """

    check: Callable[[], bool]
    interval: float = 10.0
    retries: int = 6


@dataclass
class Process:
    """One service.

    Attributes
    ----------
    name
        Its name.
    command
        Its program with arguments.
    environment
        Its whole environment.
    log
        Where its output goes.
    health
        How to ask whether it is well.
    needs
        Names of the services that must be well before it starts.
    port
        Where it listens on loopback; a start on a port that somebody else holds is refused.
    user
        The user that it runs as; our own by default.
    stop_signal
        What asks it to end.
    held
        Files that stay open while anything of it is left, such as that of a lock.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    health: Health
    needs: tuple[str, ...] = ()
    port: int | None = None
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    held: tuple[int, ...] = ()
    _process: processes.Process | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it; `wait` tells when it is healthy.

        Raises
        ------
        NotHealthy
            If its port is taken, or its program cannot be started.
        """
        if self.port is not None and (holder := holds(self.port)):
            raise NotHealthy(f"its port {self.port} is taken by {holder}")
        self._turn_log()
        self.log.touch(mode=0o600)
        with self.log.open("ab") as log:
            self._process = processes.Process(
                self.command,
                name=self.name,
                environment=self.environment,
                folder=ROOT,
                output=log,
                within=GRACE,
                stop=self.stop_signal,
                user=self.user,
                held=self.held,
            )
            self._process.start()
        if not self._process.pid:
            raise NotHealthy(f"was not started{self._last_line()}")

    def _turn_log(self) -> None:
        with suppress(FileNotFoundError):
            if self.log.stat().st_size > LOG:
                self.log.replace(self.log.with_name(f"{self.log.name}.1"))

    def wait(self, patience: float = PATIENCE) -> None:
        """Wait until its health check is content.

        Parameters
        ----------
        patience
            Seconds that it may take.

        Raises
        ------
        NotHealthy
            If it ends, or takes too long.
        """
        deadline = time.monotonic() + patience
        while not self.is_healthy():
            if self.ended_within(0.1):
                raise NotHealthy(f"{self.how_it_ended} before it was well{self._last_line()}")
            if time.monotonic() > deadline:
                raise NotHealthy(f"was not well after {patience:.0f} seconds{self._last_line()}")

    def is_healthy(self) -> bool:
        """Whether it runs and its health check is content now."""
        return self.is_running and self.health.check()

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.code is None

    def ended_within(self, seconds: float) -> bool:
        """Whether it has ended, or does so in some seconds."""
        return self._process is None or self._process.ended_within(seconds)

    @property
    def code(self) -> int | None:
        """Its exit code, that of a signal below zero; none while it runs."""
        return self._process.code if self._process else None

    @property
    def how_it_ended(self) -> str:
        """What became of it, for people."""
        code = self.code
        if code is None:
            return "runs"
        if code >= 0:
            return f"ended with code {code}"
        return f"was killed by {signal.Signals(-code).name}"

    @property
    def pid(self) -> int:
        """The number of its program."""
        return self._process.pid if self._process else 0

    def family(self) -> list[psutil.Process]:
        """Its program, all that it started, and what stays behind them."""
        found = []
        for pid in self._process.family() if self._process else ():
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid))
        return found

    def memory(self) -> int:
        """Bytes that it and all that it started hold in memory, shared pages counted once."""
        return sum(map(_private, self.family()))

    def kill(self) -> None:
        """Kill it and all that it started, as the end of its container does."""
        if self._process is not None:
            self._process.kill()

    def stop(self) -> None:
        """Ask it to end, and kill what is still there after ten seconds."""
        if self._process is not None:
            self._process.stop()

    def ask_to_end(self) -> None:
        """Ask it to end; `stop` waits for that."""
        if self._process is not None:
            self._process.tell()

    def tail(self) -> str:
        """The end of its log."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace").strip()[-1500:]
        except FileNotFoundError:
            return ""

    def _last_line(self) -> str:
        last = self.tail().rpartition("\n")[2].strip()
        return f": {last[:200]}" if last else ""


def _private(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def holds(port: int) -> str:
    """Who listens on a port of loopback; empty if nobody does."""
    with socket.socket() as some:
        some.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            some.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return str(error)
        else:
            return ""
    with suppress(psutil.NoSuchProcess):  # it ended just now
        if (process := listener(port)) is not None:
            return f"process {process} ({psutil.Process(process).name()})"
    return "another process"
