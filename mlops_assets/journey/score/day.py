"""In: the rows of a day and a model version. Out: its `predictions`, one for every row, or no change at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlops_assets.errors import MlopsError
from mlops_assets.journey.enrich.answers import (
    NOTHING,
    DayAnswers,
    Marks,
    NotEnriched,
    find_answers,
    needed,
    read_answers,
)
from mlops_assets.journey.features.day import stored_features
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.registry import Version
from mlops_assets.journey.score.checks import (
    UNSEEN,
    DayCheck,
    check_current,
    check_enriched,
    check_rows_of_day,
    check_scores_of_day,
)
from mlops_assets.journey.score.predict import SCHEMA, Answers, predict
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import Lake, Published
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import (
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

MODEL_TAG = "mlops_assets/model"
"""Tag of a run that says which model scores; see `Registry.choose`."""

CHALLENGER = "challenger_predictions"
"""The table of what the challenger says."""

CODE = (
    "mlops_assets.journey.score.day",
    "mlops_assets.journey.score.predict",
    "mlops_assets.journey.features.sql",
    "mlops_assets.journey.features.matrix",
    "mlops_assets.journey.features.shard",
    "mlops_assets.journey.model.model",
)


class DayRefused(MlopsError):
    """A day does not meet its conditions; nothing of it was published."""


@dataclass(frozen=True)
class ScoreTask:
    """One shard to be scored; see `score_shard`."""

    use_case: UseCase
    lake: Place
    day: str
    rows: str
    version: Version
    challenger: Version | None = None
    marks: Marks = field(default_factory=dict)


@dataclass(frozen=True)
class ScoredDay:
    """What came of scoring a day: its accounting and the conditions that were looked at."""

    accounting: dict[str, Any]
    checks: list[DayCheck]

    @property
    def problems(self) -> str:
        """The conditions that failed, each with what to do; empty if the day was published."""
        return "; ".join(f"{c.name}: {c.found} - {c.advice}" for c in self.checks if not c.passed)


@dataclass(frozen=True)
class Scorers:
    """The versions that score a day, and how they were chosen.

    Attributes
    ----------
    version
        The version whose predictions are published.
    choice
        `current` for the present champion, `as-of` for the champion of that day, or the number that was asked for.
    challenger
        A version that scores beside it; its predictions go to `challenger_predictions`.
    run
        The run that scores, for `why`.
    """

    version: Version
    choice: str = "current"
    challenger: Version | None = None
    run: str = ""


def score_day(
    use_case: UseCase, lake: Lake, day: str, scorers: Scorers, engine: Engine, watch: Watch, where: str
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
    scorers
        The model versions.
    engine
        Runs the shards.
    watch
        Is told of every finished shard.
    where
        Where the day's raw files lie, for messages.
    """
    state = lake.table("rows").days().get(day)
    checks = check_rows_of_day(use_case.checks, state.accounting if state else None, where)
    checks.append(check_current(state, lake.table("raw_files").days().get(day)))
    if state is None or not _all_hold(checks):
        return ScoredDay({}, checks)
    answers = _answers(use_case, lake, day, state, scorers)
    checks += check_enriched(use_case, answers)
    if isinstance(answers, NotEnriched) or not _all_hold(checks):
        return ScoredDay({}, checks)
    # looked at before the work: should another run publish the day meanwhile, this one publishes nothing
    before = {name: lake.table(name).parts(day) for name in ("predictions", CHALLENGER)}
    parts = sorted(lake.table("rows").parts(day))
    versions = scorers.version, scorers.challenger
    tasks = [ScoreTask(use_case, lake.root, day, part, *versions, answers.of(part)) for part in parts]
    reports = run_shards(engine, score_shard, tasks, watch)
    counts, _ = add_up(reports)
    checks += check_scores_of_day(use_case.checks, counts, state.accounting["rows"])
    accounting = {**state.accounting, **_scored(counts, scorers, state), **_enriched_with(answers)}
    if _all_hold(checks):
        accounting = _publish(lake, day, scorers, reports, accounting, before)
    return ScoredDay({**accounting, "shards": len(reports), "reused": sum(r.reused for r in reports)}, checks)


def _all_hold(checks: Sequence[DayCheck]) -> bool:
    return all(check.passed for check in checks)


def _scored(counts: Mapping[str, int], scorers: Scorers, rows: Published) -> dict[str, Any]:
    """What the accounting tells of the predictions: how many, of values unseen, by which version from which rows."""
    return {
        **{name: number for name, number in counts.items() if name.startswith(UNSEEN)},
        "predictions": counts.get("predictions", 0),
        "model_version": scorers.version.version,
        "model_choice": scorers.choice,
        "rows_version": rows.version,
    }


