"""A real server: slow clients hold nothing, heads are bounded, and what is being answered at the end is answered."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import StreamingResponse

from mlops_assets.serving.entrance import patience
from mlops_assets.serving.entrance.doors import Doors, Entrance
from mlops_assets.serving.entrance.patience import PatientProtocol
from mlops_assets.serving.requests import Requests

PIECE = b"x" * 65536


class Hasty(PatientProtocol):
    """A protocol whose patience ends soon."""

    head_seconds = 0.3
    reading_seconds = 0.3
    paused = Event()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.paused.set()


class Narrow(Hasty):
    """One that takes two connections."""

    most = 2


class Running:
    """A server in a thread of this process."""

    def __init__(self, protocol: type[PatientProtocol]) -> None:
        app, routes = FastAPI(openapi_url=None), APIRouter()
        self.app, self.loop, self.cut, self.asked = app, asyncio.new_event_loop(), Event(), Event()
        self.go = asyncio.Event()

        @routes.post("/echo")
        async def echo(request: Request) -> int:
            return len(await request.body())

        @routes.get("/wait")
        async def wait() -> str:
            self.asked.set()
            await self.go.wait()
            return "waited"

        @routes.get("/flood")
        async def flood() -> StreamingResponse:
            async def pieces() -> Any:
                try:
                    while True:
                        yield PIECE
                        await asyncio.sleep(0)
                finally:
                    self.cut.set()

            return StreamingResponse(pieces())

        app.include_router(routes)
        app.add_middleware(Doors, entrance=Entrance(seconds=0.3, most_bytes=1 << 20))
        app.add_middleware(Requests)
        config = uvicorn.Config(
            app, http=protocol, ws="none", log_config=None, timeout_keep_alive=1, timeout_graceful_shutdown=30
        )
        self.server = uvicorn.Server(config)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = Thread(target=self._run)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self.server.serve([self.socket]))

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port))
        client.settimeout(60)
        return client

    def talk(self, *sent: bytes) -> bytes:
        """Send something, and read until the server ends the connection."""
        with self.connect() as client:
            for piece in sent:
                client.sendall(piece)
            return everything(client)


def everything(client: socket.socket) -> bytes:
    got = b""
    try:
        while piece := client.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    return got


@pytest.fixture
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    found = Running(getattr(request, "param", Hasty))
    found.thread.start()
    yield found
    found.server.should_exit = True
    found.thread.join()


def status(answer: bytes) -> int:
    return int(answer.split()[1])


HEAD = b"POST /echo HTTP/1.1\r\nHost: localhost\r\n"


def test_a_head_that_does_not_come_is_not_waited_for(running: Running) -> None:
    assert running.talk() == b""
    assert running.talk(HEAD) == b""


def test_a_slow_body_is_answered_and_the_connection_ended(running: Running) -> None:
    for head in (b"Content-Length: 1000\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
        answer = running.talk(HEAD + head)
        assert status(answer) == 408
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["title"] == "Request Timeout"


def test_a_body_that_nobody_asked_for_is_not_waited_for(running: Running) -> None:
    answer = running.talk(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
    assert status(answer) == 404


def test_many_slow_clients_keep_nobody_from_being_answered(running: Running) -> None:
    slow = [running.connect() for _ in range(100)]
    for client in slow:
        client.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
    assert status(running.talk(HEAD + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc")) == 200
    for client in slow:
        with client:
            assert status(everything(client)) == 408


def test_who_does_not_read_an_answer_is_left(running: Running) -> None:
    with running.connect() as client:
        client.sendall(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert running.cut.wait(60)


def test_who_asks_for_more_and_does_not_read_is_left_too(running: Running) -> None:
    Hasty.paused.clear()
    with running.connect() as client:
        client.sendall(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert Hasty.paused.wait(60)
        client.sendall(b"GET /echo HTTP/1.1\r\nHost")
        assert running.cut.wait(60)


def test_heads_are_bounded_in_bytes_and_in_number(running: Running) -> None:
    long = HEAD + b"X-Long: " + b"a" * (patience.HEAD_BYTES + 1)
    many = HEAD + b"".join(b"X-%d: a\r\n" % number for number in range(patience.HEADERS)) + b"\r\n"
    endless = HEAD + b"".join(b"X: %d\r\n" % number for number in range(20_000))
    for sent in (long, many, endless):
        answer = running.talk(sent)
        assert status(answer) == 431
        assert b"application/problem+json" in answer
    few = HEAD + b"".join(b"X-%d: a\r\n" % number for number in range(patience.HEADERS - 3))
    assert status(running.talk(few + b"Connection: close\r\n\r\n")) == 200


def test_what_is_no_request_is_a_problem(running: Running) -> None:
    answer = running.talk(b"\x16\x03\x01 nonsense\r\n\r\n")
    assert status(answer) == 400
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] == "This is no request of HTTP."


def test_a_large_body_is_no_head(running: Running) -> None:
    body = b"Connection: close\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
    answer = running.talk(HEAD + body)
    assert answer.endswith(b"300000")


def test_a_kept_connection_answers_again_and_ends_when_it_idles(running: Running) -> None:
    answer = running.talk(*[HEAD + b"Content-Length: 3\r\n\r\nabc"] * 3)
    assert answer.count(b"HTTP/1.1 200") == 3


@pytest.mark.parametrize("running", [Narrow], indirect=True)
def test_too_many_connections_are_told_so(running: Running) -> None:
    open_ones = [running.connect() for _ in range(2)]
    for client in open_ones:
        client.sendall(HEAD)
    answer = running.talk()
    assert status(answer) == 503
    assert b"retry-after: 1" in answer.lower()
    for client in open_ones:
        client.close()


def test_at_the_end_an_open_request_is_answered(running: Running) -> None:
    with running.connect() as client:
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert running.asked.wait(60)
        running.server.should_exit = True
        running.loop.call_soon_threadsafe(running.go.set)
        assert everything(client).endswith(b'"waited"')
    running.thread.join()
