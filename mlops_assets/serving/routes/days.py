"""`GET /v1/use-cases/{u}/days/...`: the days, and what the batch published of each, a page at a time."""

import base64
from typing import Annotated, Any, Literal

import orjson
import pyarrow as pa
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from mlops_assets.serving import shapes
from mlops_assets.serving.answers import CSV, JSON
from mlops_assets.serving.bodies import query
from mlops_assets.serving.bodies.query import see_parameters
from mlops_assets.serving.finding import MOST, Asked, find_predictions, find_rejects, no_day
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.serving.schema import answer
from mlops_assets.serving.service import Service
from mlops_assets.serving.tables import form_of, page_of_rows
from mlops_assets.views.days import Known, record, short_record
from mlops_assets.views.predictions import Wanted, shaped

Day = Annotated[query.Day, Path(description="The day, or any day of a week.", examples=["2026-01-31"])]
Limit = Annotated[int, Query(ge=1, le=MOST, description="Rows of a page.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before, as it was.")]
Text = Annotated[str | None, Query(max_length=1_000)]
Share = Annotated[float | None, Query(ge=0, le=1)]
Number = Annotated[float | None, Query(allow_inf_nan=False, description="Of a number that is predicted.")]
FORMAT = "By `Accept` where it is not given, which a link in a page cannot send."
Form = Annotated[Literal["json", "csv"] | None, Query(alias="format", description=FORMAT)]
Spreadsheet = Annotated[
    bool,
    Query(description="In CSV, an apostrophe before texts that a spreadsheet would take for formulas."),
]


def router(service: Service) -> APIRouter:
    """The routes that read days."""
    routes = APIRouter(tags=["days"], dependencies=[Depends(see_parameters)])
    name = Annotated[str, Path(description="The use case.", json_schema_extra={"enum": [*service.use_cases]})]
    base = "/v1/use-cases/{use_case}/days"

    @routes.get(base, **answer("The days that have raw files or were published.", shapes.DayList))
    def get_days(
        use_case: name,
        first: Annotated[query.Day | None, Query(alias="from", description="The first day.")] = None,
        to: Annotated[query.Day | None, Query(description="The last day.")] = None,
        limit: Annotated[int, Query(ge=1, le=1_000, description="Days of a page.")] = 31,
        cursor: Cursor = None,
    ) -> Response:
        """The days that have raw files or were published, the newest first."""
        first = service.period(use_case, first) if first else None
        with service.open(use_case) as stores:
            known = Known.of(stores)
            before = _read_day(cursor)
            every = [day for day in known.days(first or "", to or "") if before is None or day < before]
            told = [{**short_record(known, day), "links": _links(use_case, day)} for day in every[:limit]]
        after = _write_day(every[limit - 1]) if len(every) > limit else None
        return _json({"use_case": use_case, "days": told, "next": after})

    @routes.get(f"{base}/{{day}}", **answer("A day: numbers, checks, and where its rows are.", shapes.DayDetails))
    def get_day(use_case: name, day: Day) -> Response:
        """A day: its accounting, its checks and lamps, its rejects by rule, and where its rows are read."""
        day = service.period(use_case, day)
        with service.open(use_case) as stores:
            known = Known.of(stores)
            if day not in known.days(day, day):
                raise no_day(use_case, day, known.days())
            return _json({"use_case": use_case, **record(known, day), "links": _links(use_case, day)})

    @routes.get(
        f"{base}/{{day}}/predictions",
        **answer("The published predictions of a day.", shapes.PublishedPredictions, 406, 409, 410, forms=[CSV]),
    )
    def get_predictions(
        request: Request,
        use_case: name,
        day: Day,
        file: Text = None,
        account: Text = None,
        said: Annotated[str | None, Query(alias="class", max_length=1_000, description="The class said.")] = None,
        min_probability: Share = None,
        max_probability: Share = None,
        min_prediction: Number = None,
        max_prediction: Number = None,
        limit: Limit = 1_000,
        cursor: Cursor = None,
        probabilities: Annotated[Literal["top", "all"], Query(description="Of the class said, or of all.")] = "top",
        form: Form = None,
        spreadsheet: Spreadsheet = False,
    ) -> Response:
        """The published predictions of a day."""
        kind, day = form_of(request, form), service.period(use_case, day)
        asked = Asked(day, file, account, said, min_probability, max_probability, min_prediction, max_prediction)
        found = find_predictions(service, use_case, asked, cursor, limit, every_class=probabilities == "all")
        wanted = Wanted(probabilities == "all", apart=kind == CSV)
        version = found.published.accounting.model_version
        told = {"use_case": use_case, "day": day, "publication": found.published.version, "model_version": version}
        rows = _shape(found.rows, found.classes, wanted)
        return page_of_rows(request, kind, told, rows, found.after, spreadsheet=spreadsheet)

    @routes.get(
        f"{base}/{{day}}/rejects",
        **answer("The refused lines and files of a day.", shapes.PublishedRejects, 406, 410, forms=[CSV]),
    )
    def get_rejects(
        request: Request,
        use_case: name,
        day: Day,
        rule: Text = None,
        file: Text = None,
        limit: Limit = 1_000,
        cursor: Cursor = None,
        form: Form = None,
        spreadsheet: Spreadsheet = False,
    ) -> Response:
        """The refused lines and files of a day, and behind them the rows without a prediction."""
        kind, day = form_of(request, form), service.period(use_case, day)
        publication, rows, after = find_rejects(service, use_case, day, rule, file, cursor, limit)
        told = {"use_case": use_case, "day": day, "publication": publication}
        return page_of_rows(request, kind, told, rows, after, spreadsheet=spreadsheet)

    return routes


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type=JSON)


def _links(use_case: str, day: str) -> dict[str, str]:
    own = f"/v1/use-cases/{use_case}/days/{day}"
    return {"self": own, "predictions": f"{own}/predictions", "rejects": f"{own}/rejects", "run": f"{own}/run"}


def _shape(rows: pa.Table, classes: tuple[str, ...], wanted: Wanted) -> pa.Table:
    """Rows with the probabilities of all classes, where these are wanted."""
    if not classes:
        return rows
    batches = [shaped(batch, classes, classes, wanted) for batch in rows.to_batches()]
    empty = shaped(pa.RecordBatch.from_pylist([], rows.schema), classes, classes, wanted).schema
    return pa.Table.from_batches(batches, empty)


def _write_day(day: str) -> str:
    return base64.urlsafe_b64encode(day.encode()).decode().rstrip("=")


def _read_day(cursor: str | None) -> str | None:
    """The day behind which a page of days begins."""
    if cursor is None:
        return None
    try:
        return query.day(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode())
    except ValueError:
        message = "this is no cursor: hand back `next` of the page before as it was."
        raise Problem(422, f"cursor: {message}", [Wrong("query.cursor", message)]) from None
