"""In: the rows of a day and a model version. Out: its `predictions`, one for every row, or no change at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
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
from mlops_assets.journey.features.sql import compute, read_rows, stored_features
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.registry import Version
from mlops_assets.storage.accounting import (
    UNSEEN,
    ChallengerAccounting,
    ListingAccounting,
    PredictionsAccounting,
    ReadingAccounting,
)
from mlops_assets.storage.catalog import PREDICTIONS, Lake
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import Published, Table
from mlops_assets.use_case import Checks, UseCase
from mlops_assets.work.code import Code, code_of
from mlops_assets.work.shards import (
    DayDone,
    Engine,
    Made,
    Report,
    Watch,
    add_up,
    fingerprint,
    finish,
    keep_code,
    parts_of,
    run_shards,
    shard_number,
)

MODEL_TAG = "mlops_assets/model"
"""Tag of a run that says which model scores; see `Registry.choose`."""

CHALLENGER = Lake.challenger_predictions.name
"""The table of what the challenger says."""


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
    lake: Place
    day: str
    rows: str
    version: Version
    challenger: Version | None = None
    marks: Marks = field(default_factory=dict)


def check_rows_of_day(checks: Checks, accounting: ReadingAccounting | None, where: str) -> list[DayCheck]:
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
    a = accounting or ReadingAccounting()
    adds_up = a.files_add_up and a.lines_add_up
    sums = f"{a.files} files = {a.files_read} read + {a.files_refused} refused; "
    sums += f"{a.lines} lines = {a.rows} rows + {a.rejected} rejected"
    rejected = a.rejected / max(1, a.lines)
    refused = a.files_refused / max(1, a.files)
    look = "look at `mlops-assets rejects`, mend or remove the files, run the day again"
    return [
        DayCheck("accounting_adds_up", adds_up, sums, "run the day again; if it stays so, report it with this line"),
        DayCheck(
            "day_is_not_empty",
            a.rows > 0,
            f"{a.rows} rows of {a.files} files",
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


def check_current(rows: Published[ReadingAccounting] | None, raw: Published[ListingAccounting] | None) -> DayCheck:
    """Whether the published rows were read from the files that were listed last."""
    listed = raw.accounting.fingerprint if raw else "none"
    read = rows.accounting.manifest if rows else "none"
    found = f"files listed: {listed}, files read: {read}"
    return DayCheck("rows_are_current", listed == read, found, "materialise raw_files and rows of this day again")


def check_enriched(use_case: UseCase, found: DayAnswers | NotEnriched) -> list[DayCheck]:
    """Whether the rows were enriched as they are now, and enough of them; nothing to look at without enrichments.

    Parameters
    ----------
    use_case
        The use case.
    found
        The stored answers, or why they are of no use.
    """
    if not use_case.enrichments:
        return []
    if isinstance(found, NotEnriched):
        return [DayCheck("enrichments_are_current", False, str(found), "then run the day again")]
    said, enough = [], True
    for name, accounting in found.accounting.items():
        share, most = accounting.missing_share, use_case.enrichments[name].most_missing
        said.append(f"{name} {share:.2%} of {most:.2%}")
        enough &= share <= most
    advice = (
        "look at the problems of the enrichment; run the day again when its source answers, or raise `most_missing`"
    )
    versions = ", ".join(f"{name} of version {version}" for name, version in found.versions.items())
    return [
        DayCheck("enrichments_are_current", True, versions, ""),
        DayCheck("enrichment_missing", enough, f"rows without an answer, of those allowed: {', '.join(said)}", advice),
    ]


def check_scores_of_day(checks: Checks, counts: Mapping[str, int], rows: int) -> list[DayCheck]:
    """The conditions that the predictions of a day must meet before they are published."""
    shares = {name: counts.get(UNSEEN + name, 0) / max(1, rows) for name in checks.unseen_share}
    said = ", ".join(f"{name} {share:.2%} of {checks.unseen_share[name]:.2%}" for name, share in shares.items())
    found = counts.get(Lake.predictions.name, 0)
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
class ScoredDay(DayDone[PredictionsAccounting]):
    """What came of scoring a day: its accounting and the conditions that were looked at.

    Attributes
    ----------
    checks
        The conditions.
    challenger_version
        The version whose predictions were published beside; None if there was none, or it failed on rows of the day.
    """

    checks: list[DayCheck]
    challenger_version: int | None = None

    @classmethod
    def refused(cls, checks: list[DayCheck]) -> ScoredDay:
        """A day of which no shard was scored."""
        return cls(PredictionsAccounting(), 0, 0, checks)

    def numbers(self) -> dict[str, int]:
        """All its numbers, for a page."""
        beside = {} if self.challenger_version is None else {"challenger_version": self.challenger_version}
        return {**super().numbers(), **beside}

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
    rows, table = lake.rows, lake.predictions
    state = rows.days().get(day)
    checks = check_rows_of_day(use_case.checks, state.accounting if state else None, where)
    checks.append(check_current(state, lake.raw_files.days().get(day)))
    if state is None or not all(check.passed for check in checks):
        return ScoredDay.refused(checks)
    answers = _answers(use_case, lake, day, state, scorers)
    checks += check_enriched(use_case, answers)
    if isinstance(answers, NotEnriched) or not all(check.passed for check in checks):
        return ScoredDay.refused(checks)
    version, challenger = scorers.version, scorers.challenger
    replaces, beside = table.parts(day), lake.challenger_predictions
    beside_replaces = beside.parts(day)
    tasks = [
        ScoreTask(use_case, lake.root, day, path, version, challenger, answers.of(path))
        for path in sorted(rows.parts(day))
    ]
    reports = run_shards(engine, score_shard, tasks, watch)
    counts, _ = add_up(reports)
    checks += check_scores_of_day(use_case.checks, counts, state.accounting.rows)
    accounting = PredictionsAccounting(
        **vars(state.accounting),
        predictions=counts.get(table.name, 0),
        model_version=version.version,
        model_choice=scorers.choice,
        rows_version=state.version,
        unseen={name.removeprefix(UNSEEN): rows for name, rows in counts.items() if name.startswith(UNSEEN)},
        enrichments=dict(answers.versions),
        unanswered={name: one.unanswered for name, one in answers.accounting.items()},
    )
    scored = ScoredDay(accounting, len(reports), sum(report.reused for report in reports), checks)
    if scored.problems:
        return scored
    keep_code(lake, scores_code(use_case))
    table.publish(day, parts_of(reports, table), PREDICTIONS, accounting, replaces, scorers.run)
    if challenger is None or counts[beside.name] != accounting.predictions:
        return scored
    numbers = ChallengerAccounting(predictions=counts[beside.name], model_version=challenger.version)
    beside.publish(day, parts_of(reports, beside), PREDICTIONS, numbers, beside_replaces, scorers.run)
    return replace(scored, challenger_version=challenger.version)


def enrichments_of(use_case: UseCase, scorers: Scorers) -> list[str]:
    """The enrichments that the models' SQL names; a shard is scored again if what they say of it changed."""
    versions = [one for one in (scorers.version, scorers.challenger) if one is not None]
    return sorted({name for version in versions for name in needed(use_case, version.sql())})


