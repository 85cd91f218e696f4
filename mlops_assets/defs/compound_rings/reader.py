"""Compounds as JSON, each with the picture of its structure: the picture becomes the numbers that the model sees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mlops_assets.defs.compound_rings.picture import PictureRefused, measure, open_picture
from mlops_assets.plugins import BadRecord, FileRefused, NotAttached, RawFile, Record


class CompoundReader:
    """Reads a list of compounds; of everything that is said of one, only `num_rings`, the answer, is taken along."""

    def read(self, file: RawFile) -> Iterator[Record | BadRecord]:
        """Every compound of a file.

        Raises
        ------
        FileRefused
            If it is no JSON list.
        """
        ids: set[str] = set()
        for compound in _load(file.data):
            record = _read(compound, file, ids)
            if isinstance(record, Record):
                ids.add(str(record.values["compound_id"]))
            yield record


def _load(data: bytes) -> list[Any]:
    try:
        compounds = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise FileRefused("encoding", f"byte {error.start} is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise FileRefused("not_json", f"the file is no JSON: {error}") from None
    if not isinstance(compounds, list):
        raise FileRefused("not_a_list", f"the file holds a {type(compounds).__name__}, expected a list of compounds")
    return compounds


class _Unusable(Exception):
    """A compound breaks a rule."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


def _read(compound: Any, file: RawFile, ids: set[str]) -> Record | BadRecord:
    raw = json.dumps(compound, ensure_ascii=False)
    try:
        values = _values(compound, ids)
        numbers = measure(open_picture(file.attached(values["image"])))
    except _Unusable as error:
        return BadRecord(error.rule, str(error), raw)
    except NotAttached as error:
        return BadRecord("no_picture", str(error), raw)
    except PictureRefused as error:
        return BadRecord(error.rule, f"{compound['image']}: {error.message}", raw)
    return Record({**values, **{column: f"{value:.6f}" for column, value in numbers.items()}}, raw)


def _values(compound: Any, ids: set[str]) -> dict[str, Any]:
    """What is taken of a compound as it stands in the file."""
    if not isinstance(compound, dict):
        raise _Unusable("wrong_type", f"the record is a {type(compound).__name__}, expected an object")
    name, rings = _whole("compound_id", compound), _whole("num_rings", compound)
    if name is None:
        raise _Unusable("missing_id", "the record has no 'compound_id'")
    if name in ids:
        raise _Unusable("duplicate_id", f"an earlier record of the file has the 'compound_id' {name}, too")
    return {"compound_id": name, "num_rings": rings, "image": _path(compound)}


def _path(compound: dict[str, Any]) -> str:
    path = compound.get("image")
    if path is None or path == "":
        raise _Unusable("no_picture", "the record has no 'image'")
    if not isinstance(path, str):
        raise _Unusable("wrong_type", f"'image' is {repr(path)[:80]}, expected a path")
    return path


def _whole(key: str, compound: dict[str, Any]) -> str | None:
    """A whole number as text, also where it was written as `5.0` or `"5"`; None if there is none."""
    value = compound.get(key)
    if value is None or value == "":
        return None
    number = _digits(value.strip()) if isinstance(value, str) else _number(value)
    if number is None:
        raise _Unusable("wrong_type", f"{key!r} is {repr(value)[:80]}, expected a whole number")
    return str(number)


def _digits(text: str) -> int | None:
    # so many digits fit into 64 bits
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _number(value: Any) -> int | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value < 1e18 and value == int(value) else None
