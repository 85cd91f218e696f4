"""`POST .../run`, `/train`, `/promote`, `/rollback` start runs of Dagster, and `GET /v1/runs/{id}` tells of one."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Depends, Header, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from mlops_assets.errors.redaction import without_paths
from mlops_assets.journey.model.changing import RETRO_TAG, WHO_TAG
from mlops_assets.serving import shapes
from mlops_assets.serving.answers import JSON
from mlops_assets.serving.bodies.query import Day, see_parameters
from mlops_assets.serving.dagster import DagsterRun
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.run_checks import check_day, check_promotion, check_retro, check_rollback
from mlops_assets.serving.schema import SENT, answer, problems
from mlops_assets.serving.service import Service, caller_of
from mlops_assets.serving.starting import DAY_TAG, Wish, day_wish

RANGE_TAGS = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

JOBS = ("daily", "training", "promote", "rollback", "monitoring", "watch")

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


class Promote(Rollback):
    """Which version shall be champion."""

    version: int = Field(ge=1, le=1_000_000_000, strict=True)
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
        run = starter.start(wish, caller_of(request).name, key, check)
        body = {"run": run, "job": wish.job, "link": starter.dagster.link(run)}
        return Response(orjson.dumps(body), 202, {"location": f"/v1/runs/{run}"}, JSON)

    @routes.post(f"{base}/days/{{day}}/run", **started)
    def run_day(
        request: Request,
        use_case: name,
        day: Annotated[Day, Path(description="The day.", examples=["2026-01-31"])],
        key: Key = None,
    ) -> Response:
        """Start the run of a day, from its raw files to published predictions."""
        stores = service.stores(use_case)
        return start(request, day_wish(use_case, day), key, lambda: check_day(stores, day))

    @routes.post(f"{base}/train", **started)
    def train(
        request: Request,
        use_case: name,
        asked: Annotated[Train | None, Body()] = None,
        key: Key = None,
    ) -> Response:
        """Start a training; gate and `promotion` say whether its version becomes champion."""
        days = asked.retro_score if asked else None
        tags = {RETRO_TAG: f"{days.first}/{days.last}"} if days else {}
        stores = service.stores(use_case)
        check = (lambda: check_retro(stores, days.first, days.last)) if days else (lambda: None)
        return start(request, Wish(f"{use_case}_training", tags), key, check)

    @routes.post(f"{base}/promote", **started)
    def promote(request: Request, use_case: name, asked: Promote, key: Key = None) -> Response:
        """Make a version the champion."""
        config = {**asked.model_dump(), "who": f"{caller_of(request).name} (API)"}
        wish = Wish(f"{use_case}_promote", config=_config(f"{use_case}_promote_version", config))
        stores = service.stores(use_case)
        return start(request, wish, key, lambda: check_promotion(stores, asked.version, override=asked.override))

    @routes.post(f"{base}/rollback", **started)
    def rollback(request: Request, use_case: name, asked: Rollback, key: Key = None) -> Response:
        """Make the champion before the present one the champion again."""
        config = {**asked.model_dump(), "who": f"{caller_of(request).name} (API)"}
        wish = Wish(f"{use_case}_rollback", config=_config(f"{use_case}_roll_back", config))
        stores = service.stores(use_case)
        return start(request, wish, key, lambda: check_rollback(stores))

    @routes.get("/v1/runs/{run}", **answer("How a run stands, and what its failed steps said.", shapes.Run))
    def get_run(run: Annotated[str, Path(max_length=100, description="The id of a run.")]) -> Response:
        """How a run stands, and what its failed steps said."""
        found = starter.dagster.run(run)
        use_case = _use_case(found, service) if found else None
        if found is None or use_case is None:
            raise Problem(404, f"There is no run {run!r} of the use cases that are served here.")
        failed = starter.dagster.failures(run) if found.status == "FAILURE" else []
        steps = [{"step": one.step, "said": without_paths(one.said)} for one in failed]
        body = {**_told(found), "use_case": use_case, "failed": steps, "link": starter.dagster.link(run)}
        return Response(orjson.dumps(body), media_type=JSON)

    return routes


def _config(op: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"ops": {op: {"config": dict(config)}}}


def _use_case(run: DagsterRun, service: Service) -> str | None:
    """The use case of a run: that of its job."""
    return next((name for name in service.use_cases for job in JOBS if run.job == f"{name}_{job}"), None)


def _told(run: DagsterRun) -> dict[str, Any]:
    days = [run.tags[name] for name in (DAY_TAG, *RANGE_TAGS) if name in run.tags]
    return {
        "run": run.run_id,
        "job": run.job,
        "days": {"from": days[0], "to": days[-1]} if days else None,
        "who": run.tags.get(WHO_TAG),
        "state": run.status.lower(),
        "created": run.created,
        "started": run.started,
        "ended": run.ended,
    }
