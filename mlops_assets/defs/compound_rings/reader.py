"""Compounds as JSON, each with the picture of its structure: the picture becomes the numbers that the model sees."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from mlops_assets.defs.compound_rings.picture import PictureRefused, measure, open_picture
from mlops_assets.plugins import BadRecord, FileRefused, NotAttached, RawFile, Record

KEYS = ("compound_id", "num_rings", "image")
"""What is taken of a compound."""
BLANKS = " \t\n\r"
SIGNS = re.compile(r'"(?:[^"\\]|\\.)*"|[][{},]', re.DOTALL)
"""What tells the elements of a JSON list: texts, brackets and commas."""


class _Number(str):
    """A number as it was written: as a float, a long one would become another."""

    __slots__ = ()
    __repr__ = str.__str__


class _Compound(NamedTuple):
    """An element of the list, its text in the file, and the key that it has twice, if any."""

    value: Any
    raw: str
    twice: str | None


class CompoundReader:
    """Reads a list of compounds; of everything that is said of one, only `num_rings`, the answer, is taken along."""

    records_by = "elements of the JSON list"

    def count(self, file: RawFile) -> int:
        """The elements of the list, by its commas: the parser is not asked."""
        depth = commas = 0
        text = file.data.decode("utf-8-sig").strip()
        for sign in SIGNS.findall(text):
            depth += (sign in "[{") - (sign in "]}")
            commas += sign == "," and depth == 1
        return commas + 1 if text[1:-1].strip() else 0

    def around(self, path: str) -> bytes:
        """The file of a picture that was sent alone; the compound has the number that is its name, or else 0."""
        number = _digits(path.rpartition("/")[2].partition(".")[0])
        return json.dumps([{"compound_id": number or 0, "image": path}]).encode()

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


def _load(data: bytes) -> list[_Compound]:
    try:
        return list(_elements(data.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise FileRefused("encoding", f"byte {error.start} is not UTF-8, which JSON must be: save it as that") from None
    except ValueError as error:
        raise FileRefused("not_json", f"the file is no JSON: {error}") from None
    except RecursionError:
        raise FileRefused("not_json", "the file has brackets within brackets, deeper than can be read") from None


def _elements(text: str) -> Iterator[_Compound]:
    """The elements of a JSON list, each with the text that it stands in.

    Raises
    ------
    FileRefused
        If it is another thing than a list.
    ValueError, RecursionError
        If it is no JSON.
    """
    twice: list[str] = []

    def make(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            twice.append(next(name for name in names if names.count(name) > 1))
        return made

    decoder = json.JSONDecoder(object_pairs_hook=make, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        raise FileRefused("not_a_list", f"the file holds a {_kind(decoder.decode(text))}, expected a list of compounds")
    at = _skip(text, at + 1)
    sign = "]" if text[at : at + 1] == "]" else ","
    at += sign == "]"
    while sign == ",":
        twice.clear()
        value, end = decoder.raw_decode(text, at)
        yield _Compound(value, text[at:end], twice[0] if twice else None)
        end = _skip(text, end)
        sign, at = text[end : end + 1], _skip(text, end + 1)
        if sign not in (",", "]"):
            raise json.JSONDecodeError("expected ',' or ']'", text, end)
    if at < len(text):
        raise json.JSONDecodeError("text follows the list", text, at)


def _skip(text: str, at: int) -> int:
    """The place of the next sign that is no blank."""
    while text[at : at + 1] and text[at] in BLANKS:
        at += 1
    return at


def _kind(value: Any) -> str:
    return "number" if isinstance(value, _Number) else type(value).__name__


class _Unusable(Exception):
    """A compound breaks a rule."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


def _read(compound: _Compound, file: RawFile, ids: set[str]) -> Record | BadRecord:
    value, raw, twice = compound
    try:
        if twice is not None:
            raise _Unusable("duplicate_key", f"the key {twice!r} stands there twice")
        values = _values(value, ids)
        numbers = measure(open_picture(file.attached(values["image"])))
    except _Unusable as error:
        return BadRecord(error.rule, str(error), raw)
    except NotAttached as error:
        return BadRecord("no_picture", str(error), raw)
    except PictureRefused as error:
        return BadRecord(error.rule, f"{value['image']}: {error.message}", raw)
    return Record({**values, **{column: f"{value:.6f}" for column, value in numbers.items()}}, raw)


def _values(compound: Any, ids: set[str]) -> dict[str, Any]:
    """What is taken of a compound as it stands in the file."""
    if not isinstance(compound, dict):
        raise _Unusable("wrong_type", f"the record is a {_kind(compound)}, expected an object")
    _check_keys(compound)
    name, rings = _whole("compound_id", compound), _whole("num_rings", compound)
    if name is None:
        raise _Unusable("missing_id", "the record has no 'compound_id'")
    if name in ids:
        raise _Unusable("duplicate_id", f"an earlier record of the file has the 'compound_id' {name}, too")
    return {"compound_id": name, "num_rings": rings, "image": _path(compound)}


def _check_keys(compound: dict[str, Any]) -> None:
    """See that no key is one of ours in other letters: it would be passed over."""
    for key in compound.keys() - KEYS:
        meant = "".join(filter(str.isalnum, unicodedata.normalize("NFKD", key).casefold()))
        for known in KEYS:
            if meant == known.replace("_", ""):
                raise _Unusable("other_key", f"the record has {key!r}, expected {known!r}")


def _path(compound: dict[str, Any]) -> str:
    path = compound.get("image")
    if path is None or path == "":
        raise _Unusable("no_picture", "the record has no 'image'")
    if not isinstance(path, str) or isinstance(path, _Number):
        raise _Unusable("wrong_type", f"'image' is {repr(path)[:80]}, expected a path")
    return path


def _whole(key: str, compound: dict[str, Any]) -> str | None:
    """A whole number as text, also where it was written as `5.0` or `"5"`; None if there is none."""
    value = compound.get(key)
    if value is None or value == "":
        return None
    number = _number(value) if isinstance(value, _Number) else _digits(value)
    if number is None:
        raise _Unusable("wrong_type", f"{key!r} is {repr(value)[:80]}, expected a whole number")
    return str(number)


def _digits(value: Any) -> int | None:
    text = value.strip() if isinstance(value, str) else ""
    # so many digits fit into 64 bits
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _number(text: _Number) -> int | None:
    try:
        number = Decimal(text)
        return int(number) if 0 <= number < 10**18 and number == number.to_integral_value() else None
    except ArithmeticError:  # an exponent beyond all bounds
        return None
