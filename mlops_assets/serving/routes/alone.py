"""What a version by itself says of all that the platform does: which path that is, and who can do it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from mlops_assets.serving.problems import Problem
from mlops_assets.serving.service import Service
from mlops_assets.storage.exported import read_manifest
from mlops_assets.views.html.addresses import ROOT

USE_CASE = "/v1/use-cases/{use_case}"
PLATFORMS = (
    *(f"{USE_CASE}/{what}" for what in ("days", "days/{rest:path}", "feedback", "feedback/{rest:path}")),
    *(f"{USE_CASE}/{what}" for what in ("train", "promote", "rollback")),
    *("/v1/runs/{rest:path}", ROOT, f"{ROOT}/{{rest:path}}"),
)
"""Paths of the platform."""

SAID = (
    "This server has version {version} of {use_case} by itself: it predicts. Days, corrections, runs and pages "
    "need the platform: ask its API."
)


def router(service: Service) -> APIRouter:
    """The routes."""
    routes, alone = APIRouter(), read_manifest(service.workspace.settings.home)

    def refuse() -> Response:
        raise Problem(501, SAID.format(version=alone.version, use_case=alone.use_case))

    for path in PLATFORMS:
        routes.add_api_route(path, refuse, methods=["GET", "POST"], include_in_schema=False, response_model=None)
    return routes
