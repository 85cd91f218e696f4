"""In: the rows of a published day and two model versions. Out: what would change, and the money behind it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import MlopsError
from mlops_assets.journey.enrich.answers import Marks, find_answers, read_answers
from mlops_assets.journey.explain import moves
from mlops_assets.journey.explain.flows import Flow, add_flows, as_lists, count_flows, from_lists
from mlops_assets.journey.features.day import stored_features
from mlops_assets.journey.features.matrix import as_text
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.model.carried import for_workers
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.score.day import scores_roots
from mlops_assets.journey.score.loaded import load_cached
from mlops_assets.journey.score.predict import predict
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.integrity import read_stored
from mlops_assets.storage.places import Place, on_disk, remove_tree
from mlops_assets.storage.tables import Table
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import (
    Engine,
    Made,
    Needs,
    Report,
    Watch,
    add_up,
    files_of,
    finish,
    parts_of,
    run_shards,
    shard_number,
)

LISTED = 20
"""Transitions, accounts and examples that a comparison lists."""

SCHEMA = pa.schema(
    {
        "file": pa.dictionary(pa.int32(), pa.string()),
        "line": pa.int32(),
        "account_id": pa.string(),
        "before": pa.string(),
        "after": pa.string(),
        "before_probability": pa.float32(),
        "after_probability": pa.float32(),
        "label": pa.string(),
        "value": pa.float64(),
    }
)


@dataclass(frozen=True)
class Comparison:
    """How the answers of one version differ from those of another on one day.

    Attributes
    ----------
    use_case, day
        What was compared.
    before, after
        The two versions.
    rows, changed
        Rows of the day, and those of them with another answer: another class, or a number out of the interval of the
        one before.
    value, changed_value
        Sum of the absolute `value` over all rows and over the changed ones; None if the use case names no such column.
    labelled, right_before, right_after
        Rows that have a label, and how many of them each version has right, or in its interval.
    transitions
        Rows and value by old and new answer, and of those with a label how many each version has right; most first.
    accounts
        The accounts with the most changed rows.
    examples
        Changed rows with both answers, those of the greatest value first; of numbers those that move farthest.
    moves
        Of numbers, how far they move: sums, the mean with and without its sign, quantiles, and the mean absolute errors
        of rows with a label; None of classes.
    """

    use_case: str
    day: str
    before: int
    after: int
    rows: int
    changed: int
    value: float | None
    changed_value: float | None
    labelled: int
    right_before: int
    right_after: int
    transitions: list[dict[str, Any]]
    accounts: list[dict[str, Any]]
    examples: list[dict[str, Any]]
    moves: Mapping[str, Any] | None = None

    @property
    def share(self) -> float:
        """Share of the day's rows that change."""
        return self.changed / max(1, self.rows)


@dataclass(frozen=True)
class CompareTask:
    """One shard to be scored by both versions; see `compare_shard`."""

    use_case: UseCase
    lake: Place
    day: str
    rows: str
    before: Version
    after: Version
    mark: str
    marks: Marks = field(default_factory=dict)

    @property
    def needs(self) -> Needs:
        """What a machine needs for it."""
        return Needs((__name__, *scores_roots(self.use_case)), (self.lake / self.use_case.name,))


def compare_day(
    use_case: UseCase, lake: Lake, day: str, before: Version, after: Version, engine: Engine, watch: Watch
) -> Comparison:
    """Score every row of a day with two versions, and say what differs; no prediction is published.

    Parameters
    ----------
    use_case
        The use case.
    lake
        Its tables; the day's rows are published.
    day
        The day.
    before, after
        The two versions.
    engine
        Runs the shards.
    watch
        Is told of every finished shard.

    Raises
    ------
    MlopsError
        If the rows of the day were not published, or not enriched.
    """
    with _compared(use_case, lake, day, before, after, engine, watch) as (reports, table):
        counts, _ = add_up(reports)
        differing = [table.folder / part.path for part in parts_of(reports, table)]
        for path in differing:
            read_stored(path, sealed=True)  # DuckDB looks at no checksum
        with on_disk(differing) as paths:
            names = [str(path) for path in paths]
            numbers = use_case.training.says_numbers
            summary = moves.summarise(names, LISTED) if numbers else _summarise(names)
    # cents are whole numbers: their sum is the same in whatever order the shards finish
    value = counts.get("cents", 0) / 100
    has_value = use_case.value is not None  # without such a column, 0 would read as "no money behind it"
    return Comparison(
        use_case=use_case.name,
        day=day,
        before=before.version,
        after=after.version,
        rows=counts.get("rows", 0),
        changed=counts.get("changed", 0),
        value=value if has_value else None,
        changed_value=summary["value"] if has_value else None,
        labelled=counts.get("labelled", 0),
        right_before=counts.get("right_before", 0),
        right_after=counts.get("right_after", 0),
        transitions=summary["transitions"],
        accounts=summary["accounts"],
        examples=summary["examples"],
        moves=summary.get("moves"),
    )


def compare_flows(
    use_case: UseCase, lake: Lake, day: str, before: Version, after: Version, engine: Engine, watch: Watch
) -> tuple[Flow, ...]:
    """As `compare_day`, and say how many rows go from which class to which, by slice."""
    with _compared(use_case, lake, day, before, after, engine, watch) as (reports, _):
        return add_flows(*(from_lists(report.notes["flows"]) for report in reports))


