"""In: a function and what it may use up. Out: what it answered, or how it ended; who asked goes on in any case."""

from __future__ import annotations

import importlib
import json
import math
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

LONGEST_ANSWER = 1 << 20
PATIENCE = 5
"""How much longer by the clock than by the core a process may take: others may need the machine, too."""

START_UP = 180
"""Seconds that a server takes at most to import its libraries on a busy machine."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
INHERITED = re.compile(r"PATH|HOME|USER|LOGNAME|SHELL|TZ|TMPDIR|LANG|LANGUAGE|LC_\w+|PYTHON\w+|LD_\w+|\w+_THREADS")
"""Environment variables that a confined process keeps; all others may hold a secret."""

OF_PROCESSES = "/proc/"
"""Where the kernel shows the environment of others, such as of who started it."""

REFUSED = (
    *("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "subprocess.Popen", "ctypes.dlopen"),
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.kill", "os.putenv"),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate"),
)
"""What Python refuses to a confined process, by the names of its audit events."""


@dataclass(frozen=True)
class Limits:
    """What a process may use up.

    Attributes
    ----------
    seconds
        Of a core; by the clock it may take `PATIENCE` times as long.
    memory
        Bytes beyond what its libraries take.
    """

    seconds: int
    memory: int


class Ended(Exception):
    """The process gave no answer; the message says how it ended."""


def run_apart(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    limits: Limits,
    environment: Mapping[str, str] | None = None,
    libraries: Sequence[str] = (),
) -> Any:
    """Call a function in a process of its own.

    The process may use so much time and memory, and writes no file. That Python opens no connection and starts no
    process there is seen to by an audit hook: code that was compiled for it could do both. Of the
    environment it has what `INHERITED` names, and no secret.

    Parameters
    ----------
    function
        Of a module, so that the process finds it; it answers what JSON can say.
    arguments
        What it is called with.
    limits
        What it may use up.
    environment
        Further environment variables that it needs.
    libraries
        Modules that it imports before it is confined, as far as they are installed: then no compiled code is loaded.

    Raises
    ------
    Ended
        If it crashed, ran into a limit, or raised.
    """
    # not above: most commands know of trials and hold none, and these start processes
    import multiprocessing

    from mlops_assets.work.engines.local import start_server

    # its libraries are in memory already, where a day has workers
    start_server(estimators=True)
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    given = function, arguments, limits, dict(environment or {}), libraries, sender
    process = context.Process(target=_confined, args=given, daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(START_UP):
            raise Ended(f"its process did not start within {START_UP} seconds")
        receiver.recv_bytes(LONGEST_ANSWER)
        if not receiver.poll(PATIENCE * limits.seconds):
            raise Ended(f"it did not end within {PATIENCE * limits.seconds} seconds")
        # no pickle: what comes may be of somebody who took over the process
        answer = json.loads(receiver.recv_bytes(LONGEST_ANSWER))
    except (EOFError, OSError, ValueError):
        process.join(1)
        raise Ended(_how(process.exitcode, limits)) from None
    finally:
        process.kill()
        process.join()
        receiver.close()
    if "raised" in answer:
        raise Ended(answer["raised"])
    return answer["value"]


def _how(code: int | None, limits: Limits) -> str:
    """How a process ended that gave no answer, by its exit code."""
    if code is not None and -code == signal.SIGXCPU:
        return f"it used up {limits.seconds} seconds of a core"
    return (
        f"its process crashed (signal {-code})" if code is not None and code < 0 else "its process ended without a word"
    )


def _confined(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    limits: Limits,
    environment: Mapping[str, str],
    libraries: Sequence[str],
    sender: Connection,
) -> None:
    """What the process does."""
    import pyarrow as pa

    for name in libraries:
        with suppress(ImportError):  # what needs it says so
            importlib.import_module(name)
    # at its first byte Arrow sets a gigabyte of addresses aside: what a library takes, and no memory yet
    pa.allocate_buffer(1)
    _limit(limits)
    for name in [name for name in os.environ if not INHERITED.fullmatch(name)]:
        del os.environ[name]
    os.environ.update(environment)
    sys.addaudithook(_refuse)
    sender.send_bytes(b"begun")
    try:
        answer = {"value": function(*arguments)}
    except MemoryError:
        answer = {"raised": f"it asked for more than {limits.memory >> 20:,} MB of memory"}
    except Exception as error:  # whatever it is, it is told by a text
        answer = {"raised": f"{type(error).__name__}: {error}"[:2000]}
    sender.send_bytes(json.dumps(answer).encode())
    sender.close()


def _limit(limits: Limits) -> None:
    # what was imported until now does not count
    seconds = limits.seconds + math.ceil(time.process_time())
    for what, most, hardest in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, 0, 0),
        # at the first the process gets a signal that says why, at the second it is killed
        (resource.RLIMIT_CPU, seconds, seconds + 5),
        (resource.RLIMIT_AS, _size() + limits.memory, _size() + limits.memory),
    ):
        with suppress(ValueError, OSError):  # a system that has no such limit, or a lower one
            resource.setrlimit(what, (most, hardest))


def _size() -> int:
    """Bytes of address space that this process has taken."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 8 << 30


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in REFUSED or (event == "open" and _is_closed(*arguments)):
        raise PermissionError(f"{event} is refused to a model on trial")


def _is_closed(path: Any, mode: Any, flags: Any) -> bool:
    """Whether a file may not be opened like this."""
    del mode
    writes = isinstance(flags, int) and flags & WRITING != 0
    # by a number, a file is opened that is open
    return writes or (not isinstance(path, int) and os.fsdecode(path).startswith(OF_PROCESSES))
