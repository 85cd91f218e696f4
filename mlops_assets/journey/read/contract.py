"""From columns of text to typed columns: every value is cleaned, typed, or a broken rule with a name."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.read.moments import Moments
from mlops_assets.journey.read.numbers import read_numbers
from mlops_assets.use_case import Column, FileFormat, UseCase

ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.dictionary(pa.int32(), pa.string()),
    "integer": pa.int64(),
    "number": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "boolean": pa.bool_(),
}
"""The type in which a column of the contract is stored."""

RULES = {
    "required": "a required value is empty",
    "type": "the value is not of the column's type",
    "range": "the value lies outside the allowed range",
    "allowed": "the value is not among the allowed ones",
    "blank_line": "the line is blank",
    "field_count": "the line has too few or too many fields",
    "line_length": "fixed width: the line is too short, or something stands behind its last field",
    "not_json": "JSONL: the line is no JSON object",
    "duplicate_key": "JSONL, XML: a key or an element of the record stands there twice",
    "nested": "JSONL, XML: there is an object, a list or an element where a value should be",
    "text": "a text holds NUL or half of a surrogate pair, which cannot be stored",
}
"""The rules a line is checked against, each with what it means. `RULES_OF_FILES` has those of whole files."""

RULES_OF_FILES = {
    "compression": "the file is not packed as the contract says, is damaged, has more behind its end, or is a bomb",
    "not_xml": "XML: the file is none, has records within records, or elements too deep within one another",
    "document_type": "XML: the file has a document type, which may define entities",
    "not_parquet": "Parquet: the file is none, or damaged",
    "encrypted": "Parquet: the file is encrypted",
    "schema": "Parquet: a column has a type that is none of the contract's, or a zone where it has none",
    "unreadable": "the file cannot be opened, or is a folder, or has another ending",
    "link": "the file, or the folder of the day, is a link that leads out of the folder of the raw files",
    "too_large": "the file is larger than `files.largest`",
    "empty_file": "the file has no content",
    "no_rows": "the file has a header and nothing else, or no records",
    "nul_bytes": "the file holds NUL bytes",
    "binary": "the first line holds control characters",
    "encoding": "the file is not in the encoding of the contract",
    "delimiter": "the fields are parted by another sign",
    "header": "the header cannot be read or names a column twice",
    "missing_column": "the header, or every record of the file, lacks a column of the contract",
    "line_ends": "in a file of one column, CR ends some lines, and some not",
    "truncated": "the last line stops in the middle: the file was cut off",
    "quote": "a double quote is not closed",
    "number_format": "the file writes numbers in another way than the contract says",
    "constant": "a column that is constant in a file has more than one value",
    "too_many_rejects": "more lines are rejected than `checks.file_rejects` and `checks.file_reject_rate` allow",
    "accounting": "lines and parsed rows do not add up",
    "reader": "the use case's own reader failed on the file, or gave what is no record",
}
"""The rules by which a whole file is refused."""

# 0 is no rule
_CODES = ["", *RULES]
NOT_OF_TYPE = _CODES.index("type")
"""The code in `Checked.broken` of a value that is not of its column's type."""

_TRUE, _FALSE = ("true", "1", "yes", "y", "t"), ("false", "0", "no", "n", "f")


@dataclass(frozen=True)
class Checked:
    """The typed values of one column, and the rule that each row breaks.

    Attributes
    ----------
    values
        Typed values, null where empty or wrong.
    broken
        int8 array: 0, or the place of the broken rule in `RULES`, counted from 1; None where no row breaks one.
    """

    values: pa.Array
    broken: np.ndarray | None


def rows_schema(use_case: UseCase) -> pa.Schema:
    """Schema of the table `rows`: file, line, and the columns of the contract."""
    fields = [pa.field("file", ARROW_TYPES["string"]), pa.field("line", pa.int32())]
    fields += [pa.field(name, ARROW_TYPES[column.type]) for name, column in use_case.columns.items()]
    return pa.schema(fields)


