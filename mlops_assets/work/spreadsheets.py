"""In: texts of strangers that a spreadsheet would take for formulas. Out: texts that it shows, and the way back.

A spreadsheet computes a cell that begins with `=`, `+`, `-` or `@`, also behind blanks and quotes, and a formula can
send what stands beside it elsewhere. An apostrophe before it makes a text of it, as OWASP advises ("CSV injection").
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

# named one by one, for Arrow's expressions mean fewer blanks by `\s` than Python's; and what is not seen at all
_BLANK = (
    r"\x{0}-\x{20}\x{7f}-\x{a0}\x{ad}\x{61c}\x{115f}\x{1160}\x{1680}\x{180e}"
    r"\x{2000}-\x{200f}\x{2028}-\x{202f}\x{205f}-\x{206f}\x{2800}\x{3000}\x{3164}\x{feff}"
)
_SIGN = rf"[{_BLANK}\"']*[=+\-@\x{{ff1d}}\x{{ff0b}}\x{{ff0d}}\x{{ff20}}]"
_PYTHON = re.sub(r"\\x\{(\w+)\}", lambda sign: rf"\u{sign[1]:0>4}", _SIGN)
_BEGINS = re.compile(rf"'*[\t\r\n]|{_PYTHON}")
_INSIDE = re.compile(rf"([;\t\r\n])(?={_PYTHON})")
"""A spreadsheet of another country parts its fields by `;`, so a cell can begin inside of a text as well."""
_MARKED = re.compile(rf"([;\t\r\n])'(?={_PYTHON})")
_ANY = rf"(?:^|[;\t\r\n]){_SIGN}|^'*[\t\r\n]"
"""What one of these can be found in, for a whole column; Arrow's expressions cannot look ahead."""

RAW, RAW_MARKED = "raw", "raw_marked"
"""What a column of raw lines is called, and what it is called with apostrophes: a raw line may have one of its own."""

MARKED = "texts_marked"
"""The column in which a line of an audit says that apostrophes were put before its texts."""


def mark(text: str) -> str:
    """A text with an apostrophe before whatever a spreadsheet would take for a formula.

    Parameters
    ----------
    text
        A cell.

    Examples
    --------
    >>> mark("=1+1"), mark("a;-5"), mark("a-b"), mark("'=1")
    ("'=1+1", "a;'-5", 'a-b', "''=1")
    """
    inside = _INSIDE.sub(r"\1'", text)
    return f"'{inside}" if _BEGINS.match(text) else inside


def unmark(text: str) -> str:
    """The text that `mark` made this one of; one that it did not touch stays as it is.

    Parameters
    ----------
    text
        A cell as it came back.

    Examples
    --------
    >>> unmark("'=1+1"), unmark("'quoted'"), unmark("-5")
    ('=1+1', "'quoted'", '-5')
    """
    begun = text[1:] if text.startswith("'") and _BEGINS.match(text) else text
    return _MARKED.sub(r"\1", begun)


def mark_texts(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows with every column of texts marked; numbers are no formulas.

    Parameters
    ----------
    batch
        The rows.
    """
    return pa.RecordBatch.from_arrays([_mark_column(column) for column in batch.columns], schema=_schema(batch.schema))


def marked_reader(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The rows of a reader with every column of texts marked, a batch at a time.

    Parameters
    ----------
    reader
        The rows.
    """
    return pa.RecordBatchReader.from_batches(_schema(reader.schema), map(mark_texts, reader))


def say_marked(rows: pa.Table, before: str) -> pa.Table:
    """Rows with the column `MARKED`, if marking will change any of their texts; else as they are.

    Parameters
    ----------
    rows
        The rows, not marked yet.
    before
        The column before which it stands.
    """
    marks = (mark_texts(batch).columns != batch.columns for batch in _as_plain(rows).to_batches())
    if not any(marks):
        return rows
    return rows.add_column(rows.schema.get_field_index(before), MARKED, pa.array(["yes"] * len(rows)))


def _as_plain(rows: pa.Table) -> pa.Table:
    return rows.cast(pa.schema([pa.field(field.name, _plain(field.type)) for field in rows.schema]))


def _schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema(
        [pa.field(RAW_MARKED if field.name == RAW else mark(field.name), _plain(field.type)) for field in schema]
    )


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _mark_column(column: pa.Array) -> pa.Array:
    kind = _plain(column.type)
    plain = column.cast(kind)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return plain
    # few texts are like formulas: only then do they become Python's objects
    if not pc.any(pc.match_substring_regex(plain, _ANY)).as_py():
        return plain
    return pa.array([None if text is None else mark(text) for text in plain.to_pylist()], kind)
