"""In: a file of corrections as people sent it. Out: the entry of every line, or why it is none."""

from __future__ import annotations

import csv
import datetime as dt
import errno
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.errors import MlopsError
from mlops_assets.storage.inside import LeadsOut, NoFile, read_regular
from mlops_assets.storage.places import Place
from mlops_assets.use_case.partitions import DAYS, Partitions, is_key
from mlops_assets.work.spreadsheets import MARKED, unmark

HEADER = ("day", "file", "line", "label", "who", "when")
"""Columns that a file of corrections must have, in any order; further ones than these and `WHY` are passed over."""

WHY = "why"
"""A further column: the reason that somebody gives, for people to read; no rule looks at it."""

WITHDRAWN = "withdrawn"
"""Column that a file may have: what stands in it, with no label, takes back what was said of that row before."""

LARGEST, MOST_LINES = 16 << 20, 250_000
"""Bytes and lines that a file of corrections may have: each line is an entry or a reject, and lies in memory."""

LONGEST = 2_000
"""Characters of a line that a reject keeps."""


@dataclass(frozen=True)
class Entry:
    """One correction: what somebody says the label of a row is and why, and where it was written.

    Without a label it takes back what the same person said before.
    """

    source_file: str
    source_line: int
    raw: str
    day: str
    file: str
    line: int
    label: str
    who: str
    when: dt.datetime
    why: str = ""

    @property
    def row(self) -> tuple[str, str, int]:
        """The row that it is about."""
        return self.day, self.file, self.line


@dataclass(frozen=True)
class Reject:
    """One line of a file of corrections that does not count, and why; `entry` is what it says, where it can be read."""

    source_file: str
    source_line: int
    rule: str
    message: str
    raw: str
    entry: Entry | None = None


def read_file(path: Place, within: str | None = None, partitions: Partitions = DAYS) -> Iterator[Entry | Reject | None]:
    """What each line of a file says; None for a line of an audit that nobody filled in.

    Parameters
    ----------
    path
        The file.
    within
        The folder of this machine out of which no link is followed, its own links followed; None if any is.
    partitions
        Those of the use case: of a week an entry may name any day.

    Raises
    ------
    MlopsError
        If it cannot be read.
    """
    try:
        content = _content(path, within)
    except LeadsOut as error:
        yield Reject(path.name, 1, "link", f"{error.strerror}; lay the file itself there", "")
        return
    except NoFile as error:
        yield Reject(path.name, 1, "not_a_file", str(error.strerror), "")
        return
    except OSError as error:
        raise MlopsError(f"{path}: cannot be read: {error.strerror}. Give access, or move it away.") from None
    first, *lines = _lines(content)
    try:
        header = _header(first)
    except ValueError as error:
        given = [(number, line) for number, line in enumerate(lines, 2) if line.strip()]
        # nobody knows what stands where: the whole file is malformed, line by line, so that none is lost
        yield from (_malformed(path, number, line, error) for number, line in [(1, first), *given])
        return
    for number, line in _records(lines, header):
        try:
            yield _read_line(path, number, line, header, partitions)
        except ValueError as error:
            yield _malformed(path, number, line, error)


@dataclass(frozen=True)
class Record:
    """A line of a file of corrections before anybody looks at what it says.

    Attributes
    ----------
    number
        Its number; the header is 1.
    line
        Its bytes.
    values
        Its fields by the names of the header, in that order; None of the header, and of a line that has others.
    """

    number: int
    line: bytes
    values: Mapping[str, str] | None


def read_records(content: bytes) -> Iterator[Record]:
    """The lines of a file that says something, the header first.

    Raises
    ------
    ValueError
        If the header is none.
    """
    first, *lines = _lines(content)
    header = _header(first)
    yield Record(1, first, None)
    for number, line in _records(lines, header):
        try:
            yield Record(number, line, _values(line, header))
        except ValueError:
            yield Record(number, line, None)


def written_line(values: Mapping[str, str]) -> bytes:
    """A line of a file of corrections with these fields."""
    text = io.StringIO()
    csv.writer(text).writerow(values.values())  # its own line end: else one within a name would not be quoted
    return text.getvalue().removesuffix("\r\n").encode()


def _lines(content: bytes) -> list[bytes]:
    # by bytes, not by a CSV reader: an open quote must not swallow what others wrote
    return content.removeprefix(b"\xef\xbb\xbf").split(b"\n")


