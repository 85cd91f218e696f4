"""A mail server on loopback for tests: it takes what comes, and keeps it."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Mailbox:
    """What came; with `refuses`, nothing is taken."""

    port: int = 0
    got: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refuses: bool = False

    @property
    def url(self) -> str:
        """The address by which apprise sends here, without a login."""
        return f"mailto://127.0.0.1:{self.port}?from=mlops@example.org&to=owner@example.org&mode=insecure"


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A server that listens while the context lasts."""
    known = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            self.say("220 loopback")
            while line := self.rfile.readline():
                verb = line.split()[0].upper() if line.split() else b""
                if verb == b"DATA":
                    self.say("354 go on")
                    lines = []
                    while (text := self.rfile.readline()) not in (b".\r\n", b""):
                        lines.append(text.removeprefix(b"."))
                    known.got.append(message_from_bytes(b"".join(lines), policy=policy.default))  # type: ignore[arg-type]
                if verb == b"RCPT":
                    known.recipients.append(line.decode().strip())
                if verb == b"QUIT":
                    self.say("221 bye")
                    return
                self.say("550 not here" if known.refuses and verb == b"MAIL" else "250 well")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        known.port = server.server_address[1]
        try:
            yield known
        finally:
            server.shutdown()
            thread.join()
