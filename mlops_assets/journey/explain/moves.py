"""In: what two versions say of the rows of a day, where that is a number. Out: how far the numbers move.

A number counts as changed where it leaves the interval that the version before has around its own: nearly every number
moves a little when a model is fitted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from mlops_assets.journey.features.matrix import as_text
from mlops_assets.journey.score.predict import Answers
from mlops_assets.use_case import UseCase

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

SCHEMA = pa.schema(
    {
        "file": pa.dictionary(pa.int32(), pa.string()),
        "line": pa.int32(),
        "account_id": pa.string(),
        "before": pa.float64(),
        "after": pa.float64(),
        "changed": pa.bool_(),
        "label": pa.float64(),
        "value": pa.float64(),
    }
)
"""All rows of a day: a sum is one of all."""


def moved(
    rows: pa.Table, first: Answers, second: Answers, use_case: UseCase, value: pa.Array
) -> tuple[pa.Table, dict[str, int]]:
    """The rows of a shard with both numbers, and what is counted of them.

    Parameters
    ----------
    rows
        The rows.
    first, second
        What each version says of them.
    use_case
        The use case.
    value
        What each row is worth.

    Returns
    -------
    tuple
        The rows in `SCHEMA`; and how many `changed`, are `labelled`, and of these how many numbers each version has
        right, which is in its interval.
    """
    label = rows[use_case.label].combine_chunks().cast(pa.float64())
    truth = label.to_numpy(zero_copy_only=False)
    changed = ~_within(second.numbers, first)
    columns = [rows["file"], rows["line"], as_text(rows[use_case.account]), pa.array(first.numbers)]
    columns += [pa.array(second.numbers), pa.array(changed), label, value]
    counts = {
        "changed": int(changed.sum()),
        "labelled": len(label) - label.null_count,
        "right_before": int(_within(truth, first).sum()),
        "right_after": int(_within(truth, second).sum()),
    }
    return pa.table(columns, schema=SCHEMA), counts


def _within(numbers: np.ndarray, answers: Answers) -> np.ndarray:
    """Which numbers lie in the intervals of answers; those that are the same, where there are none."""
    low, high = answers.beside["low"], answers.beside["high"]
    inside: np.ndarray = np.where(np.isnan(low), numbers == answers.numbers, (low <= numbers) & (numbers <= high))
    return inside


def summarise(paths: Sequence[str], listed: int) -> dict[str, Any]:
    """Sums over all rows; there may be millions.

    Parameters
    ----------
    paths
        The parts with them.
    listed
        Accounts and examples that are listed at most.
    """
    if not paths:
        return {"transitions": [], "accounts": [], "examples": [], "value": 0.0, "moves": None}
    database = duckdb.connect(":memory:", config={"threads": 1})
    # else `day=` in a path would become a column
    database.read_parquet(list(paths), hive_partitioning=False).create_view("moved")
    database.execute("SET VARIABLE listed = ?", [listed])
    queries = {
        "accounts": """
            SELECT account_id, count(*) AS rows, sum(abs(value)) AS value
            FROM moved WHERE changed GROUP BY ALL ORDER BY rows DESC, account_id LIMIT getvariable('listed')""",
        "examples": """
            SELECT file, line, before, after, label, value FROM moved WHERE before <> after
            ORDER BY abs(after - before) DESC, file, line LIMIT getvariable('listed')""",
        "moves": f"""
            SELECT sum(before) AS sum_before, sum(after) AS sum_after, avg(after - before) AS mean_move,
                   avg(abs(after - before)) AS mean_distance,
                   quantile_cont(after - before, {list(QUANTILES)}) AS quantiles,
                   avg(abs(before - label)) AS error_before, avg(abs(after - label)) AS error_after
            FROM moved""",
        "value": "SELECT coalesce(sum(abs(value)) FILTER (changed), 0) AS value FROM moved",
    }
    lists: dict[str, Any] = {name: database.sql(sql).to_arrow_table().to_pylist() for name, sql in queries.items()}
    value = float(lists["value"][0]["value"])
    return {**lists, "transitions": [], "moves": lists["moves"][0], "value": value}
