"""Requests to an ASGI application, as a server would hand them over, headers and bytes as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

HOST = ("Host", "127.0.0.1:3000")
OWN = ("Origin", "http://127.0.0.1:3000")
JSON = ("Content-Type", "application/json")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str


def raw(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]


def _scope(kind: str, path: str, headers: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return {
        "type": kind,
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": raw(headers),
        "subprotocols": ["graphql-ws"],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 3000),
    }


def ask(
    app: Any, method: str, target: str, headers: Iterable[tuple[str, str]] = (HOST,), body: Sequence[bytes] = (b"",)
) -> Answer:
    """Send a request whose body comes in some pieces."""
    path, _, query = target.partition("?")
    scope = _scope("http", unquote(path), headers) | {"method": method, "query_string": query.encode()}
    pieces = [{"type": "http.request", "body": piece, "more_body": True} for piece in body]
    pieces[-1]["more_body"] = False
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return pieces.pop(0) if pieces else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    said: dict[str, list[str]] = {}
    for name, value in sent[0]["headers"]:
        said.setdefault(name.decode(), []).append(value.decode("latin-1"))
    headers_sent = {name: ", ".join(values) for name, values in said.items()}
    return Answer(sent[0]["status"], headers_sent, b"".join(one.get("body", b"") for one in sent[1:]).decode())


def talk(
    app: Any, target: str, headers: Iterable[tuple[str, str]], *messages: str, extensions: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Open a websocket, send messages, and leave; what the application sent."""
    scope = _scope("websocket", target, headers) | {"extensions": {one: {} for one in extensions}}
    waiting: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    waiting += [{"type": "websocket.receive", "text": message} for message in messages]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "websocket.disconnect", "code": 1000}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent
