"""An S3 server that can only list: as many keys as are asked for, made up page by page, none of them kept."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PAGE = 1_000
ENTRY = (
    "<Contents><Key>{}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
    '<ETag>"d41d8cd98f00b204e9800998ecf8427e"</ETag><Size>4096</Size></Contents>'
)


class Numbered(Sequence[str]):
    """The keys of one day, in order; those before and behind them may be looked up, too.

    Parameters
    ----------
    prefix
        What each begins with, such as `raw/transactions/day=2026-01-01/`.
    count
        How many there are.
    """

    def __init__(self, prefix: str, count: int) -> None:
        self.prefix = prefix
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        if not 0 <= number < self.count:
            raise IndexError(number)
        return f"{self.prefix}account-{number:08}.csv"


class ListingServer(ThreadingHTTPServer):
    """Answers ListObjectsV2 on a free port of this machine.

    Parameters
    ----------
    days
        Prefix of a day, and the number of its keys.
    """

    daemon_threads = True

    def __init__(self, days: dict[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.keys = {prefix: Numbered(prefix, count) for prefix, count in sorted(days.items())}
        self.pages = 0
        self.late = ""
        """One more key, if any."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def page(self, prefix: str, after: str) -> tuple[list[str], bool]:
        """Up to a thousand keys behind one, and whether there are more."""
        self.pages += 1
        found: list[str] = []
        for keys in self.keys.values():
            if keys.prefix.startswith(prefix):
                first = bisect.bisect_right(keys, after)
                found += [keys[number] for number in range(first, min(len(keys), first + PAGE + 1))]
                if self.late.startswith(keys.prefix) and self.late > after:
                    bisect.insort(found, self.late)
            if len(found) > PAGE:
                break
        return found[:PAGE], len(found) > PAGE


class Answer(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: ListingServer

    def do_GET(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        prefix = asked.get("prefix", "")
        if "delimiter" in asked:
            folders = {key[: key.index("/", len(prefix)) + 1] for key in self.server.keys if key.startswith(prefix)}
            body = "".join(f"<CommonPrefixes><Prefix>{one}</Prefix></CommonPrefixes>" for one in sorted(folders))
            more = ""
        else:
            keys, is_cut = self.server.page(prefix, asked.get("continuation-token") or asked.get("start-after", ""))
            body = "".join(map(ENTRY.format, keys))
            more = f"<NextContinuationToken>{keys[-1]}</NextContinuationToken>" if is_cut else ""
        said = f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>"
        text = f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>{said}{more}{body}</ListBucketResult>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args: object) -> None:
        """Nothing."""


@contextmanager
def listing_server(days: dict[str, int]) -> Iterator[ListingServer]:
    """A server, for as long as the context lasts."""
    server = ListingServer(days)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
