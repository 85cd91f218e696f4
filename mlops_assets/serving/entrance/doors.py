"""What a request passes first: by what name it calls, whose page asks, who may, how long it is.

Refusals are problems like all others; what comes through has a caller, and its body is there as a whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request

from mlops_assets.serving.entrance.callers import LOCAL, UNKNOWN, Caller
from mlops_assets.serving.entrance.guard import (
    READS,
    App,
    Headers,
    Message,
    Receive,
    Scope,
    Send,
    Site,
    again,
    asked_by_others,
    called_wrongly,
    says_longer,
)
from mlops_assets.serving.entrance.keys import OPEN_BYTES, Keys, asks_for_no_key, see_right
from mlops_assets.serving.failures import answer_failure
from mlops_assets.serving.problems import Problem

CLOSE = {"Connection": "close"}
"""Said where the rest of a body is not read."""


@dataclass(frozen=True)
class Entrance:
    """Who is let in, and with how much.

    Attributes
    ----------
    hosts
        Names by which the server may be called, beside those of loopback.
    keys
        The keys; None where no key is asked for.
    local
        Who asks where no key is asked for.
    most_bytes
        Most bytes of a body.
    most_held
        Most bytes of all bodies that are worked on in this process.
    seconds
        In which a body must have come.
    """

    hosts: Collection[Site] = ()
    keys: Keys | None = None
    local: Caller = LOCAL
    most_bytes: int = 32 << 20
    most_held: int = 128 << 20
    seconds: float = 30.0


class Doors:
    """An ASGI application that has another one answer what may come in.

    Parameters
    ----------
    app
        The application.
    entrance
        Who is let in.
    """

    def __init__(self, app: App, entrance: Entrance) -> None:
        self._app = app
        self._entrance = entrance
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered, or say why not."""
        if scope["type"] == "websocket":  # nothing here speaks it
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope["headers"])
        try:
            self._look(scope, headers)
            async with self._body(scope, headers, receive) as received:
                await self._app(scope, received, send)
        except Problem as problem:
            await answer_failure(Request(scope), problem)(scope, receive, send)

    def _look(self, scope: Scope, headers: Headers) -> None:
        """See that a request may come in, and who sent it."""
        entrance, method, path = self._entrance, scope["method"], scope["path"]
        refusal = called_wrongly(scope, headers, entrance.hosts) or asked_by_others(scope, headers)
        if refusal is not None:
            raise Problem(refusal.status, refusal.reason)
        state = scope["state"]
        # at once, for the log tells of those who are refused, too
        state["caller"] = entrance.local if entrance.keys is None else UNKNOWN
        if entrance.keys is not None and not asks_for_no_key(path, headers):
            state["caller"] = caller = entrance.keys.caller(headers)
            see_right(caller, method, path)
            entrance.keys.take(caller)

    @asynccontextmanager
    async def _body(self, scope: Scope, headers: Headers, receive: Receive) -> AsyncIterator[Receive]:
        """The body, once all of it is there; until the answer is sent it counts as held."""
        if scope["method"] in READS:
            yield receive
            return
        entrance = self._entrance
        is_anybody = asks_for_no_key(scope["path"], headers)
        most = min(entrance.most_bytes, OPEN_BYTES) if is_anybody else entrance.most_bytes
        if says_longer(headers, most):
            raise _too_long(most)
        messages: list[Message] = []
        size, more = 0, True
        try:
            async with asyncio.timeout(entrance.seconds):
                while more:
                    message = await receive()
                    messages.append(message)
                    came = len(message.get("body", b""))
                    size, self._held = size + came, self._held + came
                    if size > most:
                        raise _too_long(most)
                    self._see_held()
                    more = message.get("more_body", False)
        except TimeoutError:
            self._held -= size
            said = f"The body did not come within {entrance.seconds:g} seconds."
            raise Problem(408, said, headers=CLOSE) from None
        except BaseException:
            self._held -= size
            raise
        try:
            yield again(messages, receive)
        finally:
            self._held -= size

    def _see_held(self) -> None:
        if self._held > self._entrance.most_held:
            said = "The bodies of all requests that are worked on are too many bytes; ask again in 1 s."
            raise Problem(503, said, headers={"Retry-After": "1", **CLOSE})


def _too_long(most: int) -> Problem:
    return Problem(413, f"The body is longer than {most:,} bytes, which is the most that is read.", headers=CLOSE)
