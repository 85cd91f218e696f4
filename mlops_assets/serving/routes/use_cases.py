"""`GET /v1/use-cases...`: what is predicted, of which columns, and by which version."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson
from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import HTMLResponse, Response

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.journey.model.version import Version
from mlops_assets.serving import shapes
from mlops_assets.serving.answering.champions import NoChampion
from mlops_assets.serving.answers import JSON
from mlops_assets.serving.bodies.query import preferred, see_parameters
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.schema import USE_CASES, answer
from mlops_assets.serving.service import Service
from mlops_assets.views import card, card_page, histories, use_cases
from mlops_assets.workspace import Stores

HTML, MARKDOWN = "text/html", "text/markdown"

NUMBER = Path(ge=1, le=999_999_999, description="Number of a version.")


def router(service: Service) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["use cases"], dependencies=[Depends(see_parameters)])
    named = Path(json_schema_extra={"enum": [*service.use_cases]}, description="Name of a use case.")

    # plain functions, which are run in a thread: they read files
    @routes.get("/v1/use-cases", **answer("All use cases: what they predict, and by which version.", shapes.UseCases))
    def get_use_cases() -> Response:
        return as_json({"use_cases": [summary(service, name) for name in service.use_cases]})

    @routes.get(USE_CASES, **answer("A use case: its contract, its classes, and its champion.", shapes.UseCaseDetails))
    def get_use_case(use_case: str = named) -> Response:
        return as_json(described(service, use_case))

    @routes.get(f"{USE_CASES}/models", **answer("Its versions, and who was champion when.", shapes.Versions))
    def get_models(use_case: str = named) -> Response:
        return as_json(list_models(service, use_case))

    @routes.get(
        f"{USE_CASES}/models/{{version}}",
        **answer("The card of a version.", shapes.Card, 406, forms=(HTML, MARKDOWN)),
    )
    def get_model(request: Request, use_case: str = named, version: int = NUMBER) -> Response:
        form = preferred(request.headers.get("accept", ""), (JSON, HTML, MARKDOWN))
        stores = service.stores(use_case)
        found = _version(stores, version)
        if form == JSON:
            return as_json(use_cases.model(found, stores.history.champion()))
        if form == HTML:
            return HTMLResponse(card_page.page(found.details(), version))
        return Response(card.render(found.details(), version), media_type=MARKDOWN)

    @routes.get(f"{USE_CASES}/deployed-version", **answer("The version that answers.", shapes.DeployedVersion))
    def get_deployed_version(use_case: str = named) -> Response:
        return as_json(deployed_version(service, use_case))

    return routes


def as_json(told: dict[str, Any]) -> Response:
    """An answer."""
    return Response(orjson.dumps(told, default=str, option=orjson.OPT_NON_STR_KEYS), media_type=JSON)


def links_of(name: str) -> dict[str, str]:
    """Where the rest of a use case lies."""
    path = f"/v1/use-cases/{name}"
    further = ("predictions", "models", "deployed-version", "days")
    return {"self": path, **{each: f"{path}/{each}" for each in further}}


def summary(service: Service, name: str) -> dict[str, Any]:
    """A few words about a use case; whatever is wrong with one hides no other."""
    use_case = service.use_cases[name]
    try:
        with service.open(name) as stores:
            told = use_cases.summary(stores)
    except Exception:  # such as a damaged log of Delta
        reason = f"what is known of it cannot be read; `mlops-assets status {name}` says why"
        told = {"name": name, "description": use_case.description, "owner": use_case.owner, "error": reason}
    return {**told, "links": links_of(name)}


def described(service: Service, name: str) -> dict[str, Any]:
    """A use case with its contract, its classes and its champion."""
    with service.open(name) as stores:
        return {
            **use_cases.summary(stores),
            "contract": use_cases.contract(stores),
            "task": stores.use_case.training.task,
            "classes": _classes(service, stores),
            "limits": stores.use_case.serving.limits.model_dump(),
            "links": links_of(name),
        }


def list_models(service: Service, name: str) -> dict[str, Any]:
    """The versions of a use case, and who was champion when."""
    stores = service.stores(name)
    told = histories.content(histories.read(stores))
    models = [
        {**each, "links": {"self": f"/v1/use-cases/{name}/models/{each['version']}"}} for each in told["versions"]
    ]
    return {"use_case": name, **told, "versions": models}


def deployed_version(service: Service, name: str) -> dict[str, Any]:
    """The champion of a use case, and since when it is.

    Raises
    ------
    Problem
        404, if there is none; with the reason of the gate.
    """
    stores = service.stores(name)
    change = stores.history.latest()
    if change is None:
        raise Problem(404, f"{name} has {use_cases.why_none(stores)}.")
    return {"use_case": name, **asdict(change), "links": {"model": f"/v1/use-cases/{name}/models/{change.version}"}}


def _classes(service: Service, stores: Stores) -> list[str]:
    """What a prediction may be: of the champion, or by the contract where there is none; nothing of numbers."""
    if stores.use_case.training.says_numbers:
        return []
    try:
        return [*service.champions.choose(stores.use_case).model.classes]
    except (NoChampion, MlopsError):
        return [*stores.use_case.columns[stores.use_case.label].allowed]


def _version(stores: Stores, number: int) -> Version:
    try:
        return stores.registry.version(stores.use_case.name, number)
    except UsageError as error:
        raise Problem(404, str(error)) from None
