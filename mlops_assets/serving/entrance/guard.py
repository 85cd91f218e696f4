"""A guard in front of any ASGI application: what it lets through was meant for it, by a page of its own or a program.

A browser sends requests for every page that a person has open, also to servers of their own machine. So a server that
asks no password is as safe as its answers to four questions: by what name was it called (a foreign name that leads here
is DNS rebinding), whose page asks (a foreign one may send, but is not obeyed), could any page send this without the
browser asking first (a link and a form can), and how long is it.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.errors import UsageError

VARIABLE = "MLOPS_ALLOWED_HOSTS"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

READS = {"GET", "HEAD", "OPTIONS"}
"""Methods that change nothing, by the meaning that they have in HTTP."""
CHANGES = {"POST", "PUT", "PATCH", "DELETE"}
MOST_BYTES = 10 << 20
"""Bytes of a body by default: a backfill that names each of 100,000 days has 2 MB."""

SITE = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_-])?)\.?(?::(?P<port>\d{1,5}))?")
"""A name or address, with or without a port, in lower case; one dot at the end of a name means the same name."""
ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<site>[^/]+)")
PATH = re.compile(r"/[^\x00-\x1f\x7f]*")
"""A router's `$` stands before a line's end, too: with one behind it, `/graphql` would be `/graphql` to it alone."""
PORTS = {"http": 80, "https": 443}

HEADERS = {
    b"x-content-type-options": b"nosniff",  # an answer is not taken for a script
    b"x-frame-options": b"SAMEORIGIN",  # nor shown inside of another page, where clicks are stolen
    b"referrer-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
}
"""What an answer says if the application has not said otherwise."""
FRAMES = (b"content-security-policy", b"frame-ancestors 'self'")
"""Said beside the application's own policy: browsers keep to both."""


@dataclass(frozen=True)
class Site:
    """The name and port by which a server is called.

    Attributes
    ----------
    name
        A name, an IPv4 address, or an IPv6 address in brackets.
    port
        The port; None if none is named.
    """

    name: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Site | None:
        """What a Host header names, or an entry of the list; None if it is no name with or without a port."""
        found = SITE.fullmatch(text.lower())
        if found is None:
            return None
        return cls(found["name"], int(found["port"]) if found["port"] else None)

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, and no name server can say otherwise."""
        try:
            return self.name == "localhost" or ipaddress.ip_address(self.name.strip("[]")).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused.

    Attributes
    ----------
    status
        Code of HTTP.
    reason
        What was wrong, and what to do.
    headers
        Further headers of the answer.
    """

    status: int
    reason: str
    headers: Sequence[tuple[bytes, bytes]] = ()


