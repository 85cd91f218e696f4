"""Lists that are read a page at a time: JSON with `next`, or CSV with it in the headers, as `Accept` asks."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv as pacsv
from starlette.requests import Request
from starlette.responses import Response

from mlops_assets.serving.bodies.query import read_query
from mlops_assets.serving.problems import MEDIA_TYPE
from mlops_assets.serving.service import Service
from mlops_assets.workspace import Stores

CSV = "text/csv"

WORDS = {
    404: "There is none of that name.",
    409: "It cannot be done as things stand; it says why.",
    410: "The day was published again since the cursor was given.",
    413: "The body is too long.",
    422: "Something of the request is wrong; it says what and where.",
    503: "What does the work does not answer; it says what to start.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer, for the schema."""
    problem = {"content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}
    return {status: {"description": WORDS[status], **problem} for status in statuses}


class Shelf:
    """The stores of the use cases of a service; their tables remember the commits that they have seen.

    Parameters
    ----------
    service
        The service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stores: dict[str, Stores] = {}
        self._locks = {name: threading.Lock() for name in service.use_cases}

    @contextmanager
    def open(self, name: str) -> Iterator[Stores]:
        """The stores of a use case, for one thread at a time: what a table has seen is changed by looking.

        Raises
        ------
        Problem
            404, if it is not served.
        """
        if name not in self._stores:
            self._stores[name] = self._service.stores(name)
        with self._locks[name]:
            yield self._stores[name]


def only_known(request: Request) -> None:
    """See that a request has no parameter that its route does not have: a filter with a slip would let all rows pass.

    Raises
    ------
    Problem
        422, if it has one, or one twice.
    """
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    read_query(request, dict.fromkeys(known, str))


def wants_csv(request: Request) -> bool:
    """Whether a request asks for CSV before JSON."""
    asked = [one.partition(";")[0].strip().lower() for one in request.headers.get("accept", "").split(",")]
    return next((one == CSV for one in asked if one in (CSV, "application/json", "*/*", "application/*")), False)


def answer_rows(request: Request, told: Mapping[str, Any], rows: pa.Table, after: str | None) -> Response:
    """A page of rows.

    Parameters
    ----------
    request
        Says by `Accept` in which form.
    told
        What is said beside the rows.
    rows
        The rows.
    after
        The cursor of the next page; None if this is the last one.
    """
    link = {"link": f'<{request.url.include_query_params(cursor=after)}>; rel="next"'} if after else {}
    if not wants_csv(request):
        body = orjson.dumps({**told, "rows": _records(rows), "next": after}, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(body, headers=link, media_type="application/json")
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
