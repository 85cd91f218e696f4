"""The API: an ASGI application of the use cases of an installation."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI, Request
from starlette.responses import Response

from mlops_assets import __version__
from mlops_assets.serving.champions import Champions
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.routes import days, feedback, predictions, runs
from mlops_assets.serving.service import Service
from mlops_assets.use_case import find_use_case, list_use_cases
from mlops_assets.workspace import Workspace

ROUTERS = (predictions.router, days.router, feedback.router, runs.router)
"""Each makes the routes of one kind for a service."""


def make_service(workspace: Workspace, names: Sequence[str] = ()) -> Service:
    """What the routes work with.

    Parameters
    ----------
    workspace
        The installation.
    names
        The use cases to serve; all by default.
    """
    folders = workspace.settings.use_cases
    served = names or list_use_cases(folders)
    use_cases = {name: find_use_case(folders, name) for name in served}
    return Service(workspace, use_cases, Champions(workspace))


def make_app(service: Service) -> FastAPI:
    """The application.

    Parameters
    ----------
    service
        What it answers from.
    """
    app = FastAPI(title="mlops-assets", version=__version__, docs_url=None, redoc_url=None)
    app.state.service = service
    for router in ROUTERS:
        app.include_router(router(service))

    @app.exception_handler(Problem)
    async def tell(request: Request, problem: Problem) -> Response:  # noqa: ARG001
        return problem.response()

    return app