def check_column(text: pa.DictionaryArray, column: Column, files: FileFormat) -> Checked:
    """Clean, type and check one column.

    Each distinct text is looked at once; rows get the result by their dictionary index.

    Parameters
    ----------
    text
        The column's text.
    column
        What the contract says of it.
    files
        How numbers are written in these files.
    """
    # a column of a shard has some hundred texts in some hundred thousand rows: all that follows costs per text
    distinct = pc.utf8_trim_whitespace(text.dictionary)
    empty = pc.is_in(distinct, value_set=_texts("", *column.missing))
    values, typed = _typed(distinct, empty, column, files)
    broken = np.zeros(len(distinct), np.int8)
    present, is_typed = ~_mask(empty), _mask(typed)
    # a value breaks one rule at most: what is not of its type has neither a range nor a place in a list
    broken[present & ~is_typed] = NOT_OF_TYPE
    broken[present & is_typed & _outside(values, column)] = _CODES.index("range")
    if column.allowed:
        listed = _mask(pc.is_in(distinct, value_set=_texts(*column.allowed)))
        broken[present & is_typed & ~listed] = _CODES.index("allowed")
    if column.required:
        broken[~present] = _CODES.index("required")
    if column.type == "string":
        unified = values.dictionary_encode()  # cleaning can make two spellings one
        values = pa.DictionaryArray.from_arrays(unified.indices.take(text.indices), unified.dictionary)
    else:
        values = values.take(text.indices)
    return Checked(values, broken.take(text.indices.to_numpy()) if broken.any() else None)


def explain(rule: str, name: str, text: str, column: Column) -> str:
    """What is wrong with a value, for a person."""
    source = column.header(name)
    shown = repr(text[:80])
    if rule == "required":
        return f"{source!r} is empty, but required"
    if rule == "range":
        return f"{source!r} is {shown}, allowed are {_range(column)}"
    if rule == "allowed":
        return f"{source!r} is {shown}, allowed are {', '.join(column.allowed[:10])}"
    form = f" of the form {column.strptime}" if column.type in ("date", "timestamp") else ""
    article = "an" if column.type == "integer" else "a"
    return f"{source!r} is {shown}, expected {article} {column.type}{form}"


def rule_name(code: int) -> str:
    """Name of the rule behind a code of `Checked.broken`."""
    return _CODES[code]


def _range(column: Column) -> str:
    # bounds are written as people write them: 600, not 600.0
    least, most = (f"{bound:.15g}" if isinstance(bound, float) else bound for bound in column.bounds)
    if most is None:
        return f"values of at least {least}"
    return f"values up to {most}" if least is None else f"values from {least} to {most}"


def _typed(distinct: pa.Array, empty: pa.Array, column: Column, files: FileFormat) -> tuple[pa.Array, pa.Array]:
    """Typed values of the distinct texts (null where empty or wrong), and whether each is of the type."""
    text = pc.if_else(empty, pa.scalar(None, pa.string()), distinct)
    if column.type == "string":
        return text, pc.is_valid(text)
    if column.type in ("number", "integer"):
        values = read_numbers(text, files, whole=column.type == "integer")
    elif column.type == "boolean":
        lower = pc.utf8_lower(text)
        true, listed = (pc.is_in(lower, value_set=_texts(*words)) for words in (_TRUE, _TRUE + _FALSE))
        values = pc.if_else(listed, true, pa.scalar(None, pa.bool_()))
    else:
        moments = _moments(column)
        values = pa.array([moments(value) for value in text.to_pylist()], ARROW_TYPES[column.type])
    return values, pc.is_valid(values)


def _outside(values: pa.Array, column: Column) -> np.ndarray:
    outside = np.zeros(len(values), bool)
    least, most = column.bounds
    if least is None and most is None:
        return outside
    # a bound is a date or a float, whatever its column: the last day of timestamps counts to its end, and a bound of
    # integers may lie beyond all of them
    values = values.cast(pa.date32() if isinstance(least or most, dt.date) else pa.float64(), safe=False)
    for bound, compare in ((least, pc.less), (most, pc.greater)):
        if bound is not None:
            outside |= _mask(compare(values, pa.scalar(bound, values.type)))
    return outside


def _mask(flags: pa.Array) -> np.ndarray:
    filled = pc.fill_null(flags, False) if flags.null_count else flags
    mask: np.ndarray = filled.to_numpy(zero_copy_only=False)
    return mask


# what a contract says stays the same from file to file, and costs more than the few texts of one

_moments = lru_cache(maxsize=256)(Moments)


@lru_cache(maxsize=1_000)
def _texts(*texts: str) -> pa.Array:
    return pa.array(texts, pa.string())
