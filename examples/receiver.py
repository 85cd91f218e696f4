"""Takes the messages of a channel of `told` that signs, prints each once: `RECEIVER_SECRET=... receiver.py 8080`."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from mlops_assets.events.signing import NotSigned, Repeated, Seen, keys_of, verify

LARGEST = 1_000_000
"""Bytes of a message."""

SECRET = os.environ["RECEIVER_SECRET"]
seen = Seen()


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is signed, also where it came before, 401 to all else, 500 where it could not be printed."""

    timeout = 5.0  # whoever sends nothing holds nobody up

    def do_POST(self) -> None:
        """Take a message."""
        length = self.headers.get("Content-Length", "")
        body = self.rfile.read(int(length)) if length.isdecimal() and int(length) <= LARGEST else b""
        self.send_response(receive(dict(self.headers), body))
        self.end_headers()


def receive(headers: dict[str, str], body: bytes) -> int:
    """The answer to a message."""
    try:
        signed = verify(headers, body, SECRET, time.time(), seen)
    except Repeated:
        return 204
    except NotSigned:
        return 401
    try:
        message = json.loads(body)
        print(message["event"], message["use_case"], message["change"], message["problem"], flush=True)
    except (OSError, ValueError, LookupError, TypeError):
        seen.forget(signed.name)  # its sender tries again
        return 500
    return 204


if __name__ == "__main__":
    keys_of(SECRET)  # a secret that is none is said at once
    server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    print(server.server_port, flush=True)
    server.serve_forever()
