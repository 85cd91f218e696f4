"""A process and all that it starts, ended together: when it is told to, when its first process ends, and when we die.

Between us and the command stands a small watcher (`watcher.py`). It has a socket from us, which ends with us however we
end, also by `kill -9`; on Linux it inherits what the command leaves behind, so nothing gets away from it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from mlops_assets.tools import watcher

MARK = "PROCESS_MARK"
"""A variable that a command and all that it starts have, with a value of its own for each `Process`."""

SPARE = 10.0
"""Seconds that the watcher has beyond those of its command; one that hangs is killed."""


class Process:
    """A command, with all that it starts, as one thing that runs or does not.

    Parameters
    ----------
    command
        Program and arguments.
    name
        What the watcher is called in a list of processes.
    environment
        The whole environment; ours by default.
    folder
        Where it works; where we do by default.
    output
        Where its output goes, both kinds; where ours goes by default.
    within
        Seconds that it has to end by itself once it is told to; what is left then is killed.
    stop
        The signal that tells it; all that is left once the command ended is told by TERM.
    user
        The user that it runs as; our own by default.
    held
        Files that stay open while anything of it is left, such as that of a lock.
    scratch
        A folder of ours that is removed if we are killed, and cannot do it.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str = "",
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        output: IO[bytes] | None = None,
        within: float = 10,
        stop: int = signal.SIGTERM,
        user: str | None = None,
        held: Sequence[int] = (),
        scratch: Path | None = None,
    ) -> None:
        self._name, self._output, self._held, self._within = name, output, held, within
        self._mark = uuid.uuid4().hex
        self._told = {
            "command": [*map(str, command)],
            "environment": {**(os.environ if environment is None else environment), MARK: self._mark},
            "folder": folder and str(folder),
            "user": user,
            "stop": int(stop),
            "within": within,
            "scratch": scratch and str(scratch),
        }
        self._watcher: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._pid = 0

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C in a terminal reaches us, and not it."""
        self._line, theirs = socket.socketpair()
        with theirs:
            # -I and -S: the watcher needs nothing but Python itself, and is there in a moment
            self._watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", watcher.__file__, self._name],
                stdin=theirs.fileno(),
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,
                pass_fds=self._held,
            )
        self._pid = 0
        with suppress(OSError):  # a watcher that ends at once says why
            self._line.sendall(json.dumps(self._told).encode() + b"\n")
            self._pid = int(self._line.recv(32) or 0)

    @property
    def pid(self) -> int:
        """The number of the command's process; 0 if it was not started, or cannot be: then its output says why."""
        return self._pid

    @property
    def code(self) -> int | None:
        """The exit code of the command, negative for a signal; none while it runs, or something that it started."""
        found = self._watcher.poll() if self._watcher else None
        if found is not None:
            self._forget()
        return found

    def family(self) -> list[int]:
        """The command's process, all that it started, and what stays behind them; parents first."""
        if self._watcher is not None and self._watcher.poll() is None:
            return watcher.descendants(self._watcher.pid)
        return self._left()

    def ended_within(self, seconds: float) -> bool:
        """Whether all of it has ended, or does so in some seconds."""
        with suppress(subprocess.TimeoutExpired):
            if self._watcher is not None:
                self._watcher.wait(seconds)
        return self._watcher is None or self.code is not None

    def tell(self) -> None:
        """Tell it to end, and do not wait for it."""
        self._say(watcher.END)

    def stop(self) -> None:
        """Tell it to end, and wait until all of it is gone: no longer than `within` and a moment."""
        self.tell()
        self._wait(self._within + SPARE)

    def kill(self) -> None:
        """Kill it where it stands, and wait until all of it is gone."""
        self._say(watcher.KILL)
        self._wait(SPARE)

    def _say(self, word: bytes) -> None:
        if self._line is not None:
            with suppress(OSError):  # it ended already
                self._line.sendall(word)

    def _wait(self, seconds: float) -> None:
        if self._watcher is not None and not self.ended_within(seconds):
            self._watcher.kill()
            self._watcher.wait()
            self._forget()

    def _forget(self) -> None:
        """Close the line to a watcher that ended, and end what it had to leave if it was killed itself."""
        line, self._line = self._line, None
        if line is None:
            return
        line.close()
        while left := self._left():
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(watcher.SLICE)

    def _left(self) -> list[int]:
        """What has our mark in the environment that it was started with, wherever it went since."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):  # it ended just now, or is none of ours
                if f"{MARK}={self._mark}".encode() in entry.read_bytes():
                    found.append(int(entry.parent.name))
        return found
