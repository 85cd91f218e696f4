"""Errors as they are answered: `application/problem+json`, RFC 9457."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from mlops_assets.errors.redaction import redacted

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong with a request.

    Attributes
    ----------
    where
        Place in the request, such as `query.version` or `files[0].rows[3].valor`.
    message
        What is wrong, and what to do.
    """

    where: str
    message: str


class Problem(Exception):
    """A request that is not answered as asked.

    Parameters
    ----------
    status
        Code of HTTP.
    detail
        What is wrong and what to do, for a person: no path of the machine, no secret, no trace.
    errors
        Everything that is wrong, field by field.
    headers
        Further headers, such as `Retry-After`.
    further
        Further members of the answer, as RFC 9457 allows.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[Wrong] = (),
        headers: Mapping[str, str] | None = None,
        further: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.further = dict(further or {})

    def content(self, request: str = "") -> dict[str, Any]:
        """The members of the answer; `request` is the id of the request."""
        content: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": redacted(self.detail),
        }
        if request:
            content["request"] = request
        if self.errors:
            content["errors"] = [{"where": one.where, "message": redacted(one.message)} for one in self.errors]
        return {**content, **self.further}

    def response(self, request: str = "") -> Response:
        """The answer."""
        body = orjson.dumps(self.content(request))
        return Response(body, self.status, self.headers, MEDIA_TYPE)
