"""In: the bytes of a table. Out: how it is written: encoding, delimiter, quotes, and what its first line is."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from mlops_assets.errors import UsageError
from mlops_assets.journey.read.readers.text import UTF8_BOM
from mlops_assets.tools.drafting.columns import MISSING

RECORDS = 2_000
"""Records by which delimiter and header are guessed."""

DELIMITERS = (",", ";", "\t", "|")
ENCODINGS = ("cp1252", "mac_roman", "latin_1")
"""What a table may be written in if it is not UTF-8, the likelier first; the last one can be any bytes."""

WORD = re.compile(rb"[A-Za-z\x80-\xff]+")

NUMBER = re.compile(r"[+-]?[\d.,]*\d[\d.,]*(?:[eE][+-]?\d+)?")


Asked = Literal["auto", "yes", "no"]
"""What a person says of the first line: that it is a header, that it is none, or nothing."""


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes
    ----------
    encoding, delimiter, quotes, header
        As in `FileFormat`.
    names
        The cells of the first line; numbered names if it does not name the columns.
    why
        Why the first line does not name them; empty if it does.
    """

    encoding: str
    delimiter: str
    quotes: bool
    header: Literal["names", "ignored", "none"]
    names: tuple[str, ...]
    why: str = ""


def guess_dialect(data: bytes, label: str, path: Path, header: Asked = "auto") -> Dialect:
    """How a table is written.

    Parameters
    ----------
    data
        Its first records.
    label
        Name of the label: a first line that has it, in a column whose values differ from it, is a header.
    path
        The file, for messages.
    header
        Whether the first line names the columns, if that is known.

    Raises
    ------
    UsageError
        If no delimiter parts the lines into columns.
    """
    encoding = guess_encoding([data])
    text = data.removeprefix(UTF8_BOM).decode(encoding).replace("\r\n", "\n")
    # line ends as the reader takes them, see `csv`
    text = text.replace("\r", " " if "\n" in text else "\n")
    best = max((_cut(text, delimiter) for delimiter in DELIMITERS), key=lambda cut: (cut.fit, cut.named))
    if not best.fit:
        raise UsageError(
            f"{path}: neither comma, semicolon, tab nor bar parts its lines into columns; expected a table of at least "
            "two columns, the label among them. Where columns are told by their place, write the contract by hand: "
            "`format: fixed` (docs/configuration.md)."
        )
    kind, why = _header(best.records, label, header)
    width, _ = _width(best.records)
    cells = tuple(cell.strip() for cell in best.records[0])
    names = cells if kind == "names" else tuple(f"column_{number}" for number in range(1, width + 1))
    return Dialect(encoding, best.delimiter, best.quotes, kind, names, why)


class _Cut(NamedTuple):
    """A table cut by one delimiter; `fit` is 0 where it has no two columns.

    Of `1,5;2,5;3,5` comma and semicolon may make as many fields; the first line then has them by one alone, `named`.
    """

    fit: float
    named: bool
    quotes: bool
    delimiter: str
    records: list[list[str]]


def _cut(text: str, delimiter: str) -> _Cut:
    quoted = _records(text, delimiter, quotes=True)
    records = quoted or _records(text, delimiter, quotes=False) or []
    width, share = _width(records)
    fit = share**2 * width  # many columns, and the same number of them in every record
    named = len(records[0]) == width if records else False
    return _Cut(fit if width > 1 else 0, named, quoted is not None, delimiter, records)


def guess_encoding(contents: Sequence[bytes]) -> str:
    """UTF-8 if the first that is more than ASCII is that; else that in which the most words are spelt as words are."""
    data = next((one for one in contents if not one.isascii()), b"")
    if _decodes(data, "utf-8"):
        return "utf-8"
    # in all others the encodings agree
    words = {word for word in WORD.findall(data) if not word.isascii()}
    possible = [encoding for encoding in ENCODINGS if _decodes(data, encoding)]
    return max(possible, key=lambda encoding: _spelt(words, encoding))


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _spelt(words: set[bytes], encoding: str) -> float:
    """Share of the words that are letters, small or large or small after a large one."""
    read = [word.decode(encoding) for word in words]
    return sum(word.isalpha() and (word.islower() or word.isupper() or word.istitle()) for word in read) / len(read)


def _records(text: str, delimiter: str, *, quotes: bool) -> list[list[str]] | None:
    """The first records, None if they cannot be read so."""
    style: Literal[0, 3] = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=style, strict=True)
    try:
        return [record for record in islice(reader, RECORDS) if record]
    except csv.Error:
        return None


def _width(records: list[list[str]]) -> tuple[int, float]:
    """The usual number of fields after the first line, and the share of records that have it."""
    body = records[1:] or records
    ((width, count),) = Counter(map(len, body)).most_common(1)
    return width, count / len(body)


def _header(records: list[list[str]], label: str, asked: Asked) -> tuple[Literal["names", "ignored", "none"], str]:
    """What the first line is, and why it does not name the columns if it does not."""
    width, _ = _width(records)
    cells, *body = [[cell.strip() for cell in record] for record in records]
    if asked == "no":
        return "none", "--header no says that it is a row"
    if len(cells) != width:
        return "ignored", f"the first line has {len(cells)} fields and the others have {width}"
    # a header that is repeated, as where files were joined, is no sign that it is a row
    rows = [row for row in body if len(row) == width and row != cells]
    if asked == "auto" and not _names_label(cells, rows, label) and _looks_like_a_row(cells, rows):
        return "none", "the first line looks like the rows below"
    twice = [cell for cell in cells if cells.count(cell) > 1]
    if twice:
        return "ignored", f"the first line names {twice[0]!r} twice" if twice[0] else "several columns have no name"
    return "names", ""


def _names_label(cells: list[str], rows: list[list[str]], label: str) -> bool:
    """Whether the label is named by the first line: not by the number of its place, nor by one of its values."""
    if label not in cells or (label.isdecimal() and 0 < int(label) <= len(cells)):
        return False
    place = cells.index(label)
    return all(row[place] != label for row in rows)


def _looks_like_a_row(cells: list[str], rows: list[list[str]]) -> bool:
    """Whether the first line has the form of the others: numbers over numbers, dates over dates, else known values."""
    alike: list[bool] = []
    known: list[bool] = []
    for cell, *values in zip(cells, *rows, strict=True):
        given = [value for value in values if value]
        # what is empty in one row may be empty in the first
        if not given or not cell or cell.lower() in MISSING:
            continue
        if _mostly_numbers(given):
            alike.append(bool(NUMBER.fullmatch(cell)))
        elif (form := _form(given[0])) and all(_form(value) == form for value in given):
            alike.append(_form(cell) == form)
        # of texts that are nearly all different, the first one says nothing
        elif 2 * len(set(given)) <= len(given):
            known.append(cell in given)
    return all(alike) if alike else bool(known) and all(known)


def _mostly_numbers(given: list[str]) -> bool:
    return sum(bool(NUMBER.fullmatch(value)) for value in given) > 0.9 * len(given)


def _form(value: str) -> str:
    """The form of a date or code, 9 for every digit and a for every letter; empty for a text without digits."""
    form = "".join("9" if sign.isdigit() else "a" if sign.isalpha() else sign for sign in value)
    return form if "9" in form else ""
