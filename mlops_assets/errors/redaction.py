"""What may be shown: addresses without who asks, and texts without any secret of the environment.

Secrets come from the environment alone, so it is known what they are: the values of variables that a use case refers
to, those whose names say that they hold one, and what stands before the `@` of an address. Who writes a message leaves
them out; this is for those that others write, and for what somebody forgot.
"""

from __future__ import annotations

import json
import logging
import os
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

SHORTEST = 6
"""Signs that a value must have to be taken out wherever it stands: `a` or `test` would be found in every word."""

HIDDEN = "***"
"""What stands in the place of a secret."""

NAMED = re.compile(r"SECRET|PASSWORD|TOKEN(?!IZ)|CREDENTIAL|_KEY(_ID)?$|^MLOPS_(ALERT|HEARTBEAT)_URL$")
"""Environment variables whose names say that they hold a secret."""

WITHIN_ADDRESS = re.compile(r"(?<=://)(?!user:password@|\[\^)[^/\s'\"]*@")
"""User and password of an address, but for those of an example; in `://[^@]+`, the pattern of an address, is none.

The last `@` counts: a password may hold one that nobody has encoded.
"""

IN_QUERY = re.compile(r"(?<=[?&])([\w.-]*(?:password|passwd|secret|token|signature|key)=)([^&\s'\"]+)", re.IGNORECASE)
"""What an address says behind its path by a name that says it is secret: the name, and the secret."""

USER_AND_PASSWORD = re.compile(r"://(?P<both>[^:/@\s]*:(?P<password>\S*))@")
"""The same where the address is a whole text: there the password may hold a `/`, too."""

PATH = re.compile(r"(?<![\w:/.*-])/(?:[^\s/:'\"`]+/)+([^\s/:'\"`]+)")
"""A file of this machine, and its last name."""

DAY = re.compile(r"\d{4}-\d\d-\d\d")

_referred: set[str] = set()


def remember(variable: str) -> str:
    """Take the value of an environment variable for a secret from now on, since the configuration refers to it.

    Parameters
    ----------
    variable
        Its name, which is returned.
    """
    _referred.add(variable)
    return variable


def referred() -> frozenset[str]:
    """The environment variables that the configuration refers to, as far as this process has read it."""
    return frozenset(_referred)


def anonymous(address: str) -> str:
    """An address without user, password and what else is secret by its name: the same for whoever asks there.

    Examples
    --------
    >>> anonymous("postgresql://me:rosebud@host/all?sslmode=require&sslpassword=rosebud")
    'postgresql://host/all?sslmode=require&sslpassword='
    """
    return IN_QUERY.sub(r"\1", WITHIN_ADDRESS.sub("", address))


def shown(address: str) -> str:
    """An address as it may be shown: without user and password, and without what stands behind the path.

    Examples
    --------
    >>> shown("https://me:rosebud@host:8443/bucket?token=rosebud")
    'https://host:8443/bucket'
    """
    bare = WITHIN_ADDRESS.sub("", address)
    try:
        scheme, network, path, _, _ = urlsplit(bare)
    except ValueError:  # of brackets that are no IPv6
        return HIDDEN
    # a path of this machine may have any sign in it
    return address if not network and bare == address else f"{scheme}://{network}{path}"


def redacted(text: str, environment: Mapping[str, str] | None = None) -> str:
    """A text without any secret of the environment, and without user and password of any address.

    Parameters
    ----------
    text
        Such as an error of a library.
    environment
        Has the secrets, by default that of this process.

    Examples
    --------
    >>> redacted("s3://me:rosebud@host: the key is rosebud42", {"AWS_SECRET_ACCESS_KEY": "rosebud42"})
    's3://***@host: the key is ***'
    """
    addresses = IN_QUERY.sub(rf"\1{HIDDEN}", WITHIN_ADDRESS.sub(f"{HIDDEN}@", text))
    return without(addresses, _secrets(os.environ if environment is None else environment))


def without_paths(text: str) -> str:
    """A text in which files of this machine have their last name alone: what is told over a network.

    Examples
    --------
    >>> without_paths("/srv/home/lake/x/history/000002.json: cannot be read; see s3://bucket/a and defs/x.yaml")
    '000002.json: cannot be read; see s3://bucket/a and defs/x.yaml'
    >>> without_paths("look in /srv/raw/visits/day=2026-01-31/hour=05, then run it again")
    'look in day=2026-01-31/hour=05, then run it again'
    """
    return PATH.sub(_last_name, text.replace("file://", ""))


def _last_name(found: re.Match[str]) -> str:
    # an hour alone says nothing: it is that of a day
    return "/".join(found[0].split("/")[-2:]) if found[1].startswith("hour=") else found[1]


def without(text: str, secrets: Iterable[str]) -> str:
    """A text without some secrets, however libraries spell them: as they are, in addresses, in JSON."""
    # the longest first: one may hold another
    for form in sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text


def _forms(secret: str) -> Iterator[str]:
    in_addresses = unquote(secret), quote(secret, safe=""), quote(secret), quote_plus(secret)
    return (form for form in (secret, *in_addresses, json.dumps(secret)[1:-1]) if form)


def _secrets(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        parts = _of_address(value) if "://" in value else []
        if (NAMED.search(name) or name in _referred) and not _has_to_be_named(value):
            # a library may tell what of an address it asks for, and not of whom
            parts += [value, *_behind_host(value)]
        yield from (part for part in parts if len(part) >= SHORTEST)


def _has_to_be_named(value: str) -> bool:
    """Whether a value is a day, or a place of this machine, such as the file of a token: messages are about these."""
    is_place = value.startswith(os.sep) and os.path.exists(value)  # noqa: PTH110 - a text that need not be a path
    return is_place or DAY.fullmatch(value) is not None


def _of_address(value: str) -> list[str]:
    found = USER_AND_PASSWORD.search(value)
    # a user alone, such as `postgres`, is taken out of addresses and left in words
    parts = [found["both"], found["password"]] if found else []
    return parts + [secret for _, secret in IN_QUERY.findall(value)]


def _behind_host(value: str) -> list[str]:
    """What a web address says behind its host, such as the token of a hook; of a database that is its name."""
    if not value.lower().startswith(("http://", "https://")):
        return []
    path, _, query = value.partition("://")[2].partition("/")[2].partition("?")
    return [path, query]


def redact_logs() -> None:
    """Let every line that is logged in this process, by whomever, be one without secrets."""
    make = logging.getLogRecordFactory()
    if getattr(make, "redacts", False):
        return

    def made(*arguments: Any, **named: Any) -> logging.LogRecord:
        record = make(*arguments, **named)
        try:
            text = record.getMessage()
        except Exception:  # a message that does not go with its arguments: the handler tells whose mistake it is
            return record
        if (told := redacted(text)) != text:
            record.msg, record.args = told, ()
        if isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            if (told := redacted(trace)) != trace:
                # a formatter takes the text that is there
                record.exc_text = told
        return record

    made.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(made)
