"""One contract, its files in every format that is read."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from mlops_assets.journey.read.readers import open_format, open_reader
from mlops_assets.journey.read.readers.pack import Pack, Refusal
from mlops_assets.journey.read.readers.packing import packed
from mlops_assets.journey.read.rows import account, check_rows
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.toy import KEYS, SQL

COLUMNS: dict[str, dict[str, Any]] = {
    "account": {"type": "string", "required": True},
    "date": {"type": "date"},
    "at": {"type": "timestamp"},
    "amount": {"type": "number", "max": 1000},
    "pieces": {"type": "integer"},
    "paid": {"type": "boolean"},
    "city": {"type": "string"},
    "kind": {"type": "string"},
}
FORMATS: dict[str, dict[str, Any]] = {
    "csv": {},
    "jsonl": {"format": "jsonl", "suffix": ".jsonl"},
    "parquet": {"format": "parquet", "suffix": ".parquet"},
    "xml": {"format": "xml", "suffix": ".xml", "record": "purchase"},
    "fixed": {"format": "fixed", "suffix": ".txt"},
}
WIDTH = 24

ROW = {
    "account": "A1", "date": "2026-01-02", "at": "2026-01-02 03:04:05", "amount": "-12.5", "pieces": "3",
    "paid": "true", "city": "São Paulo", "kind": "FOOD",
}  # fmt: skip


def contract(form: str, columns: Mapping[str, Mapping[str, Any]] | None = None, **files: Any) -> UseCase:
    """The use case `toy` with further columns, read in a format; `columns` and `files` change what it says of them."""
    said = {name: {**keys, **(columns or {}).get(name, {})} for name, keys in COLUMNS.items()}
    if form == "fixed":
        places = {name: [1 + WIDTH * at, WIDTH * (at + 1)] for at, name in enumerate(said)}
        said = {name: {**keys, "at": places[name]} for name, keys in said.items()}
    keys = {**KEYS, "columns": said, "files": {**FORMATS[form], **files}}
    return UseCase.model_validate({"name": "toy", **keys, "features_sql": SQL})


def written(use_case: UseCase, rows: Sequence[Mapping[str, str]]) -> bytes:
    """A file of rows as the platform writes it, or Python's own CSV."""
    form = open_format(use_case)
    if form is not None:
        return packed(form.write(rows), use_case.files)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(use_case.columns)
    writer.writerows([row.get(name, "") for name in use_case.columns] for row in rows)
    return packed(text.getvalue().encode(), use_case.files)


class Outcome:
    """What became of files: rows, refusals and counts that add up."""

    def __init__(self, use_case: UseCase, *contents: bytes) -> None:
        paths = [f"{number}{use_case.files.suffix}" for number in range(len(contents))]
        self.pack: Pack = open_reader(use_case).read(contents, paths)
        self.table: pa.Table
        self.table, broken = check_rows(use_case, paths, self.pack)
        self.refusals: list[Refusal] = sorted(
            [*self.pack.refusals, *broken], key=lambda refusal: (refusal.file, refusal.line or 0)
        )
        # raises where a record is neither a row nor a reject
        self.counts = account(self.pack, self.table, self.refusals, len(contents))

    @property
    def rows(self) -> list[dict[str, Any]]:
        return list(self.table.drop_columns(["file"]).to_pylist())

    @property
    def rejects(self) -> list[tuple[int | None, str]]:
        return [(refusal.line, refusal.rule) for refusal in self.refusals]

    @property
    def only(self) -> Refusal:
        (refusal,) = self.refusals
        return refusal

    def values(self, name: str) -> list[Any]:
        return list(self.table[name].to_pylist())
