"""`POST /v1/use-cases/{u}/refresh`: somebody says that the champion may be another; the history is looked at at once.

What is said is not believed: a call that is forged, old or repeated could at most have had the history looked at.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid

import orjson
from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from mlops_assets.events.signing import NotSigned, Repeated, is_signed, verify
from mlops_assets.serving import shapes
from mlops_assets.serving.answers import JSON
from mlops_assets.serving.bodies.query import see_parameters
from mlops_assets.serving.entrance.keys import Bucket
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.schema import SENT, problems
from mlops_assets.serving.service import Service

RATE = 10.0
"""Calls a second that a process takes."""


def router(service: Service) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["use cases"], dependencies=[Depends(see_parameters)])
    named = Path(json_schema_extra={"enum": [*service.use_cases]}, description="Name of a use case.")
    bucket, bell = Bucket(RATE), service.champions.bell

    def ring(call: str, now: float) -> bool:
        if seconds := bucket.take():
            wait = str(math.ceil(seconds))
            raise Problem(429, f"More calls came than are taken; again in {wait} s.", headers={"Retry-After": wait})
        return bell.ring(call, now)

    def hear(headers: dict[str, str], body: bytes) -> None:
        now, secret = time.time(), service.workspace.settings.refresh_secret
        if not is_signed(headers):  # then the doors have seen a key, or ask for none
            ring(uuid.uuid4().hex, now)
            return
        try:
            verify(headers, body, secret, now, ring)
        except Repeated:  # its sender may have lost our answer
            return
        except NotSigned as error:
            raise Problem(401, f"The call is not taken: {error}.") from None
        except ValueError as error:
            said = f"No signed call is taken here, for MLOPS_REFRESH_SECRET cannot be used: {error}."
            raise Problem(401, said) from None

    @routes.post(
        "/v1/use-cases/{use_case}/refresh",
        status_code=202,
        response_model=shapes.Refreshed,
        responses={202: {"description": "The version that answers; the history is looked at."}, **problems(*SENT)},
        summary="Have the history looked at at once, such as by a webhook: another champion may answer.",
    )
    async def refresh(request: Request, use_case: str = named) -> Response:
        service.stores(use_case)
        body = await request.body()
        await asyncio.to_thread(hear, dict(request.headers), body)
        told = {"use_case": use_case, "version": service.champions.versions().get(use_case)}
        return Response(orjson.dumps(told), 202, media_type=JSON)

    return routes
