"""A process that delivers and is killed: as it sends some statement to PostgreSQL, or when that is done and untold."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from typing import Any

import pytest
from sqlalchemy import make_url

from mlops_assets.work.engines.local import HEAVY, ONE_THREAD

STATEMENT, READY, COPIES, ASKS = b"Q", b"Z", b"G", b"R"
"""Kinds of messages of PostgreSQL's protocol: a statement; its end; the server waits for rows, or for a password."""


def make_processes(module: str) -> ForkServerContext:
    """Makes processes that have imported what they need, and a module of tests, before they begin."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*HEAVY, module])
    with pytest.MonkeyPatch.context() as environment:  # as the local engine would start it: there is one for both
        for name, value in ONE_THREAD.items():
            environment.setenv(name, value)
        forkserver.ensure_running()
    return context


class Passage:
    """A way to a PostgreSQL that keeps the statements that pass, and may kill who sends one.

    Parameters
    ----------
    url
        Of the database behind it.

    Attributes
    ----------
    url
        Of the database, by this way.
    statements
        What has passed since the last victim.
    """

    def __init__(self, url: str) -> None:
        self._behind = make_url(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        here = self._behind.set(host="127.0.0.1", port=self._listener.getsockname()[1])
        here = here.set(query={"sslmode": "disable", "gssencmode": "disable"})
        self.url = here.render_as_string(hide_password=False)
        self.statements: list[str] = []
        self._kill: Callable[[bool], bool] = lambda _: False
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Let nobody in any more."""
        self._listener.close()

    def expect(self, process: int = 0, number: int = -1, *, done: bool = False) -> None:
        """Begin to count, and kill a process at a statement: before it passes, or when it is done and untold."""
        self.statements = []

        def kill(is_done: bool) -> bool:
            if (len(self.statements) - 1, is_done) != (number, done):
                return False
            os.kill(process, signal.SIGKILL)
            return True

        self._kill = kill

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _server(self) -> socket.socket:
        given = self._behind
        host, port = str(given.query.get("host") or given.host), int(str(given.query.get("port") or given.port or 5432))
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _pass_on(self, client: socket.socket) -> None:
        """Pass on what a client sends, and for each statement what the server answers, until one of them is gone."""
        with client, self._server() as server, suppress(ConnectionError):
            length = _whole(client, 4)
            server.sendall(length + _whole(client, struct.unpack("!i", length)[0] - 4))
            _answer(server, client)
            while True:
                kind, message = _message(client)
                if kind == STATEMENT:
                    self.statements.append(message[5:-1].decode(errors="replace"))
                    if self._kill(False):
                        return
                server.sendall(message)
                # rows of a COPY have no answer, but their end has
                if kind in (STATEMENT, b"c", b"f", b"p"):
                    is_last = kind in (STATEMENT, b"c")
                    _answer(server, client, self._kill if is_last else lambda _: False)


def _answer(server: socket.socket, client: socket.socket, kill: Callable[[bool], bool] = lambda _: False) -> None:
    """Pass on what the server says until it is the client's turn; its last word may kill."""
    said = b""
    while True:
        kind, message = _message(server)
        if kind == READY and kill(True):
            raise ConnectionResetError
        said += message
        asks = kind == ASKS and struct.unpack("!i", message[5:9])[0] not in (0, 12)
        if kind in (READY, COPIES) or asks:
            client.sendall(said)
            return


def _message(sender: socket.socket) -> tuple[bytes, bytes]:
    """Kind and bytes of the next message."""
    head = _whole(sender, 5)
    return head[:1], head + _whole(sender, struct.unpack("!i", head[1:])[0] - 4)


def _whole(sender: socket.socket, number: int) -> bytes:
    found = b""
    while len(found) < number:
        found += (more := sender.recv(number - len(found)))
        if not more:
            raise ConnectionResetError
    return found


@contextmanager
def passage(url: str) -> Iterator[Passage]:
    """A way to a database, for as long as it is needed."""
    found = Passage(url)
    try:
        yield found
    finally:
        found.close()


def _begin(gate: Any, environment: Mapping[str, str], work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    gate.recv()
    os.environ.update(environment)  # the server that makes processes has an environment of its own
    work(*arguments)


def killed_at(
    processes: ForkServerContext,
    way: Passage,
    number: int,
    work: Callable[..., object],
    *arguments: Any,
    done: bool,
    variables: tuple[str, ...],
) -> None:
    """Do some work in a process that is killed at a statement; it is an error if it ends before."""
    ours, theirs = processes.Pipe()
    environment = {name: os.environ[name] for name in variables}
    process = processes.Process(target=_begin, args=(theirs, environment, work, arguments))
    process.start()
    way.expect(process.pid or 0, number, done=done)
    ours.send("go")
    process.join()
    assert process.exitcode == -signal.SIGKILL, way.statements
    way.expect()
