"""Messages that ask for a deploy: signed as all our messages are, each newer than the last one that was obeyed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.images import DIGEST, VERSION
from mlops_assets.events.signing import NotSigned, verify

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


def check(key: str, headers: Mapping[str, str], body: bytes, *, now: float, newest: int) -> int:
    """When a message was made, if it is to be obeyed.

    Parameters
    ----------
    key
        What both ends know.
    headers, body
        Of the message.
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
    try:
        # ids need not be kept: the time is signed, too, and says more
        made = verify(headers, body, key, now, seen=lambda *_: False).made
    except NotSigned as error:
        raise Refused(str(error)) from None
    if made <= newest:
        raise Refused("it is not newer than the last one that was obeyed")
    return made
