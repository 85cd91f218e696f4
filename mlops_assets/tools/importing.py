"""One table becomes raw files: of the day it is for, as it is, or of days, cut by key and month, line for line."""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.journey.read.contract import check_column
from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.read.readers.pack import Pack
from mlops_assets.storage.places import Place, side_by_side
from mlops_assets.use_case import Import, UseCase
from mlops_assets.use_case.partitions import folder_of


@dataclass(frozen=True)
class Imported:
    """What an import wrote.

    Attributes
    ----------
    files
        Number of files written.
    present
        Number of files that were there already with the same content.
    days
        The days, in order.
    rows
        Lines that have a readable key and date.
    unplaced
        Lines without a readable date or key; they lie in `unplaced.csv` of the last day, where the daily run rejects
        them with their reason.
    outside
        Lines whose day no run would read, for it is before the use case's `start` or beyond the calendar; they are
        written nowhere.
    """

    files: int
    present: int
    days: tuple[str, ...]
    rows: int
    unplaced: int
    outside: int = 0


def import_table(use_case: UseCase, table: Path, raw: Place) -> Imported:
    """Cut a table into account files.

    Parameters
    ----------
    use_case
        The use case; `import` in its configuration names key and date.
    table
        The published file.
    raw
        Place of the raw files.

    Raises
    ------
    UsageError
        If the use case has no `import`, or the file cannot be opened.
    MlopsError
        If the file is not in the use case's format, or no line could be placed.
    """
    if use_case.imports is None:
        raise UsageError(
            f"{use_case.name} has no `import` in its defs.yaml: name the day whose file this is with --day, or put its "
            "files into day folders yourself."
        )
    data, pack = _read(use_case, table)
    lines = _lines(data)
    header = [] if use_case.files.header == "none" else [lines.pop(0)]
    # lines are cut out of the bytes, so a record must be one
    if pack.swallowed.any():
        raise MlopsError(f"{table}: a quoted field runs over several lines; such a table cannot be cut by lines.")
    cut, outside = _cut(use_case, use_case.imports, pack, lines)
    if not cut:
        raise MlopsError(
            f"{table}: no line has a readable {use_case.imports.date!r} from {use_case.start} (`start`) on; "
            "nothing was written."
        )
    placed = sum(map(len, cut.values()))
    unplaced = _left(lines, outside.union(*cut.values()))
    if unplaced:
        last = max(day for day, _ in cut)
        # kept on the last day: there the daily run tells what is wrong with them
        cut[last, "unplaced"] = unplaced

    def write(file: tuple[tuple[str, str], dict[int, bytes]]) -> bool:
        (day, name), own = file
        folder = raw / use_case.name / folder_of(day)
        folder.mkdir(parents=True, exist_ok=True)
        return _write(folder, name, use_case.files.suffix, b"\r\n".join([*header, *own.values(), b""]))

    written = sum(side_by_side(raw, write, cut.items()))
    days = tuple(sorted({day for day, _ in cut}))
    return Imported(written, len(cut) - written, days, placed, len(unplaced), len(outside))


def _lines(data: bytes) -> list[bytes]:
    text = data.replace(b"\r\n", b"\n")
    end = b"\n" if b"\n" in text else b"\r"
    return text.removesuffix(end).split(end)


def _cut(
    use_case: UseCase, imports: Import, pack: Pack, lines: list[bytes]
) -> tuple[dict[tuple[str, str], dict[int, bytes]], set[int]]:
    """By day and name of file: its lines, as they stand in the table, by their number; and numbers of lines outside."""
    checked = check_column(pack.columns[imports.date], use_case.columns[imports.date], use_case.files)
    dates = checked.values.to_pylist()
    broken = [False] * len(dates) if checked.broken is None else (checked.broken > 0).tolist()
    keys = zip(*(pack.columns[name].to_pylist() for name in imports.key), strict=True)
    cut: dict[tuple[str, str], dict[int, bytes]] = defaultdict(dict)
    outside: set[int] = set()
    for line, date, wrong, key in zip(pack.line.tolist(), dates, broken, keys, strict=True):
        if date is None or wrong or not all(map(str.strip, key)):
            continue
        day = _next_month(date)
        if day is None or use_case.partitions.of_date(day) < use_case.first_day:
            outside.add(line - 1)
        else:
            cut[use_case.partitions.of_date(day), _file_name(key)][line - 1] = lines[line - 1]
    return cut, outside


def _left(lines: list[bytes], taken: set[int]) -> dict[int, bytes]:
    return {number: line for number, line in enumerate(lines) if number not in taken}


def place_table(use_case: UseCase, table: Path, raw: Place, day: str) -> Imported:
    """Put a table, as it is, among the raw files of a day.

    Parameters
    ----------
    use_case
        The use case.
    table
        A file in its format.
    raw
        Place of the raw files.
    day
        The day.

    Raises
    ------
    UsageError
        If the file cannot be opened.
    MlopsError
        If the file is not in the use case's format, or larger than its files may be.
    """
    data, pack = _read(use_case, table)
    if len(data) > use_case.files.largest:
        raise MlopsError(
            f"{table}: {len(data):,} bytes, but a file of {use_case.name} may have {use_case.files.largest:,}: "
            "raise `files.largest` in its defs.yaml, or cut the file."
        )
    folder = raw / use_case.name / folder_of(day)
    folder.mkdir(parents=True, exist_ok=True)
    written = _write(folder, _file_name((table.stem,)), use_case.files.suffix, data)
    return Imported(int(written), int(not written), (day,), int(pack.lines[0]), 0)


def _read(use_case: UseCase, table: Path) -> tuple[bytes, Pack]:
    """The bytes of a table and its text by the contract; rows that break a rule are still among it."""
    if use_case.files.reader:
        raise UsageError(
            f"{use_case.name} reads its files by {use_case.files.reader}, and only CSV is imported: put its "
            "files into day folders yourself."
        )
    try:
        data = table.read_bytes()
    except OSError as error:
        raise UsageError(f"{table}: cannot be read: {error.strerror}.") from None
    pack = CsvReader(use_case).read([data])
    whole = next((refusal for refusal in pack.refusals if refusal.line is None), None)
    if whole:
        raise MlopsError(f"{table}: {whole.message}; expected the format of {use_case.name}.")
    return data, pack


def _write(folder: Place, name: str, suffix: str, data: bytes) -> bool:
    """Write a file under the first free name; whether that was needed, for it may be there already.

    A second table with rows of the same account and month gets a file of its own: nothing that was imported is lost.
    """
    for number in count(1):
        path = folder / (f"{name}{suffix}" if number == 1 else f"{name}.{number}{suffix}")
        if not path.exists():
            path.write_bytes(data)
            return True
        # a second import of a table writes nothing
        if path.read_bytes() == data:
            return False
    raise AssertionError  # count() does not end


def _next_month(date: dt.date) -> dt.date | None:
    """The first day of the next month, on which a month is known; None after the last one of the calendar."""
    year, month = date.year + date.month // 12, date.month % 12 + 1
    return dt.date(year, month, 1) if year <= dt.MAXYEAR else None


def _file_name(key: tuple[str, ...]) -> str:
    """A file name for a key; signs that are awkward in names are written as their code point, so that no two clash."""
    return "-".join(
        re.sub(r"^\.|[^A-Za-z0-9+,.]", lambda sign: f"~{ord(sign.group()):x}~", part.strip()) for part in key
    )
