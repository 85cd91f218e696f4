"""`/pages/{use_case}/models/changes/{number}`: what became of past days after a change of the champion, and differs."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mlops_assets.journey.explain.retro.done import ways
from mlops_assets.serving.bodies.query import read_query, whole
from mlops_assets.serving.pages.site import Page, Site
from mlops_assets.serving.problems import Problem
from mlops_assets.views import retro, span_diffs
from mlops_assets.views.html.addresses import page_address


def routes(site: Site) -> Sequence[BaseRoute]:
    """The routes."""
    return [Page("/{use_case}/models/changes/{number}", _Changes(site).one)]


class _Changes:
    """The handler.

    Parameters
    ----------
    site
        The frame.
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    def one(self, request: Request) -> Response:
        """The days that were scored again after a change, and what differs."""
        read_query(request, {})
        stores = self.site.stores(request)
        try:
            standing = retro.one(stores, whole(request.path_params["number"]))
        except ValueError:
            standing = None
        if standing is None:
            raise Problem(404, "There is no such change of the champion, or no day is scored again after it.")
        use_case, decision = stores.use_case, standing.decision
        stays = decision is not None and not decision.publish and bool(standing.having("held"))
        return self.site.page(
            request,
            "models_span.html",
            span=span_diffs.told(standing.span(use_case)),
            standing={
                "sentence": retro.sentence(standing, use_case),
                "decision": decision,
                "command": ways(use_case.name) if stays else "",
            },
            here=page_address(use_case.name, "models"),
        )
