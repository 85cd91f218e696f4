"""Stands between a program and whoever started it: nothing is left behind, as by `init: true` of a container.

It is run by its path, with no more than Python's own library, so that it is there in some milliseconds. Its input is a
socket: a line of JSON says what to start, and the program's number is the answer. From then on that is a lifeline. Its
end, however whoever held it ended, also by `kill -9`, or `END` asks the program to end; `KILL` kills at once. On Linux
what a program leaves behind, however far it went away from it, becomes a child of this process, and ends with it.
"""

from __future__ import annotations

import json
import os
import pwd
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

END, KILL = b"e", b"k"
LINE = 0
TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SLICE = 0.02
"""Seconds between two looks at a family that is ending."""


def main() -> None:
    """Run one program, and end as it ended."""
    _control(PR_SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *TOLD):  # the number comes through the pipe; in the program they are as usual again
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    said = b""
    while not said.endswith(b"\n") and (more := os.read(LINE, 65536)):
        said += more
    told = json.loads(said)
    try:
        # kept to the end: a `Popen` that is dropped takes leave of its child, and we wait for ever
        program = _start(told)
    except OSError as error:
        sys.stderr.write(f"{told['command'][0]} cannot be started: {error.strerror}\n")
        sys.exit(127)
    os.write(LINE, b"%d\n" % program.pid)
    status, is_alone = _watch(program.pid, woken, told["stop"], told["within"])
    if is_alone and told["scratch"]:
        import shutil

        shutil.rmtree(told["scratch"], ignore_errors=True)
    _end_as(status)


def _start(told: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start the program, in a session of its own; it is killed should this process be."""
    return subprocess.Popen(
        told["command"],
        env=told["environment"],
        cwd=told["folder"],
        user=told["user"],
        group=told["user"] and pwd.getpwnam(told["user"]).pw_gid,
        extra_groups=told["user"] and [],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: _control(PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - there is one thread here
    )


def _control(what: int, value: int) -> None:
    """Set a property of this process, where the system is Linux."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(what, value, 0, 0, 0)


def _watch(program: int, woken: int, stop: int, within: float) -> tuple[int, bool]:
    """Wait until the program and all that it started have ended; its status, and whether who started us is gone.

    Once it is asked to, all have `within` seconds to end by themselves. What is left of one that ended unasked is
    killed at once: whoever starts it again must find nobody in its place.
    """
    status, deadline = None, None
    asked: set[int] = set()
    watched = [woken, LINE]
    while family := [*descendants(os.getpid()), *([program] if status is None else [])]:
        if deadline is not None and time.monotonic() >= deadline:
            _send(signal.SIGKILL, family)
        elif status is not None:
            _send(signal.SIGTERM, (one for one in family if one not in asked))
            asked |= {*family}
        word = _word(watched, None if deadline is None else SLICE)
        if word == KILL:
            deadline = 0.0
        elif word is not None and deadline is None:
            deadline = time.monotonic() + within
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(program, stop)
        status = _reap(program, status)
        if status is not None and deadline is None:
            deadline = 0.0
    assert status is not None  # noqa: S101 - the program is family as long as it has none
    return status, LINE not in watched


def _word(watched: list[int], seconds: float | None) -> bytes | None:
    """What is said in some seconds, or until a child ends; the end of the line and signals to us mean `END`."""
    ready, _, _ = select.select(watched, [], [], seconds)
    word = None
    if watched[0] in ready and any(number in TOLD for number in os.read(watched[0], 4096)):
        word = END
    if LINE in ready:
        word = os.read(LINE, 1)
        if not word:
            watched.remove(LINE)  # an end can be read for ever
    return word


def _send(number: int, processes: Iterable[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def _reap(program: int, status: int | None) -> int | None:
    """Take leave of all children that have ended; the status of the program, once it is known."""
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == program:
                status = found[1]
    return status


def descendants(process: int) -> list[int]:
    """Children of a process, and theirs; parents come first. Empty where the system has no `/proc`.

    Parameters
    ----------
    process
        Its number.
    """
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended just now
            parents[int(entry.parent.name)] = int(entry.read_text(errors="replace").rpartition(")")[2].split()[1])
    found: list[int] = []
    generation = {process}
    while generation:
        generation = {one for one, parent in parents.items() if parent in generation} - {*found}
        found += sorted(generation)
    return found


def _end_as(status: int) -> None:
    """End as the program ended, by the same signal, so that who asks hears the same."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # its dump is enough
        signal.set_wakeup_fd(-1)
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
