"""`POST /v1/use-cases/{u}/predictions`: files in, what the model says of their rows out."""

from __future__ import annotations

import uuid

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from mlops_assets.journey.score.online import Sent
from mlops_assets.serving.service import Service


def router(service: Service) -> APIRouter:
    """A route for each use case, as its contract describes it."""
    routes = APIRouter()

    for name, use_case in service.use_cases.items():

        @routes.post(f"/v1/use-cases/{name}/predictions", name=f"predict_{name}")
        async def predict(request: Request, use_case=use_case) -> Response:  # type: ignore[no-untyped-def]
            loaded = service.champions.choose(use_case)
            file = Sent(request.headers.get("x-file-name", "file"), await request.body())
            (done,) = await service.batcher.ask(loaded, [file], service.today())
            told = {"request": uuid.uuid4().hex, "version": loaded.version, "rows": len(done.line)}
            return Response(orjson.dumps(told))

    return routes