def _content(path: Place, within: str | None) -> bytes:
    content = read_regular(path, within, LARGEST) if isinstance(path, Path) else path.read_bytes()
    if len(content) > LARGEST or content.count(b"\n") > MOST_LINES:
        raise NoFile(errno.EFBIG, f"more than {LARGEST >> 20} MiB or {MOST_LINES:,} lines; hand it in in pieces")
    return content


def _records(lines: list[bytes], header: list[str]) -> Iterator[tuple[int, bytes]]:
    """The lines with their numbers; those between two quotes are one, where they are an entry of one row."""
    at = 0
    while at < len(lines):
        end = at + 1
        if lines[at].count(b'"') % 2:
            closing = next((n for n in range(end, len(lines)) if lines[n].count(b'"') % 2), at)
            end = closing + 1 if _is_about_a_row(b"\n".join(lines[at : closing + 1]), header) else end
        record = b"\n".join(lines[at:end])
        if record.strip():
            yield at + 2, record
        at = end


def _is_about_a_row(record: bytes, header: list[str]) -> bool:
    r"""Whether a text with line ends in it has the form of a line of an audit.

    A name of a file may have a line end. Read line by line, what stands behind it could be a correction that nobody
    made; and read as CSV alone, a quote that somebody forgot to close would swallow what others wrote.
    """
    try:
        values = _values(record, header)
        _day(values["day"], DAYS), _line(values["line"])
    except ValueError:
        return False
    return not any("\n" in values[name] for name in HEADER if name != "file")


def _malformed(path: Place, number: int, line: bytes, error: ValueError) -> Reject:
    return Reject(path.name, number, "malformed", str(error), _raw(line))


def _raw(line: bytes) -> str:
    return line[: 4 * LONGEST].decode(errors="replace").rstrip("\r")[:LONGEST]


def _header(line: bytes) -> list[str]:
    try:
        header = [name.strip() for name in _fields(line)]
    except ValueError as error:
        raise ValueError(f"the header is {error}") from None
    missing = [name for name in HEADER if name not in header]
    if missing:
        raise ValueError(f"the header lacks {', '.join(missing)}; it must have {','.join(HEADER)}")
    twice = [name for name in (*HEADER, MARKED, WITHDRAWN) if header.count(name) > 1]
    if twice:
        raise ValueError(f"the header has {', '.join(twice)} more than once; nobody knows which one counts")
    return header


def _read_line(path: Place, number: int, line: bytes, header: list[str], partitions: Partitions) -> Entry | None:
    values = _values(line, header)
    if not any(map(values.get, ("label", "who", "when"))):
        return None
    return _entry(path.name, number, _raw(line), values, partitions)


def _values(line: bytes, header: list[str]) -> dict[str, str]:
    fields = _fields(line)
    if len(fields) != len(header):
        raise ValueError(f"{len(fields)} fields, the header has {len(header)}")
    # a line end may be the end of a file's name, a blank is none that anybody saw
    return {name: field.strip(" \t" if name == "file" else None) for name, field in zip(header, fields, strict=True)}


def _fields(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode().strip()], strict=True), [])
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"not readable as CSV: {error}") from None


def _entry(source: str, number: int, raw: str, values: Mapping[str, str], partitions: Partitions) -> Entry:
    """The entry that fields make.

    Raises
    ------
    ValueError
        If one of them is missing or is not what it must be.
    """
    withdrawn = bool(values.get(WITHDRAWN))
    missing = [name for name in HEADER if not values[name] and not (withdrawn and name == "label")]
    if missing:
        raise ValueError(f"no {', '.join(missing)}")
    if withdrawn and values["label"]:
        raise ValueError(f"a label, and `{WITHDRAWN}` as well; say one of them")
    day, line, when = _day(values["day"], partitions), _line(values["line"]), _time(values["when"])
    file, label = values["file"], values["label"]
    if values.get(MARKED):  # a line of an audit that was written for a spreadsheet
        file, label = unmark(file), unmark(label)
    return Entry(source, number, raw, day, file, line, label, values["who"], when, values.get(WHY, "")[:LONGEST])


def _day(text: str, partitions: Partitions) -> str:
    if not is_key(text):
        raise ValueError(f"day {text!r} is not a day; write it like 2026-01-31")
    return partitions.holding(text)


def _line(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise ValueError(f"line {text!r} is not a line; the first data line of a file is 1")
    return int(text)


def _time(text: str) -> dt.datetime:
    """A time in UTC; one without a zone is taken for that."""
    try:
        when = dt.datetime.fromisoformat(text)
        return when.replace(tzinfo=dt.UTC) if when.tzinfo is None else when.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"when {text!r} is not a time; write it like 2026-01-31T14:05:00Z") from None
