"""Days and references of a toy use case, counted by the code that counts real ones."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from mlops_assets.journey.score.profile.bins import count_columns, make_bins
from mlops_assets.journey.score.profile.counts import Bins, Column, Profile
from mlops_assets.journey.score.profile.reference import Reference
from mlops_assets.journey.score.profile.shard import count_answers, count_sizes
from mlops_assets.monitoring.days import WatchedDay
from mlops_assets.storage.accounting import PredictionsAccounting

DAY = "2026-03-30"
CLASSES = ("no", "yes")
ROWS_A_FILE = 5
CITIES = np.array(["Roma", "Oslo", "Bern", "Kyiv"], object)


def draw(generator: np.random.Generator, files: int) -> dict[str, np.ndarray]:
    """Columns of a quiet day: all rows of a file have its city."""
    rows = files * ROWS_A_FILE
    amounts = generator.normal(100, 20, rows)
    amounts[generator.random(rows) < 0.01] = np.nan
    return {"city": np.repeat(generator.choice(CITIES, files), ROWS_A_FILE), "amount": amounts}


def table(columns: Mapping[str, np.ndarray]) -> pa.Table:
    """Columns as Arrow has them."""
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})


def profile(
    columns: Mapping[str, np.ndarray], bins: Mapping[Column, Bins], yes: float, generator: np.random.Generator
) -> Profile:
    """What is counted of some rows, which a model answers with `yes` at this probability, give or take."""
    rows = len(columns["city"])
    probability = np.clip(generator.normal(yes, 0.1, rows), 0.01, 0.99)
    said = count_answers(np.column_stack([1 - probability, probability]), (probability >= 0.5).astype(np.int64))
    sizes = np.full(rows // ROWS_A_FILE, ROWS_A_FILE)
    return Profile(count_columns(table(columns), bins, DAY), said, count_sizes(sizes))


def learned(seed: int = 1, groups: int = 40, files: int = 20) -> Reference:
    """What a version learned from: quiet rows."""
    generator = np.random.default_rng(seed)
    drawn = [draw(generator, files) for _ in range(groups)]
    bins = make_bins(pa.concat_tables(map(table, drawn)), DAY)
    profiles = tuple(profile(columns, bins, 0.4, generator) for columns in drawn)
    return Reference(bins, CLASSES, profiles, (files,) * groups, "file", ("2026-01-01", "2026-01-31"))


def watched(
    reference: Reference,
    seed: int = 2,
    day: str = DAY,
    files: int = 200,
    yes: float = 0.4,
    rules: Mapping[str, int] | None = None,
    **changes: Any,
) -> WatchedDay:
    """A day; each change is a function of a column's values."""
    generator = np.random.default_rng(seed)
    columns = draw(generator, files)
    columns |= {name: change(columns[name]) for name, change in changes.items()}
    rows, refused = files * ROWS_A_FILE, sum((rules or {}).values())
    told = PredictionsAccounting(
        files=files,
        files_read=files,
        lines=rows + refused,
        rows=rows,
        rejected=refused,
        rules=rules or {},
        predictions=rows,
        model_version=1,
    )
    return WatchedDay(day, profile(columns, reference.bins, yes, generator), told, files, files, version=1)


def quiet_before(reference: Reference, days: int = 28, **changes: Any) -> list[WatchedDay]:
    """The days before `DAY`, the oldest first."""
    last = dt.date.fromisoformat(DAY)
    names = [(last - dt.timedelta(days=ago)).isoformat() for ago in range(days, 0, -1)]
    return [watched(reference, 100 + number, name, **changes) for number, name in enumerate(names)]
