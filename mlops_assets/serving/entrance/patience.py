"""How long a connection is waited for: uvicorn's protocol of HTTP, with bounds that it has not.

uvicorn ends connections that idle between requests. One that sends a head byte by byte, or one without end, or that
reads no answer, it would keep for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlops_assets.serving.problems import Problem

HEAD_SECONDS = 10.0
"""In which the head of a request must have come, from the start of the connection or from its first byte."""
READING_SECONDS = 30.0
"""In which a client must take `TAKEN_BYTES` of an answer that waits for it, or all that is left."""
TAKEN_BYTES = 64 << 10
HEAD_BYTES = 64 << 10
"""Of a head."""
HEADERS = 100
"""In a head."""
CONNECTIONS = 512
"""Connections of a process; it may open 1,024 files on most systems."""


class PatientProtocol(HttpToolsProtocol):
    """A connection that is waited for only so long."""

    head_seconds = HEAD_SECONDS
    reading_seconds = READING_SECONDS
    most = CONNECTIONS

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._waits: asyncio.TimerHandle | None = None  # for a head
        self._reads: asyncio.TimerHandle | None = None  # for a client that reads
        self._is_lost = False
        self._head = 0
        self._in_head = True
        self._wrong = Problem(400, "This is no request of HTTP.")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait; a connection too many is answered at once."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(Problem(503, "Too many connections are open; try again in 1 s.", headers={"Retry-After": "1"}))
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._is_lost = True
        self._stop()
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is a head that is too long."""
        if self.transport.is_closing():
            return
        if self._in_head:
            if not self._head:
                self._wait()
            self._head += len(data)
        super().data_received(data)
        # a head that ended within these bytes is counted no longer: then it was counted with some of its body
        if self._in_head and self._head > HEAD_BYTES:
            said = f"The head of a request may have {HEAD_BYTES:,} bytes."
            self._refuse(Problem(431, said))

    def on_headers_complete(self) -> None:
        """Have a request answered."""
        self._stop()
        self._in_head, self._head = False, 0
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        super().on_header(name, value)
        if len(self.headers) > HEADERS:
            self._wrong = Problem(431, f"A request may have {HEADERS} headers.")
            raise ValueError("too many headers")  # the parser takes no more, and the answer is that below

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Answer what is no request."""
        self._refuse(self._wrong)

    def on_message_complete(self) -> None:
        """What comes next is the head of another request."""
        super().on_message_complete()
        self._in_head = True

    def on_response_complete(self) -> None:
        """Keep the connection for the next request, unless the body of this one was not waited for."""
        super().on_response_complete()
        if not self._in_head or self.transport.is_closing():
            self._end()

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that idles."""
        super().timeout_keep_alive_handler()
        self._end()

    def pause_writing(self) -> None:
        """Wait for a client that does not read."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """It reads."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_watching()

    def _wait(self) -> None:
        self._stop()
        self._waits = self.loop.call_later(self.head_seconds, self._end)

    def _stop(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None

    def _end(self) -> None:
        """End the connection once the rest of an answer is sent, for which a client is waited for as for any other."""
        self.transport.close()
        self._watch()

    def _watch(self) -> None:
        if self._reads is None and not self._is_lost:
            left = self.transport.get_write_buffer_size()
            self._reads = self.loop.call_later(self.reading_seconds, self._see_taken, left)

    def _see_taken(self, before: int) -> None:
        """Go on waiting for a client that took enough since; what else it sends is no sign of that."""
        self._reads = None
        if before - self.transport.get_write_buffer_size() < TAKEN_BYTES:
            self.transport.abort()
        else:
            self._watch()

    def _stop_watching(self) -> None:
        if self._reads is not None:
            self._reads.cancel()
            self._reads = None

    def _refuse(self, problem: Problem) -> None:
        """Answer before there is a request, and end the connection."""
        self._stop()
        answer = problem.response()
        head = [f"HTTP/1.1 {problem.status} {problem.content()['title']}".encode(), b"connection: close"]
        head += [name + b": " + value for name, value in answer.raw_headers]
        if not self.transport.is_closing():
            self.transport.write(b"\r\n".join([*head, b"", bytes(answer.body)]))
        self._end()
