"""`GET /v1/use-cases/{u}/days/...`: the days, and what the batch published of each, a page at a time."""

import base64
import datetime as dt
from typing import Annotated, Any, Literal, TypeVar

import orjson
import pyarrow as pa
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from mlops_assets.journey.feedback.published import parts_with
from mlops_assets.journey.score.vectors import NotKept, classes_of
from mlops_assets.serving.listed import Shelf, answer_rows, documented, only_known, wants_csv
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.serving.service import Service
from mlops_assets.storage.catalog import PROBABILITIES, REJECTS
from mlops_assets.storage.tables import Table
from mlops_assets.views.days import Known, record, short_record
from mlops_assets.views.paging import (
    Listing,
    Only,
    PublishedAgain,
    WrongCursor,
    list_parts,
    read_cursor,
    read_page,
    write_cursor,
)
from mlops_assets.views.paging import Place as PagePlace
from mlops_assets.views.predictions import COLUMNS, Wanted, shaped
from mlops_assets.workspace import Stores

MOST = 10_000
"""Rows of a page."""

T = TypeVar("T")

DAY = r"^\d{4}-\d\d-\d\d$"
Day = Annotated[str, Path(pattern=DAY, description="The day, such as 2026-01-31.", examples=["2026-01-31"])]
Limit = Annotated[int, Query(ge=1, le=MOST, description="Rows of a page.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before, as it was.")]
Bound = Annotated[str | None, Query(pattern=DAY, description="A day, such as 2026-01-31; it is within.")]
Text = Annotated[str | None, Query(max_length=1_000)]
Share = Annotated[float | None, Query(ge=0, le=1)]


def router(service: Service) -> APIRouter:
    """The routes that read days."""
    routes, shelf = APIRouter(tags=["days"], dependencies=[Depends(only_known)]), Shelf(service)
    name = Annotated[str, Path(description="The use case.", json_schema_extra={"enum": [*service.use_cases]})]
    base, paged = "/v1/use-cases/{use_case}/days", documented(404, 410, 422)

    @routes.get(base, responses=documented(404, 422))
    def days(
        use_case: name,
        first: Annotated[str | None, Query(alias="from", pattern=DAY, description="The first day.")] = None,
        to: Annotated[str | None, Query(pattern=DAY, description="The last day.")] = None,
        limit: Annotated[int, Query(ge=1, le=1_000, description="Days of a page.")] = 31,
        cursor: Cursor = None,
    ) -> Response:
        """The days that have raw files or were published, the newest first."""
        _check_days(**{"query.from": first, "query.to": to})
        with shelf.open(use_case) as stores:
            known = Known.of(stores)
            before = _read_day(cursor)
            every = [day for day in known.days(first or "", to or "") if before is None or day < before]
            told = [{**short_record(known, day), "links": _links(use_case, day)} for day in every[:limit]]
        after = _write_day(every[limit - 1]) if len(every) > limit else None
        return _json({"use_case": use_case, "days": told, "next": after})

    @routes.get(f"{base}/{{day}}", responses=documented(404, 422))
    def day(use_case: name, day: Day) -> Response:
        """A day: its accounting, its checks and lamps, its rejects by rule, and where its rows are read."""
        _check_days(**{"path.day": day})
        with shelf.open(use_case) as stores:
            known = Known.of(stores)
            if day not in known.days(day, day):
                raise _no_day(use_case, day, known.days())
            return _json({"use_case": use_case, **record(known, day), "links": _links(use_case, day)})

    @routes.get(f"{base}/{{day}}/predictions", responses=documented(404, 409, 410, 422))
    def predictions(
        request: Request,
        use_case: name,
        day: Day,
        file: Text = None,
        account: Text = None,
        said: Annotated[str | None, Query(alias="class", max_length=1_000, description="The class said.")] = None,
        min_probability: Share = None,
        max_probability: Share = None,
        limit: Limit = 1_000,
        cursor: Cursor = None,
        probabilities: Annotated[Literal["top", "all"], Query(description="Of the class said, or of all.")] = "top",
    ) -> Response:
        """The published predictions of a day."""
        equal = {"file": file, "account_id": account, "prediction": said}
        with shelf.open(use_case) as stores:
            table = stores.lake.predictions
            listing = _listing(use_case, day, table)
            published = table.days()[day]
            among = _among(stores, day, file, table)
        least, most = _given({"probability": min_probability}), _given({"probability": max_probability})
        only = Only(_given(equal), least, most, among)
        classes = _classes(use_case, day, published.accounting) if probabilities == "all" else ()
        stored = [*COLUMNS, PROBABILITIES.name] if classes else [*COLUMNS]
        rows, after = _page(f"{use_case}/predictions", listing, stored, only, cursor, limit)
        wanted = Wanted(probabilities == "all", apart=wants_csv(request))
        version = published.accounting.model_version
        told = {"use_case": use_case, "day": day, "publication": published.version, "model_version": version}
        return answer_rows(request, told, _shape(rows, classes, wanted), after)

    @routes.get(f"{base}/{{day}}/rejects", responses=paged)
    def rejects(
        request: Request,
        use_case: name,
        day: Day,
        rule: Text = None,
        file: Text = None,
        limit: Limit = 1_000,
        cursor: Cursor = None,
    ) -> Response:
        """The refused lines and files of a day, and behind them the rows without a prediction."""
        with shelf.open(use_case) as stores:
            tables = stores.lake.rejects, stores.lake.unpredicted
            listing = _listing(use_case, day, *tables)
            among = _among(stores, day, file, *tables)
        only = Only(_given({"rule": rule, "file": file}), among=among)
        rows, after = _page(f"{use_case}/rejects", listing, ["day", *REJECTS.names], only, cursor, limit)
        told = {"use_case": use_case, "day": day, "publication": listing.versions[0]}
        return answer_rows(request, told, rows, after)

    return routes


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _given(wanted: dict[str, T | None]) -> dict[str, T]:
    return {column: value for column, value in wanted.items() if value is not None}


