"""A process and all that it starts, ended together: when it is told to, when its first process ends, and when we die.

Between us and the command stands a small watcher, this file as a program. It reads a pipe from us, which ends with us
however we end, also by `kill -9`; on Linux it inherits what the command leaves behind, so nothing gets away from it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

END, KILL = b"e", b"k"
"""What the watcher is told; that we are gone means `END`."""
SUBREAPER = 36
"""Linux's `PR_SET_CHILD_SUBREAPER`: orphans below a process become its children."""
TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SLICE = 0.05
"""Seconds between two looks at a family that is ending."""


class Process:
    """A command, with all that it starts, as one thing that runs or does not.

    Parameters
    ----------
    command
        Program and arguments.
    environment
        The whole environment; ours by default.
    folder
        Where it works; where we do by default.
    output
        Where its output goes, both kinds; where ours goes by default.
    within
        Seconds that it has to end by itself once it is told to; what is left then is killed.
    scratch
        A folder of ours that is removed if we are killed, and cannot do it.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        output: IO[bytes] | None = None,
        within: float = 10,
        scratch: Path | None = None,
    ) -> None:
        self._command = tuple(command)
        self._environment = environment
        self._folder = folder
        self._output = output
        self._within = within
        self._scratch = scratch
        self._watcher: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C in a terminal reaches us, and not it."""
        # -I and -S: the watcher needs nothing but Python itself, and is there in a moment
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(self._within), str(self._scratch or ""), *self._command],
            env=self._environment,
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._output,
            bufsize=0,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process from which all others descend.

        Raises
        ------
        RuntimeError
            If it was not started.
        """
        if self._watcher is None:
            raise RuntimeError(f"{self._command[0]} was not started.")
        return self._watcher.pid

    @property
    def code(self) -> int | None:
        """The exit code of the command, negative for a signal; none while it runs, or something that it started."""
        found = self._watcher.poll() if self._watcher else None
        if found is not None:
            self._forget()
        return found

    def tell(self) -> None:
        """Tell it to end, and do not wait for it."""
        self._say(END)

    def stop(self) -> None:
        """Tell it to end, and wait until all of it is gone: no longer than `within` and a moment."""
        self._say(END)
        self._wait()

    def kill(self) -> None:
        """Kill it where it stands, and wait until all of it is gone."""
        self._say(KILL)
        self._wait()

    def _say(self, word: bytes) -> None:
        pipe = self._watcher.stdin if self._watcher else None
        if pipe is not None and not pipe.closed:
            with suppress(BrokenPipeError):  # it ended already
                pipe.write(word)

    def _wait(self) -> None:
        if self._watcher is not None:
            self._watcher.wait()
            self._forget()

    def _forget(self) -> None:
        """Close the pipe of a watcher that ended, and end what it had to leave if it was killed itself."""
        if self._watcher is None or self._watcher.stdin is None or self._watcher.stdin.closed:
            return
        self._watcher.stdin.close()
        if self._watcher.returncode == -signal.SIGKILL:
            with suppress(ProcessLookupError):
                os.killpg(self._watcher.pid, signal.SIGKILL)


# -- the watcher -------------------------------------------------------------------------------------------------------


def watch(within: float, scratch: str, command: Sequence[str]) -> int:
    """Run a command until it ends or whoever started us says so or ends; then end all that is left of it.

    Parameters
    ----------
    within
        Seconds that processes have to end by themselves.
    scratch
        A folder to remove if whoever started us is gone; empty if there is none.
    command
        Program and arguments.

    Returns
    -------
    int
        The exit code of the command, negative for a signal.
    """
    _inherit_orphans()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *TOLD):
        signal.signal(number, lambda *_: None)  # the number comes through the pipe
    try:
        # signals as a shell gives them to a program; one that we ignore would be ignored by all below
        child = os.posix_spawnp(
            command[0],
            [*command],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
            setsigdef=[*TOLD, signal.SIGQUIT, signal.SIGPIPE],
        )
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        return 127
    ended: dict[int, int] = {}
    said = None
    while child not in ended and said is None:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready and any(number in TOLD for number in os.read(woken, 4096)):
            said = END  # by somebody else than who started us
        if 0 in ready:
            said = os.read(0, 1)
        _collect(ended)
    _end_family(child, 0 if said == KILL else within, ended)
    if scratch and said == b"":
        import shutil

        shutil.rmtree(scratch, ignore_errors=True)
    return os.waitstatus_to_exitcode(ended[child])


def _end_family(child: int, within: float, ended: dict[int, int]) -> None:
    """End all that descends from us; only what has not ended by itself in time is killed."""
    deadline = time.monotonic() + within
    told: set[int] = set()
    while family := _family(child, ended):
        late = time.monotonic() >= deadline
        for process in family:
            if late or process not in told:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(process, signal.SIGKILL if late else signal.SIGTERM)
        told |= {*family}
        time.sleep(SLICE)
        if select.select([0], [], [], 0)[0] and os.read(0, 1) == KILL:
            deadline = 0
        _collect(ended)


def _collect(ended: dict[int, int]) -> None:
    """Note the ends of our children, adopted ones too, so that the system forgets them."""
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = found[1]


def _family(child: int, ended: Mapping[int, int]) -> list[int]:
    """All that descends from us and was not waited for; where the system has no `/proc`, the command alone.

    Parents come first: a shell that is told after its child would go on with its next line.
    """
    parents = {child: os.getpid()} if child not in ended else {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended just now
            parents[int(entry.parent.name)] = int(entry.read_text(errors="replace").rpartition(")")[2].split()[1])
    found: list[int] = []
    generation = {os.getpid()}
    while generation:
        generation = {process for process, parent in parents.items() if parent in generation} - {*found}
        found += sorted(generation)
    return found


def _inherit_orphans() -> None:
    """Become the parent of what our descendants leave behind, where the system can do that."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    code = watch(float(sys.argv[1]), sys.argv[2], sys.argv[3:])
    if code < 0:  # as the command ended, so that who asks hears the same
        signal.set_wakeup_fd(-1)
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    sys.exit(code)
