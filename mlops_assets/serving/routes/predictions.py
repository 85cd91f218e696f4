"""`POST /v1/use-cases/{u}/predictions`: files in, what the model says of their rows out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from mlops_assets.journey.score.online import Answered, Sent
from mlops_assets.serving import answers
from mlops_assets.serving.bodies.files import read_files
from mlops_assets.serving.bodies.query import day, flag, one_of, preferred, read_query, refuse, whole
from mlops_assets.serving.predicting import answer_request, choose, explain
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.serving.schema import predictions_operation
from mlops_assets.serving.service import Service, id_of
from mlops_assets.use_case import UseCase
from mlops_assets.views import why

MANY = 2_000
"""Rows from which on an answer is written in a thread: meanwhile others are answered."""

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
        asked = _read(request)
        as_of = asked.as_of and use_case.partitions.holding(asked.as_of)
        loaded = await choose(service, use_case, asked.version, as_of)
        files = await read_files(request, use_case)
        of_day = as_of or service.today(use_case)
        told: dict[str, Any] = {"request": id_of(request), "use_case": use_case.name, "version": loaded.version}

        def see(answered: list[Answered]) -> tuple[list[Answered], tuple[Sent, int] | None]:
            answers.see_one_answered(answered, told)
            return answered, _row(files, answered, asked.line) if asked.explain else None

        answered, row = await answer_request(service, request, loaded, files, of_day, see)
        if row is not None:
            told["why"] = why.content(await explain(service, loaded, *row, of_day))
        write = partial(answers.write, asked.form, told, answered, loaded.model.classes, asked.probabilities)
        many = sum(len(one.line) for one in answered) > MANY
        body = await asyncio.to_thread(write) if many else write()
        headers = {"X-Model-Version": str(loaded.version), "X-Rejected": str(answers.count_rejected(answered))}
        return Response(body, 200, headers, asked.form)

    return predict


@dataclass(frozen=True)
class Asked:
    """What is asked for beside the files.

    Attributes
    ----------
    form
        The media type of the answer.
    version, as_of, probabilities, explain, line
        As of the parameters; None where they are not given.
    """

    form: str
    version: int | None = None
    as_of: str | None = None
    probabilities: str | None = None
    explain: bool = False
    line: int | None = None


def _read(request: Request) -> Asked:
    """What is asked for, seen to go together before a body is read."""
    asked = Asked(
        preferred(request.headers.get("accept", ""), (answers.JSON, answers.CSV)), **read_query(request, PARAMETERS)
    )
    if asked.explain and asked.form == answers.CSV:
        raise Problem(406, "An explanation is JSON: leave out `explain`, or accept application/json.")
    if asked.line is not None and not asked.explain:
        refuse([Wrong("query.line", "it says which row `explain=true` explains; give both")])
    return asked


def _row(files: Sequence[Sent], answered: Sequence[Answered], line: int | None) -> tuple[Sent, int]:
    """The one row that is explained."""
    if len(files) > 1:
        refuse([Wrong("query.explain", "one row is explained: send one file")])
    (file,), (one,) = files, answered
    lines = one.line.tolist()
    if line is None and len(lines) == 1:
        line = lines[0]
    if line is None or line not in lines:
        which = f"one of the {len(lines):,} lines that have a prediction" if lines else "a line that has a prediction"
        raise Problem(422, "One row is explained.", [Wrong("query.line", f"expected {which}")])
    return file, line
