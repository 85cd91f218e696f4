"""Contents of files, read and checked."""

from __future__ import annotations

from typing import Any

from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.read.readers.pack import Refusal
from mlops_assets.journey.read.rows import account, check_rows
from mlops_assets.use_case import UseCase

Rows = list[dict[str, Any]]


def read(use_case: UseCase, *contents: bytes) -> tuple[Rows, list[Refusal], dict[str, int]]:
    """Rows (with `file` as the place among the arguments), refusals by file and line, and the accounting."""
    paths = [str(number) for number in range(len(contents))]
    pack = CsvReader(use_case).read(contents)
    table, refusals = check_rows(use_case, paths, pack)
    refusals = sorted([*pack.refusals, *refusals], key=lambda refusal: (refusal.file, refusal.line or 0))
    counts = account(pack, table, refusals, len(contents))
    return [{**row, "file": int(row["file"])} for row in table.to_pylist()], refusals, counts
