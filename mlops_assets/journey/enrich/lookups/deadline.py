"""An exchange by HTTP that is over when its time is: the timeout of requests is one of each piece that comes.

A server that sends a byte now and then, in its head or in its answer, would keep a connection as long as it likes.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter


@contextmanager
def ending_after(seconds: float) -> Iterator[requests.Session]:
    """A session for one exchange.

    Parameters
    ----------
    seconds
        From now until its connection is shut down, whatever it waits for.

    Raises
    ------
    requests.Timeout
        If it was, whatever came of that: an answer that just ends there may look whole.
    """
    watch = _Watch()
    timer = threading.Timer(seconds, watch.end)
    timer.daemon = True
    timer.start()
    try:
        with requests.Session() as session:
            session.mount("http://", watch)
            session.mount("https://", watch)
            yield session
    finally:
        timer.cancel()
        watch.forget()
        if watch.over:
            raise requests.Timeout


class _Watch(HTTPAdapter):
    """Knows the connections of its session from their first byte on, before a handshake and behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.over = False
        self._sockets: list[socket.socket] = []

    def get_connection_with_tls_context(self, *arguments: Any, **named: Any) -> Any:
        """A pool of urllib3, whose connections are told here; see `HTTPAdapter`."""
        pool: Any = super().get_connection_with_tls_context(*arguments, **named)
        plain = pool.ConnectionCls
        watched = {"_new_conn": lambda connection: self._add(plain._new_conn(connection))}
        pool.ConnectionCls = type(plain.__name__, (plain,), watched)
        return pool

    def _add(self, opened: socket.socket) -> socket.socket:
        # TLS takes the socket itself over, and a copy ends the same connection
        self._sockets.append(opened.dup())
        if self.over:
            self.end()
        return opened

    def end(self) -> None:
        """Shut the connections down: who reads from one, or writes into it, is told at once."""
        self.over = True
        for one in self._sockets:
            with suppress(OSError):  # it is closed already
                one.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """Close what is kept of the connections."""
        for one in self._sockets:
            one.close()
