"""A toy use case of four columns, and rows of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.journey.train.training_set import TrainingSet, build_training_set
from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.tables import write_part
from mlops_assets.use_case import UseCase

DAY = "2026-01-31"
IMPUTER = {"use": "sklearn.impute.SimpleImputer"}
CANDIDATES: dict[str, Any] = {
    "majority": {"use": "sklearn.dummy.DummyClassifier"},
    "linear": {"use": "sklearn.linear_model.LogisticRegression", "then": [IMPUTER]},
}


SQL = "CREATE VIEW model_input AS SELECT file, line, amount, city FROM rows"
KEYS: dict[str, Any] = {
    "description": "Kind of a purchase.",
    "start": "2026-01-01",
    "columns": {
        "account": {"type": "string"},
        "date": {"type": "date"},
        "amount": {"type": "number"},
        "city": {"type": "string"},
        "kind": {"type": "string"},
    },
    "account": "account",
    "label": "kind",
    "training": {"split": {"by": "time", "column": "date"}, "baseline": "majority", "candidates": CANDIDATES},
}
"""What its `defs.yaml` says."""


def toy(**training: Any) -> UseCase:
    """A use case of four columns; `training` changes how it is learned."""
    return UseCase.model_validate(
        {"name": "toy", **KEYS, "training": {**KEYS["training"], **training}, "features_sql": SQL}
    )


def purchases(number: int, accounts: int = 10, first: int = 0) -> list[dict[str, Any]]:
    """Rows that all differ: an account a file, three rows a date, two kinds told apart by the amount."""
    return [
        {
            "file": f"{one % accounts:03d}.csv",
            "line": one // accounts + 1,
            "account": f"A{one % accounts}",
            "date": dt.date(2026, 1, 1) + dt.timedelta(days=one // 3),
            "amount": float(one) if one % 5 else None,
            "city": f"C{one % 4}",
            "kind": ("FOOD", "FUEL")[one % 2],
        }
        for one in range(first, first + number)
    ]


def put(
    lake: Lake,
    use_case: UseCase,
    rows: Sequence[dict[str, Any]],
    day: str = DAY,
    parts: int = 1,
    rejected: int = 0,
    labelled: int | None = None,
) -> None:
    """Publish rows of a day, of which so many further lines were rejected; each file lies in one part."""
    table, schema = lake.table("rows"), rows_schema(use_case)
    ordered = sorted(rows, key=lambda row: (row["file"], row["line"]))
    names = sorted({row["file"] for row in rows})
    written = []
    for part in range(parts):
        mine = [row for row in ordered if names.index(row["file"]) % parts == part]
        data = pa.Table.from_pylist(mine, schema)
        written.append(write_part(table, day, f"{part:05d}-x", data))
    accounting = ReadingAccounting(lines=len(rows) + rejected, rows=len(rows), rejected=rejected, labelled=labelled)
    table.publish(day, written, schema, accounting, table.parts(day))


def built(lake: Lake, use_case: UseCase, rows: Sequence[dict[str, Any]]) -> TrainingSet:
    put(lake, use_case, rows)
    return build_training_set(use_case, lake)
