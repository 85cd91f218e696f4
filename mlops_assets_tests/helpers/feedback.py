"""Entries of feedback about the toy use case, and predictions that they are about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from mlops_assets.journey.feedback.files import HEADER
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import PREDICTIONS, Lake
from mlops_assets.storage.tables import write_part
from mlops_assets_tests.helpers.toy import DAY

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
LABELS = ("FOOD", "FUEL")
EARLY, LATE = "2026-02-01T08:00:00Z", "2026-02-01T09:00:00Z"


def entry(line: int = 1, label: str = "FUEL", **fields: object) -> str:
    """A good entry about the file 000.csv, with other values in some fields."""
    known = {"day": DAY, "file": "000.csv", "line": line, "label": label, "who": "ann", "when": EARLY}
    return ",".join(str({**known, **fields}[name]) for name in HEADER)


def about(row: dict[str, Any], label: str, who: str = "ann", when: str = EARLY) -> str:
    return entry(row["line"], label, file=row["file"], who=who, when=when)


def predicted(lake: Lake, rows: Sequence[dict[str, Any]], parts: int = 1, version: int = 1, day: str = DAY) -> None:
    """Publish predictions of rows: always FOOD."""
    table = lake.table("predictions")
    written = []
    for part in range(parts):
        records = [
            {**row, "account_id": row["account"], "prediction": "FOOD", "probability": 0.5, "model_version": version}
            for row in rows[part::parts]
        ]
        data = pa.Table.from_pylist(records, PREDICTIONS)
        written.append(write_part(table, day, f"{part:05d}-v{version}", data, rows_a_group=7))
    accounting = PredictionsAccounting(predictions=len(rows), model_version=version, model_choice="current")
    table.publish(day, written, PREDICTIONS, accounting, table.parts(day), "run")
