"""What is known of every request: its id, and who asks."""

from __future__ import annotations

import re
import uuid

from mlops_assets.serving.guard import App, Headers, Message, Receive, Scope, Send
from mlops_assets.serving.service import LOCAL

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""An id that a client may choose: short, and nothing that a line of a log or a header would be split by."""
HEADER = b"x-request-id"


class Requests:
    """An ASGI application that gives each request an id and a caller, and has another one answer.

    The id is the one of the header `X-Request-Id`, if it is one, else a new one; the header of the answer names it, too.

    Parameters
    ----------
    app
        The application that answers.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = _id(Headers(scope["headers"]))
        state = scope.setdefault("state", {})
        state["id"], state["caller"] = name, LOCAL

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, name.encode("ascii"))]}
            await send(message)

        await self._app(scope, receive, send_with_id)


def _id(headers: Headers) -> str:
    sent = headers.all(HEADER)
    return sent[0] if len(sent) == 1 and ID.fullmatch(sent[0]) else uuid.uuid4().hex
