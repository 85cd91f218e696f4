"""Start runs of Dagster: a day, a training, a promotion, a rollback; tell of one; and `/refuse`, which needs none."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Depends, Header, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from mlops_assets.serving import run_checks, shapes
from mlops_assets.serving.answers import JSON
from mlops_assets.serving.bodies.query import Day, see_parameters
from mlops_assets.serving.run_checks import check_day, check_promotion, check_retro, check_rollback
from mlops_assets.serving.schema import SENT, answer, problems
from mlops_assets.serving.service import Service, caller_of
from mlops_assets.serving.starting import Wish, day_run, promotion, training
from mlops_assets.serving.starting import rollback as to_go_back

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="Sent again with the same body, it answers with the same run.",
    ),
]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Days(_Asked):
    """A span of days, both within."""

    first: Day = Field(alias="from")
    last: Day = Field(alias="to")


class Train(_Asked):
    """What a training is asked for."""

    retro_score: Days | None = Field(
        None, description="Days that are scored again if the new version becomes champion."
    )


class Rollback(_Asked):
    """Why the champion is changed."""

    why: str = Field(min_length=1, max_length=1_000, pattern=r"\S", description="The reason, for the history.")


class Refuse(Rollback):
    """Which version nobody shall be asked about again."""

    version: int = Field(ge=1, le=1_000_000_000, strict=True)


class Promote(Refuse):
    """Which version shall be champion."""

    override: bool = Field(False, strict=True, description="Promote it although the gate refused it.")


def router(service: Service) -> APIRouter:
    """The routes that start runs and tell of them."""
    routes = APIRouter(tags=["runs"], dependencies=[Depends(see_parameters)])
    starter = service.starter
    name = Annotated[str, Path(description="The use case.", json_schema_extra={"enum": [*service.use_cases]})]
    base = "/v1/use-cases/{use_case}"
    started: dict[str, Any] = {
        "status_code": 202,
        "response_model": shapes.Started,
        "responses": {202: {"description": "The run that does it."}, **problems(409, *SENT)},
    }

    def start(request: Request, wish: Wish, key: str | None, check: Callable[[], None]) -> Response:
        run = starter.start(wish, _who(request), check, key)
        body = {"run": run, "job": wish.job, "link": starter.dagster.link(run)}
        return Response(orjson.dumps(body), 202, {"location": f"/v1/runs/{run}"}, JSON)

    @routes.post(f"{base}/days/{{day}}/run", **started)
    def run_day(
        request: Request,
        use_case: name,
        day: Annotated[Day, Path(description="The day, or any day of a week.", examples=["2026-01-31"])],
        key: Key = None,
    ) -> Response:
        """Start the run of a day, from its raw files to published predictions."""
        stores, day = service.stores(use_case), service.period(use_case, day)
        return start(request, day_run(use_case, day), key, lambda: check_day(stores, day))

    @routes.post(f"{base}/train", **started)
    def train(
        request: Request,
        use_case: name,
        asked: Annotated[Train | None, Body()] = None,
        key: Key = None,
    ) -> Response:
        """Start a training; gate and `promotion` say whether its version becomes champion."""
        span = (asked.retro_score.first, asked.retro_score.last) if asked and asked.retro_score else None
        days = (service.period(use_case, span[0]), service.period(use_case, span[1])) if span else None
        stores = service.stores(use_case)
        check = (lambda: check_retro(stores, *days)) if days else (lambda: None)
        return start(request, training(use_case, days), key, check)

    @routes.post(f"{base}/promote", **started)
    def promote(request: Request, use_case: name, asked: Promote, key: Key = None) -> Response:
        """Make a version the champion."""
        wish = promotion(use_case, asked.version, _who(request), asked.why, override=asked.override)
        stores = service.stores(use_case)
        return start(request, wish, key, lambda: check_promotion(stores, asked.version, override=asked.override))

    @routes.post(f"{base}/rollback", **started)
    def rollback(request: Request, use_case: name, asked: Rollback, key: Key = None) -> Response:
        """Make the champion before the present one the champion again."""
        stores, wish = service.stores(use_case), to_go_back(use_case, _who(request), asked.why)
        return start(request, wish, key, lambda: check_rollback(stores))

    @routes.post(f"{base}/refuse", **answer("What was decided.", shapes.Refused, 409, *SENT))
    def refuse(request: Request, use_case: name, asked: Refuse) -> Response:
        """Decide against a version that waits for a person; nothing is run, and a promotion overrules it."""
        decided = run_checks.refuse(service.stores(use_case), asked.version, _who(request), asked.why)
        return Response(orjson.dumps({"use_case": use_case, **asdict(decided)}), media_type=JSON)

    @routes.get("/v1/runs/{run}", **answer("How a run stands, and what its failed steps said.", shapes.Run))
    def get_run(run: Annotated[str, Path(max_length=100, description="The id of a run.")]) -> Response:
        """How a run stands, and what its failed steps said."""
        return Response(orjson.dumps(starter.standing(run, service.use_cases)), media_type=JSON)

    return routes


def _who(request: Request) -> str:
    return f"{caller_of(request).name} (API)"
