"""One service as processes of this machine: started, asked whether it is well, ended with all that it started."""

from __future__ import annotations

import errno
import json
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.services import init
from deploy.services.compose import ROOT

PATIENCE = 240.0
"""Seconds that a service may take to be healthy; on a busy machine an import alone takes ten."""

GRACE = 10.0
"""Seconds that a service has to end by itself when it is asked to; as many as a container has."""

LOG = 10_000_000
"""Bytes of a log with which the next start begins a new one; the one before is kept beside it."""


MARK = "DEPLOY_SERVICES_MARK"
"""A variable that all processes of a service have, with a value of that start alone."""


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
    _init: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _pid: int = field(default=0, repr=False)
    _mark: str = field(default="", repr=False)

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
            started = subprocess.Popen(
                [sys.executable, "-IS", init.__file__, self.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # so that Ctrl-C is ours to answer
                pass_fds=self.held,
            )
        self._mark = uuid.uuid4().hex
        told = {
            "command": list(map(str, self.command)),
            "environment": {**self.environment, MARK: self._mark},
            "folder": str(ROOT),
            "log": str(self.log),
            "user": self.user,
            "stop": int(self.stop_signal),
            "grace": GRACE,
        }
        assert started.stdin, started.stdout  # noqa: S101 - pipes, as asked for
        started.stdin.write(json.dumps(told).encode() + b"\n")
        started.stdin.flush()
        self._init, self._pid = started, int(started.stdout.readline() or 0)
        if not self._pid:
            raise NotHealthy(f"cannot be started{self._last_line()}")

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
        return self._init is not None and self._init.poll() is None

    def ended_within(self, seconds: float) -> bool:
        """Whether it has ended, or does so in some seconds."""
        if self._init is None:
            return True
        try:
            self._init.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def code(self) -> int | None:
        """Its exit code, that of a signal below zero; none while it runs."""
        return self._init.poll() if self._init else None

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
        return self._pid

    def family(self) -> list[psutil.Process]:
        """Its program, all that it started, and what stays behind them."""
        found: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            if self._init is not None and self.is_running:
                found = psutil.Process(self._init.pid).children(recursive=True)
        return found or _marked(self._mark)

    def memory(self) -> int:
        """Bytes that it and all that it started hold in memory, shared pages counted once."""
        return sum(map(_private, self.family()))

    def kill(self) -> None:
        """Kill it and all that it started, as the end of its container does."""
        if self._init is None:
            return
        with suppress(OSError, ValueError):  # it has ended already
            assert self._init.stdin  # noqa: S101 - a pipe, as asked for
            self._init.stdin.write(b"kill\n")
            self._init.stdin.flush()
        self._bury(GRACE)

    def stop(self) -> None:
        """Ask it to end, and kill what is still there after ten seconds."""
        self.ask_to_end()
        self._bury(2 * GRACE)

    def ask_to_end(self) -> None:
        """Ask it to end; `stop` waits for that."""
        if self._init is not None and self._init.stdin:
            with suppress(OSError):
                self._init.stdin.close()

    def _bury(self, seconds: float) -> None:
        """Wait until nothing of it is left; what outlives its first process was left because that was killed."""
        if self._init is None:
            return
        if not self.ended_within(seconds):
            self._init.kill()
            self._init.wait()
        for pipe in (self._init.stdin, self._init.stdout):
            with suppress(OSError):
                assert pipe  # noqa: S101 - asked for
                pipe.close()
        while left := _marked(self._mark):
            for one in left:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            psutil.wait_procs(left, timeout=GRACE)

    def tail(self) -> str:
        """The end of its log."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace").strip()[-1500:]
        except FileNotFoundError:
            return ""

    def _last_line(self) -> str:
        last = self.tail().rpartition("\n")[2].strip()
        return f": {last[:200]}" if last else ""


def _marked(mark: str) -> list[psutil.Process]:
    """Processes that have a mark in the environment that they were started with, wherever they went since."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if mark and one.environ().get(MARK) == mark:
                found.append(one)
    return found


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
    with suppress(psutil.AccessDenied, psutil.NoSuchProcess):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid:
                return f"process {one.pid} ({psutil.Process(one.pid).name()})"
    return "another process"
