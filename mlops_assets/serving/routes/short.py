"""`/`, and the short paths `/models/`, `/deployed_version/`, `/predict/` where one use case alone is served."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from mlops_assets import __version__
from mlops_assets.serving import shapes
from mlops_assets.serving.answers import JSON
from mlops_assets.serving.bodies.query import preferred, see_parameters
from mlops_assets.serving.routes.predictions import PlainRoute, predict_route
from mlops_assets.serving.routes.use_cases import HTML, as_json, deployed_version, links_of, list_models
from mlops_assets.serving.schema import SHORT, answer, predictions_operation
from mlops_assets.serving.service import Service
from mlops_assets.views.html.addresses import ROOT

FURTHER = {
    "pages": f"{ROOT}/",
    "docs": "/docs",
    "openapi": "/openapi.json",
    "health": "/health",
    "ready": "/ready",
    "metrics": "/metrics",
}


def router(service: Service) -> APIRouter:
    """The routes: the handlers are those of the paths of all use cases."""
    routes = APIRouter(tags=["short paths"], dependencies=[Depends(see_parameters)])
    only = next(iter(service.use_cases.values())) if len(service.use_cases) == 1 else None

    operation = answer("Where everything is.", shapes.Start, 406)
    operation["responses"][303] = {"description": "For a browser: the pages."}

    @routes.get("/", **operation)
    def start(request: Request) -> Response:
        form = preferred(request.headers.get("accept", ""), (JSON, HTML))
        for_people = "/docs" if service.workspace.settings.alone else f"{ROOT}/"
        return as_json(_links(service)) if form == JSON else RedirectResponse(for_people, 303, {"Vary": "Accept"})

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
    further = {name: path for name, path in FURTHER.items() if name != "pages" or not service.workspace.settings.alone}
    return {
        "name": "mlops-assets",
        "version": __version__,
        "use_cases": use_cases,
        "links": {"use_cases": "/v1/use-cases", **short, **further},
    }
