"""In: a file of rejects in which a person mended lines, or a spreadsheet. Out: those lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.errors import UsageError
from mlops_assets.storage.catalog import REJECTS, UNPREDICTED
from mlops_assets.use_case.partitions import DAYS, Partitions, is_key
from mlops_assets.work.spreadsheets import RAW, RAW_MARKED, unmark

COLUMNS = ("day", *REJECTS.names)


@dataclass(frozen=True, order=True)
class Line:
    """Where a rejected line stands.

    Attributes
    ----------
    day, file, line
        As `rejects` names it.
    """

    day: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.day}, {self.file}, line {self.line}"


@dataclass(frozen=True)
class Mended:
    """A reject as it came back: the line, the rule that it was rejected by, and its text now."""

    at: Line
    rule: str
    raw: str


def read_mended(path: Path, partitions: Partitions = DAYS) -> tuple[list[Mended], list[str]]:
    """The lines of a file as `rejects` writes it, CSV or JSON; and the files that stand there as refused as a whole.

    Parameters
    ----------
    path
        The file.
    partitions
        Those of the use case: of a week a reject may name any day.

    Raises
    ------
    UsageError
        If the file cannot be read, or lacks a column.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        records = json.loads(text) if path.suffix == ".json" else [*_csv_records(text)]
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8; save it as CSV in UTF-8.") from None
    except (csv.Error, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read as rejects: {error}.") from None
    if not isinstance(records, list):
        raise UsageError(f"{path}: is no list of rejects, as `mlops-assets rejects --format json` writes it.")
    mended: dict[Line, Mended] = {}
    whole = []
    for number, record in enumerate(records, 1):
        where = f"{path}, reject {number}"
        values = _texts(record, where)
        # of a row without a prediction no text is kept: it is mended in its raw file, as a whole file is
        if not values["line"] or (values["rule"] in UNPREDICTED and not values["raw"]):
            where = f", line {values['line']}" if values["line"] else ""
            whole.append(f"{values['day']}, {values['file']}{where}")
            continue
        one = Mended(_line(values, where, partitions), values["rule"], values["raw"].rstrip("\r\n"))
        if mended.setdefault(one.at, one) != one:
            raise UsageError(f"{where}: {one.at} stands twice, and not the same; keep one of them.")
    return list(mended.values()), whole


def _csv_records(text: str) -> Iterator[dict[str, str | None]]:
    """The records of a CSV file; a spreadsheet may have changed the sign between the fields."""
    header = text.splitlines()[0] if text else ""
    delimiter = max(",;\t", key=header.count)
    yield from csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def _texts(record: Any, where: str) -> dict[str, str]:
    if isinstance(record, Mapping) and RAW_MARKED in record:
        record = _unmarked(record)
    lacks = next((name for name in COLUMNS if not isinstance(record, Mapping) or name not in record), None)
    if lacks:
        raise UsageError(
            f"{where}: there is no {lacks!r}; `mlops-assets rejects --format csv` writes {', '.join(COLUMNS)}."
        )
    if None in record or None in [record[name] for name in COLUMNS if name not in ("line", "raw")]:
        raise UsageError(
            f"{where}: has not as many fields as the header; is a text with the sign between fields not in quotes?"
        )
    return {name: "" if record[name] is None else str(record[name]) for name in COLUMNS}


def _unmarked(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of `rejects --spreadsheet` without its apostrophes."""
    texts = {name: unmark(value) if isinstance(value, str) else value for name, value in record.items()}
    return {RAW if name == RAW_MARKED else name: value for name, value in texts.items()}


def _line(values: Mapping[str, str], where: str, partitions: Partitions) -> Line:
    try:
        if not is_key(values["day"]):
            raise ValueError(f"{values['day']!r} is no day as `rejects` names it")
        return Line(partitions.holding(values["day"]), values["file"], int(values["line"]))
    except ValueError as error:
        raise UsageError(
            f"{where}: {error}; day, file and line say what was mended: leave them as they were."
        ) from None
