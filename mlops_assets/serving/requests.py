"""What is known of every request: its id, who asks, what became of it; one line in the log, and the meters."""

from __future__ import annotations

import datetime as dt
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence

import orjson
from starlette.requests import Request
from starlette.routing import BaseRoute, Match

from mlops_assets.journey.score.online import Answered, Loaded
from mlops_assets.serving.entrance.callers import LOCAL
from mlops_assets.serving.entrance.guard import App, Headers, Message, Receive, Scope, Send, with_headers
from mlops_assets.serving.failures import answer_failure
from mlops_assets.serving.meters import AT_WORK, REQUESTS, STAGES, count_answer
from mlops_assets.serving.schema import SHORT

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""An id that a client may choose: short, and nothing that a line of a log or a header would be split by."""
HEADER = b"x-request-id"
LONG = ("/v1/", "/v2/", "/pages/")
"""What paths begin with that have no slash at their end."""
SLASHED = (*SHORT.values(), "/pages/")
"""Paths that have one."""
UNMATCHED = "unmatched"
"""The route of a path that there is not."""


class Requests:
    """An ASGI application that gives each request an id and a caller, and has another one answer.

    The id is the one of the header `X-Request-Id`, if it is one, else a new one; the answer has it in the same header.
    What nobody foresaw is answered here.

    Parameters
    ----------
    app
        The application that answers.
    tell
        Is told a line of JSON for each request: no value of a row, and no key.
    routes
        Those of the application, by which a request is named that was refused before it reached one.
    """

    def __init__(self, app: App, tell: Callable[[str], None] | None = None, routes: Sequence[BaseRoute] = ()) -> None:
        self._app = app
        self._tell = tell
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        scope["path"] = spelled(scope["path"])
        name, status = _id(Headers(scope["headers"])), 0
        scope.setdefault("state", {}).update(id=name, caller=LOCAL)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, name.encode("ascii"))]}
            await send(message)

        send_as_ours = with_headers(send_with_id)
        with AT_WORK.track_inprogress():
            try:
                await self._app(scope, receive, send_as_ours)
            except Exception as error:
                if status:  # the beginning of the answer is on its way: all that is left is to cut it off
                    raise
                await answer_failure(Request(scope), error)(scope, receive, send_as_ours)
            finally:
                self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request that ended, and tell of it; the status is 0 if its client left before."""
        route = getattr(scope.get("route") or self._route(scope), "path", UNMATCHED)
        REQUESTS.labels(route, status).inc()
        STAGES.labels("whole").observe(seconds)
        if self._tell is None:
            return
        line = {
            "time": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            "request": scope["state"]["id"],
            "caller": scope["state"]["caller"].name,
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 2),
            **scope["state"].get("noted", {}),
        }
        self._tell(orjson.dumps(line).decode())

    def _route(self, scope: Scope) -> BaseRoute | None:
        return next((route for route in self._routes if route.matches(scope)[0] is Match.FULL), None)


def spelled(path: str) -> str:
    """A path as it is known, with the slash at its end that is wanted there, or without one.

    Whoever runs the application redirects to its own address otherwise, which behind a proxy is not encrypted.

    Examples
    --------
    >>> spelled("/v1/use-cases/"), spelled("/predict"), spelled("/predict/"), spelled("/docs")
    ('/v1/use-cases', '/predict/', '/predict/', '/docs')
    >>> spelled("/pages"), spelled("/pages/"), spelled("/pages/topics/days/")
    ('/pages/', '/pages/', '/pages/topics/days')
    """
    slashed = f"{path.removesuffix('/')}/"
    if slashed in SLASHED:
        return slashed
    return path.removesuffix("/") if path.startswith(LONG) else path


def note_answered(request: Request, loaded: Loaded, answered: Sequence[Answered]) -> None:
    """Say what became of the lines of a request, for its line in the log and for the meters.

    Parameters
    ----------
    request
        The request.
    loaded
        What answered.
    answered
        What became of each file.
    """
    name, version = loaded.use_case.name, loaded.version
    rows = sum(len(one.line) for one in answered)
    rejects = Counter(refusal.rule for one in answered for refusal in one.refusals)
    count_answer(name, version, rows, rejects)
    request.state.noted = {"use_case": name, "version": version, "rows": rows, "rejected": rejects.total()}


def _id(headers: Headers) -> str:
    sent = headers.all(HEADER)
    return sent[0] if len(sent) == 1 and ID.fullmatch(sent[0]) else uuid.uuid4().hex
