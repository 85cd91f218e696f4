"""In: the bytes of a message. Out: headers that prove who sent it, and when; and the look at such headers.

The scheme is that of Standard Webhooks: HMAC-SHA256 over id, time and body, in `webhook-id`, `webhook-timestamp` and
`webhook-signature`. MLflow signs the same bytes, under headers of its own. Nothing is imported here but Python itself:
whoever receives our messages may take this file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

TOLERANCE = 300.0
"""Seconds that a message may be old, or ahead of our clock."""

TIME = re.compile(r"[0-9]{1,12}")
PREFIX, VERSION = "whsec_", "v1"
LEAST = 24
"""Bytes of a secret, at least."""

FORMS = {
    "webhook-signature": ("webhook-id", "webhook-timestamp"),
    "x-mlflow-signature": ("x-mlflow-delivery-id", "x-mlflow-timestamp"),
}
"""By the header of the signature, those of the id and of the time."""


class NotSigned(Exception):
    """A message is not what somebody who knows the secret sent just now; the text says why, without the secret."""


class Repeated(NotSigned):
    """A message that is signed and came before: it is answered as if it were new, for its sender may not know."""


@dataclass(frozen=True)
class Signed:
    """What is known of a message that is signed.

    Attributes
    ----------
    name
        Its id.
    made
        When this try of it was sent, in seconds since 1970.
    """

    name: str
    made: int


class Seen:
    """The ids that came within the tolerance: what comes again is a replay.

    Examples
    --------
    >>> seen = Seen()
    >>> seen("a", 0.0), seen("a", 1.0), seen("a", 1000.0)
    (False, True, False)
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def __call__(self, name: str, now: float) -> bool:
        """Whether an id came before; from now on it did."""
        self._until = {known: until for known, until in self._until.items() if until > now}
        before = name in self._until
        # a message from ahead of our clock stays good for twice the tolerance
        self._until.setdefault(name, now + 2 * TOLERANCE)
        return before

    def forget(self, name: str) -> None:
        """Take a message back that could not be acted on: its sender tries again, and it is no replay then."""
        self._until.pop(name, None)


def keys_of(secret: str) -> list[bytes]:
    """The keys of a secret, which is any text or, behind `whsec_`, base64; several with blanks between.

    Raises
    ------
    ValueError
        If there is none, or one that is too short or no base64.
    """
    keys = []
    for one in secret.split():
        try:
            text = one.removeprefix(PREFIX)
            key = one.encode() if text == one else base64.b64decode(text, validate=True)
        except binascii.Error:
            raise ValueError(f"what comes after {PREFIX} is no base64") from None
        if len(key) < LEAST:
            raise ValueError(f"a secret has at least {LEAST} bytes; `openssl rand -base64 32` makes one")
        keys.append(key)
    if not keys:
        raise ValueError("there is no secret")
    return keys


def sign(secret: str, name: str, now: float, body: bytes) -> dict[str, str]:
    """The headers of a message.

    Parameters
    ----------
    secret
        What both sides know; see `keys_of`.
    name
        The id of the message, the same for each try.
    now
        The moment of this try, in seconds since 1970.
    body
        The bytes that are sent.
    """
    when = str(int(now))
    signatures = " ".join(f"{VERSION},{_signature(key, name, when, body)}" for key in keys_of(secret))
    return {"webhook-id": name, "webhook-timestamp": when, "webhook-signature": signatures}


def is_signed(headers: Mapping[str, str]) -> bool:
    """Whether a message says that it is signed; only `verify` knows whether it is."""
    return any(name.lower() in FORMS for name in headers)


def verify(
    headers: Mapping[str, str], body: bytes, secret: str, now: float, seen: Callable[[str, float], bool]
) -> Signed:
    """What is known of a message that was sent just now, for the first time, by somebody who knows the secret.

    Parameters
    ----------
    headers
        Of the request; their names in any case.
    body
        Its bytes, before anything has read them.
    secret
        What both sides know.
    now
        The moment, in seconds since 1970.
    seen
        Says whether an id came before, and keeps it, such as `Seen()`.

    Raises
    ------
    NotSigned
        If it is forged or old.
    Repeated
        If it came before; whoever may do a thing twice passes that over.
    ValueError
        If the secret is none.
    """
    keys, given = keys_of(secret), {name.lower(): value for name, value in headers.items()}
    signed, (id_header, time_header) = next(((name, FORMS[name]) for name in FORMS if name in given), ("", ("", "")))
    name, when = given.get(id_header, ""), given.get(time_header, "")
    if not signed or not name or not TIME.fullmatch(when):
        raise NotSigned("it is not signed: the headers of Standard Webhooks are id, timestamp and signature")
    if "." in name:  # it could be cut elsewhere, and the rest be taken for a time: the signed bytes would be the same
        raise NotSigned("its id has a dot, which divides what is signed")
    # each is compared in the same time: how long it took tells nobody how near a guess was
    sent = [one.encode("utf-8", "surrogateescape") for one in given[signed].split()]
    expected = [f"{VERSION},{_signature(key, name, when, body)}".encode() for key in keys]
    if not any(hmac.compare_digest(a, b) for a in sent for b in expected):
        raise NotSigned("its signature is not that of the secret")
    if abs(now - int(when)) > TOLERANCE:
        raise NotSigned(f"it was sent more than {TOLERANCE:g} s ago, or one of both clocks is wrong")
    if seen(name, now):
        raise Repeated("it came before")
    return Signed(name, int(when))


def _signature(key: bytes, name: str, when: str, body: bytes) -> str:
    signed = b".".join((name.encode("utf-8", "surrogateescape"), when.encode(), body))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
