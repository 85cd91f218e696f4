"""A client that keeps a server busy: some connections, each with one request at a time, and what came of them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import httptools
import numpy as np

LOST = 0
"""The status of a request whose connection was closed before its answer, or that was not answered in time."""
PATIENCE = 60.0
"""Seconds that the last answers may take when no more requests are sent."""


@dataclass
class Load:
    """What became of requests.

    Attributes
    ----------
    statuses
        How many were answered with which status.
    latencies
        Seconds of each that was answered 200.
    seconds
        How long it took altogether.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> int:
        """How many were answered 200: a refused request costs a server nothing, and is no answer."""
        return self.statuses[200]

    def percentile(self, share: float) -> float:
        """Milliseconds within which a share of the answers came."""
        return float(np.percentile(self.latencies, share)) * 1000 if self.latencies else float("nan")


class _Client(asyncio.Protocol):
    """One kept connection: the next request is sent when the answer to the one before is there."""

    def __init__(self, requests: Iterator[bytes], until: float, patience: float, load: Load) -> None:
        self._requests, self._until, self._patience, self._load = requests, until, patience, load
        self._began = 0.0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # a server that never answers must not be waited for without end
        left = self._until - time.perf_counter() + self._patience
        self._end = asyncio.get_running_loop().call_later(left, transport.abort)
        self._send()

    def _send(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._began = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        now, status = time.perf_counter(), self._parser.get_status_code()
        self._load.statuses[status] += 1
        if status == 200:
            self._load.latencies.append(now - self._began)
        self._began = 0.0
        if now >= self._until or not self._parser.should_keep_alive():
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, _: Exception | None) -> None:
        self._end.cancel()
        if self._began:
            self._load.statuses[LOST] += 1
        if not self.ended.done():
            self.ended.set_result(None)


async def _keep_asking(port: int, requests: Iterator[bytes], until: float, patience: float, load: Load) -> None:
    """A client that connects again where a server has closed the connection."""
    while time.perf_counter() < until:
        try:
            _, client = await asyncio.get_running_loop().create_connection(
                lambda: _Client(requests, until, patience, load), "127.0.0.1", port
            )
        except OSError:
            load.statuses[LOST] += 1
            await asyncio.sleep(0.01)
            continue
        await client.ended


async def _ask(port: int, requests: Sequence[bytes], clients: int, seconds: float, patience: float) -> Load:
    load, turns = Load(), itertools.cycle(requests)
    began = time.perf_counter()
    until = began + seconds
    await asyncio.gather(*(_keep_asking(port, turns, until, patience, load) for _ in range(clients)))
    load.seconds = time.perf_counter() - began
    return load


def ask(port: int, requests: Sequence[bytes], clients: int, seconds: float, patience: float = PATIENCE) -> Load:
    """Keep a server of this machine busy.

    Parameters
    ----------
    port
        Where it listens.
    requests
        Whole requests, as bytes; they are sent in turns.
    clients
        Connections, each with one request at a time.
    seconds
        For how long new requests are sent.
    patience
        Seconds after that in which the last answers must come; what is not answered then is `LOST`.
    """
    return asyncio.run(_ask(port, requests, clients, seconds, patience))


def post(path: str, body: bytes, content_type: str) -> bytes:
    """A whole request."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
