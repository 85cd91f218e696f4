"""In: JSON that holds the rows of files. Out: the files, in the contract's own format."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from mlops_assets.journey.score.online import Sent
from mlops_assets.journey.score.written import RowsWrong, file_of_rows
from mlops_assets.serving.bodies.query import refuse
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.use_case import UseCase

KEYS = ("name", "rows")
"""What is said of a file."""

EXPECTED = 'expected an object {"files": [{"name": "a.csv", "rows": [{column: value}]}]}'


def read_rows(data: bytes, use_case: UseCase) -> list[tuple[str, list[Any]]]:
    """The files of `{"files": [{"name": ..., "rows": [...]}]}`: the name of each, and its rows as they stand there.

    Parameters
    ----------
    data
        The body.
    use_case
        A file without a name is called `file` and ends as its files do.

    Raises
    ------
    Problem
        400, if it is no JSON, with where; 422, if it is other JSON, with all that is wrong.
    """
    content = _parse(data)
    if not isinstance(content, dict) or not isinstance(content.get("files"), list):
        raise Problem(
            422,
            "The body is other JSON than is expected. A JSON file of records is sent as multipart/form-data, or with "
            "its name in X-File-Name.",
            [Wrong("body", f"{EXPECTED}, found {_kind(content)}")],
        )
    wrong = [Wrong(f"body.{key[:100]}", "there is no such key; there is: files") for key in content if key != "files"]
    for number, file in enumerate(content["files"]):
        wrong += _wrong(f"files[{number}]", file)
    refuse(wrong)
    ending = use_case.files.suffix
    return [(file.get("name") or f"file{ending}", file["rows"]) for file in content["files"]]


def as_files(named: list[tuple[str, list[Any]]], use_case: UseCase) -> list[Sent]:
    """The files that hold some rows.

    Raises
    ------
    Problem
        422, if files of this contract cannot hold them, with all that is wrong.
    """
    files: list[Sent] = []
    wrong: list[Wrong] = []
    for number, (name, rows) in enumerate(named):
        try:
            files.append(file_of_rows(use_case, name, rows))
        except RowsWrong as error:
            wrong += [Wrong(f"files[{number}].{where[:200]}", message) for where, message in error.errors]
    refuse(wrong)
    return files


def _wrong(where: str, file: Any) -> list[Wrong]:
    if not isinstance(file, Mapping):
        return [Wrong(where, f'expected an object with "rows", and "name" if you like, found {_kind(file)}')]
    wrong = [
        Wrong(f"{where}.{key[:100]}", f"there is no such key; there are: {', '.join(KEYS)}")
        for key in file
        if key not in KEYS
    ]
    if not isinstance(file.get("rows"), list):
        wrong.append(Wrong(f"{where}.rows", f"expected a list of rows, found {_kind(file.get('rows'))}"))
    if not isinstance(file.get("name", ""), str):
        wrong.append(Wrong(f"{where}.name", f"expected a text, found {_kind(file['name'])}"))
    return wrong


def _parse(data: bytes) -> Any:
    """JSON as RFC 8259 has it, and strictly: no NaN, no key twice, no number that would become another."""
    try:
        # Python's own: orjson takes the last of two equal keys in silence, and makes floats of long ids
        return json.loads(
            data.decode("utf-8-sig"), object_pairs_hook=_object, parse_float=_number, parse_constant=_no_number
        )
    except UnicodeDecodeError as error:
        raise Problem(400, f"The body is no JSON: byte {error.start} is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise Problem(400, f"The body is no JSON: line {error.lineno}, column {error.colno}: {error.msg}.") from None
    except RecursionError:
        raise Problem(400, "The body is JSON of brackets within brackets, deeper than can be read.") from None
    except ValueError as error:
        raise Problem(400, f"The body is no JSON that is taken: {str(error)[:200]}.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:100]!r} stands twice in one object")
    return made


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:50]} is larger than any that can be held")
    return number


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON; say null where there is none")


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
