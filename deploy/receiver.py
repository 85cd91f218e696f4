"""Waits on loopback for a signed message that names an image, and begins its rollout: `python -m deploy.receiver`.

Before it stands what has TLS. A message is bounded, signed, new, and names a digest and a version; the rollout is a
process of its own that outlives this one, one at a time. Plain Python: a host needs Docker and cosign beside it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from deploy.images import ROOT
from deploy.messages import LARGEST, Refused, Wish, check, read
from deploy.rollout import Busy, Memory
from deploy.settings import NotSet, Settings, write_whole

PATIENCE = 10.0
"""Seconds that a message may take to come."""

PATH = "/deploy"


class UnderWay(Exception):
    """A rollout is under way; another message would have to wait."""


class Desk:
    """Takes messages: each once, the newest wins, one rollout at a time.

    Parameters
    ----------
    key
        What both ends know.
    memory
        The file that holds when the newest message was made that was obeyed.
    begin
        Begins a rollout, and does not wait for it.
    is_busy
        Whether one is under way.
    clock
        The time.
    """

    def __init__(
        self,
        key: str,
        memory: Path,
        begin: Callable[[Wish], None],
        is_busy: Callable[[], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key, self._memory, self._begin, self._is_busy, self._clock = key, memory, begin, is_busy, clock
        self._lock = threading.Lock()

    def take(self, headers: Mapping[str, str], body: bytes) -> Wish:
        """Obey a message.

        Parameters
        ----------
        headers, body
            What it is signed by, and what it says.

        Raises
        ------
        Refused
            If it is not to be obeyed.
        UnderWay
            If a rollout is under way; the message may be sent again.
        """
        with self._lock:
            newest = int(self._memory.read_text()) if self._memory.exists() else 0
            made = check(self._key, headers, body, now=self._clock(), newest=newest)
            wish = read(body)
            if self._is_busy():
                raise UnderWay
            # before it is obeyed: a message that is lost is sent again, one that is obeyed twice cannot be taken back
            write_whole(self._memory, str(made).encode())
            self._begin(wish)
            return wish


class Rollouts:
    """Rollouts as processes of their own.

    Parameters
    ----------
    memory
        What rollouts of this host share.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, wish: Wish) -> None:
        """Begin one."""
        self._start(wish.digest, wish.version)

    def resume(self) -> None:
        """Go on with one that was killed with this machine, if there is one."""
        self._start("--resume")

    def is_busy(self) -> bool:
        """Whether one is at work, also one that a person began."""
        if self._process is not None and self._process.poll() is None:
            return True
        try:
            with self._memory.alone():
                return False
        except Busy:
            return True

    def _start(self, *arguments: str) -> None:
        # a session of its own: it ends what it began also where this process is ended
        command = [sys.executable, "-m", "deploy.rollout", *arguments]
        self._process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
        if arguments != ("--resume",):
            threading.Thread(target=self._watch, args=[self._process], daemon=True).start()

    def _watch(self, rollout: subprocess.Popen[bytes]) -> None:
        """Go on, once, with a rollout that was killed alone, such as for want of memory: nothing may start runs."""
        if rollout.wait() < 0:
            print("receiver: the rollout was killed; it is gone on with", flush=True)
            self.resume()


def server(desk: Desk, port: int) -> ThreadingHTTPServer:
    """A server on loopback that takes messages.

    Parameters
    ----------
    desk
        Who takes them.
    port
        Where it listens; 0 for any that is free.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE
        server_version, sys_version = "deploy", ""

        def do_POST(self) -> None:
            """A message."""
            length = self.headers.get("Content-Length", "")
            if self.path != PATH:
                return self._answer(404, "there is nothing here")
            if not (length.isascii() and length.isdigit() and len(length) <= 4 and int(length) <= LARGEST):
                return self._answer(413, f"a body of at most {LARGEST} bytes, and its length, are needed")
            try:
                body = self.rfile.read(int(length))
                wish = desk.take(dict(self.headers), body)
            except Refused as error:
                self.log_message("refused: %s", error)
                return self._answer(403, str(error))
            except UnderWay:
                return self._answer(409, "a rollout is under way; send it again later")
            except (OSError, ValueError) as error:
                self.log_message("not taken, for what was obeyed last cannot be read or noted: %s", error)
                return self._answer(500, "the disk of this host is not well")
            self.log_message("takes %s, version %s", wish.digest, wish.version)
            return self._answer(202, "taken")

        def _answer(self, status: int, said: str) -> None:
            body = f"{said}\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, form: str, *values: Any) -> None:
            """A line; what a request line says is nobody's text to print."""
            if not form.startswith('"%s"'):
                print(f"receiver: {form % values}", flush=True)

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main() -> int:
    """Go on with what was under way, then wait for messages until it is ended.

    Returns
    -------
    int
        0 when it was ended, 2 if it is not set up.
    """
    try:
        settings = Settings.of_host()
        key = settings.checked_key()
    except NotSet as error:
        print(f"receiver: {error}", file=sys.stderr)
        return 2
    rollouts = Rollouts(Memory(settings.state))
    rollouts.resume()
    newest = settings.state.with_name(".rollout.newest")
    with server(Desk(key, newest, rollouts.begin, rollouts.is_busy), settings.port) as waiting:
        try:
            # systemd ends it so, and a script what it began in the background, which does not hear Ctrl-C
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            print(f"receiver: http://127.0.0.1:{waiting.server_port}{PATH}", flush=True)
            waiting.serve_forever()
        except KeyboardInterrupt:
            print("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