def _publish(
    lake: Lake,
    day: str,
    scorers: Scorers,
    reports: Sequence[Report],
    accounting: dict[str, Any],
    before: Mapping[str, Any],
) -> dict[str, Any]:
    """Publish what the champion said of the day, and what the challenger did if it has a word for every row."""
    table, beside = lake.table("predictions"), lake.table(CHALLENGER)
    table.publish(day, parts_of(reports, table.name), SCHEMA, accounting, before[table.name], scorers.run)
    challenger, counts = scorers.challenger, add_up(reports)[0]
    if challenger is None or counts[CHALLENGER] != counts["predictions"]:
        return accounting
    numbers = {"predictions": counts[CHALLENGER], "model_version": challenger.version}
    beside.publish(day, parts_of(reports, beside.name), SCHEMA, numbers, before[beside.name], scorers.run)
    return {**accounting, "challenger_version": challenger.version}


def enrichments_of(use_case: UseCase, scorers: Scorers) -> list[str]:
    """The enrichments that the models' SQL names; a shard is scored again if what they say of it changed."""
    versions = [one for one in (scorers.version, scorers.challenger) if one is not None]
    return sorted({name for version in versions for name in needed(use_case, version.sql())})


def _answers(use_case: UseCase, lake: Lake, day: str, rows: Published, scorers: Scorers) -> DayAnswers | NotEnriched:
    """What the rows are enriched with."""
    try:
        return find_answers(use_case, lake, day, rows, enrichments_of(use_case, scorers))
    except NotEnriched as error:
        return error


def _enriched_with(answers: DayAnswers) -> dict[str, Any]:
    """What the accounting tells of enrichments: their versions, for `why`, and rows by how they were answered."""
    enriched: dict[str, Any] = {"enrichments": dict(answers.versions)} if answers.versions else {}
    for name, accounting in answers.accounting.items():
        enriched[f"{name}_last_known"] = accounting["rows_last_known"]
        enriched[f"{name}_missing"] = accounting["rows_missing"] + accounting["rows_without_key"]
    return enriched


def score_shard(task: ScoreTask) -> Report:
    """Score one shard, unless that was done before."""
    version, challenger = task.version, task.challenger
    mark = scores_mark(Path(task.rows).name, version, challenger, task.marks)
    lake = Lake(task.lake, task.use_case.name)
    table, beside = lake.table("predictions"), lake.table(CHALLENGER)

    def make() -> Made:
        rows = read_rows(lake.table("rows").folder / task.rows)
        answers = _ask(task, lake, rows)
        tables = {table: answers[0].table(rows, task.use_case, version.version)}
        if challenger is not None and len(answers) == 2:
            tables[beside] = answers[1].table(rows, task.use_case, challenger.version)
        counts = {
            "files": len(rows["file"].chunk(0).dictionary) if rows.num_rows else 0,
            "rows": rows.num_rows,
            "predictions": tables[table].num_rows,
            CHALLENGER: tables[beside].num_rows if beside in tables else 0,
            **{UNSEEN + name: number for name, number in answers[0].unseen.items()},
        }
        return Made(tables, counts)

    return finish(table, task.day, shard_number(task.rows), mark, make)


def _ask(task: ScoreTask, lake: Lake, rows: pa.Table) -> list[Answers]:
    """What the champion says of the rows of a shard, and the challenger, if there is one and it can."""
    stored = partial(stored_features, lake, task.day, Path(task.rows).name, marks=task.marks)
    enriched = read_answers(lake, task.marks)
    champion = load_cached(task.version, task.use_case)
    if task.challenger is not None:
        with suppress(Exception):  # whatever is wrong with the challenger must not keep the day from its champion
            models = [champion, load_cached(task.challenger, task.use_case)]
            return predict(models, rows, task.day, task.use_case, stored, enriched)
    return predict([champion], rows, task.day, task.use_case, stored, enriched)


def scores_mark(rows: str, version: Version, challenger: Version | None = None, marks: Marks = NOTHING) -> str:
    """Fingerprint of what the predictions of a shard depend on: the part with its rows, models, code, answers."""
    beside = (challenger.serving_sha256, challenger.version) if challenger else ()
    code = code_fingerprint(*CODE)
    return fingerprint(rows, version.serving_sha256, version.version, code, *beside, *sorted(marks.items()))


def load_cached(version: Version, use_case: UseCase) -> Model:
    """The model of a version, loaded once a process."""
    return _load(version.folder / "serving", version.serving_sha256, use_case.training.trusted)


@lru_cache(maxsize=3)
def _load(folder: Path, sha256: str, trusted: tuple[str, ...]) -> Model:
    return Model.load(folder, sha256, trusted)
