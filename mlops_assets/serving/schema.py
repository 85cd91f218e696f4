"""The API as OpenAPI describes it, drawn from the contract of each use case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import BaseModel

from mlops_assets.journey.score.written import RowsWrong, file_of_rows
from mlops_assets.plugins import RecordReader, load_plugin
from mlops_assets.serving.answers import CSV, JSON, TOP
from mlops_assets.serving.bodies.files import MULTIPART, raw_types
from mlops_assets.serving.bodies.multipart import FIELD
from mlops_assets.serving.problems import MEDIA_TYPE
from mlops_assets.serving.shapes import Predictions
from mlops_assets.serving.v2.tensors import Inference
from mlops_assets.use_case import Column, UseCase

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/{model}"
"""How a schema is referred to that several paths have."""

SHORT = {"predict": "/predict/", "models": "/models/", "deployed_version": "/deployed_version/"}
"""Paths where one use case alone is served."""
USE_CASES = "/v1/use-cases/{use_case}"
"""Where a use case lies."""

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
BYTES: Schema = {"type": "string", "format": "binary"}
NUMBERED: Schema = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
FORM = "application/x-www-form-urlencoded"

PROBLEM: Schema = {
    "type": "object",
    "title": "Problem",
    "description": "What is wrong and what to do, as RFC 9457 has it.",
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "request": {**TEXT, "description": "Id of the request."},
        "error": {**TEXT, "description": "Of the V2 inference protocol: the same as `detail`."},
        "errors": {
            "type": "array",
            "description": "Everything that is wrong.",
            "items": {
                "type": "object",
                "properties": {"where": TEXT, "message": TEXT},
                "required": ["where", "message"],
            },
        },
    },
    "required": ["type", "title", "status", "detail"],
}

MEANINGS = {
    400: "The request or its body is not what it says to be; with where.",
    401: "A key is asked for.",
    403: "The key has not the right.",
    404: "There is no such thing; with those that there are.",
    406: "None of the forms in `Accept` is had.",
    408: "The body did not come in time.",
    409: "It cannot be done as things stand, such as without a champion; with why.",
    410: "The day was published again since the cursor was given.",
    413: "The request brings more than it may; with the limit.",
    415: "The Content-Type is not taken; with those that are.",
    422: "Parameters, fields or all files are wrong; `errors` has all of it.",
    429: "The key has asked too often; `Retry-After` says when to ask again.",
    500: "Something failed that is no fault of the request.",
    503: "Too much waits already, or what this needs does not answer; `Retry-After` says when to ask again.",
}
"""What the statuses of refusals mean."""

ANYWHERE = (400, 401, 403, 404, 422, 429, 500, 503)
"""Statuses of refusals that every path may have."""

SENT = (408, 413)
"""Those that a path may have besides to which something is sent."""

SHOWN_TYPES: Mapping[str, Schema] = {
    "string": {"type": ["string", "null"]},
    "integer": {"type": ["integer", "string", "null"]},
    "number": {"type": ["number", "string", "null"]},
    "date": {"type": ["string", "null"]},
    "timestamp": {"type": ["string", "null"]},
    "boolean": {"type": ["boolean", "string", "null"]},
}
"""Values of a column in JSON, by its type; a text is read as the text of a field."""


def problems(*further: int) -> dict[int | str, Schema]:
    """The refusals that a path may answer with: those of all paths, and further ones."""
    content = {MEDIA_TYPE: {"schema": _referred("Problem")}}
    return {status: {"description": MEANINGS[status], "content": content} for status in sorted({*ANYWHERE, *further})}


def answer(summary: str, shape: type[BaseModel], *refusals: int, forms: Sequence[str] = ()) -> dict[str, Any]:
    """What a route is told of what it answers: JSON of some shape, and other forms that there are of it.

    Parameters
    ----------
    summary
        What is answered.
    shape
        Of the JSON.
    refusals
        Statuses that it may refuse with, beside those of all paths.
    forms
        Further media types.
    """
    content = {form: {"schema": TEXT} for form in forms}
    return {
        "summary": summary,
        "response_model": shape,
        "responses": {200: {"description": summary, "content": content}, **problems(*refusals)},
    }


def _referred(name: str) -> Schema:
    return {"$ref": REFERENCE.format(model=name)}


def with_shared(openapi: Schema) -> Schema:
    """A schema with what several of its paths refer to and FastAPI does not draw."""
    inference = Inference.model_json_schema(ref_template=REFERENCE)
    shared = {"Problem": PROBLEM, **inference.pop("$defs"), "Inference": inference}
    openapi.setdefault("components", {}).setdefault("schemas", {}).update(shared)
    return openapi


def predictions_operation(use_case: UseCase, name: str, path: str = "") -> dict[str, Any]:
    """What `add_api_route` is told of the predictions of a use case.

    Parameters
    ----------
    use_case
        The use case.
    name
        Id of the operation, unique in the API.
    path
        Where it lies, if not where those of all use cases do; for the summary.
    """
    return {
        "name": name,
        "operation_id": name,
        "summary": f"Predict, also at {path}" if path else use_case.description,
        "description": _description(use_case),
        "tags": [use_case.name],
        "response_model": Predictions,
        "responses": {200: ANSWERED, **problems(406, 409, 415, *SENT)},
        "openapi_extra": {"parameters": PARAMETERS, "requestBody": _body(use_case)},
    }


def _description(use_case: UseCase) -> str:
    limits = use_case.serving.limits
    forms = "Rows as JSON, or files as" if takes_rows(use_case) else "Files as"
    return (
        f"{forms} `{MULTIPART}`, or one file as the body. Columns and classes: `/v1/use-cases/{use_case.name}`.\n\n"
        f"Files end in `{use_case.files.suffix}`. A request brings at most {limits.bytes:,} bytes, "
        f"{limits.files:,} files, {limits.rows:,} lines, pictures of {limits.pixels:,} pixels, and takes "
        f"{limits.seconds:g} seconds."
    )


def _parameter(name: str, schema: Schema, description: str, place: str = "query") -> Schema:
    return {"name": name, "in": place, "required": False, "schema": schema, "description": description}


ANSWERED: Schema = {
    "description": "What became of each file.",
    "headers": {
        "X-Model-Version": {"schema": NUMBERED, "description": "Version that answered."},
        "X-Rejected": {"schema": COUNT, "description": "Lines that have no prediction, and files that were refused."},
    },
    "content": {CSV: {"schema": TEXT}},
}

PARAMETERS = [
    _parameter("version", NUMBERED, "Version that answers; the champion by default."),
    _parameter("as_of", {**TEXT, "format": "date"}, "Day that the rows are of, and whose champion answers; today."),
    _parameter("probabilities", {**TEXT, "enum": ["top", "all"]}, f"Of the {TOP} likeliest classes, or of all, too."),
    _parameter("explain", {"type": "boolean"}, "Why: features with their strengths, of one row of one file."),
    _parameter("line", NUMBERED, "The row that is explained, where the file has several."),
    _parameter(
        "X-File-Name", {**TEXT, "pattern": "^[!-~]+$"}, "Name of a raw body, UTF-8 in percent signs.", place="header"
    ),
]


def _body(use_case: UseCase) -> Schema:
    files = {
        "type": "object",
        "properties": {FIELD: {"type": "array", "items": BYTES, "minItems": 1}},
        "required": [FIELD],
        "additionalProperties": False,
        "description": "Files, ZIP files of them, and what their records refer to, each with its name.",
    }
    # what stands first is shown first: rows with an example need no file to be tried
    content: dict[str, Schema] = {JSON: {"schema": rows_schema(use_case)}} if takes_rows(use_case) else {}
    content[MULTIPART] = {"schema": files}
    # a file that is called a form, as curl calls it, is taken; /docs would send it as a form, which is empty
    content |= {kind: {"schema": BYTES} for kind in raw_types(use_case) if kind != FORM}
    return {"required": True, "content": content}


def takes_rows(use_case: UseCase) -> bool:
    """Whether rows can be sent: always as CSV, and else where its reader can write them."""
    reader = use_case.files.reader
    return reader is None or hasattr(load_plugin(reader, RecordReader), "write")


def rows_schema(use_case: UseCase) -> Schema:
    """Files as JSON rows: the columns of the contract, with types, units and meanings."""
    name, example = f"a{use_case.files.suffix}", example_row(use_case)
    # of a reader of its own, what a row may have is only known by trying
    known = example if use_case.files.reader and example else use_case.columns
    columns = {column: column_schema(use_case.columns[column]) for column in known}
    # also by the names of the header of a file
    row: Schema = {"type": "object", "properties": columns, "minProperties": 1}
    file = {
        "type": "object",
        "properties": {
            "name": {**TEXT, "description": f"Name of the file; it ends in `{use_case.files.suffix}`."},
            "rows": {"type": "array", "minItems": 1, "items": row, "description": "They belong together: a file."},
        },
        "required": ["rows"],
        "additionalProperties": False,
    }
    schema: Schema = {
        "type": "object",
        "properties": {"files": {"type": "array", "items": file, "minItems": 1}},
        "required": ["files"],
        "additionalProperties": False,
    }
    return {**schema, "examples": [{"files": [{"name": name, "rows": [example]}]}]} if example else schema


def example_row(use_case: UseCase) -> Schema:
    """A row that can be sent: all columns but the label, or the one that its reader takes alone; empty if none."""
    whole = {name: example_of(column) for name, column in use_case.columns.items() if name != use_case.label}
    for row in (whole, *({name: value} for name, value in whole.items())):
        with suppress(RowsWrong):
            file_of_rows(use_case, f"a{use_case.files.suffix}", [row])
            return row
    return {}


def column_schema(column: Column) -> Schema:
    """A column of the contract; what breaks its rules is a reject of its row, and no wrong request."""
    rules = [column.about, f"Unit: {column.unit}." if column.unit else ""]
    first, last = column.bounds
    rules += [
        f"{word} {bound:.15g}." if isinstance(bound, float) else f"{word} {bound}."
        for word, bound in (("From", first), ("To", last))
        if bound is not None
    ]
    if column.allowed:
        rules.append(f"One of: {', '.join(column.allowed)}.")
    rules.append("Required." if column.required else "")
    return {**SHOWN_TYPES[column.type], "description": " ".join(filter(None, rules)), "examples": [example_of(column)]}


def example_of(column: Column) -> str | float | bool:
    """A value that a column may hold, as JSON has it."""
    if column.allowed:
        return column.allowed[0]
    if column.type in ("integer", "number"):
        first, last = (bound if isinstance(bound, (int, float)) else None for bound in column.bounds)
        inside = 1 if first is None else max(first, 1)
        inside = inside if last is None else min(inside, last)
        return int(inside) if column.type == "integer" else float(inside)
    plain: dict[str, str | bool] = {"date": "2026-01-31", "timestamp": "2026-01-31T12:00:00", "boolean": True}
    return plain.get(column.type, "A")
