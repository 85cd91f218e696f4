"""`POST /v1/use-cases/{u}/predictions`: files in, what the model says of their rows out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from mlops_assets.errors import UsageError
from mlops_assets.journey.explain.sent import explain_sent
from mlops_assets.journey.score.online import Answered, Loaded, Sent
from mlops_assets.serving import answers
from mlops_assets.serving.batcher import Busy, Failed, Late
from mlops_assets.serving.bodies import read_files
from mlops_assets.serving.champions import NoChampion
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.serving.query import day, flag, one_of, preferred, read_query, whole
from mlops_assets.serving.schema import predictions_operation
from mlops_assets.serving.service import Service, id_of
from mlops_assets.use_case import UseCase
from mlops_assets.views import why

PARAMETERS = {
    "version": whole,
    "as_of": day,
    "probabilities": one_of("top", "all"),
    "explain": flag,
    "line": whole,
}


class PlainRoute(APIRoute):
    """A route that FastAPI describes and does not look into: what it would resolve for each request is nothing here."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function itself, which takes the request and gives the answer."""
        return self.endpoint


def router(service: Service) -> APIRouter:
    """A route for each use case, as its contract describes it; of another name, 404."""
    routes = APIRouter()
    for name, use_case in service.use_cases.items():
        # the request as it is: FastAPI would read a body into models that no file has
        routes.add_api_route(
            f"/v1/use-cases/{name}/predictions",
            predict_route(service, use_case),
            methods=["POST"],
            route_class_override=PlainRoute,
            **predictions_operation(use_case, f"predict_{name}"),
        )

    @routes.post("/v1/use-cases/{use_case}/predictions", include_in_schema=False)
    async def unknown(use_case: str) -> None:
        service.stores(use_case)

    return routes


def predict_route(service: Service, use_case: UseCase) -> Any:
    """What answers files of a use case."""

    async def predict(request: Request) -> Response:
        asked = read_query(request, PARAMETERS)
        form = _form(request, asked)
        loaded = await choose(service, use_case, asked.get("version"), asked.get("as_of"))
        files = await read_files(request, use_case)
        of_day = asked.get("as_of") or service.today()
        answered = await ask(service, loaded, files, of_day)
        told: dict[str, Any] = {"request": id_of(request), "use_case": use_case.name, "version": loaded.version}
        answers.see_one_answered(answered, {"use_case": use_case.name, "version": loaded.version})
        headers = {"X-Model-Version": str(loaded.version), "X-Rejected": str(answers.count_rejected(answered))}
        classes, probabilities = loaded.model.classes, asked.get("probabilities")
        if form == answers.CSV:
            return Response(answers.to_csv(answered, classes, probabilities), 200, headers, answers.CSV)
        told["files"] = answers.as_files(answered, classes, probabilities)
        if asked.get("explain"):
            file, line = _row(files, answered, asked.get("line"))
            told["why"] = why.content(await asyncio.to_thread(explain_sent, loaded, file, line, of_day))
        return Response(answers.to_json(told), 200, headers, answers.JSON)

    return predict


def _form(request: Request, asked: dict[str, Any]) -> str:
    """The form of the answer; what is asked for together is seen to go together before a body is read."""
    form = preferred(request.headers.get("accept", ""), (answers.JSON, answers.CSV))
    if asked.get("explain") and form == answers.CSV:
        raise Problem(406, "An explanation is JSON: leave out `explain`, or accept application/json.")
    if "line" in asked and not asked.get("explain"):
        raise Problem(422, "One thing is wrong.", [Wrong("query.line", "it says which row `explain=true` explains")])
    return form


async def choose(service: Service, use_case: UseCase, version: int | None = None, as_of: str | None = None) -> Loaded:
    """The version that answers.

    Raises
    ------
    Problem
        404, if there is no version of that number; 409, if there is no champion, with the reason.
    MlopsError
        If there is one, and it cannot be loaded.
    """
    try:
        return await service.champions.find(use_case, version, as_of)
    except NoChampion as error:
        raise Problem(409, str(error)) from None
    except UsageError as error:
        raise Problem(404, str(error)) from None


async def ask(service: Service, loaded: Loaded, files: Sequence[Sent], of_day: str) -> list[Answered]:
    """What becomes of files.

    Raises
    ------
    Problem
        503, if too much waits or it takes too long; 500, if a plugin or the program has a mistake.
    MlopsError
        If these files cannot be answered, such as where the SQL fails on all rows.
    """
    try:
        return await service.batcher.ask(loaded, files, of_day)
    except Busy as error:
        raise Problem(503, str(error), headers={"Retry-After": str(error.seconds)}) from None
    except Late as error:
        raise Problem(503, str(error), headers={"Retry-After": "1"}) from None
    except Failed as error:
        raise Problem(500, str(error)) from None


def _row(files: Sequence[Sent], answered: Sequence[Answered], line: int | None) -> tuple[Sent, int]:
    """The one row that is explained."""
    if len(files) > 1:
        raise Problem(422, "One row is explained.", [Wrong("query.explain", "send one file")])
    (file,), (one,) = files, answered
    lines = one.line.tolist()
    if line is None and len(lines) == 1:
        line = lines[0]
    if line is None or line not in lines:
        which = f"one of the {len(lines):,} lines that have a prediction" if lines else "a line that has a prediction"
        raise Problem(422, "One row is explained.", [Wrong("query.line", f"expected {which}")])
    return file, line
