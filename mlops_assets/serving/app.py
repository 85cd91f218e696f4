"""The API: an ASGI application of the use cases of an installation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import orjson
from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from starlette.responses import Response

from mlops_assets import __version__
from mlops_assets.serving import failures, meters
from mlops_assets.serving.answering.batcher import Batcher
from mlops_assets.serving.answering.champions import Champions
from mlops_assets.serving.answering.enriching import Enriching
from mlops_assets.serving.entrance.callers import Caller
from mlops_assets.serving.entrance.doors import Doors, Entrance
from mlops_assets.serving.entrance.guard import hosts_from_environment
from mlops_assets.serving.entrance.keys import Keys
from mlops_assets.serving.keeping.stored import open_store
from mlops_assets.serving.lean import giving_back
from mlops_assets.serving.pages import mounted
from mlops_assets.serving.ready import Readiness
from mlops_assets.serving.requests import Requests
from mlops_assets.serving.routes import about, alone, days, feedback, predictions, refresh, runs, short, use_cases, v2
from mlops_assets.serving.schema import with_shared
from mlops_assets.serving.service import Service
from mlops_assets.use_case import find_use_case, list_use_cases
from mlops_assets.workspace import Workspace

ROUTERS = (
    predictions.router,
    use_cases.router,
    days.router,
    feedback.router,
    refresh.router,
    runs.router,
    short.router,
    v2.router,
)
"""Each makes the routes of one kind for a service."""

ALONE = (predictions.router, use_cases.router, short.router, v2.router, alone.router)
"""Those of a version by itself; the last one answers for the others."""

HELD = 4
"""So many of the largest bodies may be worked on at once in a process."""


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
    enriching = Enriching(workspace, use_cases)
    return Service(
        workspace,
        use_cases,
        Champions(workspace),
        Batcher(answer=enriching, watch=meters.Batches()),
        open_store(workspace, use_cases),
        enriching.ask,
    )


def make_entrance(service: Service) -> Entrance:
    """Who is let in by what the environment says: names of hosts and keys; and the largest limits of the use cases.

    Parameters
    ----------
    service
        What is to be served.

    Raises
    ------
    UsageError
        If a variable is not what it must be.
    """
    limits = [use_case.serving.limits for use_case in service.use_cases.values()]
    most = max(limit.bytes for limit in limits)
    return Entrance(
        hosts_from_environment(),
        Keys.from_environment(),
        Caller(service.workspace.settings.user),
        most_bytes=most,
        most_held=HELD * most,
        seconds=max(limit.seconds for limit in limits),
    )


def make_app(service: Service, entrance: Entrance | None = None, tell: Callable[[str], None] | None = None) -> FastAPI:
    """The application.

    Parameters
    ----------
    service
        What it answers from.
    entrance
        Who is let in; without one everybody is, as in a process that asks itself.
    tell
        Is told a line of JSON for each request.
    """
    readiness = Readiness(service)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(service.champions.load, service.use_cases.values())
        service.champions.start()
        service.store.start()
        async with giving_back():
            yield
        readiness.draining = True
        await service.batcher.drain()
        await asyncio.to_thread(service.champions.stop)
        # last: who was just answered is kept, too
        await service.store.drain()

    keyed = entrance is not None and entrance.keys is not None
    app = FastAPI(
        title="mlops-assets",
        version=__version__,
        openapi_url=None,  # all three load what they show from elsewhere, or are no routes of ours
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # see `requests.spelled`
        lifespan=life,
        generate_unique_id_function=lambda route: route.name,  # of which clients make the names of functions
        # the middleware sees to the keys; this tells of them in the schema
        dependencies=[Depends(HTTPBearer(auto_error=False, description="A key of MLOPS_API_KEYS."))] if keyed else [],
    )
    app.state.service, app.state.readiness = service, readiness
    is_alone = service.workspace.settings.alone
    routers = [*(router(service) for router in (ALONE if is_alone else ROUTERS)), about.router(readiness)]
    for routes in routers:
        app.include_router(routes)

    @app.get("/openapi.json", include_in_schema=False)
    async def schema() -> Response:
        return Response(orjson.dumps(with_shared(app.openapi())), media_type="application/json")

    if not is_alone:  # without tables there is nothing to show
        app.router.routes.append(mounted.mount(service, None if entrance is None else entrance.keys))
    known = [*app.router.routes[-2:], *(route for routes in routers for route in routes.routes)]
    failures.install(app, known)
    if entrance is not None:
        app.add_middleware(Doors, entrance=entrance)
    app.add_middleware(Requests, tell=tell, routes=known)  # what is added last comes first
    return app
