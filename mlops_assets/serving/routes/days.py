"""`GET /v1/use-cases/{u}/days/...`: the days, and what the batch published of each, a page at a time."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import orjson
import pyarrow as pa
import pyarrow.csv as pacsv
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from mlops_assets.journey.feedback.published import parts_with
from mlops_assets.journey.score.vectors import NotKept, classes_of
from mlops_assets.serving import shapes
from mlops_assets.serving.answers import CSV, JSON
from mlops_assets.serving.bodies import query
from mlops_assets.serving.bodies.query import preferred, see_parameters
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.serving.schema import answer
from mlops_assets.serving.service import Service
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import PROBABILITIES, REJECTS
from mlops_assets.storage.tables import Published, Table
from mlops_assets.views.days import Known, record, short_record
from mlops_assets.views.paging import (
    Listing,
    Only,
    PublishedAgain,
    WrongCursor,
    list_parts,
    read_cursor,
    read_page,
    within,
    write_cursor,
)
from mlops_assets.views.paging import Place as PagePlace
from mlops_assets.views.predictions import COLUMNS, Wanted, shaped
from mlops_assets.workspace import Stores

MOST = 10_000
"""Rows of a page."""

T = TypeVar("T")

Day = Annotated[query.Day, Path(description="The day.", examples=["2026-01-31"])]
Limit = Annotated[int, Query(ge=1, le=MOST, description="Rows of a page.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before, as it was.")]
Text = Annotated[str | None, Query(max_length=1_000)]
Share = Annotated[float | None, Query(ge=0, le=1)]
FORMAT = "JSON or CSV; by `Accept` where it is not given, which a link in a page cannot send."


@dataclass(frozen=True)
class Asked:
    """Which predictions are wanted.

    Attributes
    ----------
    day
        Of which day.
    file, account, said
        Of which file, account and class; of all if None.
    least, most
        Bounds of the probability, both within.
    """

    day: str
    file: str | None = None
    account: str | None = None
    said: str | None = None
    least: float | None = None
    most: float | None = None


class Found(NamedTuple):
    """A page of predictions: the publication of their day, the rows, the classes of their probabilities, what follows.

    `after` is the cursor of the next page; None if this is the last one.
    """

    published: Published[PredictionsAccounting]
    rows: pa.Table
    classes: tuple[str, ...]
    after: str | None


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
        limit: Limit = 1_000,
        cursor: Cursor = None,
        probabilities: Annotated[Literal["top", "all"], Query(description="Of the class said, or of all.")] = "top",
        form: Annotated[Literal["json", "csv"] | None, Query(alias="format", description=FORMAT)] = None,
    ) -> Response:
        """The published predictions of a day."""
        kind = _form(request, form)
        asked = Asked(day, file, account, said, min_probability, max_probability)
        found = find_predictions(service, use_case, asked, cursor, limit, every_class=probabilities == "all")
        wanted = Wanted(probabilities == "all", apart=kind == CSV)
        version = found.published.accounting.model_version
        told = {"use_case": use_case, "day": day, "publication": found.published.version, "model_version": version}
        return _answer(request, kind, told, _shape(found.rows, found.classes, wanted), found.after)

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
        form: Annotated[Literal["json", "csv"] | None, Query(alias="format", description=FORMAT)] = None,
    ) -> Response:
        """The refused lines and files of a day, and behind them the rows without a prediction."""
        kind = _form(request, form)
        publication, rows, after = find_rejects(service, use_case, day, rule, file, cursor, limit)
        told = {"use_case": use_case, "day": day, "publication": publication}
        return _answer(request, kind, told, rows, after)

    return routes


def find_predictions(
    service: Service, use_case: str, asked: Asked, cursor: str | None, limit: int, *, every_class: bool = False
) -> Found:
    """A page of the published predictions of a day.

    Parameters
    ----------
    service
        What is served.
    use_case
        Name of the use case.
    asked
        Which are wanted.
    cursor
        Where the page begins; the first one if None.
    limit
        Rows of the page.
    every_class
        Whether the probabilities of all classes are wanted.

    Raises
    ------
    Problem
        404 if the day is not published; 409 if it has no such probabilities; 410 if it was published again since the
        cursor was given; 422 if that is none.
    """
    with service.open(use_case) as stores:
        table = stores.lake.predictions
        listing = _listing(use_case, asked.day, table)
        published = table.days()[asked.day]
        among = _among(stores, asked.day, asked.file, table)
    equal = _given({"file": asked.file, "account_id": asked.account, "prediction": asked.said})
    only = replace(within("probability", asked.least, asked.most), equal=equal, among=among)
    classes = _classes(use_case, asked.day, published.accounting) if every_class else ()
    stored = [*COLUMNS, PROBABILITIES.name] if classes else [*COLUMNS]
    rows, after = _page(f"{use_case}/predictions", listing, stored, only, cursor, limit)
    return Found(published, rows, classes, after)


def find_rejects(
    service: Service, use_case: str, day: str, rule: str | None, file: str | None, cursor: str | None, limit: int
) -> tuple[int, pa.Table, str | None]:
    """A page of what was refused of a day, and behind it the rows without a prediction.

    Parameters
    ----------
    service, use_case, cursor, limit
        As of `find_predictions`.
    day, rule, file
        Of which day, rule and file; of all rules and files if None.

    Returns
    -------
    tuple
        The publication of the day, the rows, and the cursor of the next page or None.

    Raises
    ------
    Problem
        404, 410 and 422, as of `find_predictions`.
    """
    with service.open(use_case) as stores:
        tables = stores.lake.rejects, stores.lake.unpredicted
        listing = _listing(use_case, day, *tables)
        among = _among(stores, day, file, *tables)
    only = Only(_given({"rule": rule, "file": file}), among=among)
    rows, after = _page(f"{use_case}/rejects", listing, ["day", *REJECTS.names], only, cursor, limit)
    return listing.versions[0], rows, after


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type=JSON)


def _given(wanted: dict[str, T | None]) -> dict[str, T]:
    return {column: value for column, value in wanted.items() if value is not None}


def no_day(use_case: str, day: str, known: Sequence[str]) -> Problem:
    """What is answered where a day is asked for of which nothing is known."""
    span = f"there is something of days from {known[-1]} to {known[0]}" if known else "it has no days yet"
    return Problem(404, f"Nothing of {day} is known of {use_case}; {span}.")


def _links(use_case: str, day: str) -> dict[str, str]:
    own = f"/v1/use-cases/{use_case}/days/{day}"
    return {"self": own, "predictions": f"{own}/predictions", "rejects": f"{own}/rejects", "run": f"{own}/run"}


def _listing(use_case: str, day: str, *tables: Table[Any]) -> Listing:
    """The parts of a published day."""
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
        return query.day(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode())
    except ValueError:
        message = "this is no cursor: hand back `next` of the page before as it was."
        raise Problem(422, f"cursor: {message}", [Wrong("query.cursor", message)]) from None


def _form(request: Request, named: str | None) -> str:
    """In which form rows are wanted: as a parameter names it, or as the header asks for."""
    forms = {"json": JSON, "csv": CSV}
    return forms[named] if named else preferred(request.headers.get("accept", ""), [*forms.values()])


def _answer(request: Request, form: str, told: Mapping[str, Any], rows: pa.Table, after: str | None) -> Response:
    """A page of rows: JSON with `next`, or CSV with it in the headers.

    Parameters
    ----------
    request
        Was for this page.
    form
        `JSON` or `CSV`.
    told
        What is said beside the rows.
    rows
        The rows.
    after
        The cursor of the next page; None if this is the last one.
    """
    link = {"link": f'<{request.url.include_query_params(cursor=after)}>; rel="next"'} if after else {}
    if form == JSON:
        body = orjson.dumps({**told, "rows": _records(rows), "next": after}, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(body, headers=link, media_type=JSON)
    sink = io.BytesIO()
    pacsv.write_csv(rows, sink)
    headers = {**link, **{f"x-{name.replace('_', '-')}": str(value) for name, value in told.items()}}
    return Response(sink.getvalue(), headers=headers | ({"x-next": after} if after else {}), media_type=CSV)


def _records(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows as JSON has them: a float32 with no more digits than it has."""
    columns = [_values(column) for column in rows.columns]
    return [dict(zip(rows.column_names, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_float32(column.type) and not column.null_count:
        return [*column.to_numpy()]
    values: list[Any] = column.to_pylist(maps_as_pydicts="strict")
    return values
