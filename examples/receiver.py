"""Takes the messages of a channel of `told` that signs, prints each once: `RECEIVER_SECRET=... receiver.py 8080`."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from mlops_assets.events.signing import NotSigned, Repeated, Seen, verify

seen = Seen()


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is signed, also where it came before, and 401 to all else."""

    def do_POST(self) -> None:
        """Take a message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            verify(dict(self.headers), body, os.environ["RECEIVER_SECRET"], time.time(), seen)
            message = json.loads(body)
            print(message["event"], message["use_case"], message["change"], message["problem"], flush=True)
            self.send_response(204)
        except Repeated:
            self.send_response(204)
        except NotSigned as error:
            self.send_response(401, str(error))
        self.end_headers()


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    print(server.server_port, flush=True)
    server.serve_forever()