@contextmanager
def _compared(
    use_case: UseCase, lake: Lake, day: str, before: Version, after: Version, engine: Engine, watch: Watch
) -> Iterator[tuple[list[Report], Table[Any]]]:
    """The shards of a day, scored by both versions, and the table of the rows that differ; gone with the context."""
    state = lake.rows.days().get(day)
    if state is None:
        raise MlopsError(
            f"{use_case.name}: there are no rows of {day}; `mlops-assets status {use_case.name}` shows the days."
        )
    mark = uuid.uuid4().hex  # two at once do not share their files
    table = lake.differences(mark)
    # of all enrichments, for the two versions may name different ones
    answers = find_answers(use_case, lake, day, state, list(use_case.enrichments))
    before, after = (for_workers(version, lake, engine) for version in (before, after))
    tasks = [
        CompareTask(use_case, lake.root, day, path, before, after, mark, answers.of(path))
        for path in sorted(lake.rows.parts(day))
    ]
    try:
        yield run_shards(engine, compare_shard, tasks, watch), table
    finally:
        # also after an error: nobody else has a use for it
        remove_tree(table.folder)


def compare_shard(task: CompareTask) -> Report:
    """Score one shard with both versions and keep the rows that differ."""
    use_case, versions = task.use_case, (task.before, task.after)
    lake = Lake(task.lake, use_case.name)

    def make() -> Made:
        rows = read_rows(lake.rows.folder / task.rows)
        # scored again by both, for the published day may be by a third version, or by other SQL
        models = [load_cached(version, use_case) for version in versions]
        stored = partial(stored_features, lake, task.day, Path(task.rows).name, marks=task.marks)
        predicted = predict(models, rows, task.day, use_case, stored, read_answers(lake, task.marks))
        rows, (first, second) = predicted.rows, predicted.answers
        value = _value(rows, use_case)
        told = {
            "files": files_of(lake.rows.folder / task.rows),
            "rows": rows.num_rows,
            "cents": int(np.rint(100 * np.nansum(np.abs(value.to_numpy(zero_copy_only=False))))),
        }
        if use_case.training.says_numbers:
            data, counts = moves.moved(rows, first, second, use_case, value)
            flows = count_flows(pa.array(first.numbers), pa.array(second.numbers), rows, use_case)
            return Made({lake.differences(task.mark): data}, {**told, **counts}, notes={"flows": as_lists(flows)})
        before, after = (answers.predicted().cast(pa.string()) for answers in (first, second))
        label = as_text(rows[use_case.label])
        data = pa.table(
            [
                rows["file"],
                rows["line"],
                as_text(rows[use_case.account]),
                before,
                after,
                *first.sure(),
                *second.sure(),
                label,
                value,
            ],
            schema=SCHEMA,
        )
        changed = pc.not_equal(before, after)
        counts = {
            **told,
            "changed": _count(changed),
            "labelled": len(label) - label.null_count,
            "right_before": _count(pc.equal(before, label)),
            "right_after": _count(pc.equal(after, label)),
        }
        notes = {"flows": as_lists(count_flows(before, after, rows, use_case))}
        return Made({lake.differences(task.mark): data.filter(changed)}, counts, notes=notes)

    # the comparison's folder is new, so nothing in it was done before
    return finish(lake.differences(task.mark), task.day, shard_number(task.rows), "changed", make)


def _count(mask: pa.Array) -> int:
    return pc.sum(mask).as_py() or 0


def _value(rows: pa.Table, use_case: UseCase) -> pa.Array:
    if use_case.value is None:
        return pa.nulls(rows.num_rows, pa.float64())
    # `from_pandas`: NaN is a missing value
    return pa.array(rows[use_case.value].cast(pa.float64()).to_numpy(), pa.float64(), from_pandas=True)


def _summarise(paths: Sequence[str]) -> dict[str, Any]:
    """Sums over the rows that differ; there may be millions."""
    if not paths:
        return {"transitions": [], "accounts": [], "examples": [], "value": 0.0}
    database = duckdb.connect(":memory:", config={"threads": 1})
    # else `day=` in a path would become a column
    database.read_parquet(list(paths), hive_partitioning=False).create_view("changed")
    total = database.sql("SELECT coalesce(sum(abs(value)), 0) FROM changed").fetchall()[0][0]
    database.execute("SET VARIABLE listed = ?", [LISTED])
    queries = {
        "transitions": """
            SELECT before, after, count(*) AS rows, sum(abs(value)) AS value, count(label) AS labelled,
                   count(*) FILTER (before = label) AS right_before, count(*) FILTER (after = label) AS right_after
            FROM changed GROUP BY ALL ORDER BY rows DESC, before, after""",
        "accounts": """
            SELECT account_id, count(*) AS rows, sum(abs(value)) AS value
            FROM changed GROUP BY ALL ORDER BY rows DESC, account_id LIMIT getvariable('listed')""",
        "examples": """
            SELECT * FROM changed ORDER BY abs(value) DESC NULLS LAST, file, line LIMIT getvariable('listed')""",
    }
    lists: dict[str, Any] = {name: database.sql(sql).to_arrow_table().to_pylist() for name, sql in queries.items()}
    return {**lists, "value": float(total)}
