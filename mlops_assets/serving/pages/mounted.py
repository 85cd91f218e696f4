"""All pages, below one path of the application."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Router

from mlops_assets.serving.entrance.keys import Keys
from mlops_assets.serving.pages import (
    data,
    days,
    drift,
    label,
    models,
    overview,
    performance,
    predictions,
    retro,
    rows,
    signing_in,
)
from mlops_assets.serving.pages.site import Page, Site
from mlops_assets.serving.pages.trying import page as trying
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.service import Service
from mlops_assets.views.html.addresses import ROOT
from mlops_assets.views.html.render import asset

PAGES = (
    overview.routes,
    data.routes,
    days.routes,
    drift.routes,
    label.routes,
    retro.routes,
    models.routes,
    performance.routes,
    predictions.routes,
    rows.routes,
    trying.routes,
)
"""Each makes the routes of one kind of page for a site."""

TYPES = {
    "pico.min.css": "text/css",
    "pages.css": "text/css",
    "htmx.min.js": "text/javascript",
    "pages.js": "text/javascript",
    "label.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""The files that pages load, by their type."""


def mount(service: Service, keys: Keys | None) -> Mount:
    """The pages as a route of the application.

    Parameters
    ----------
    service
        What they show.
    keys
        The keys that are asked for; None where there are none.
    """
    site = Site(service, keyed=keys is not None)
    found: list[BaseRoute] = [*signing_in.routes(site, keys)]
    for make in PAGES:
        found.extend(make(site))
    found.append(Page("/static/{digest}/{name}", _file))  # last: a use case may be called `static`
    # no redirects, see `requests.spelled`
    pages = Router(found, redirect_slashes=False)
    return Mount(ROOT, pages, middleware=[Middleware(GZipMiddleware, minimum_size=1_000)])


def _file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in TYPES:
        raise Problem(404, "There is no such file.")
    return Response(asset(name), media_type=TYPES[name], headers={"Cache-Control": "max-age=31536000, immutable"})
