"""The V2 inference protocol under `/v2`, for clients of KServe, Triton and MLServer; see `serving.v2.inference`."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from mlops_assets import __version__
from mlops_assets.journey.score.online import Answered, Loaded
from mlops_assets.serving.answers import JSON
from mlops_assets.serving.bodies.files import read_whole
from mlops_assets.serving.predicting import answer_request, choose
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.schema import BYTES, REFERENCE, SENT, answer, problems
from mlops_assets.serving.service import Service
from mlops_assets.serving.v2 import shapes
from mlops_assets.serving.v2.inference import describe_inputs, describe_outputs, files_of, outputs_of
from mlops_assets.serving.v2.tensors import BINARY, HEADER, read_request, write_answer
from mlops_assets.use_case import UseCase

BODY = {
    "required": True,
    "description": f"JSON; or JSON and the bytes of tensors behind it, with the header {HEADER}.",
    "content": {JSON: {"schema": {"$ref": REFERENCE.format(model="Inference")}}},
}
ANSWER = {
    "description": "The outputs, as JSON or with their bytes behind it.",
    "content": {BINARY: {"schema": BYTES}},
}
NAME, NUMBERED = "/models/{name}", "/models/{name}/versions/{version}"
NUMBER = Path(ge=1, lt=10**9, description="Number of a version.")


def read(summary: str, shape: type[BaseModel]) -> dict[str, Any]:
    """What a route is told of what it tells of the server or a model."""
    return {**answer(summary, shape, 409), "response_model_exclude_unset": True}


def router(service: Service) -> APIRouter:
    """The paths of the protocol: of the server, and of each use case as a model."""
    routes = APIRouter(prefix="/v2", tags=["V2 inference protocol"])
    _add_server(routes)
    _add_models(routes, service)
    _add_infer(routes, service)
    return routes


def _add_server(routes: APIRouter) -> None:
    @routes.get("", **read("Name and version of the server", shapes.Server))
    async def server_metadata() -> dict[str, Any]:
        return {"name": "mlops-assets", "version": __version__, "extensions": ["binary_tensor_data"]}

    @routes.get("/health/live", **read("Whether the process lives", shapes.ServerLive))
    async def server_live() -> dict[str, bool]:
        return {"live": True}

    @routes.get("/health/ready", **read("Whether it can answer", shapes.ServerReady))
    async def server_ready(request: Request) -> dict[str, bool]:
        if not await asyncio.to_thread(lambda: request.app.state.readiness.is_ready):
            raise Problem(503, "The server is not ready; GET /ready says why.", headers={"Retry-After": "5"})
        return {"ready": True}


def _named(service: Service) -> Any:
    return Path(description="Name of the use case.", json_schema_extra={"enum": [*service.use_cases]})


def _add_models(routes: APIRouter, service: Service) -> None:
    named = _named(service)

    @routes.get(NAME, **read("What a model takes and gives", shapes.ModelMetadata))
    async def model_metadata(name: str = named) -> dict[str, Any]:
        return _described(await _choose(service, name))

    @routes.get(NUMBERED, **read("What a version takes and gives", shapes.ModelMetadata))
    async def version_metadata(name: str = named, version: int = NUMBER) -> dict[str, Any]:
        return _described(await _choose(service, name, version))

    @routes.get(f"{NAME}/ready", **read("Whether a model answers", shapes.ModelReady))
    async def model_ready(name: str = named) -> dict[str, Any]:
        return {"name": name, "ready": bool(await _choose(service, name))}

    @routes.get(f"{NUMBERED}/ready", **read("Whether a version answers", shapes.ModelReady))
    async def version_ready(name: str = named, version: int = NUMBER) -> dict[str, Any]:
        return {"name": name, "ready": bool(await _choose(service, name, version))}


def _add_infer(routes: APIRouter, service: Service) -> None:
    named = _named(service)
    told: dict[str, Any] = {
        "response_model": shapes.Inferred,
        "responses": {200: ANSWER, **problems(409, 415, *SENT)},
        "openapi_extra": {"requestBody": BODY},
    }

    @routes.post(f"{NAME}/infer", summary="What the champion says of rows", **told)
    async def model_infer(request: Request, name: str = named) -> Response:
        return await _infer(service, name, None, request)

    @routes.post(f"{NUMBERED}/infer", summary="What a version says of rows", **told)
    async def version_infer(request: Request, name: str = named, version: int = NUMBER) -> Response:
        return await _infer(service, name, version, request)


def _see_size(use_case: UseCase, rows: int) -> None:
    """See that a request has no more rows than are allowed; whole files are counted where they are taken."""
    most = use_case.serving.limits.rows
    if rows > most:
        raise Problem(413, f"The request has {rows:,} rows, allowed are {most:,} (`serving.limits.rows`); send fewer.")


def _described(loaded: Loaded) -> dict[str, Any]:
    return {
        "name": loaded.use_case.name,
        "versions": [str(loaded.version)],
        "platform": "mlops-assets",
        "inputs": describe_inputs(loaded.use_case),
        "outputs": describe_outputs(loaded.use_case, loaded.model.classes),
    }


async def _choose(service: Service, name: str, version: int | None = None, as_of: str | None = None) -> Loaded:
    return await choose(service, service.stores(name).use_case, version, as_of)


async def _infer(service: Service, name: str, version: int | None, request: Request) -> Response:
    use_case = service.stores(name).use_case
    if "content-encoding" in request.headers:
        raise Problem(415, "Send the body as it is, without Content-Encoding: nothing is unpacked here.")
    body = await read_whole(request, use_case.serving.limits)
    asked, values = read_request(body, request.headers.get(HEADER))
    rows = asked.inputs[0].shape[0]
    _see_size(use_case, rows)
    files = files_of(use_case, asked.inputs, values)
    as_of = asked.parameters.as_of and use_case.partitions.holding(asked.parameters.as_of)
    loaded = await _choose(service, name, version, as_of)
    day = as_of or service.today(use_case)
    names = [one.name for one in asked.outputs]
    counted = None if use_case.files.reader else rows

    def make(answered: list[Answered]) -> dict[str, np.ndarray]:
        return outputs_of(names, answered, loaded.model.classes, counted)

    outputs = await answer_request(service, request, loaded, files, day, make)
    told = {"model_name": name, "model_version": str(loaded.version), **({"id": asked.id} if asked.id else {})}
    binary = asked.binary(outputs)
    content, length = write_answer(told, outputs, binary)
    headers = {HEADER: str(length)} if binary else {}
    return Response(content, 200, headers, BINARY if binary else JSON)
