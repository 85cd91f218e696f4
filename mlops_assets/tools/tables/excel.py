"""In: a workbook of Excel. Out: the cells of a sheet, as JSON would have them; formulas are their last values.

A sheet whose formulas have none, as programs write them that do not compute, is refused: it would seem to be empty.
"""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.errors import UsageError

ENDINGS = (".xlsx", ".xlsm")

MOST_BYTES = 1 << 30
MOST_RATIO = 200
MOST_CELLS = 50_000_000
MOST_COLUMNS = 16_384
"""What a workbook may become: its parts unpacked, each in proportion to what it was, and the cells of the sheet."""

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Sheet:
    """The cells of a sheet.

    Attributes
    ----------
    path, name
        The workbook, and the sheet.
    others
        The other sheets.
    first
        The cells of its first row.
    rows
        Those of the others, but for rows at the end without any value.
    """

    path: Path
    name: str
    others: tuple[str, ...]
    first: list[Cell]
    rows: list[list[Cell]]

    @property
    def names(self) -> list[str]:
        """The first row as the names of columns, each in one line."""
        return ["" if cell is None else " ".join(str(cell).split()) for cell in self.first]


def is_workbook(path: Path) -> bool:
    """Whether a path is that of a workbook, by its ending."""
    return path.suffix.lower() in ENDINGS


def read_workbook(path: Path, sheet: str | None = None) -> Sheet:
    """Read a sheet of a workbook.

    Parameters
    ----------
    path
        The workbook.
    sheet
        Name of the sheet; the first one by default.

    Raises
    ------
    UsageError
        If openpyxl is not there, the workbook cannot be read or is too large, or has no such sheet.
    """
    try:
        import openpyxl
    except ImportError:
        raise UsageError(f"{path}: to read Excel, install the extra: pip install 'mlops-assets[excel]'.") from None
    _check_size(path)
    try:
        # values instead of formulas: what they were when the workbook was saved
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from None
    try:
        names = [one.title for one in book.worksheets]
        if not names:
            raise UsageError(f"{path}: no sheet of it can be read. Save it as .xlsx anew, or as CSV.")
        if sheet is not None and sheet not in names:
            raise UsageError(f"{path}: there is no sheet {sheet!r}; there are {', '.join(map(repr, names))}.")
        chosen = book.worksheets[names.index(sheet) if sheet else 0]
        chosen.reset_dimensions()  # what a sheet says of its own size may be anything
        rows = _rows(path, chosen.iter_rows(values_only=True))
        _check_computed(path, chosen.title, rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from None
    finally:
        book.close()
    if not rows:
        raise UsageError(f"{path}: the sheet {chosen.title!r} has no cell with a value.")
    return Sheet(path, chosen.title, tuple(name for name in names if name != chosen.title), rows[0], rows[1:])


def _unreadable(path: Path, error: Exception) -> UsageError:
    what = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UsageError(f"{path}: cannot be read as a workbook: {what}. Save it as .xlsx anew, or as CSV.")


def _check_size(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}.") from None
    except zipfile.BadZipFile:
        raise UsageError(f"{path}: is no workbook: a file of .xlsx is a ZIP archive, and this is none.") from None
    total = sum(part.file_size for part in parts)
    swollen = next((part for part in parts if part.file_size > (1 << 20) + MOST_RATIO * part.compress_size), None)
    if total > MOST_BYTES:
        raise UsageError(f"{path}: {total:,} bytes unpacked, allowed are {MOST_BYTES:,}; save the sheet as CSV.")
    if swollen is not None:
        raise UsageError(f"{path}: {swollen.filename!r} becomes {swollen.file_size:,} bytes: a bomb? Save it as CSV.")


def _rows(path: Path, found: Iterator[Sequence[Any]]) -> list[list[Cell]]:
    """The rows up to the last one with a value."""
    rows: list[list[Cell]] = []
    last = cells = 0
    for row in found:
        given = [_cell(value) for value in row]
        while given and given[-1] is None:
            given.pop()
        cells += max(1, len(given))
        if cells > MOST_CELLS or len(given) > MOST_COLUMNS:
            raise UsageError(f"{path}: the sheet has more than {MOST_CELLS:,} cells; save it as CSV.")
        rows.append(given)
        last = len(rows) if given else last
    width = max(map(len, rows), default=0)
    return [row + [None] * (width - len(row)) for row in rows[:last]]


def _check_computed(path: Path, sheet: str, rows: list[list[Cell]]) -> None:
    """See that formulas have values; a program that computes none writes all of them without."""
    if not _has_formulas(path):
        return
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, keep_links=False)
    try:
        chosen = book[sheet]
        chosen.reset_dimensions()
        formulas = [
            (row[place] if place < len(row) else None, cell.coordinate)
            for row, cells in zip(rows, chosen.iter_rows(), strict=False)
            for place, cell in enumerate(cells)
            if cell.data_type == "f"
        ]
    finally:
        book.close()
    if formulas and all(value is None for value, _ in formulas):
        raise UsageError(
            f"{path}, sheet {sheet!r}: {len(formulas):,} formulas have no value, the first of them in "
            f"{formulas[0][1]}: the program that wrote them did not compute them. Open it in a spreadsheet program and "
            "save it there."
        )


def _has_formulas(path: Path) -> bool:
    """Whether some sheet may have a formula; looked for in the bytes, since cells are dear."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                with archive.open(name) as part:
                    before = b""
                    while some := part.read(1 << 20):
                        if b"<f>" in before + some or b"<f " in before + some:
                            return True
                        before = some[-2:]
    return False


def _cell(value: Any) -> Cell:
    """A value as JSON has it: dates and moments in ISO 8601."""
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return str(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = str(value)
    return text if text.strip() else None
