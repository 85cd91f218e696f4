"""In: the bytes of a table. Out: how it is written: encoding, delimiter, quotes, and what its first line is."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from mlops_assets.errors import UsageError
from mlops_assets.journey.read.readers.csv import UTF8_BOM

SAMPLE = 8 << 20
"""Bytes of a table that are looked at."""

RECORDS = 2_000
"""Records by which delimiter and header are guessed."""

DELIMITERS = (",", ";", "\t", "|")
ENCODINGS = ("cp1252", "mac_roman", "latin_1")
"""What a table may be written in if it is not UTF-8, the likelier first; the last one can be any bytes."""

WORD = re.compile(rb"[A-Za-z\x80-\xff]+")

NUMBER = re.compile(r"[+-]?[\d.,]*\d[\d.,]*(?:[eE][+-]?\d+)?")


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


def read_sample(path: Path) -> tuple[bytes, bool]:
    """The first records of a table, at most `SAMPLE` bytes of them; and whether that is the whole table.

    Raises
    ------
    UsageError
        If it cannot be read, is empty, or is no text that a raw file may hold.
    """
    try:
        with path.open("rb") as file:
            data = file.read(SAMPLE + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}.") from None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(
            f"{path}: this is UTF-16, which raw files must not be. Convert it: iconv -f UTF-16 -t UTF-8 {path.name}"
        )
    if b"\0" in data:
        raise UsageError(f"{path}: it holds NUL bytes: this is no CSV file, or UTF-16. Save it as CSV in UTF-8.")
    if not data.strip():
        raise UsageError(f"{path}: the file is empty; a use case is made of a table with some rows.")
    if len(data) <= SAMPLE:
        return data, True
    end = len(data)
    while (end := data.rfind(b"\n", 0, end)) >= 0 and data.count(b'"', 0, end) % 2:
        pass  # this line end stands within quotes
    if end < 0:
        raise UsageError(f"{path}: its first {SAMPLE:,} bytes hold no end of a record; this is no table.")
    return data[: end + 1], False


def guess_dialect(data: bytes, label: str, path: Path) -> Dialect:
    """How a table is written.

    Parameters
    ----------
    data
        What `read_sample` returned.
    label
        Name of the label: a first line that has it is a header.
    path
        The file, for messages.

    Raises
    ------
    UsageError
        If no delimiter parts the lines into columns.
    """
    encoding = _encoding(data)
    text = data.removeprefix(UTF8_BOM).decode(encoding).replace("\r\n", "\n")
    text = text.replace("\r", " " if "\n" in text else "\n")
    best: tuple[float, bool, str, list[list[str]]] | None = None
    for delimiter in DELIMITERS:
        quoted = _records(text, delimiter, quotes=True)
        records = quoted or _records(text, delimiter, quotes=False) or []
        width, share = _width(records)
        fit = share**2 * width  # many columns, and the same number of them in every record
        if width > 1 and (best is None or fit > best[0]):
            best = fit, quoted is not None, delimiter, records
    if best is None:
        raise UsageError(
            f"{path}: neither comma, semicolon, tab nor bar parts its lines into columns; expected a table of at least "
            "two columns, the label among them."
        )
    _, quotes, delimiter, records = best
    header, why = _header(records, label)
    width, _ = _width(records)
    cells = tuple(cell.strip() for cell in records[0])
    names = cells if header == "names" else tuple(f"column_{place}" for place in range(1, width + 1))
    return Dialect(encoding, delimiter, quotes, header, names, why)


def _encoding(data: bytes) -> str:
    """UTF-8 if it is that; else the encoding in which the most words are spelt as words are."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        words = {word for word in WORD.findall(data) if not word.isascii()}
        shares = {name: share for name in ENCODINGS if (share := _spelt(words, data, name)) is not None}
        return max(shares, key=lambda name: shares[name])
    return "utf-8"


def _spelt(words: set[bytes], data: bytes, encoding: str) -> float | None:
    """Share of the words that are letters, small or large or small after a large one; None if it is not so encoded."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return None
    read = [word.decode(encoding) for word in words]
    return sum(one.isalpha() and (one.islower() or one.isupper() or one.istitle()) for one in read) / len(read)


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


def _header(records: list[list[str]], label: str) -> tuple[Literal["names", "ignored", "none"], str]:
    """What the first line is, and why it does not name the columns if it does not."""
    width, _ = _width(records)
    first, *body = records
    cells = [cell.strip() for cell in first]
    if len(cells) != width:
        return "ignored", f"the first line has {len(cells)} fields and the others have {width}"
    numbers = [place for place in range(width) if _mostly_numbers([row[place] for row in body if len(row) == width])]
    if label not in cells and numbers and all(NUMBER.fullmatch(cells[place]) for place in numbers):
        return "none", "the first line looks like a row"
    twice = [cell for cell in cells if cells.count(cell) > 1]
    if twice:
        return "ignored", f"the first line names {twice[0]!r} twice"
    return "names", ""


def _mostly_numbers(values: list[str]) -> bool:
    given = [value.strip() for value in values if value.strip()]
    return bool(given) and sum(bool(NUMBER.fullmatch(value)) for value in given) > 0.9 * len(given)
