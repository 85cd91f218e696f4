"""The V2 inference protocol under `/v2`, for clients of KServe, Triton and MLServer; see `serving.inference`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import APIRouter, Path, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from mlops_assets import __version__
from mlops_assets.errors import UsageError
from mlops_assets.journey.score.online import Answered, Loaded, Sent
from mlops_assets.serving.batcher import Busy
from mlops_assets.serving.champions import NoChampion
from mlops_assets.serving.inference import describe_inputs, describe_outputs, files_of, outputs_of
from mlops_assets.serving.problems import MEDIA_TYPE, Problem
from mlops_assets.serving.service import Service
from mlops_assets.serving.tensors import BINARY, HEADER, Inference, read_request, write_answer
from mlops_assets.use_case import UseCase

JSON = "application/json"
TROUBLE = {
    "type": "object",
    "required": ["error", "title", "status", "detail"],
    "properties": {
        "error": {"type": "string", "description": "What is wrong and what to do; the same as `detail`."},
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}, "description": "Everything that is wrong."},
    },
}
TOLD = {
    400: "The request is not one of the protocol, or its tensors are not those of the model.",
    404: "There is no such use case or version.",
    409: "The use case has no champion.",
    413: "The request is longer than `serving.limits` allow.",
    415: "The body is compressed.",
    422: "Rows are rejected.",
    503: "Too much waits; ask again after `Retry-After`.",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {MEDIA_TYPE: {"schema": TROUBLE}}} for status, text in TOLD.items()
}
BODY = {
    "required": True,
    "description": f"JSON; or JSON and the bytes of tensors behind it, with the header {HEADER}.",
    "content": {JSON: {"schema": Inference.model_json_schema()}},
}


class V2Route(APIRoute):
    """A route whose problems have a member `error`, too: clients of the protocol read nothing else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        answer = super().get_route_handler()

        async def answer_or_tell(request: Request) -> Response:
            try:
                return await answer(request)
            except Problem as problem:
                problem.further.setdefault("error", problem.detail)
                raise

        return answer_or_tell


def router(service: Service) -> APIRouter:
    """The paths of the protocol: of the server, and of each use case as a model."""
    routes = APIRouter(prefix="/v2", route_class=V2Route, tags=["V2 inference protocol"])
    of = Path(description="Name of the use case.", json_schema_extra={"enum": list(service.use_cases)})
    number = Path(ge=1, lt=10**9, description="Number of a version.")
    told: dict[str, Any] = {"responses": RESPONSES}

    @routes.get("", summary="Name and version of the server", **told)
    async def server() -> dict[str, Any]:
        return {"name": "mlops-assets", "version": __version__, "extensions": ["binary_tensor_data"]}

    @routes.get("/health/live", summary="Whether the process answers", **told)
    async def live() -> dict[str, bool]:
        return {"live": True}

    @routes.get("/health/ready", summary="Whether each use case that has a champion can answer", **told)
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    @routes.get("/models/{name}", summary="What a model takes and gives", **told)
    async def model(name: str = of) -> dict[str, Any]:
        return _described(await choose(service, name))

    @routes.get("/models/{name}/versions/{version}", summary="What a version takes and gives", **told)
    async def version_of_model(name: str = of, version: int = number) -> dict[str, Any]:
        return _described(await choose(service, name, version))

    @routes.get("/models/{name}/ready", summary="Whether a model answers", **told)
    async def model_ready(name: str = of) -> dict[str, Any]:
        return {"name": name, "ready": bool(await choose(service, name))}

    @routes.get("/models/{name}/versions/{version}/ready", summary="Whether a version answers", **told)
    async def version_ready(name: str = of, version: int = number) -> dict[str, Any]:
        return {"name": name, "ready": bool(await choose(service, name, version))}

    asked = {**told, "openapi_extra": {"requestBody": BODY}, "response_class": Response}

    @routes.post("/models/{name}/infer", summary="What the champion says of rows", **asked)
    async def infer(request: Request, name: str = of) -> Response:
        return await _infer(service, name, None, request)

    @routes.post("/models/{name}/versions/{version}/infer", summary="What a version says of rows", **asked)
    async def infer_by(request: Request, name: str = of, version: int = number) -> Response:
        return await _infer(service, name, version, request)

    return routes


async def choose(service: Service, name: str, version: int | None = None, as_of: str | None = None) -> Loaded:
    """The version that answers.

    Raises
    ------
    Problem
        404, if there is no such use case or version; 409, if there is no champion, with the reason.
    """
    use_case = service.stores(name).use_case
    try:
        # it may have to be fetched and loaded
        return await asyncio.to_thread(service.champions.choose, use_case, version, as_of)
    except NoChampion as error:
        raise Problem(409, str(error)) from None
    except UsageError as error:
        raise Problem(404, str(error)) from None


async def _answer(service: Service, loaded: Loaded, files: Sequence[Sent], day: str) -> list[Answered]:
    limit = loaded.use_case.serving.limits.seconds
    try:
        async with asyncio.timeout(limit):
            return await service.batcher.ask(loaded, files, day)
    except Busy as error:
        raise Problem(503, f"{error}.", headers={"Retry-After": str(error.seconds)}) from None
    except TimeoutError:
        said = f"The answer took longer than {limit:g} seconds (`serving.limits.seconds`); send less, or ask later."
        raise Problem(503, said, headers={"Retry-After": "1"}) from None


async def _body(request: Request, most: int) -> bytes:
    """The body, if it is not too long; no more than that is held."""
    pieces, left = [], most
    async for piece in request.stream():
        left -= len(piece)
        if left < 0:
            raise Problem(413, f"The body has more than {most:,} bytes (`serving.limits.bytes`); send less at a time.")
        pieces.append(piece)
    return b"".join(pieces)


def _see_size(use_case: UseCase, rows: int) -> None:
    """See that a request has no more rows, or whole files, than are allowed."""
    limits = use_case.serving.limits
    unit, most = ("files", limits.files) if use_case.files.reader else ("rows", limits.rows)
    if rows > most:
        raise Problem(413, f"The request has {rows:,} {unit}, allowed are {most:,} (`serving.limits.{unit}`).")


def _described(loaded: Loaded) -> dict[str, Any]:
    return {
        "name": loaded.use_case.name,
        "versions": [str(loaded.version)],
        "platform": "mlops-assets",
        "inputs": describe_inputs(loaded.use_case),
        "outputs": describe_outputs(loaded.use_case, loaded.model.classes),
    }


async def _infer(service: Service, name: str, version: int | None, request: Request) -> Response:
    use_case = service.stores(name).use_case
    if "content-encoding" in request.headers:
        raise Problem(415, "Send the body as it is, without Content-Encoding: nothing is unpacked here.")
    body = await _body(request, use_case.serving.limits.bytes)
    asked, values = read_request(body, request.headers.get(HEADER))
    rows = asked.inputs[0].shape[0]
    _see_size(use_case, rows)
    files = files_of(use_case, asked.inputs, values)
    loaded = await choose(service, name, version, asked.parameters.as_of)
    answered = await _answer(service, loaded, files, asked.parameters.as_of or service.today())
    names = [one.name for one in asked.outputs]
    outputs = outputs_of(names, answered, loaded.model.classes, None if use_case.files.reader else rows)
    told = {"model_name": name, "model_version": str(loaded.version), **({"id": asked.id} if asked.id else {})}
    binary = asked.binary(outputs)
    content, length = write_answer(told, outputs, binary)
    headers = {HEADER: str(length)} if binary else {}
    return Response(content, 200, headers, BINARY if binary else JSON)
