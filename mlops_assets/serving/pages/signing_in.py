"""`/pages/sign-in`: a key is typed once, and the browser sends it with each request from then on."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mlops_assets.serving.entrance.keys import COOKIE, Keys
from mlops_assets.serving.pages.site import BESIDE, Page, Site, go_to, set_cookie, small_form
from mlops_assets.serving.problems import Problem
from mlops_assets.views.html.addresses import ROOT

MOST = 2_000
"""Signs of the address that is gone to afterwards."""


def routes(site: Site, keys: Keys | None) -> Sequence[BaseRoute]:
    """The routes.

    Parameters
    ----------
    site
        The frame.
    keys
        The keys; None where none is asked for.
    """

    async def sign_in(request: Request) -> Response:
        if keys is None:
            return go_to(f"{ROOT}/")
        if request.method != "POST":
            return _form(site, request, request.query_params.get("next", ""))
        form = await small_form(request)
        key, following = form.get("key", "").strip(), form.get("next", "")
        try:
            keys.known(key)
        except Problem as problem:
            return _form(site, request, following, problem.detail, 401)
        answer = go_to(own(following))
        set_cookie(request, answer, COOKIE, key)
        return answer

    async def sign_out(request: Request) -> Response:
        await small_form(request)
        answer = go_to(f"{ROOT}/")
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    return [
        Page("/sign-in", sign_in, methods=["GET", "POST"]),
        Page("/sign-out", sign_out, methods=["POST"]),
    ]


def own(path: str) -> str:
    """An address of this server's pages, whatever a link said: nobody is sent to another site from here.

    Examples
    --------
    >>> own("/pages/topics/days"), own("https://elsewhere/"), own("//elsewhere"), own("/pages/../x")
    ('/pages/topics/days', '/pages/', '/pages/', '/pages/')
    """
    is_plain = ".." not in path and "\\" not in path and path.isprintable() and len(path) <= MOST
    return path if is_plain and (path in BESIDE or path.startswith(f"{ROOT}/")) else f"{ROOT}/"


def _form(site: Site, request: Request, following: str, wrong: str = "", status: int = 200) -> Response:
    return site.page(request, "sign_in.html", status=status, next=own(following), wrong=wrong)
