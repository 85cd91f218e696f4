"""Who may ask for what: keys, of which the environment has a hash each, with rights and a rate.

A key is 256 bits of chance. Nobody guesses one, however fast a hash is, so SHA-256 does; a slow hash is for passwords
that people think of, and would cost every request its tenths of a second.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from starlette.requests import cookie_parser

from mlops_assets.errors import UsageError
from mlops_assets.events.signing import FORMS
from mlops_assets.serving.entrance.callers import RIGHTS, Caller
from mlops_assets.serving.entrance.guard import READS, Headers
from mlops_assets.serving.problems import Problem

VARIABLE = "MLOPS_API_KEYS"
FORM = "NAME:RIGHTS:RATE:HASH, such as shop:read,predict:50:" + "0" * 64

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HASH = re.compile(r"[0-9a-f]{64}")
UNLIMITED = "-"
PREFIX = "mlops_"
"""What a key begins with, so that people and scanners see what it is."""
REALM = 'Bearer realm="mlops-assets"'

OPEN = frozenset({"/health", "/ready", "/v2/health/live", "/v2/health/ready", "/pages/sign-in", "/pages/sign-out"})
"""Paths that ask for no key: what starts and watches processes has none, nor has who signs in; who may only read signs
out, too."""
OPEN_FILE = re.compile(r"/pages/static/[0-9a-f]{12}/[a-z.]+")
"""The files that pages load; nothing else below, for a use case may be called `static`."""
SIGNED = re.compile(r"/v1/use-cases/[^/]+/refresh")
"""Paths whose requests may be signed instead: the route looks at the signature, for it is one of the whole body."""
OPEN_BYTES = 256 << 10
"""Of a body that is sent without a key."""
COOKIE = "mlops_key"
"""The cookie that a browser has the key in, once somebody has signed in."""
PREDICTING = ("/predictions", "/infer", "/predict", "/try")
"""Ends of the paths to which rows are posted that are to be predicted, and that change nothing."""


@dataclass(frozen=True)
class Key:
    """A key that is known.

    Attributes
    ----------
    caller
        Who has it, and what they may do.
    rate
        Requests a second, in each process; infinite where there is no limit.
    digest
        SHA-256 of the key, in hexadecimal digits.
    """

    caller: Caller
    rate: float
    digest: str

    @property
    def entry(self) -> str:
        """The key as `MLOPS_API_KEYS` has it."""
        rights = ",".join(right for right in RIGHTS if right in self.caller.rights)
        rate = UNLIMITED if math.isinf(self.rate) else f"{self.rate:g}"
        return f"{self.caller.name}:{rights}:{rate}:{self.digest}"

    @classmethod
    def parse(cls, entry: str, number: int) -> Self:
        """One entry of `MLOPS_API_KEYS`.

        Parameters
        ----------
        entry
            The entry.
        number
            Which one it is, from 1: its text might hold a key, so it is not told.

        Raises
        ------
        UsageError
            If it is none.
        """
        parts = entry.split(":")
        which = f"{VARIABLE}, entry {number}"
        if len(parts) != 4 or not NAME.fullmatch(parts[0]):
            raise UsageError(f"{which}: it is not {FORM}.")
        name, rights, rate, digest = parts
        if not HASH.fullmatch(digest):
            raise UsageError(
                f"{which} ({name}): its hash is not 64 hexadecimal digits. `mlops-assets serve --new-key {name}` makes "
                "a key and its entry; the key itself stands nowhere."
            )
        return cls(Caller(name, parse_rights(rights, f"{which} ({name})")), _rate(rate, f"{which} ({name})"), digest)


def parse_rights(text: str, where: str) -> frozenset[str]:
    """Rights, with commas between.

    Raises
    ------
    UsageError
        If there are others among them, or none.
    """
    rights = frozenset(part.strip() for part in text.split(",") if part.strip())
    if not rights or not rights <= set(RIGHTS):
        raise UsageError(f"{where}: rights are {', '.join(RIGHTS)}, with commas between; it has {text!r}.")
    return rights


def _rate(text: str, where: str) -> float:
    if text == UNLIMITED:
        return math.inf
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < math.inf:
        raise UsageError(f"{where}: the rate is a number of requests a second, or {UNLIMITED} for no limit.")
    return rate


def new_key(name: str, rights: frozenset[str], rate: float = math.inf) -> tuple[str, Key]:
    """A key that nobody knows yet, and what is kept of it.

    Parameters
    ----------
    name
        Of whom it is for.
    rights
        What they may do.
    rate
        Requests a second.

    Raises
    ------
    UsageError
        If it cannot be a name.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a key: letters, digits, `.`, `_` and `-`, at most 64.")
    token = PREFIX + secrets.token_urlsafe(32)
    return token, Key(Caller(name, rights), rate, _digest(token))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class Bucket:
    """A rate that is kept: a second's requests may come at once, then each when the rate allows.

    Parameters
    ----------
    rate
        Requests a second.
    clock
        Says how late it is, in seconds.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._most, self._clock = rate, max(1.0, rate), clock
        self._left, self._at = self._most, clock()

    def take(self) -> float:
        """Take one request; 0 if there was one, else the seconds until there is."""
        if math.isinf(self._rate):
            return 0.0
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._rate
        self._left -= 1
        return 0.0


class Keys:
    """The keys of an installation.

    Parameters
    ----------
    keys
        Each with a name of its own.
    """

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = tuple(keys)
        self._buckets = {key.caller.name: Bucket(key.rate) for key in keys}

    @classmethod
    def from_environment(cls) -> Self | None:
        """Those of `MLOPS_API_KEYS`, with blanks or line ends between; None if it is not set.

        Raises
        ------
        UsageError
            If an entry is wrong; it says which one.
        """
        entries = os.environ.get(VARIABLE, "").split()
        keys = [Key.parse(entry, number) for number, entry in enumerate(entries, 1)]
        names = [key.caller.name for key in keys]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(f"{VARIABLE}: the name {twice[0]} stands there twice; each key has one of its own.")
        return cls(keys) if keys else None

    def caller(self, headers: Headers) -> Caller:
        """Who sent a request, by `Authorization: Bearer KEY`, `X-Api-Key: KEY` or the cookie of who signed in.

        Raises
        ------
        Problem
            401, if there is no key, or no known one.
        """
        sent = _sent(headers)
        if not sent:
            said = "A key is needed: send it as `Authorization: Bearer KEY`, or as `X-Api-Key: KEY`."
            raise Problem(401, said, headers={"WWW-Authenticate": REALM})
        if len(sent) > 1:
            raise _unknown()
        return self.known(sent[0])

    def known(self, token: str) -> Caller:
        """Whose key it is.

        Raises
        ------
        Problem
            401, if it is nobody's.
        """
        digest = _digest(token)
        # all are compared, each in the same time: how long it took tells nobody how near a guess was
        found = [key for key in self._keys if hmac.compare_digest(key.digest, digest)]
        if not found:
            raise _unknown()
        return found[0].caller

    def take(self, caller: Caller) -> None:
        """Count a request of a caller.

        Raises
        ------
        Problem
            429, if more come than its rate.
        """
        if seconds := self._buckets[caller.name].take():
            wait = math.ceil(seconds)
            said = f"More requests came with the key of {caller.name} than its rate allows; ask again in {wait} s."
            raise Problem(429, said, headers={"Retry-After": str(wait)})


def see_right(caller: Caller, method: str, path: str) -> None:
    """Look whether a caller may do what a request asks for.

    Parameters
    ----------
    caller
        Who asks.
    method, path
        Of the request.

    Raises
    ------
    Problem
        403, with the right that lacks.
    """
    right = right_for(method, path)
    if right not in caller.rights:
        said = f"The key of {caller.name} has no right to {right}; it has: {', '.join(sorted(caller.rights))}."
        raise Problem(403, said, headers={"WWW-Authenticate": f'{REALM}, error="insufficient_scope"'})


def right_for(method: str, path: str) -> str:
    """The right that a request needs.

    Examples
    --------
    >>> right_for("GET", "/v1/use-cases"), right_for("POST", "/v1/use-cases/topics/predictions")
    ('read', 'predict')
    >>> right_for("POST", "/v1/use-cases/topics/promote")
    'write'
    """
    if method in READS:
        return "read"
    return "predict" if path.rstrip("/").endswith(PREDICTING) else "write"


def is_open(path: str) -> bool:
    """Whether a path asks for no key.

    Examples
    --------
    >>> is_open("/health"), is_open("/pages/sign-in"), is_open("/pages/static/days/2026-01-31")
    (True, True, False)
    """
    return path in OPEN or OPEN_FILE.fullmatch(path) is not None


def asks_for_no_key(path: str, headers: Headers) -> bool:
    """Whether a request comes in without a key: its path is open, or it says that it is signed where that is enough."""
    return is_open(path) or (SIGNED.fullmatch(path) is not None and any(headers.all(name.encode()) for name in FORMS))


def _unknown() -> Problem:
    said = "The key is not known here; ask who runs this for one, and send it once."
    return Problem(401, said, headers={"WWW-Authenticate": f'{REALM}, error="invalid_token"'})


def _sent(headers: Headers) -> list[str]:
    bearers = [said.partition(" ") for said in headers.all(b"authorization")]
    sent = [token.strip() for scheme, _, token in bearers if scheme.lower() == "bearer"]
    named = [token for token in [*sent, *headers.all(b"x-api-key")] if token]
    # a program says its key itself; a browser has nothing else to say it with
    return named or [token for said in headers.all(b"cookie") if (token := cookie_parser(said).get(COOKIE))]