def _answers(
    use_case: UseCase, lake: Lake, day: str, rows: Published[ReadingAccounting], scorers: Scorers
) -> DayAnswers | NotEnriched:
    """What the rows are enriched with."""
    try:
        return find_answers(use_case, lake, day, rows, enrichments_of(use_case, scorers))
    except NotEnriched as error:
        return error


def score_shard(task: ScoreTask) -> Report:
    """Score one shard, unless that was done before."""
    place = Path(task.rows)
    version, challenger = task.version, task.challenger
    mark = scores_mark(place.name, task.use_case, version, challenger, task.marks)
    lake = Lake(task.lake, task.use_case.name)
    table, beside = lake.predictions, lake.challenger_predictions

    def make() -> Made:
        rows = read_rows(lake.rows.folder / task.rows)
        model = load_cached(version, task.use_case)
        stored = partial(stored_features, lake, task.day, place.name, marks=task.marks)
        known = read_answers(lake, task.marks)
        answers = None
        if challenger is not None:
            with suppress(Exception):  # whatever is wrong with the challenger must not keep the day from its champion
                models = [model, load_cached(challenger, task.use_case)]
                answers = predict(models, rows, task.day, task.use_case, stored, known)
        answers = answers or predict([model], rows, task.day, task.use_case, stored, known)
        predictions = answers[0].table(rows, task.use_case, version.version)
        tables: dict[Table[Any], pa.Table] = {table: predictions}
        if challenger is not None and len(answers) == 2:
            tables[beside] = answers[1].table(rows, task.use_case, challenger.version)
        files = len(predictions["file"].chunk(0).dictionary) if predictions.num_rows else 0
        counts = {
            "files": files,
            "rows": rows.num_rows,
            table.name: predictions.num_rows,
            beside.name: tables[beside].num_rows if beside in tables else 0,
            **{UNSEEN + name: number for name, number in answers[0].unseen.items()},
        }
        return Made(tables, counts)

    return finish(table, task.day, shard_number(task.rows), mark, make, scores_code(task.use_case).fingerprint)


