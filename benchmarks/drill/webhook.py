"""A webhook on this machine that keeps what it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """Its address, and what came."""

    url: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)

    def take(self) -> list[dict[str, Any]]:
        """What came since it was asked last."""
        came, self.got = self.got, []
        return came


@contextmanager
def listening() -> Iterator[Webhook]:
    """A webhook that listens while the context lasts."""
    known = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            known.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing goes to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        known.url = f"http://127.0.0.1:{server.server_port}/drill"
        try:
            yield known
        finally:
            server.shutdown()
            thread.join()
