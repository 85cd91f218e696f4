"""A loopback proxy before a server that fails as a test says: refuses, cuts answers off, loses them after the work.

It is a process of its own: some clients hold Python's lock while they wait for an answer.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from deploy.healthy import DIRECT

Fault = str | tuple[int, str]
"""`drop`: no answer, and the request does not arrive. `lose`: it arrives, and the answer is lost. `cut`: half of the
answer. Or a status and the code of an S3 error."""

ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>secret details</Message></Error>'
HOP = {"connection", "keep-alive", "transfer-encoding"}
CONTROL = "/_fail"


@dataclass(frozen=True)
class FaultyServer:
    """A running proxy, at `url`."""

    url: str

    def fail(self, fault: Fault, times: int = -1, method: str = "", part: str = "") -> None:
        """Fail so many requests of a method whose path has a part, or all of them; the others go through."""
        rule = json.dumps([fault, times, method, part]).encode()
        with DIRECT.open(self.url + CONTROL, rule, timeout=30):
            pass

    def heal(self) -> None:
        """Let everything through."""
        self.fail("drop", 0)


@contextmanager
def faulty_server(url: str, host: str = "127.0.0.1") -> Iterator[FaultyServer]:
    """A proxy before a server, which listens at an address of this machine."""
    command = [sys.executable, "-m", "mlops_assets_tests.helpers.faulty", url, host]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield FaultyServer(process.stdout.readline().strip())
        finally:  # else whoever fails beside it waits for it for ever
            process.kill()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behind = ""
    rule: list[Any] = ["drop", 0, "", ""]  # noqa: RUF012 - that of the process
    lock = threading.Lock()

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == CONTROL:
            Handler.rule = json.loads(body)
            self.answer(200, {}, b"")
            return
        fault = self.fault()
        if fault == "drop":
            self.drop()
        elif isinstance(fault, list):
            self.answer(fault[0], {"Content-Type": "application/xml"}, ERROR.format(fault[1]).encode())
        else:
            self.forward(body, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815 - the names that http.server asks for

    def fault(self) -> Any:
        with Handler.lock:
            fault, left, method, part = Handler.rule
            if not left or not self.command.startswith(method) or part not in self.path:
                return None
            Handler.rule[1] -= 1
            return fault

    def forward(self, body: bytes, fault: str | None) -> None:
        address = urlsplit(self.behind)
        back = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        back.request(self.command, self.path, body, dict(self.headers))
        answer = back.getresponse()
        content = answer.read()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in HOP}
        back.close()
        if fault == "lose":
            self.drop()
            return
        self.answer(answer.status, kept, content[: len(content) // 2] if fault == "cut" else content)
        if fault == "cut":
            self.drop()

    def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        if self.command != "HEAD" and not any(name.lower() == "content-length" for name in headers):
            headers = {**headers, "Content-Length": str(len(content))}
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        with suppress(OSError):  # the client gave up
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    def drop(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args: Any) -> None:
        """Nothing."""


def main(behind: str, host: str) -> None:
    Handler.behind = behind
    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    print(f"http://{host}:{server.server_address[1]}", flush=True)  # noqa: T201 - for the process that started this
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
