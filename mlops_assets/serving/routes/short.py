"""`/`, and the short paths `/models/`, `/deployed_version/`, `/predict/` where one use case alone is served."""

from __future__ import annotations

import html
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, Response

from mlops_assets import __version__
from mlops_assets.serving import shapes
from mlops_assets.serving.answers import JSON
from mlops_assets.serving.bodies.query import preferred, see_parameters
from mlops_assets.serving.routes.predictions import PlainRoute, predict_route
from mlops_assets.serving.routes.use_cases import HTML, as_json, deployed_version, links_of, list_models
from mlops_assets.serving.schema import SHORT, answer, predictions_operation
from mlops_assets.serving.service import Service
from mlops_assets.views import pages

FURTHER = {"docs": "/docs", "openapi": "/openapi.json", "health": "/health", "ready": "/ready", "metrics": "/metrics"}
WHAT = {
    "use_cases": "every use case with its champion",
    "predict": "where files are sent (POST)",
    "models": "its versions, and who was champion when",
    "deployed_version": "the champion, since when, by whom and why",
    "docs": "every path, to be tried there",
    "openapi": "the same for programs",
    "health": "whether the process lives",
    "ready": "which versions answer, and what is wrong",
    "metrics": "what is measured, for Prometheus",
}
"""What lies behind a link, for people."""


def router(service: Service) -> APIRouter:
    """The routes: the handlers are those of the paths of all use cases."""
    routes = APIRouter(tags=["short paths"], dependencies=[Depends(see_parameters)])
    only = next(iter(service.use_cases.values())) if len(service.use_cases) == 1 else None

    @routes.get("/", **answer("Where everything is.", shapes.Start, 406, forms=[HTML]))
    def start(request: Request) -> Response:
        form = preferred(request.headers.get("accept", ""), (JSON, HTML))
        told = _links(service)
        return as_json(told) if form == JSON else HTMLResponse(_page(told))

    if only is None:
        return routes

    @routes.get(SHORT["models"], **answer(f"The versions of {only.name}.", shapes.Versions))
    def short_models() -> Response:
        return as_json(list_models(service, only.name))

    @routes.get(
        SHORT["deployed_version"], **answer(f"The version that answers for {only.name}.", shapes.DeployedVersion)
    )
    def short_deployed_version() -> Response:
        return as_json(deployed_version(service, only.name))

    operation = predictions_operation(only, "short_predict", SHORT["predict"])
    routes.add_api_route(
        SHORT["predict"], predict_route(service, only), methods=["POST"], route_class_override=PlainRoute, **operation
    )
    return routes


def _links(service: Service) -> dict[str, Any]:
    use_cases = [
        {"name": name, "description": use_case.description, "links": links_of(name)}
        for name, use_case in service.use_cases.items()
    ]
    short = SHORT if len(use_cases) == 1 else {}
    return {
        "name": "mlops-assets",
        "version": __version__,
        "use_cases": use_cases,
        "links": {"use_cases": "/v1/use-cases", **short, **FURTHER},
    }


def _page(told: dict[str, Any]) -> str:
    """The links for a browser: what is predicted, and where to try it."""
    each = "".join(
        f"<li>{_link(one['links']['self'], one['name'])}: {html.escape(one['description'])}</li>\n"
        for one in told["use_cases"]
    )
    further = "".join(f"<li>{_link(path, path)}: {WHAT[name]}</li>\n" for name, path in told["links"].items())
    intro = f"Send a file, or rows as JSON, and the champion answers: try it at {_link('/docs', '/docs')}."
    body = f"<h1>mlops-assets</h1>\n<p>{intro}</p>\n<h2>Use cases</h2>\n<ul>\n{each}</ul>\n"
    return pages.document("mlops-assets", f"{body}<h2>Further</h2>\n<ul>\n{further}</ul>\n")


def _link(path: str, name: str) -> str:
    return f'<a href="{html.escape(path)}">{html.escape(name)}</a>'
