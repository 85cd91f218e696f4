"""Answers from a service that speaks JSON."""

from __future__ import annotations

import json
import os
from typing import Any

import pyarrow as pa
import requests

from mlops_assets.journey.enrich.lookups import EnrichmentError, NoAnswer
from mlops_assets.journey.enrich.lookups.deadline import ending_after
from mlops_assets.use_case import HttpParameters

PIECE = 1 << 16
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Status codes that another try may better."""

MOST_DIGITS = 20
"""Digits, with a sign, of a whole number of 64 bits; what has more is none of a column."""

LONGEST_WAIT = 60.0
"""Most seconds of a `Retry-After` that are waited."""


class HttpService:
    """A service that is given `{"day": ..., "keys": [{...}, ...]}` and answers with a list of objects.

    Each object has the keys it answers for and the configured columns; the list may stand under `answers`. With GET,
    `day` and `keys`, as JSON, are parameters of the address. A redirection is not followed: the secrets are for the
    configured address.

    Parameters
    ----------
    place
        Where it is and how it is asked.
    """

    def __init__(self, parameters: HttpParameters) -> None:
        self._parameters = parameters

    def fetch(self, keys: pa.Table, day: str) -> list[dict[str, Any]]:
        """The objects that the service answers with; see `Fetcher.fetch`."""
        parameters = self._parameters
        asked = {"headers": self._headers(), **self._question(keys, day)}
        # piece by piece, so that an answer without end is given up
        how: dict[str, Any] = {"timeout": parameters.timeout, "stream": True, "allow_redirects": False}
        try:
            with (
                ending_after(parameters.timeout) as session,
                session.request(parameters.method, parameters.url, **how, **asked) as response,
            ):
                if response.status_code != requests.codes.ok:
                    after = _seconds(response.headers.get("Retry-After", ""))
                    again = response.status_code in AGAIN
                    raise NoAnswer(f"status {response.status_code}", again=again, after=after)
                body = self._body(response)
        except requests.Timeout:
            raise NoAnswer("no answer in time") from None
        except requests.ConnectionError:
            raise NoAnswer("no connection, or it broke") from None
        except requests.RequestException as error:  # its text holds the address with the keys
            raise NoAnswer(f"no request: {type(error).__name__}") from None
        return _objects(body)

    def _question(self, keys: pa.Table, day: str) -> dict[str, Any]:
        asked = [{name: _plain(value) for name, value in key.items()} for key in keys.to_pylist()]
        if self._parameters.method == "GET":
            return {"params": {"day": day, "keys": json.dumps(asked)}}
        return {"json": {"day": day, "keys": asked}}

    def _headers(self) -> dict[str, str]:
        secret = {}
        for header, variable in self._parameters.secret_headers.items():
            value = os.environ.get(variable, "")
            # a line end in a header would begin another one
            if not value or not value.isprintable():
                raise EnrichmentError(f"{variable} is not set to one line of text; it must hold the header {header}")
            secret[header] = value
        return {"Accept": "application/json", **self._parameters.headers, **secret}

    def _body(self, response: requests.Response) -> bytes:
        body = bytearray()
        for piece in response.iter_content(PIECE):
            body += piece
            if len(body) > self._parameters.largest:
                raise NoAnswer("answer too large")
        return bytes(body)


def _objects(body: bytes) -> list[dict[str, Any]]:
    try:
        content = json.loads(body, parse_int=_whole)
    except (ValueError, RecursionError):
        raise NoAnswer("answer is no JSON") from None
    if isinstance(content, dict):
        content = content.get("answers")
    if not isinstance(content, list):
        raise NoAnswer("answer is no list of objects")
    return content


def _whole(digits: str) -> int | float:
    """A number without a point; Python refuses one of thousands of digits, which would cost all the others, too."""
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def _seconds(text: str) -> float:
    """What `Retry-After` says in seconds; one that names a date is taken for none."""
    return min(float(text), LONGEST_WAIT) if text.isdecimal() else 0.0


def _plain(value: Any) -> Any:
    """A key as JSON has it."""
    return value if isinstance(value, (str, int)) else value.isoformat()
