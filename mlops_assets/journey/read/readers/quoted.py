"""In: the lines of one file with double quotes. Out: its records, each with the lines that it stands in.

By default each line is a record. A quote that is opened in a line and closed in a later one is stray if its line
and all that it would swallow are whole lines; else nobody can tell, and the file is refused.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from mlops_assets.plugins import FileRefused

csv.field_size_limit(1 << 30)  # a long field is no error of ours: the size of the file is already bounded

CLOSING = re.compile(r'(?<!")"(?:"")*(?!")')
"""What ends a quoted field: an odd number of quotes, for two stand for one."""


class Cut(NamedTuple):
    """A record: its first line, from 0, the one after its last, its fields, and whether it leaves a quote open."""

    begin: int
    end: int
    fields: list[str]
    stray: bool = False


def cut_lines(lines: Sequence[str], delimiter: str, width: int) -> Iterator[Cut]:
    """Every line as a record; one with a stray quote has no fields.

    Parameters
    ----------
    lines
        Without their line ends.
    delimiter
        The sign between fields.
    width
        Number of fields of a whole line.

    Raises
    ------
    FileRefused
        If text follows a closing quote, or an open one may have swallowed lines that are none.
    """
    try:
        records = _read(lines, delimiter)
    except csv.Error:
        records = []
    if len(records) == len(lines):
        yield from (Cut(at, at + 1, fields) for at, fields in enumerate(records))
        return
    for at, line in enumerate(lines):
        fields = _fields(line, delimiter)
        if fields is None and not _is_stray(lines, at, delimiter, width):
            raise _quote(at, "; where a field may hold line ends, the contract must say `line_breaks_in_fields: true`")
        yield Cut(at, at + 1, fields or [], fields is None)


def cut_records(lines: Sequence[str], delimiter: str) -> Iterator[Cut]:
    """Every record, where a quoted field may span lines.

    Raises
    ------
    FileRefused
        If a quote is not closed, or stands where none may.
    """
    reader, begin = csv.reader([line + "\n" for line in lines], delimiter=delimiter, strict=True), 0
    try:
        for fields in reader:
            yield Cut(begin, reader.line_num, fields)
            begin = reader.line_num
    except csv.Error:
        raise _quote(begin) from None


def is_closed(line: str, delimiter: str) -> bool:
    """Whether every quote of a line is closed in it."""
    return _fields(line, delimiter) is not None


def _read(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    return list(csv.reader(lines, delimiter=delimiter, strict=True))


def _fields(line: str, delimiter: str) -> list[str] | None:
    """The fields of a line by itself; None if its quotes do not allow that."""
    try:
        return _read([line], delimiter)[0]
    except csv.Error:
        return None


def _is_stray(lines: Sequence[str], at: int, delimiter: str, width: int) -> bool:
    """Whether a quote that a line leaves open would swallow nothing but whole lines."""
    if not is_closed(lines[at] + '"', delimiter):  # text follows a closing quote
        return False
    following = range(at + 1, len(lines))
    within = [lines[number] for number in takewhile(lambda number: not CLOSING.search(lines[number]), following)]
    closing = lines[at + 1 + len(within) :][:1]
    # never closed: the file may have been cut
    return bool(closing) and all(_is_whole(line, delimiter, width) for line in [lines[at], *within, *closing])


def _is_whole(line: str, delimiter: str, width: int) -> bool:
    return width in (line.count(delimiter) + 1, len(_fields(line, delimiter) or ()))


def _quote(at: int, more: str = "") -> FileRefused:
    where = f"data line {at + 1}"
    return FileRefused("quote", f"a double quote is not closed, or text follows a closing one ({where}){more}")
