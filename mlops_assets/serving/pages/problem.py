"""A problem as a page, for people who came by a link or sent a form."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mlops_assets.serving.entrance.callers import UNKNOWN
from mlops_assets.serving.entrance.keys import COOKIE
from mlops_assets.serving.pages.site import BESIDE, go_to, is_part, page_headers, static
from mlops_assets.serving.problems import Problem
from mlops_assets.views.html.addresses import ROOT
from mlops_assets.views.html.render import render


def is_page(request: Request) -> bool:
    """Whether a page is asked for: by its path, or by a browser that somebody typed a short address into."""
    path = request.url.path
    shown = path in BESIDE and "text/html" in request.headers.get("accept", "")
    return shown or path == ROOT or path.startswith(f"{ROOT}/")


def problem_page(request: Request, problem: Problem, request_id: str) -> Response:
    """What a person sees of a problem; whoever has not signed in is asked to.

    Parameters
    ----------
    request
        The request.
    problem
        What is wrong.
    request_id
        Its id in the log.
    """
    if problem.status == 401 and request.method in ("GET", "HEAD"):
        came_for = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return go_to(f"{ROOT}/sign-in?{urlencode({'next': came_for})}")
    content = problem.content()
    html = render(
        "problem.html",
        layout="part.html" if is_part(request) else "page.html",
        heading=content["title"],
        detail=content["detail"],
        errors=content.get("errors", ()),
        request_id=request_id,
        # of a key that was withdrawn, or has too few rights, nobody is to get out by deleting cookies
        other_key=problem.status in (401, 403) and COOKIE in request.cookies,
        use_case=None,
        use_cases=(),
        keyed=False,
        caller=UNKNOWN,
        static=static,
    )
    return HTMLResponse(html, problem.status, {**problem.headers, **page_headers()})