def scores_code(use_case: UseCase) -> Code:
    """The code that decides what a model says: of this step, and of the types of one's own that a model may hold."""
    return code_of(__name__, *(path.rpartition(".")[0] for path in use_case.training.trusted))


def scores_mark(
    rows: str, use_case: UseCase, version: Version, challenger: Version | None = None, marks: Marks = NOTHING
) -> str:
    """Fingerprint of what the predictions of a shard depend on: the part with its rows, code, models, answers."""
    beside = (challenger.serving_sha256, challenger.version) if challenger else ()
    code = scores_code(use_case).fingerprint
    return fingerprint(rows, version.serving_sha256, version.version, code, *beside, *sorted(marks.items()))


def load_cached(version: Version, use_case: UseCase) -> Model:
    """The model of a version, loaded once a process."""
    return _load(version.folder / "serving", version.serving_sha256, use_case.training.trusted)


@lru_cache(maxsize=3)
def _load(folder: Path, sha256: str, trusted: tuple[str, ...]) -> Model:
    return Model.load(folder, sha256, trusted)


class Answers:
    """What one model says of the rows of a shard, in their order.

    Attributes
    ----------
    model
        The model.
    said
        Class numbers.
    sure
        Probability of that class.
    unseen
        How many values of each category were unseen in training.
    """

    def __init__(self, model: Model, rows: int) -> None:
        self.model = model
        self.said = np.zeros(rows, np.int32)
        self.sure = np.zeros(rows, np.float32)
        self.unseen: Counter[str] = Counter()

    def add(self, batch: pa.Table, places: np.ndarray) -> None:
        """Answer for a batch of the model's input, whose rows have these places."""
        matrix = self.model.matrix(batch)
        probabilities = self.model.probabilities(matrix)
        numbers = self.model.decide(probabilities)
        self.said[places] = numbers
        self.sure[places] = probabilities[np.arange(len(numbers)), numbers]
        self.unseen.update(self.model.unseen(batch, matrix))

    def labels(self) -> pa.DictionaryArray:
        """The predicted labels."""
        return pa.DictionaryArray.from_arrays(pa.array(self.said), pa.array(self.model.classes, pa.string()))

    def table(self, rows: pa.Table, use_case: UseCase, version: int) -> pa.Table:
        """The predictions in `SCHEMA`."""
        account = rows[use_case.account]
        columns = [
            rows["file"].combine_chunks() if rows.num_rows else pa.array([], PREDICTIONS.field("file").type),
            rows["line"],
            account if pa.types.is_dictionary(account.type) else account.cast(pa.string()).dictionary_encode(),
            self.labels(),
            pa.array(self.sure),
            pa.array(np.full(rows.num_rows, version, np.int32)),
        ]
        return pa.table(columns, schema=PREDICTIONS)


def predict(
    models: Sequence[Model],
    rows: pa.Table,
    day: str,
    use_case: UseCase,
    stored: Callable[[str], pa.Table | None] = lambda _: None,
    enriched: Mapping[str, pa.Table] = NOTHING,
) -> list[Answers]:
    """What each model says of every row; models with the same SQL share their features.

    Parameters
    ----------
    models
        The models; the SQL of each makes its input.
    rows
        Rows of one shard in the schema of `rows_schema`.
    day
        Their day.
    use_case
        The use case.
    stored
        The stored aggregates of these files by an SQL, if there are any.
    enriched
        The answers of enrichments for the keys of these rows, by name.
    """
    answers = [Answers(model, rows.num_rows) for model in models]
    for sql in dict.fromkeys(model.sql for model in models):
        asked = [one for one in answers if one.model.sql == sql]
        for batch, places in compute(rows, day, use_case, sql, stored(sql), enriched):
            for one in asked:
                one.add(batch, places)
    return answers
