"""A webhook on loopback for tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET_PATH = "hook-rosebud-7c41"
"""What makes the address a secret; looks like nothing else, so that it is found wherever it leaks to."""


@dataclass
class Receiver:
    """What came, its headers and bytes, and what it answers next: 200 where nothing is said; and how often by GET."""

    url: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)
    sent: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    asked: int = 0


@contextmanager
def webhook() -> Iterator[Receiver]:
    """A receiver that listens while the context lasts."""
    known = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.asked += 1
            self.answer()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known.sent.append((dict(self.headers), body))
            known.got.append(json.loads(body))
            self.answer()

        def answer(self) -> None:
            self.send_response(known.answers.pop(0) if known.answers else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing goes to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        known.url = f"http://127.0.0.1:{server.server_port}/{SECRET_PATH}"
        yield known
        server.shutdown()
        thread.join()
