"""Tells a host that there is an image to run: `python -m deploy.announce DIGEST VERSION`.

`DEPLOY_URL` has the address of the host's receiver, `DEPLOY_KEY` the key that both know.
"""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request
import uuid

from deploy.messages import Refused, Wish, read, written
from mlops_assets.events.signing import keys_of, sign

PATIENCE = 30.0
"""Seconds that an answer may take; the deploy itself goes on after it."""


class NotTaken(RuntimeError):
    """The host did not take the message."""


def announce(url: str, key: str, wish: Wish, now: float) -> None:
    """Send a message.

    Parameters
    ----------
    url
        The receiver.
    key
        What both ends know.
    wish
        What is asked for.
    now
        The time.

    Raises
    ------
    NotTaken
        If it is not taken; with what was answered.
    """
    body = written(wish)
    headers = {"Content-Type": "application/json", **sign(key, uuid.uuid4().hex, now, body)}
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - looked at by `main`
    try:
        with _OPENER.open(request, timeout=PATIENCE) as answer:
            status, said = answer.status, answer.read(500)
    except urllib.error.HTTPError as error:
        with error:
            status, said = error.code, error.read(500)
    except OSError as error:
        raise NotTaken(f"the host does not answer: {error}") from None
    if status != 202:
        raise NotTaken(f"the host answered with {status}: {said.decode(errors='replace').strip()}")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it could lead anywhere with what is said."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


def main(arguments: list[str]) -> int:
    """Send the message that the arguments are.

    Parameters
    ----------
    arguments
        The digest and the version.

    Returns
    -------
    int
        0 if it was taken, 1 if not, 2 where it could not be sent.
    """
    url, key = os.environ.get("DEPLOY_URL", ""), os.environ.get("DEPLOY_KEY", "")
    if len(arguments) != 2:
        print("Usage: python -m deploy.announce DIGEST VERSION", file=sys.stderr)
        return 2
    if not url.startswith(("https://", "http://127.0.0.1:")):
        print("announce: DEPLOY_URL must be an address with https", file=sys.stderr)
        return 2
    try:
        keys_of(key)
    except ValueError as error:
        print(f"announce: DEPLOY_KEY: {error}", file=sys.stderr)
        return 2
    try:
        wish = read(written(Wish(*arguments)))
        announce(url, key, wish, time.time())
    except (Refused, NotTaken) as error:
        print(f"announce: {error}", file=sys.stderr)
        return 1
    print(f"the host takes {wish.digest}, version {wish.version}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
