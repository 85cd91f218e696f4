"""What is answered where something went wrong, whoever found it: a route, the framework, or a library."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from mlops_assets.errors import MlopsError, PublishConflict, UsageError
from mlops_assets.errors.redaction import without_paths
from mlops_assets.serving.answering.batcher import Busy
from mlops_assets.serving.answering.champions import NoChampion
from mlops_assets.serving.answering.lane import Failed, Late
from mlops_assets.serving.dagster import NoDagster, NotLaunched
from mlops_assets.serving.meters import FAILURES
from mlops_assets.serving.pages.problem import is_page, problem_page
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.serving.service import id_of

LOGGER = logging.getLogger(__name__)

FORESEEN = (Problem, NoChampion, Busy, Late, Failed, MlopsError)
"""Whatever goes wrong with what was asked, or with what it needs."""

V2 = "/v2"
"""Clients of this protocol read one member of an error, which is called `error`."""

TELLS = {
    404: "There is nothing at this path; GET /openapi.json lists what there is.",
    405: "There is this path, but not this method; the header Allow has those that there are.",
}
"""What is said instead of the framework's own words."""


def problem_of(error: Exception) -> Problem:
    """What is answered for an error.

    Parameters
    ----------
    error
        Whatever was raised.
    """
    match error:
        case Problem():
            problem = error
        case RequestValidationError():
            problem = Problem(422, "The request is not what this path takes.", _fields(error.errors()))
        case HTTPException():
            problem = Problem(error.status_code, _detail(error), headers=error.headers)
        case Busy():
            problem = Problem(503, str(error), headers={"Retry-After": str(error.seconds)})
        case Late():
            problem = Problem(503, str(error), headers={"Retry-After": "1"})
        case Failed():  # the batcher has logged it
            problem = Problem(500, str(error))
        case NoDagster() | NotLaunched():
            problem = Problem(503, without_paths(str(error)), headers={"Retry-After": "30"})
        case NoChampion() | PublishConflict():
            problem = Problem(409, without_paths(str(error)))
        case UsageError():
            problem = Problem(422, without_paths(str(error)))
        case _:
            problem = _unforeseen(error)
    return problem


def _detail(error: HTTPException) -> str:
    """What the framework says, unless it only names the status."""
    detail = str(error.detail)
    return TELLS.get(error.status_code, detail) if detail == HTTPStatus(error.status_code).phrase else detail


def _unforeseen(error: Exception) -> Problem:
    """What no caller can help: they are told the id alone, whoever runs the server finds the rest in its log."""
    if isinstance(error, MlopsError):
        said = "What this needs cannot be used just now. Who runs the server finds the reason in its log, by the id."
        return Problem(503, said, headers={"Retry-After": "5"})
    return Problem(500, "This was not expected. Who runs the server finds the reason in its log, by the id.")


def noted_problem(request: Request, error: Exception) -> Problem:
    """What is answered for an error of a request; what is for whoever runs the server is counted and logged."""
    problem = problem_of(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        FAILURES.labels(type(error).__name__).inc()
        if not isinstance(error, Problem | Busy | Late | Failed | NoDagster | NotLaunched):
            LOGGER.error("request %s failed", id_of(request), exc_info=error)
    return problem


def answer_failure(request: Request, error: Exception) -> Response:
    """The answer to a request that failed."""
    problem = noted_problem(request, error)
    if request.url.path.startswith(V2):
        problem.further.setdefault("error", problem.detail)
    if is_page(request):
        return problem_page(request, problem, id_of(request))
    return problem.response(id_of(request))


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Have an application answer all that goes wrong as problems.

    Parameters
    ----------
    app
        The application.
    routes
        All of its routes.
    """

    async def tell(request: Request, error: Exception) -> Response:
        answer = answer_failure(request, error)
        if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            answer.headers["Allow"] = ", ".join(_methods(routes, request))
        return answer

    for kind in (*FORESEEN, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, tell)


def _fields(errors: Sequence[Any]) -> list[Wrong]:
    """Everything that is wrong; what was sent is not repeated."""
    return [Wrong(_where(one["loc"]), str(one["msg"]).removeprefix("Value error, ")) for one in errors]


def _where(location: Sequence[str | int]) -> str:
    """A place in a request.

    Examples
    --------
    >>> _where(("body", "files", 0, "name"))
    'body.files[0].name'
    """
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return place.removeprefix(".")


def _methods(routes: Sequence[BaseRoute], request: Request) -> list[str]:
    """All methods that a path has; the framework names those of one route alone."""
    found: set[str] = set()
    for route in routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found)
