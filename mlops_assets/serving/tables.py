"""In: a page of rows. Out: the answer with them, as JSON or CSV."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv as pacsv
from starlette.requests import Request
from starlette.responses import Response

from mlops_assets.serving.answers import CSV, JSON
from mlops_assets.serving.bodies.query import preferred
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.work.spreadsheets import marked_reader


def form_of(request: Request, named: str | None) -> str:
    """In which form rows are wanted: as a parameter names it, or as the header asks for.

    Parameters
    ----------
    request
        Has the header.
    named
        `json` or `csv`, or None where no parameter says so.

    Raises
    ------
    Problem
        406, if the header asks for another one.
    """
    forms = {"json": JSON, "csv": CSV}
    return forms[named] if named else preferred(request.headers.get("accept", ""), [*forms.values()])


def page_of_rows(
    request: Request, form: str, told: Mapping[str, Any], rows: pa.Table, after: str | None, *, spreadsheet: bool
) -> Response:
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
    spreadsheet
        Whether texts in CSV get an apostrophe where a spreadsheet would take them for a formula.

    Raises
    ------
    Problem
        422, if JSON is to be for a spreadsheet.
    """
    link = {"link": f'<{request.url.include_query_params(cursor=after)}>; rel="next"'} if after else {}
    if form == JSON:
        if spreadsheet:
            said = "spreadsheet=true is for CSV: ask for that by format=csv or by Accept: text/csv"
            raise Problem(422, f"{said}.", [Wrong("query.spreadsheet", said)])
        body = orjson.dumps({**told, "rows": _records(rows), "next": after}, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(body, headers=link, media_type=JSON)
    sink = io.BytesIO()
    pacsv.write_csv(marked_reader(rows.to_reader()).read_all() if spreadsheet else rows, sink)
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
