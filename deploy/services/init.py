"""The first process of a service: starts its program, and leaves nothing of it behind; as `init: true` of a container.

It is run by its path, with no more than Python's own library, so that it is there in some milliseconds. Its input says
what to start, in a line of JSON (`command`, `environment`, `folder`, `log`, `user`, `stop`, `grace`); its output says
the program's number, in a line. After that the input is a lifeline: its end asks the program to end, be it closed by
`Process.stop` or because whoever held it was killed; a line `kill` kills at once. Whatever a program leaves when it
ends, however far it went away from it, becomes a child of this process, and is killed.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Run one program, and end as it ended."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it ends by the signal that ended the program, without its dump
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # noticed by `awake`
    told = json.loads(_line())
    program = _start(told)
    print(program.pid, flush=True)  # noqa: T201 - whoever started us reads it
    status = _until_ended(program.pid, awake, told)
    _kill_the_rest(program.pid)
    _end_as(status)


def _start(told: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start the program, in a session of its own; it is killed should this process be."""
    with Path(told["log"]).open("ab") as log:
        return subprocess.Popen(
            told["command"],
            env=told["environment"],
            cwd=told["folder"],
            user=told["user"],
            group=told["user"] and pwd.getpwnam(told["user"]).pw_gid,
            extra_groups=told["user"] and [],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - there is one thread here
        )


def _until_ended(program: int, awake: int, told: dict[str, Any]) -> int:
    """Wait until the program has ended, or has not done so in time after it was asked to; its status."""
    deadline: float | None = None
    watched = [awake, sys.stdin.fileno()]
    while (status := _reap(program)) is None:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(watched, [], [], left)
        asked = awake in ready and signal.SIGTERM in os.read(awake, 4096)
        if sys.stdin.fileno() in ready:
            if _line().strip() == b"kill":
                return signal.SIGKILL
            asked = True
            watched = [awake]  # the end of a pipe can be read for ever
        if asked and deadline is None:
            deadline = time.monotonic() + told["grace"]
            os.killpg(program, told["stop"])
        elif deadline is not None and time.monotonic() >= deadline:
            return signal.SIGKILL
    return status


def _line() -> bytes:
    """A line of the standard input, or what is there of it at its end; never more than the line."""
    line = b""
    while not line.endswith(b"\n") and (one := os.read(sys.stdin.fileno(), 1)):
        line += one
    return line


def _reap(program: int) -> int | None:
    """Take leave of all children that have ended; the status of the program, if it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not pid:
            return found
        if pid == program:
            found = status


def _kill_the_rest(program: int) -> None:
    """Kill all that is left, until there is nobody; orphans of the killed come to us, so all are found."""
    while True:
        for pid in _descendants():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _reap(program)
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        time.sleep(0.005)


def _descendants() -> set[int]:
    """Children of this process, and theirs."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_text(errors="replace")
            except OSError:  # it ended meanwhile
                continue
            parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    found, new = set[int](), {os.getpid()}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new} - found
        found |= new
    return found


def _end_as(status: int) -> None:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