def _check_days(**days: str | None) -> None:
    """See that texts are days, by their places in the request."""
    advice = "is no day; write it like 2026-01-31."
    wrong = [Wrong(where, f"{day} {advice}") for where, day in days.items() if not _is_day(day)]
    if wrong:
        raise Problem(422, wrong[0].message, wrong)


def _is_day(day: str | None) -> bool:
    try:
        return day is None or bool(dt.date.fromisoformat(day))
    except ValueError:
        return False


def _no_day(use_case: str, day: str, known: list[str]) -> Problem:
    span = f"there is something of days from {known[-1]} to {known[0]}" if known else "it has no days yet"
    return Problem(404, f"Nothing of {day} is known of {use_case}; {span}.")


def _links(use_case: str, day: str) -> dict[str, str]:
    own = f"/v1/use-cases/{use_case}/days/{day}"
    return {"self": own, "predictions": f"{own}/predictions", "rejects": f"{own}/rejects", "run": f"{own}/run"}


def _listing(use_case: str, day: str, *tables: Table[Any]) -> Listing:
    """The parts of a published day."""
    _check_days(**{"path.day": day})
    listing = list_parts(day, *tables)
    if not listing.versions[0]:
        days = sorted(tables[0].days(), reverse=True)
        span = f"published are {len(days)} days from {days[-1]} to {days[0]}" if days else "no day is published yet"
        raise Problem(404, f"{use_case} has no published {tables[0].name} of {day}; {span}.")
    return listing


def _among(stores: Stores, day: str, file: str | None, *tables: Table[Any]) -> frozenset[str] | None:
    """The parts in which rows of a file can lie."""
    if file is None:
        return None
    there = [table for table in tables if day in table.days()]
    return frozenset(part for table in there for part in parts_with(stores.lake, table, day, [file]))


def _classes(use_case: str, day: str, accounting: Any) -> tuple[str, ...]:
    try:
        return classes_of(use_case, day, accounting)
    except NotKept as error:
        raise Problem(409, str(error)) from None


def _page(
    of: str, listing: Listing, columns: list[str], only: Only, cursor: str | None, limit: int
) -> tuple[pa.Table, str | None]:
    name = f"{of}?{only.mark}"
    try:
        place = read_cursor(name, listing, cursor) if cursor else PagePlace()
    except WrongCursor as error:
        raise Problem(422, f"cursor: {error}", [Wrong("query.cursor", str(error))]) from None
    except PublishedAgain as error:
        raise Problem(410, str(error), [Wrong("query.cursor", str(error))]) from None
    rows, after = read_page(listing, columns, only, place, limit)
    return rows, write_cursor(name, listing, after) if after else None


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
        day = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        day = "?"
    if not _is_day(day) or len(day) != 10:
        raise Problem(422, "cursor: this is no cursor: hand back `next` of the page before as it was.")
    return day