class Headers:
    """The headers of a request, each to be asked for by its name in lower case."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._raw = [(name.lower(), value.decode("latin-1").strip()) for name, value in raw]

    def all(self, name: bytes) -> list[str]:
        """Each value that was sent."""
        return [value for known, value in self._raw if known == name]


def hosts_from_environment() -> tuple[Site, ...]:
    """The names by which a server may be called beside those of loopback, as `MLOPS_ALLOWED_HOSTS` lists them.

    Returns
    -------
    tuple[Site, ...]
        Names; one without a port may be called at any.

    Raises
    ------
    UsageError
        If an entry is not a name or address, with or without a port.
    """
    entries = [entry.strip() for entry in os.environ.get(VARIABLE, "").split(",") if entry.strip()]
    found = [Site.parse(entry) for entry in entries]
    for entry, site in zip(entries, found, strict=True):
        if site is None:
            raise UsageError(
                f"{VARIABLE}: {entry!r} is no name of a host. List names as people type them, such as "
                "dagster.example.com or dagster.example.com:3000, with commas between; there are no patterns."
            )
    return tuple(site for site in found if site is not None)


class Guard:
    """An ASGI application that asks another one only what it should be asked.

    Parameters
    ----------
    app
        The application.
    hosts
        Names by which it may be called, beside those of loopback.
    posted
        Ends of paths under which it does what a query says, and would by GET as well: there a GET has no query.
    bodies
        Media types that the body of a request may have. A page of another site can send none but forms and text without
        the browser asking first, and a server behind this guard does not say yes.
    most_bytes
        Most bytes of a body.
    """

    def __init__(
        self,
        app: App,
        hosts: Collection[Site] = (),
        *,
        posted: tuple[str, ...] = (),
        bodies: Collection[str] = ("application/json",),
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._posted = posted
        self._bodies = tuple(bodies)
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] not in ("http", "websocket"):  # such as the start and the end of the server
            await self._app(scope, receive, send)
            return
        headers = Headers(scope["headers"])
        refusal = called_wrongly(scope, headers, self._hosts) or asked_by_others(scope, headers)
        if scope["type"] == "websocket":
            await (_close(scope, receive, send, refusal) if refusal else self._app(scope, receive, send))
            return
        send = with_headers(send)
        refusal = refusal or self._sent_wrongly(scope, headers)
        if refusal is None and scope["method"] in CHANGES:
            body = await whole(receive, self._most_bytes)
            receive = again(body or [], receive)
            refusal = self._too_long() if body is None else None
        await (_answer(send, refusal) if refusal else self._app(scope, receive, send))

    def _sent_wrongly(self, scope: Scope, headers: Headers) -> Refusal | None:
        """What a link or a form of any page could send."""
        method = scope["method"]
        if method in READS:
            if scope["query_string"] and scope["path"].rstrip("/").endswith(self._posted):
                reason = "A GET runs nothing: send the query by POST, as JSON, with Content-Type: application/json."
                return Refusal(405, reason, [(b"allow", b"POST")])
            return None
        if method not in CHANGES:
            return Refusal(405, f"There is no method {method!r} here.", [(b"allow", b"GET, HEAD, POST")])
        types = headers.all(b"content-type")
        if len(types) != 1 or not _is_one_of(types[0], self._bodies):
            expected = " or ".join(self._bodies)
            return Refusal(415, f"Send a body in UTF-8 with one header Content-Type: {expected} (it was {types}).")
        return self._too_long() if says_longer(headers, self._most_bytes) else None

    def _too_long(self) -> Refusal:
        reason = f"The body is longer than {self._most_bytes:,} bytes, which is the most that is read."
        return Refusal(413, reason, [(b"connection", b"close")])


def called_wrongly(scope: Scope, headers: Headers, hosts: Collection[Site]) -> Refusal | None:
    """DNS rebinding: a foreign name that leads to this address, so that its pages count as ours.

    Parameters
    ----------
    scope, headers
        The request.
    hosts
        Names by which the server may be called, beside those of loopback.
    """
    named = headers.all(b"host")
    site = Site.parse(named[0]) if len(named) == 1 else None
    if site is None or not PATH.fullmatch(scope["path"]):
        reason = "A request names the server once, in one Host header, and a path that begins with / and is text."
        return Refusal(400, reason)
    if site.is_loopback or site in hosts or Site(site.name, None) in hosts:
        return None
    return Refusal(
        403,
        f"This server does not answer to the name {named[0]!r}. If people are to reach it by that name, list it in "
        f"{VARIABLE} and start the server again: {VARIABLE}={site.name}",
    )


def asked_by_others(scope: Scope, headers: Headers) -> Refusal | None:
    """Whether a page of another site asks. A program says nothing of pages; every browser does, where it counts.

    Parameters
    ----------
    scope, headers
        The request; that it names the server once was seen already.
    """
    origins = headers.all(b"origin")
    own = {"same-origin"}
    if scope["type"] == "websocket" and origins:  # browsers differ in how they see ws://, and all send an Origin
        own |= {"same-site", "cross-site"}
    elif scope["type"] == "http" and scope["method"] in READS:
        own.add("none")  # somebody typed the address
        if (headers.all(b"sec-fetch-mode"), headers.all(b"sec-fetch-dest")) == (["navigate"], ["document"]):
            # a link from elsewhere may lead here; an image, a script or a frame of another page may not
            own |= {"same-site", "cross-site"}
    if set(headers.all(b"sec-fetch-site")) <= own and (not origins or _is_own(origins, headers.all(b"host")[0])):
        return None
    who = f"a page of {origins[0]!r}" if origins else "a page of another site"
    return Refusal(403, f"{who} asked this. Only the server's own pages may, and programs, which send no Origin.")


def _is_own(origins: Sequence[str], host: str) -> bool:
    """Whether a page lies on the server that it asks: the same name and port. A proxy may have taken off the TLS."""
    found = ORIGIN.fullmatch(origins[0].lower()) if len(origins) == 1 else None
    if found is None:  # also `null`, which a page has that hides where it is from
        return False
    page, server = Site.parse(found["site"]), Site.parse(host)
    if page is None or server is None:
        return False
    usual = PORTS[found["scheme"]]
    return (page.name, page.port or usual) == (server.name, server.port or usual)


def _is_one_of(content_type: str, bodies: Collection[str]) -> bool:
    """Whether a Content-Type is one of some media types, with no other charset than UTF-8."""
    media, *parameters = (part.strip().lower() for part in content_type.split(";"))
    return media in bodies and set(parameters) <= {"charset=utf-8", 'charset="utf-8"'}


def says_longer(headers: Headers, most_bytes: int) -> bool:
    """Whether a body is longer than it may be, by what is said of it before it comes."""
    # of very many digits Python makes no number, it raises
    return any(
        not said.isdecimal() or len(said) > 20 or int(said) > most_bytes for said in headers.all(b"content-length")
    )


async def whole(receive: Receive, most_bytes: int) -> list[Message] | None:
    """The messages of a body; None if it is longer, however its length was told."""
    messages: list[Message] = []
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        if length > most_bytes:
            return None
        messages.append(message)
        more = message.get("more_body", False)
    return messages


def again(messages: Iterable[Message], receive: Receive) -> Receive:
    """Receive messages that were received, then what follows."""
    waiting = deque(messages)

    async def next_message() -> Message:
        return waiting.popleft() if waiting else await receive()

    return next_message


def with_headers(send: Send) -> Send:
    """Send an answer with the headers that keep other pages from using it."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            # no page of another site may read an answer, whatever the application says
            said = [one for one in message.get("headers", ()) if not one[0].lower().startswith(b"access-control-")]
            known = {name.lower() for name, _ in said}
            ours = [one for one in HEADERS.items() if one[0] not in known]
            message = {**message, "headers": [*said, *ours, FRAMES]}
        await send(message)

    return send_with_headers


async def _answer(send: Send, refusal: Refusal, kind: str = "http.response") -> None:
    body = f"{refusal.status}: {refusal.reason}\n".encode("ascii", "backslashreplace")
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        *refusal.headers,
    ]
    await send({"type": f"{kind}.start", "status": refusal.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


async def _close(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    """Refuse the handshake of a websocket."""
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await _answer(send, refusal, "websocket.http.response")
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
