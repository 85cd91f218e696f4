"""Many small objects by one thread: a request is sent as soon as the answer before it is there, on several lines.

The client of `s3` hands each object through threads of its own, which is three quarters of what a small one costs.
Here only the answer that nearly all requests get is understood: 200, of the version and length that were listed.
Whatever else comes is left to `s3.get`, which asks again, waits, and has words for people. So nothing fails here.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import urllib.request
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import cache, partial
from typing import NamedTuple, cast
from urllib.parse import SplitResult, urlsplit

from mlops_assets.storage import s3

SMALL = 1 << 20
"""Bytes of an object up to which it is small: of larger ones, the bytes are what costs."""

LINES = 16
"""Requests that wait for the server side by side."""

SIGNED_FOR = timedelta(minutes=5)
PATIENCE = 20.0
"""Seconds after which a server that answers none of the requests is left alone."""

LONGEST_HEAD = 32 << 10
OK = re.compile(rb"HTTP/1\.1 200[ \r]")
LENGTH = re.compile(rb"\r\nContent-Length:[ \t]*(\d{1,15})[ \t]*(?=\r\n)", re.IGNORECASE)
IN_PIECES = re.compile(rb"\r\nTransfer-Encoding[ \t]*:", re.IGNORECASE)
PLAIN = re.compile(r"[!-~]+")
"""What may stand in a line of a request."""


class Wanted(NamedTuple):
    """An object as it was listed.

    Attributes
    ----------
    key, etag, size
        Its key, version and bytes.
    """

    key: str
    etag: str
    size: int


def get_small(bucket: str, wanted: Sequence[Wanted], largest: int = SMALL) -> list[bytes | None]:
    """Objects, in order; None for each that `s3.get` is to be asked for, be it gone, changed, large or only slow.

    Parameters
    ----------
    bucket
        Where they lie.
    wanted
        Which.
    largest
        Bytes of an object that may be asked for.
    """
    found: list[bytes | None] = [None] * len(wanted)
    most = min(SMALL, largest)
    numbers = [number for number, one in enumerate(wanted) if one.size <= most and PLAIN.fullmatch(one.etag)]
    urls = _signed(bucket, [wanted[number].key for number in numbers])
    if not urls:
        return found
    address = urlsplit(urls[0])
    before = len(f"{address.scheme}://{address.netloc}")
    if not _is_plain(address) or not all(PLAIN.fullmatch(url) for url in urls):
        return found
    asked = deque(
        _Asked(number, wanted[number].size, _request(url[before:], address.netloc, wanted[number].etag))
        for number, url in zip(numbers, urls, strict=True)
    )
    # in a thread of its own, for this one may have a loop already, as a notebook has
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _Asking(address, asked, found).run()).result()
    return found


def _signed(bucket: str, keys: Sequence[str]) -> Sequence[str]:
    """Addresses that may be asked for a while, made at once: by whichever credentials the client of `s3` has found."""
    import obstore

    try:
        return obstore.sign(s3.store(bucket), "GET", keys, SIGNED_FOR) if keys else []
    except Exception:  # no credentials, or a key that has no path: `s3.get` says which
        return []


def _is_plain(address: SplitResult) -> bool:
    """Whether the server is asked directly, and by no name and password of a proxy before it."""
    proxies, host = urllib.request.getproxies(), address.hostname or ""
    is_proxied = (address.scheme in proxies or "all" in proxies) and not urllib.request.proxy_bypass(host)
    return not is_proxied and "@" not in address.netloc


def _request(path: str, host: str, etag: str) -> bytes:
    # the server compares the ETag itself, so that no byte of another version is read
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nIf-Match: {etag}\r\nUser-Agent: mlops-assets\r\n\r\n".encode()


class _Asked(NamedTuple):
    number: int
    size: int
    request: bytes


@cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Asking:
    """Asks a server for objects on some lines, until all are there or the server is not as it should be."""

    def __init__(self, address: SplitResult, left: deque[_Asked], found: list[bytes | None]) -> None:
        self._address = address
        self.left = left
        self.found = found
        self.answers = 0
        self._lines: set[_Line] = set()

    async def run(self) -> None:
        """Ask."""
        lines = min(LINES, 1 + len(self.left) // 8)
        pending = {asyncio.ensure_future(self._ask()) for _ in range(lines)}
        while pending:
            before = self.answers
            _, pending = await asyncio.wait(pending, timeout=PATIENCE)
            if pending and self.answers == before:
                self.left.clear()
                for line in self._lines:
                    line.hang_up()
                for one in pending:
                    one.cancel()

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        secure = _trusted() if self._address.scheme == "https" else None
        host, port = self._address.hostname or "", self._address.port or (443 if secure else 80)
        while self.left:  # a server ends a line after so many answers, and a new one goes on
            line = _Line(self, loop.create_future())
            self._lines.add(line)
            try:
                with suppress(OSError, ValueError):  # the other of a name that no host has
                    await loop.create_connection(partial(_itself, line), host, port, ssl=secure)
                    await line.ended
            finally:
                self._lines.discard(line)
            if not line.answers:
                return


def _itself(line: _Line) -> _Line:
    return line


class _Line(asyncio.Protocol):
    """A connection: one request after the other."""

    def __init__(self, asking: _Asking, ended: asyncio.Future[None]) -> None:
        self._asking = asking
        self._asked: _Asked | None = None
        self._answer = bytearray()
        self._begin = 0
        self._transport: asyncio.WriteTransport | None = None
        self.ended = ended
        self.answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first one."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._ask(self._transport)

    def _ask(self, transport: asyncio.WriteTransport) -> None:
        self._answer.clear()
        self._begin = 0
        self._asked = self._asking.left.popleft() if self._asking.left else None
        if self._asked is None:
            transport.close()
        else:
            transport.write(self._asked.request)

    def data_received(self, data: bytes) -> None:
        """Take a piece of the answer; hang up if it is another one than is understood."""
        if self._asked is None or self._transport is None:
            return
        self._answer += data
        if not self._begin and not self._understands(self._asked.size):
            return
        length = len(self._answer) - self._begin
        if length == self._asked.size:
            self._asking.found[self._asked.number] = bytes(memoryview(self._answer)[self._begin :])
            self._asking.answers += 1
            self.answers += 1
            self._ask(self._transport)
        elif length > self._asked.size:
            self.hang_up()

    def _understands(self, size: int) -> bool:
        """Whether the head of the answer is there, and as it should be."""
        end = self._answer.find(b"\r\n\r\n")
        if end < 0 and len(self._answer) < LONGEST_HEAD:
            return False
        head = bytes(self._answer[: end + 2])
        lengths = [int(length) for length in LENGTH.findall(head)]
        if end < 0 or not OK.match(head) or lengths != [size] or IN_PIECES.search(head):
            self.hang_up()
            return False
        self._begin = end + 4
        return True

    def hang_up(self) -> None:
        """End; what was asked for is left to others."""
        self._asked, self.answers = None, 0
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - whatever it was
        """Leave what was asked for to a line that comes after this one."""
        if self._asked is not None and self.answers:
            self._asking.left.appendleft(self._asked)
        if not self.ended.done():
            self.ended.set_result(None)
