"""What all pages share: their frame, who looks, and that a change was meant by who sent it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mlops_assets.serving.bodies.query import Read, read_query
from mlops_assets.serving.entrance.keys import COOKIE
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.service import Service, caller_of
from mlops_assets.use_case import UseCase
from mlops_assets.views.html.addresses import ROOT
from mlops_assets.views.html.render import asset, render
from mlops_assets.workspace import Stores

OF_DAYS = ("day", "as_of")
"""Parameters that name a day."""
BESIDE = ("/", "/docs")
"""What people open in a browser beside the pages."""
FORM_COOKIE = "mlops_form"
"""A number of chance that a browser sends back in each form: a page of another site cannot know it."""
FORM_BYTES, FORM_FIELDS = 256 << 10, 8
"""What a form without files may have: it is parsed where all requests wait."""

TABS = (
    ("days", "Days"),
    ("try", "Try it"),
    ("predictions", "Predictions"),
    ("models", "Models"),
    ("performance", "Performance"),
    ("drift", "Drift and quality"),
    ("label", "Label"),
    ("data", "Data"),
)
"""The pages of a use case: the beginning of their paths, and what they are called."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a browser may do for a page: load what this server has, and run nothing that stands in the page itself."""


class Site:
    """The frame of the pages of a server.

    Parameters
    ----------
    service
        What they show.
    keyed
        Whether the server asks for keys.
    """

    def __init__(self, service: Service, *, keyed: bool = False) -> None:
        self.service = service
        self.keyed = keyed

    def page(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page, or its content alone where a script of the page asks for it; the address is the same.

        Parameters
        ----------
        request
            The request; a path parameter `use_case` says whose page it is.
        template
            Name of the template, which extends `layout`.
        status
            Code of HTTP.
        values
            What the template shows.
        """
        use_case = request.path_params.get("use_case")
        token = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
        frame = {
            "layout": "part.html" if is_part(request) else "page.html",
            "title": "",
            "use_case": use_case if use_case in self.service.use_cases else None,
            "use_cases": [*self.service.use_cases],
            "tabs": TABS,
            "tab": tab_of(request.url.path),
            "base": ROOT,
            "static": static,
            "keyed": self.keyed,
            "signed_in": COOKIE in request.cookies,
            "caller": caller_of(request),
            "token": token,
        }
        answer = HTMLResponse(render(template, **{**frame, **values}), status, page_headers())
        if request.cookies.get(FORM_COOKIE) != token:  # also one that is empty
            set_cookie(request, answer, FORM_COOKIE, token)
        return answer

    def stores(self, request: Request) -> Stores:
        """What there is of the use case that a path names.

        Raises
        ------
        Problem
            404, if it is not served.
        """
        return self.service.stores(request.path_params["use_case"])

    def use_case(self, request: Request) -> UseCase:
        """The use case that a path names.

        Raises
        ------
        Problem
            404, if it is not served.
        """
        return self.stores(request).use_case

    def period(self, request: Request, day: str) -> str:
        """The week in which a day lies, if the use case has weeks: a field for dates offers every day; else the day."""
        return self.use_case(request).partitions.holding(day)

    def query(self, request: Request, known: Mapping[str, Read]) -> dict[str, Any]:
        """The parameters that are given, as of `read_query`; a day of a week stands for the week."""
        asked = read_query(request, known)
        return asked | {name: self.period(request, asked[name]) for name in OF_DAYS if asked.get(name)}


class Page(Route):
    """A page: a route whose requests are measured by its path."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        scope["route"] = SimpleNamespace(path=ROOT + self.path)
        await super().handle(scope, receive, send)


def page_headers() -> dict[str, str]:
    """Headers of every page: what a browser may do for it, and that it is read anew each time."""
    return {"Content-Security-Policy": POLICY, "Vary": "HX-Request", "Cache-Control": "no-store"}


def is_part(request: Request) -> bool:
    """Whether a script of a page asks for what is to stand in its middle."""
    return request.headers.get("hx-request") == "true" and request.headers.get("hx-request-type") == "partial"


def tab_of(path: str) -> str:
    """Which of the pages of a use case a path belongs to.

    Examples
    --------
    >>> tab_of("/pages/topics/days/2026-01-31")
    'days'
    """
    return "/".join(path.split("/")[3:4])


def see_token(request: Request, sent: object) -> None:
    """See that a form was made for the browser that sent it.

    Parameters
    ----------
    request
        The request.
    sent
        The field `token` of the form.

    Raises
    ------
    Problem
        403, if not.
    """
    known = request.cookies.get(FORM_COOKIE, "")
    if not known or not isinstance(sent, str) or not hmac.compare_digest(known.encode(), sent.encode()):
        said = "This form was not made for this browser, or its cookies are gone. Open the page anew and send it again."
        raise Problem(403, said)


async def small_form(request: Request) -> dict[str, str]:
    """The fields of a form without files, once it is seen that it was made for the browser that sent it.

    Raises
    ------
    Problem
        403, if it was not; 413, if it is longer than what people type.
    """
    if len(await request.body()) > FORM_BYTES:
        raise Problem(413, f"The form is longer than {FORM_BYTES:,} bytes, which is the most that is read.")
    form = await request.form(max_files=0, max_fields=FORM_FIELDS)
    see_token(request, form.get("token"))
    return {name: value for name, value in form.items() if isinstance(value, str)}


def set_cookie(request: Request, answer: Response, name: str, value: str) -> None:
    """Set a cookie that only this server is sent, from its own pages, and no script reads."""
    secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
    answer.set_cookie(name, value, path="/", httponly=True, samesite="strict", secure=secure)


def who(request: Request) -> str:
    """Who changes something on a page, as histories tell it."""
    return f"{caller_of(request).name} (pages)"


def go_to(path: str) -> Response:
    """Have a browser open another page, after what it sent was done."""
    return RedirectResponse(path, 303, {"Cache-Control": "no-store"})


@cache
def static(name: str) -> str:
    """The address of a file of the pages; it changes with what is in it, so browsers keep it for good."""
    return f"{ROOT}/static/{hashlib.sha256(asset(name)).hexdigest()[:12]}/{name}"
