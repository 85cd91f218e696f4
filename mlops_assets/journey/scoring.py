"""In: the rows of a day and a model version. Out: its `predictions`, one for every row, or no change at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mlops_assets.errors import MlopsError
from mlops_assets.journey.features import compute, read_rows, stored_features
from mlops_assets.journey.model import Model
from mlops_assets.journey.registry import Version
from mlops_assets.journey.shards import (
    Engine,
    Made,
    Report,
    Watch,
    add_up,
    code_fingerprint,
    fingerprint,
    finish,
    parts_of,
    run_shards,
    shard_number,
)
from mlops_assets.lake import Lake, Published
from mlops_assets.use_case import Checks, UseCase

SCHEMA = pa.schema(
    {
        "file": pa.dictionary(pa.int32(), pa.string()),
        "line": pa.int32(),
        "account_id": pa.dictionary(pa.int32(), pa.string()),
        "prediction": pa.dictionary(pa.int32(), pa.string()),
        "probability": pa.float32(),
        "model_version": pa.int32(),
    }
)
"""One prediction a row; `probability` is that of the predicted class."""

UNSEEN = "unseen_"
"""What the count of unseen values of a category begins with, in reports and in the accounting."""

CODE = ("mlops_assets.journey.scoring", "mlops_assets.journey.features", "mlops_assets.journey.model")


class DayRefused(MlopsError):
    """A day does not meet its conditions; nothing of it was published."""


@dataclass(frozen=True)
class DayCheck:
    """One condition of a day: what was found, whether it holds, and what to do if not."""

    name: str
    passed: bool
    found: str
    advice: str


@dataclass(frozen=True)
class ScoreTask:
    """One shard to be scored; see `score_shard`."""

    use_case: UseCase
    lake: Path
    day: str
    rows: str
    version: Version


def check_rows_of_day(checks: Checks, accounting: Mapping[str, Any] | None, where: str) -> list[DayCheck]:
    """The conditions that the rows of a day must meet before anything is predicted for it.

    Parameters
    ----------
    checks
        The conditions of the use case.
    accounting
        What was published with the day's rows; None if they were not.
    where
        Where the day's raw files are looked for.
    """
    a = accounting or {"files": 0, "files_read": 0, "files_refused": 0, "lines": 0, "rows": 0, "rejected": 0}
    adds_up = a["files"] == a["files_read"] + a["files_refused"] and a["lines"] == a["rows"] + a["rejected"]
    sums = f"{a['files']} files = {a['files_read']} read + {a['files_refused']} refused; "
    sums += f"{a['lines']} lines = {a['rows']} rows + {a['rejected']} rejected"
    rejected = a["rejected"] / max(1, a["lines"])
    refused = a["files_refused"] / max(1, a["files"])
    look = "look at `mlops-assets rejects`, mend or remove the files, run the day again"
    return [
        DayCheck("accounting_adds_up", adds_up, sums, "run the day again; if it stays so, report it with this line"),
        DayCheck(
            "day_is_not_empty",
            a["rows"] > 0,
            f"{a['rows']} rows of {a['files']} files",
            f"no file of the day has a good row; look in {where}, then run the day again",
        ),
        DayCheck(
            "reject_rate",
            rejected <= checks.reject_rate,
            f"{rejected:.2%} of lines rejected, allowed {checks.reject_rate:.2%}",
            look,
        ),
        DayCheck(
            "quarantine_rate",
            refused <= checks.quarantine_rate,
            f"{refused:.2%} of files refused, allowed {checks.quarantine_rate:.2%}",
            look,
        ),
    ]


def check_current(rows: Published | None, raw: Published | None) -> DayCheck:
    """Whether the published rows were read from the files that were listed last."""
    listed = raw.accounting["fingerprint"] if raw else "none"
    read = rows.accounting["manifest"] if rows else "none"
    found = f"files listed: {listed}, files read: {read}"
    return DayCheck("rows_are_current", listed == read, found, "materialise raw_files and rows of this day again")


def check_scores_of_day(checks: Checks, counts: Mapping[str, int], rows: int) -> list[DayCheck]:
    """The conditions that the predictions of a day must meet before they are published."""
    shares = {name: counts.get(UNSEEN + name, 0) / max(1, rows) for name in checks.unseen_share}
    said = ", ".join(f"{name} {share:.2%} of {checks.unseen_share[name]:.2%}" for name, share in shares.items())
    found = counts.get("predictions", 0)
    return [
        DayCheck(
            "every_row_predicted",
            found == rows,
            f"{found} predictions for {rows} rows",
            "run the day again; if it stays so, report it with this line",
        ),
        DayCheck(
            "unseen_categories",
            all(share <= checks.unseen_share[name] for name, share in shares.items()),
            f"values unseen in training, of those allowed: {said or 'no limit is set'}",
            "compare the day's categories with the training rows; retrain, or raise checks.unseen_share if it is right",
        ),
    ]


@dataclass(frozen=True)
class ScoredDay:
    """What came of scoring a day: its accounting and the conditions that were looked at."""

    accounting: dict[str, Any]
    checks: list[DayCheck]

    @property
    def problems(self) -> str:
        """The conditions that failed, each with what to do; empty if the day was published."""
        return "; ".join(f"{c.name}: {c.found} - {c.advice}" for c in self.checks if not c.passed)


def score_day(
    use_case: UseCase, lake: Lake, day: str, version: Version, engine: Engine, watch: Watch, where: str
) -> ScoredDay:
    """Score every row of a day and publish its predictions, if the day meets its conditions.

    Parameters
    ----------
    use_case
        The use case.
    lake
        The tables of the use case.
    day
        The day.
    version
        The model version that scores.
    engine
        Runs the shards.
    watch
        Is told of every finished shard.
    where
        Where the day's raw files lie, for messages.
    """
    rows, table = lake.table("rows"), lake.table("predictions")
    state = rows.days().get(day)
    checks = check_rows_of_day(use_case.checks, state.accounting if state else None, where)
    checks.append(check_current(state, lake.table("raw_files").days().get(day)))
    if state is None or not all(check.passed for check in checks):
        return ScoredDay({}, checks)
    replaces = table.parts(day)
    tasks = [ScoreTask(use_case, lake.root, day, path, version) for path in sorted(rows.parts(day))]
    reports = run_shards(engine, score_shard, tasks, watch)
    counts, _ = add_up(reports)
    checks += check_scores_of_day(use_case.checks, counts, state.accounting["rows"])
    scored = {name: number for name, number in counts.items() if name.startswith(UNSEEN)}
    scored["predictions"] = counts.get("predictions", 0)
    accounting = {**state.accounting, **scored, "model_version": version.version}
    if all(check.passed for check in checks):
        table.publish(day, parts_of(reports, "predictions"), SCHEMA, accounting, replaces)
    return ScoredDay({**accounting, "shards": len(reports), "reused": sum(r.reused for r in reports)}, checks)


def score_shard(task: ScoreTask) -> Report:
    """Score one shard, unless that was done before."""
    place = Path(task.rows)
    version = task.version
    mark = scores_mark(place.name, version)
    lake = Lake(task.lake, task.use_case.name)
    table = lake.table("predictions")

    def make() -> Made:
        rows = read_rows(lake.table("rows").folder / place)
        model = _load(version.folder / "serving", version.serving_sha256, task.use_case.training.trusted)
        stored = stored_features(lake, task.day, place.name, model.sql)
        predictions, unseen = predict(model, rows, task.day, task.use_case, version.version, stored)
        files = len(predictions["file"].chunk(0).dictionary) if predictions.num_rows else 0
        counts = {
            "files": files,
            "rows": rows.num_rows,
            "predictions": predictions.num_rows,
            **{UNSEEN + name: number for name, number in unseen.items()},
        }
        return Made({table: predictions}, counts)

    return finish(table, task.day, shard_number(task.rows), mark, make)


def scores_mark(rows: str, version: Version) -> str:
    """Fingerprint of all that the predictions of a shard depend on: the name of the part with its rows, model, code."""
    return fingerprint(rows, version.serving_sha256, version.version, code_fingerprint(*CODE))


@lru_cache(maxsize=2)
def _load(folder: Path, sha256: str, trusted: tuple[str, ...]) -> Model:
    return Model.load(folder, sha256, trusted)


def predict(
    model: Model, rows: pa.Table, day: str, use_case: UseCase, version: int, file_features: pa.Table | None = None
) -> tuple[pa.Table, dict[str, int]]:
    """One prediction for every row.

    Parameters
    ----------
    model
        The model; its own SQL makes its input.
    rows
        Rows of one shard in the schema of `rows_schema`.
    day
        Their day.
    use_case
        The use case.
    version
        Version number of the model.
    file_features
        Aggregates of these files by the model's SQL, if they are stored.

    Returns
    -------
    tuple
        The predictions in `SCHEMA`, in the order of the rows; how many values of each category
        were unseen in training.
    """
    said = np.zeros(rows.num_rows, np.int32)
    sure = np.zeros(rows.num_rows, np.float32)
    unseen: Counter[str] = Counter()
    for batch, places in compute(rows, day, use_case, model.sql, file_features):
        matrix = model.matrix(batch)
        probabilities = model.probabilities(matrix)
        numbers = model.decide(probabilities)
        said[places] = numbers
        sure[places] = probabilities[np.arange(len(numbers)), numbers]
        unseen.update(model.unseen(batch, matrix))
    account = rows[use_case.account]
    columns = [
        rows["file"].combine_chunks() if rows.num_rows else pa.array([], SCHEMA.field("file").type),
        rows["line"],
        account if pa.types.is_dictionary(account.type) else account.cast(pa.string()).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array(said), pa.array(model.classes, pa.string())),
        pa.array(sure),
        pa.array(np.full(rows.num_rows, version, np.int32)),
    ]
    return pa.table(columns, schema=SCHEMA), dict(unseen)
