"""`/pages/`: how each use case stands."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mlops_assets.serving.pages.site import Page, Site
from mlops_assets.serving.routes.use_cases import summary


def routes(site: Site) -> Sequence[BaseRoute]:
    """The routes."""

    def overview(request: Request) -> Response:
        told = [summary(site.service, name) for name in site.service.use_cases]
        return site.page(request, "overview.html", told=told)

    return [Page("/", overview)]
