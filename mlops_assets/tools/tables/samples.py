"""In: paths of tables of one kind. Out: some of their first records, and what format they are files of."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_assets.errors import UsageError
from mlops_assets.journey.read.readers.packing import unpack_start
from mlops_assets.plugins import FileRefused
from mlops_assets.tools.tables.excel import Cell, is_workbook, read_workbook
from mlops_assets.tools.tables.files import PACKED, bare_name, compression_of, sentence
from mlops_assets.tools.tables.shapes import SHAPES
from mlops_assets.tools.tables.text import SAMPLE, cut_sample

MOST_FILES = 64
"""Files of a folder that are looked at."""

WHOLE = ("parquet", "xml")
"""Formats that cannot be cut after some bytes."""

LARGEST = 256 << 20
"""Bytes that a file of these may have."""

ENDS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet", ".xml": "xml"}


@dataclass(frozen=True)
class Sample:
    """Some records of tables.

    Attributes
    ----------
    path
        What was named: a table, or a folder of tables.
    contents
        A file of each table, not packed.
    paths
        The tables.
    whole
        Whether these are all of their records.
    size
        Bytes of the largest of them, unpacked as far as is known.
    files
        What `files` of a contract must say of them.
    names
        The names of the columns; None where the first line may have them.
    remarks
        What to tell of them.
    """

    path: Path
    contents: list[bytes]
    paths: list[Path]
    whole: bool
    size: int
    files: dict[str, Any]
    names: tuple[str, ...] | None = None
    remarks: list[str] = field(default_factory=list)


def take_sample(named: Sequence[Path], sheet: str | None = None) -> Sample:
    """Look at the beginning of tables.

    Parameters
    ----------
    named
        Files, or one folder with files.
    sheet
        Name of the sheet, where it is a workbook.

    Raises
    ------
    UsageError
        If one cannot be read, or they are of several kinds.
    """
    paths, remarks = _expand(named)
    if is_workbook(paths[0]):
        if len(paths) > 1:
            raise UsageError(f"{paths[1]}: only one workbook is looked at; save the others as CSV.")
        return _of_workbook(paths[0], sheet)
    if sheet is not None:
        raise UsageError(f"--sheet {sheet}: {paths[0]} is no workbook of Excel.")
    most = SAMPLE if len(paths) == 1 else max(SAMPLE // len(paths), 1 << 16)
    looked = [_look(path, most) for path in paths]
    files = looked[0].files
    for one in looked[1:]:
        if one.files != files:
            raise UsageError(
                f"{one.path}: is {_kind(one.files)}, and {paths[0]} is {_kind(files)}; name files of one kind."
            )
    names = looked[0].names
    if names is not None:  # a key may stand in the records of some files alone
        names = tuple(dict.fromkeys(name for one in looked for name in one.names or ()))
    return Sample(
        named[0] if len(named) == 1 else paths[0],
        [one.contents[0] for one in looked],
        paths,
        all(one.whole for one in looked) and not remarks,
        max(one.size for one in looked),
        files,
        names,
        [*remarks, *(remark for one in looked for remark in one.remarks)],
    )


def _kind(files: dict[str, Any]) -> str:
    packed = files.get("compression", "none")
    how = "" if packed == "none" else f", packed by {packed}"
    return f"{files.get('format', 'csv')}{how} ({files['suffix']})"


def _expand(named: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The files that are meant, and what is told of others."""
    if len(named) != 1 or not named[0].is_dir():
        return list(dict.fromkeys(named)), []
    folder = named[0]
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((".", "_")))
    if not found:
        raise UsageError(f"{folder}: there is no file in this folder.")
    (suffix, _), *_ = Counter(suffix_of(path) for path in found).most_common(1)
    mine = [path for path in found if suffix_of(path) == suffix]
    remarks = []
    if others := len(found) - len(mine):
        remarks.append(f"{others} files of {folder} do not end in {suffix} and were not looked at")
    if len(mine) > MOST_FILES:
        remarks.append(f"of {len(mine):,} files the first {MOST_FILES} were looked at")
    return mine[:MOST_FILES], remarks


def suffix_of(path: Path) -> str:
    """The end of the name of a table, with what says that it is packed."""
    inner = Path(bare_name(path)).suffix
    return inner + path.suffix if path.suffix.lower() in PACKED else inner


def _look(path: Path, most: int) -> Sample:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            # as a rule the first bytes are enough; what is packed, or has its index at its end, is read whole
            data = file.read(most + 1)
            packed = compression_of(data)
            form = _format(path, data)
            if packed != "none" or form in WHOLE:
                data += file.read(LARGEST)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}.") from None
    if len(data) > LARGEST and (packed != "none" or form in WHOLE):
        raise UsageError(f"{path}: {size:,} bytes; take a part of it with at most {LARGEST:,}.")
    if packed != "none":
        data, form, size = _unpacked(path, data, packed, most)
    files: dict[str, Any] = {"suffix": suffix_of(path) or ".csv"}
    if packed != "none":
        files["compression"] = packed
    if form == "csv":
        data, whole = cut_sample(path, data, most)
        return Sample(path, [data], [path], whole, size, files)
    try:
        shape = SHAPES[form](data, most)
    except FileRefused as error:
        raise UsageError(f"{path}: {sentence(error.message)}") from None
    remarks = [f"{path.name}: {remark}" for remark in shape.remarks]
    return Sample(
        path, [shape.data], [path], shape.whole, size, {**files, "format": form, **shape.files}, shape.names, remarks
    )


def _unpacked(path: Path, data: bytes, packed: str, most: int) -> tuple[bytes, str, int]:
    """The beginning of what a table holds, its format, and how large it is at least."""
    inner = Path(bare_name(path))
    try:
        start = unpack_start(data, packed, most)
        form = _format(inner, start)
        if form in WHOLE:
            start = unpack_start(data, packed, LARGEST)
    except FileRefused as error:
        raise UsageError(f"{path}: {sentence(error.message)}") from None
    return (start if form in WHOLE else start[: most + 1]), form, max(len(start), 10 * len(data))


def _format(path: Path, data: bytes) -> str:
    """What a table is, by its name or its first bytes."""
    if data.startswith(b"PAR1"):
        return "parquet"
    named = ENDS.get(path.suffix.lower())
    if named is not None:
        return named
    start = data[:1_000].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<?xml"):
        return "xml"
    return "jsonl" if path.suffix.lower() == ".json" and start.startswith(b"{") else "csv"


def _of_workbook(path: Path, sheet: str | None) -> Sample:
    """The rows of a sheet as CSV, as `import` will write them."""
    found = read_workbook(path, sheet)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    # as `Sheet.names` has them, for that is what a column is looked for by
    writer.writerow([" ".join(_text(cell).split()) for cell in found.first])
    writer.writerows([_text(cell) for cell in row] for row in found.rows)
    data = text.getvalue().encode(errors="replace")
    remarks = [f"the sheet {found.name!r} was taken"] if found.others else []
    return Sample(path, [data], [path], True, len(data), {"suffix": ".csv"}, None, remarks)


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return repr(cell) if isinstance(cell, (int, float)) else cell
