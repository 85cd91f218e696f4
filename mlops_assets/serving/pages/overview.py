"""`/pages/`: how each use case stands, and whether yesterday can be trusted."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mlops_assets.serving.bodies.query import read_query
from mlops_assets.serving.pages.site import Page, Site
from mlops_assets.serving.service import Service
from mlops_assets.views.overview import Line, broken, clock, headline, in_order, look

LOGGER = logging.getLogger(__name__)


def routes(site: Site) -> Sequence[BaseRoute]:
    """The routes."""

    def overview(request: Request) -> Response:
        read_query(request, {})
        now = dt.datetime.now(dt.UTC)
        told = [_line(site.service, name, now) for name in site.service.use_cases]
        every = [use_case.partitions for use_case in site.service.use_cases.values()]
        return site.page(
            request,
            "overview.html",
            told=told,
            ordered=in_order(told),
            headline=headline(told, every),
            clock=clock(every, now),
        )

    return [Page("/", overview)]


def _line(service: Service, name: str, now: dt.datetime) -> Line:
    """How a use case stands; whatever is wrong with one hides no other."""
    try:
        with service.open(name) as stores:
            return look(stores, now)
    except Exception:  # such as a damaged log of Delta
        LOGGER.exception("%s cannot be shown", name)
        return broken(name)
