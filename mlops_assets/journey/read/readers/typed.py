"""Columns of Arrow as texts of the contract, and back: only distinct values are looked at."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.read.contract import check_column
from mlops_assets.journey.read.readers.alike import once_each
from mlops_assets.journey.read.readers.values import written_number
from mlops_assets.use_case import Column, FileFormat


class NotText(Exception):
    """A column can be no column of the contract; the message says what it is."""


def as_texts(values: pa.ChunkedArray, column: Column, form: FileFormat) -> pa.DictionaryArray:
    """Values as the texts by which a file of the contract would have them.

    Parameters
    ----------
    values
        A column of any type.
    column, form
        What the contract says of it, and how it writes numbers.

    Raises
    ------
    NotText
        If the type has no texts: lists, maps, durations; or moments with a zone where the contract has none.
    """
    kind = values.type
    if pa.types.is_float16(kind):  # Arrow makes no dictionary of them
        values = values.cast(pa.float32())
    if pa.types.is_null(kind):
        values = values.cast(pa.string())
    try:
        encoded = values if pa.types.is_dictionary(kind) else values.dictionary_encode()
    except pa.ArrowNotImplementedError:
        raise NotText(f"{kind}, which is no text, number, date or truth value") from None
    whole = encoded.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # none, or several after all
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], encoded.type)
    texts = _distinct(whole.dictionary, column, form).fill_null("")
    # no value is the empty text, as in a CSV file
    texts = pa.concat_arrays([texts, pa.array([""])])
    indices = whole.indices.cast(pa.int32()).fill_null(len(texts) - 1)
    return once_each(pa.DictionaryArray.from_arrays(indices, texts))


def _distinct(values: pa.Array, column: Column, form: FileFormat) -> pa.Array:
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _moments(values, column)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        try:
            return values.cast(pa.string())
        except pa.ArrowInvalid:
            raise NotText("binary, and not UTF-8") from None
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            values.validate(full=True)  # a file says of any bytes that they are text
        except pa.ArrowInvalid:
            raise NotText("text that is not UTF-8: damaged?") from None
    plain = (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_time(kind)
    )
    if not plain:
        raise NotText(f"{kind}, which is no text, number, date or truth value")
    texts = values.cast(pa.string())
    number = pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if number and form.decimal != "." and column.type in ("number", "integer"):
        return pa.array([text and written_number(text, form.decimal) for text in texts.to_pylist()], pa.string())
    return texts


def _moments(values: pa.Array, column: Column) -> pa.Array:
    """Dates and moments as the contract writes them; what it cannot write as it is, with all that it has.

    Such a text is then a reject of its row, which says what stood there.
    """
    zone = getattr(values.type, "tz", None)
    if column.type == "timestamp" and pa.types.is_timestamp(values.type):
        if zone and "%z" not in column.strptime:
            raise NotText(f"{values.type}, and this column has no zone: say `format: '{column.strptime}%z'`")
        if not zone and "%z" in column.strptime:
            raise NotText(f"{values.type}, without the zone that this column's format {column.strptime} has")
    spelt = values.cast(pa.string()) if not zone else values.cast(pa.timestamp(values.type.unit)).cast(pa.string())
    pairs = zip(_python(values), spelt.to_pylist(), strict=True)
    form = column.type, column.strptime, str(zone)
    return pa.array([None if text is None else _moment(value, text, *form) for value, text in pairs], pa.string())


def _python(values: pa.Array) -> list[dt.date | None]:
    """Values as Python has them; None where it has none, or not all of it."""
    if not pa.types.is_timestamp(values.type):
        return [_item(value) for value in values]
    coarse = values.cast(pa.timestamp("us", values.type.tz), safe=False)
    same = coarse.cast(values.type, safe=False).equals(values) or None
    exact = [True] * len(values) if same else pc.equal(coarse.cast(values.type, safe=False), values).to_pylist()
    return [_item(value) if fits else None for value, fits in zip(coarse, exact, strict=True)]


def _item(value: pa.Scalar) -> dt.date | None:
    try:
        found: dt.date | None = value.as_py()
    except (ValueError, OverflowError):  # beyond Python's calendar
        return None
    return found


# the dates of one file are those of the next; by zone, for a moment of two zones is equal, and written differently
@lru_cache(maxsize=10_000)
def _moment(value: dt.date | None, text: str, kind: str, form: str, _zone: str) -> str:
    if value is None:
        return text
    if kind not in ("date", "timestamp"):
        return str(value)
    # a date is the date as it is written, whatever time stands behind it
    moment = value.date() if kind == "date" and isinstance(value, dt.datetime) else value
    if kind == "timestamp" and not isinstance(moment, dt.datetime):
        moment = dt.datetime.combine(moment, dt.time())
    written = moment.strftime(form)
    try:
        again = dt.datetime.strptime(written, form)
    except ValueError:
        return text
    return written if moment in (again, again.date()) else text


def as_typed(text: pa.DictionaryArray, column: Column, form: FileFormat) -> pa.Array:
    """Texts as values of the type of their column, if each of them comes back as it was; else the texts.

    Parameters
    ----------
    text
        Texts of a file of the contract.
    column, form
        What the contract says of them.
    """
    empty = _is_empty(text, column)
    nothing = pa.scalar(None, pa.string())
    plain = pc.if_else(empty, nothing, text.cast(pa.string()))
    if column.type == "string" or (column.type == "timestamp" and "%z" in column.strptime):
        return plain
    checked = check_column(text, column, form)
    if checked.broken is not None or pc.any(pc.xor(pc.is_null(checked.values), empty)).as_py():
        return plain
    again = check_column(as_texts(pa.chunked_array([checked.values]), column, form), column, form)
    return checked.values if again.broken is None and again.values.equals(checked.values) else plain


def _is_empty(text: pa.DictionaryArray, column: Column) -> pa.Array:
    distinct = pc.utf8_trim_whitespace(text.dictionary)
    return pc.is_in(distinct, value_set=_nothing(column.missing)).take(text.indices)


@lru_cache(maxsize=100)
def _nothing(missing: tuple[str, ...]) -> pa.Array:
    return pa.array(["", *missing], pa.string())
