"""What machines ask of a process, and what people read of the API: `/health`, `/ready`, `/metrics`, `/docs`."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from importlib import resources
from typing import Any, Literal

import orjson
from fastapi import APIRouter
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import PlainTextResponse, Response

from mlops_assets.serving import meters, shapes
from mlops_assets.serving.answers import JSON
from mlops_assets.serving.ready import Readiness
from mlops_assets.serving.schema import TEXT, answer, problems

FILES = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
"""What the page of the documentation loads, by its type; it comes with a package, and not from elsewhere."""

SCRIPT = """
SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, tryItOutEnabled: true,
  displayRequestDuration: true, defaultModelRendering: "model", defaultModelExpandDepth: 0,
  persistAuthorization: false, validatorUrl: null});
"""
PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>mlops-assets</title>
<link rel="icon" href="docs/favicon-32x32.png"><link rel="stylesheet" href="docs/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script><script>{SCRIPT}</script></body></html>
"""
HASH = b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; script-src 'self' 'sha256-{HASH}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page loads nothing from elsewhere, and runs no script but these two."""


class Health(BaseModel):
    """That the process lives."""

    status: Literal["alive"]


READY = answer("Whether it can answer, with which versions", shapes.Ready)
READY["responses"][503] = {"model": shapes.Ready, "description": "It cannot answer: `troubles` says why, or it ends."}
METRICS: dict[str, Any] = {
    "summary": "What is measured, as Prometheus reads it",
    "response_class": PlainTextResponse,
    "responses": {200: {"content": {"text/plain": {"schema": TEXT}}}, **problems()},
}


def router(readiness: Readiness) -> APIRouter:
    """The routes.

    Parameters
    ----------
    readiness
        Whether the process can answer.
    """
    routes = APIRouter(tags=["operation"])

    @routes.get("/health", **answer("Whether the process lives", Health))
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @routes.get("/ready", **READY)
    async def ready() -> Response:
        content = await asyncio.to_thread(readiness.content)  # why there is no champion lies in the lake
        status = 200 if content["status"] == "ready" else 503
        return Response(orjson.dumps(content), status, media_type=JSON)

    @routes.get("/metrics", **METRICS)
    async def metrics() -> Response:
        return Response(meters.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @routes.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(PAGE, headers={"Content-Security-Policy": POLICY}, media_type="text/html")

    for name in FILES:
        _add_file(routes, name)
    return routes


def _add_file(routes: APIRouter, name: str) -> None:
    @routes.get(f"/docs/{name}", include_in_schema=False, name=name)
    def content() -> Response:
        data = (resources.files("fastapi_swagger.resources") / name).read_bytes()
        return Response(data, headers={"Cache-Control": "max-age=86400"}, media_type=FILES[name])
