"""A weather service on loopback that answers in time, late, wrongly, or not at all, as a test asks of it."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Key = dict[str, Any]


def degrees(key: Key) -> float:
    """The temperature that the service tells: one can say of each answer whether it is the right one."""
    return len(key["city"]) + int(key["date"][-2:]) / 2


def right(keys: list[Key]) -> bytes:
    """The answer as it should be."""
    return json.dumps([{**key, "degrees": degrees(key), "rain": degrees(key) > 10} for key in keys]).encode()


@dataclass
class Request:
    """One request as it came in."""

    day: str
    keys: list[Key]
    headers: dict[str, str]
    number: int


@dataclass
class Response:
    """What is sent back; `stall` sends the head and then nothing until the service is closed."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    stall: bool = False


class WeatherService:
    """Answers as `behave` says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.behave: Callable[[Request], Response] = lambda request: Response(right(request.keys))
        self.requests: list[Request] = []
        self.url = ""
        self.closing = threading.Event()
        self._lock = threading.Lock()

    def asked(self) -> Counter[tuple[str, str, str]]:
        """How often each key was asked for, by the day it was asked for."""
        with self._lock:
            return Counter((one.day, key["city"], key["date"]) for one in self.requests for key in one.keys)

    def take(self, day: str, keys: list[Key], headers: dict[str, str]) -> Response:
        with self._lock:
            request = Request(day, keys, headers, len(self.requests))
            self.requests.append(request)
        return self.behave(request)

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[WeatherService]:
        """A service at a port that the system chose."""
        service = cls()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send(service.take(asked["day"], asked["keys"], dict(self.headers)))

            def do_GET(self) -> None:
                asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                self.send(service.take(asked["day"], json.loads(asked["keys"]), dict(self.headers)))

            def send(self, response: Response) -> None:
                try:
                    self.send_response(response.status)
                    for name, value in response.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(response.body) or 10))
                    self.end_headers()
                    self.wfile.flush()
                    if response.stall:
                        service.closing.wait(30)
                    self.wfile.write(response.body)
                except OSError:  # the other side did not wait
                    self.close_connection = True

            def log_message(self, *arguments: object) -> None:
                """Nothing: the tests ask `requests`."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        service.url = f"http://127.0.0.1:{server.server_address[1]}/weather"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield service
        finally:
            service.closing.set()
            server.shutdown()
            server.server_close()
            thread.join()


class DrippingService:
    """Takes one request, sends a beginning and then, for five seconds, a little every 50 ms, until it is left.

    Parameters
    ----------
    beginning
        What is sent at once.
    drop
        What is sent again and again.

    Attributes
    ----------
    port
        Where it is, on loopback.
    left
        Whether the other side went before all was sent.
    """

    def __init__(self, beginning: bytes, drop: bytes) -> None:
        self.left = False
        self._beginning, self._drop = beginning, drop
        self._closing = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> DrippingService:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(30)
        self._listening.close()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection:
            connection.recv(1 << 16)
            try:
                connection.sendall(self._beginning)
                for _ in range(100):
                    self._closing.wait(0.05)
                    connection.sendall(self._drop)
            except OSError:
                self.left = True
