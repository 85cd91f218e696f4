"""Messages that ask for a deploy: signed with a key that both ends know, each good once and for a short time."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass

from deploy.images import DIGEST, VERSION

TIME, SIGNATURE = "X-Deploy-Time", "X-Deploy-Signature"
"""Headers: when the message was made, in seconds since 1970, and the hash of that and of the body under the key."""

WINDOW = 300
"""Seconds by which the clocks of both ends may differ, with the way between them."""

SHORTEST = 32
"""Characters of a key; fewer could be guessed."""

LARGEST = 1024
"""Bytes of a body."""


class Refused(Exception):
    """A message is not obeyed; the text says why, to whoever may know it."""


@dataclass(frozen=True)
class Wish:
    """What a message asks for.

    Attributes
    ----------
    digest
        Of the image; its name is the business of the host alone.
    version
        What people call it.
    """

    digest: str
    version: str


def sign(key: str, time: int, body: bytes) -> str:
    """The signature of a message.

    Parameters
    ----------
    key
        What both ends know.
    time
        When it is made; part of what is signed, so that nobody makes an old message new.
    body
        What it says.
    """
    return hmac.new(key.encode(), b"%d.%s" % (time, body), hashlib.sha256).hexdigest()


def written(wish: Wish) -> bytes:
    """The body of a message."""
    return json.dumps({"digest": wish.digest, "version": wish.version}, sort_keys=True).encode()


def read(body: bytes) -> Wish:
    """What a body asks for; nothing but a digest and a version is taken from it.

    Raises
    ------
    Refused
        If it has not just these two, or one does not look like it.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("the body is no JSON") from None
    if not isinstance(said, dict) or said.keys() != {"digest", "version"}:
        raise Refused("the body must be an object with `digest` and `version` and nothing else")
    digest, version = said["digest"], said["version"]
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise Refused("`digest` must be sha256: and 64 hexadecimal digits")
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        raise Refused("`version` must be up to 64 letters, digits, dots and dashes")
    return Wish(digest, version)


def check(key: str, time: str, signature: str, body: bytes, *, now: float, newest: int) -> int:
    """When a message was made, if it is to be obeyed.

    Parameters
    ----------
    key
        What both ends know.
    time, signature
        What its headers say.
    body
        What it says.
    now
        The time here.
    newest
        When the newest message was made that was obeyed. A message must be newer: so none is obeyed twice, also after
        a restart, and an old one never after a new one.

    Raises
    ------
    Refused
        If it is not signed with the key, too old, of the future, or not newer.
    """
    made = int(time) if time.isascii() and time.isdigit() and len(time) <= 12 else -1
    # compared first, in constant time: who does not know the key learns nothing else
    if made < 0 or not hmac.compare_digest(sign(key, made, body).encode(), signature.encode()):
        raise Refused("the signature is not that of the key")
    if abs(now - made) > WINDOW:
        raise Refused(f"it was made more than {WINDOW} seconds away from the time here: is a clock wrong?")
    if made <= newest:
        raise Refused("it is not newer than the last one that was obeyed")
    return made
