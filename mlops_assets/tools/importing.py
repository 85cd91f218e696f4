"""One table becomes raw files: of the day it is for, as it is, or of days, cut by key and month, line for line."""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.journey.read.contract import check_column
from mlops_assets.journey.read.readers import Format, open_format, open_reader
from mlops_assets.journey.read.readers.pack import Pack
from mlops_assets.journey.read.readers.packing import packed, unpack
from mlops_assets.journey.score.written import RowsWrong, file_of_rows
from mlops_assets.storage.places import Place, side_by_side
from mlops_assets.tools.tables.excel import Sheet, is_workbook, read_workbook
from mlops_assets.tools.tables.files import MOST_UNPACKED, bare_name, read_unpacked
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


def add_imported(parts: Iterable[Imported]) -> Imported:
    """What several imports wrote together."""
    all_of_them = [*parts]
    return Imported(
        sum(one.files for one in all_of_them),
        sum(one.present for one in all_of_them),
        tuple(sorted({day for one in all_of_them for day in one.days})),
        sum(one.rows for one in all_of_them),
        sum(one.unplaced for one in all_of_them),
        sum(one.outside for one in all_of_them),
    )


def import_table(use_case: UseCase, table: Path, raw: Place, sheet: str | None = None) -> Imported:
    """Cut a table into account files.

    Parameters
    ----------
    use_case
        The use case; `import` in its configuration names key and date.
    table
        The published file: in the format of the use case, packed or not, or a workbook of Excel.
    raw
        Place of the raw files.
    sheet
        Name of the sheet of a workbook; its first one by default.

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
    form = open_format(use_case)
    data, pack = _read(use_case, table, sheet)
    lines = _lines(data) if form is None else _records(form, data, int(pack.lines[0]))
    header = [lines.pop(0)] if form is None and use_case.files.header != "none" else []
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
        if form is None:
            content = b"\r\n".join([*header, *own.values(), b""])
        else:
            content = form.rebuild([record.decode() for record in own.values()])
        return _write(folder, name, use_case.files.suffix, packed(content, use_case.files))

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


def place_table(use_case: UseCase, table: Path, raw: Place, day: str, sheet: str | None = None) -> Imported:
    """Put a table, as it is, among the raw files of a day.

    Parameters
    ----------
    use_case
        The use case.
    table
        A file in its format, packed or not, or a workbook of Excel.
    raw
        Place of the raw files.
    day
        The day.
    sheet
        Name of the sheet of a workbook; its first one by default.

    Raises
    ------
    UsageError
        If the file cannot be opened.
    MlopsError
        If the file is not in the use case's format, or larger than its files may be.
    """
    data, pack = _read(use_case, table, sheet)
    if len(data) > use_case.files.largest:
        raise MlopsError(
            f"{table}: {len(data):,} bytes, but a file of {use_case.name} may have {use_case.files.largest:,}: "
            "raise `files.largest` in its defs.yaml, or cut the file."
        )
    folder = raw / use_case.name / folder_of(day)
    folder.mkdir(parents=True, exist_ok=True)
    suffix = use_case.files.suffix
    stem = table.name.removesuffix(suffix) if table.name.endswith(suffix) else bare_name(table).partition(".")[0]
    written = _write(folder, _file_name((stem,)), suffix, packed(data, use_case.files))
    return Imported(int(written), int(not written), (day,), int(pack.lines[0]), 0)


def _read(use_case: UseCase, table: Path, sheet: str | None) -> tuple[bytes, Pack]:
    """The bytes of a table, not packed, and its text by the contract; rows that break a rule are still among it."""
    if use_case.files.reader:
        raise UsageError(
            f"{use_case.name} reads its files by {use_case.files.reader}, and only formats that the platform reads are "
            "imported: put its files into day folders yourself."
        )
    if is_workbook(table):
        data = _rows_of_sheet(use_case, read_workbook(table, sheet))
    elif sheet is not None:
        raise UsageError(f"--sheet {sheet}: {table} is no workbook of Excel.")
    else:
        data = read_unpacked(table)
    # as a whole a table may be larger than a raw file
    files = use_case.files.model_copy(update={"compression": "none", "largest": MOST_UNPACKED})
    pack = open_reader(use_case.model_copy(update={"files": files})).read([data], [table.name])
    whole = next((refusal for refusal in pack.refusals if refusal.line is None), None)
    if whole:
        raise MlopsError(f"{table}: {whole.message}; expected the format of {use_case.name}.")
    return data, pack


def _rows_of_sheet(use_case: UseCase, sheet: Sheet) -> bytes:
    """The rows of a sheet as a file of the use case; columns that the contract does not name are passed over."""
    headers = {column.header(name): name for name, column in use_case.columns.items()}
    if use_case.files.header == "names":
        names = [headers.get(name) for name in sheet.names]
        rows = sheet.rows
    else:  # by their place
        names = [*use_case.columns]
        rows = sheet.rows if use_case.files.header == "ignored" else [sheet.first, *sheet.rows]
    given = [{name: cell for name, cell in zip(names, row, strict=False) if name} for row in rows]
    try:
        sent = file_of_rows(use_case, sheet.path.name, given)
    except RowsWrong as error:
        raise MlopsError(f"{sheet.path}, sheet {sheet.name!r}: {str(error)[:500]}.") from None
    return unpack(sent.data, use_case.files.model_copy(update={"largest": MOST_UNPACKED}))


def _records(form: Format, data: bytes, number: int) -> list[bytes]:
    raw = form.raws(data)
    return [raw(line).encode() for line in range(1, number + 1)]


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
