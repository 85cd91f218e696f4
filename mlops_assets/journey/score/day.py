"""In: the rows of a day and a model version. Out: its `predictions`, one for every row, or no change at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
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
from mlops_assets.journey.model.carried import for_workers
from mlops_assets.journey.model.version import Version, libraries_of
from mlops_assets.journey.score.checks import (
    DayCheck,
    check_current,
    check_enriched,
    check_rows_of_day,
    check_scores_of_day,
    problems,
)
from mlops_assets.journey.score.loaded import load_cached
from mlops_assets.journey.score.predict import Predicted, Witnesses, answer, predict, together
from mlops_assets.journey.score.profile.watching import Watched, is_watched
from mlops_assets.journey.score.unpredicted import as_rejects
from mlops_assets.journey.score.vectors import classes_told, keepers, notes_of, predictions_of, schema_of
from mlops_assets.storage.accounting import (
    SQL_REJECTED,
    TOO_LARGE,
    UNSEEN,
    ChallengerAccounting,
    PredictionsAccounting,
    ReadingAccounting,
    named,
)
from mlops_assets.storage.catalog import PROFILES, REJECTS, Lake
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import Published, Table
from mlops_assets.use_case import UseCase
from mlops_assets.work.code import Code, code_of
from mlops_assets.work.shards import (
    DayDone,
    DayTask,
    Engine,
    Made,
    Needs,
    Report,
    Watch,
    add_up,
    files_of,
    fingerprint,
    finish,
    keep_code,
    parts_of,
    run_shards,
    shard_number,
)

MODEL_TAG = "mlops_assets/model"
"""Tag of a run that says which model scores; see `Registry.choose`."""

ACCEPT_TAG = "mlops_assets/accept_drift"
"""Tag of a run that says why a day is published although a lamp of it is red."""

CHALLENGER = Lake.challenger_predictions.name
"""The table of what the challenger says."""


class DayRefused(MlopsError):
    """A day does not meet its conditions; nothing of it was published."""


@dataclass(frozen=True)
class ScoreTask(DayTask):
    """One shard to be scored; see `score_shard`."""

    step = Lake.predictions.name
    use_case: UseCase
    lake: Place
    day: str
    rows: str
    version: Version
    challenger: Version | None = None
    marks: Marks = field(default_factory=dict)

    @property
    def needs(self) -> Needs:
        """What a machine needs for it."""
        return Needs(scores_roots(self.use_case), (self.lake / self.use_case.name,))

    def known_by(self) -> tuple[int, str]:
        """Its number, and the fingerprint of what its predictions depend on."""
        mark = scores_mark(Path(self.rows).name, self.use_case, self.version, self.challenger, self.marks)
        return shard_number(self.rows), mark

    def models(self) -> tuple[int, ...]:
        """The numbers of its versions."""
        return tuple(version.version for version in (self.version, self.challenger) if version is not None)


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
        return super().numbers() | ({"challenger_version": number} if (number := self.challenger_version) else {})

    @property
    def problems(self) -> str:
        """The conditions that failed, each with what to do; empty if the day was published."""
        return problems(self.checks)


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
    accepted_drift
        Why the day is to be published whatever lamp is red; empty where nobody said so.
    """

    version: Version
    choice: str = "current"
    challenger: Version | None = None
    run: str = ""
    accepted_drift: str = ""


Judge = Callable[[Sequence[str], PredictionsAccounting], Sequence[DayCheck]]
"""Says by the parts of its profiles and its accounting whether a day may be published; unwatched, it has no parts."""


def score_day(
    use_case: UseCase,
    lake: Lake,
    day: str,
    scorers: Scorers,
    engine: Engine,
    watch: Watch,
    where: str,
    judge: Judge | None = None,
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
    judge
        Is asked once every shard is scored; a day that fails a condition of it stays unpublished.
    """
    state = lake.rows.days().get(day)
    checks = check_rows_of_day(use_case.checks, state.accounting if state else None, where)
    checks.append(check_current(state, lake.raw_files.days().get(day)))
    # before the work: a day that may not be published is not scored for nothing
    if state is None or not _all_hold(checks):
        return ScoredDay.refused(checks)
    answers = _answers(use_case, lake, day, state, scorers)
    checks += check_enriched(use_case, answers)
    if isinstance(answers, NotEnriched) or not _all_hold(checks):
        return ScoredDay.refused(checks)
    # looked at before the work: should another run publish the day meanwhile, this one publishes nothing
    tables = lake.predictions, lake.challenger_predictions, lake.unpredicted, lake.profiles
    before = _PartsBefore(*(table.parts(day) for table in tables))
    version = for_workers(scorers.version, lake, engine)
    challenger = scorers.challenger and for_workers(scorers.challenger, lake, engine)
    tasks = [
        ScoreTask(use_case, lake.root, day, part, version, challenger, answers.of(part))
        for part in sorted(lake.rows.parts(day))
    ]
    reports = run_shards(engine, score_shard, tasks, watch)
    counts, _ = add_up(reports)
    checks += check_scores_of_day(use_case.checks, counts, state.accounting.rows)
    accounting = replace(_account(counts, scorers, state, answers), classes=classes_told(reports, lake.predictions))
    if judge is not None and _all_hold(checks):
        checks += judge([part.path for part in parts_of(reports, lake.profiles)], accounting)
    done = DayDone.of(accounting, reports)
    scored = ScoredDay(accounting, len(reports), done.reused, checks, repaired=done.repaired)
    # the shards stay: once the condition holds, the next run finds them done
    if not _all_hold(checks):
        return scored
    # before the day is published: of what readers see, `why` knows the code
    keep_code(lake, scores_code(use_case))
    return _publish(lake, day, scorers, reports, scored, before, schema_of(use_case))


def _all_hold(checks: Sequence[DayCheck]) -> bool:
    return all(check.passed for check in checks)


@dataclass(frozen=True)
class _PartsBefore:
    """The parts of a day that are published while it is scored."""

    predictions: set[str]
    challenger: set[str]
    unpredicted: set[str]
    profiles: set[str]


def _account(
    counts: Mapping[str, int], scorers: Scorers, rows: Published[ReadingAccounting], answers: DayAnswers
) -> PredictionsAccounting:
    """The accounting of the rows, and what there is to tell of the predictions made from them."""
    return PredictionsAccounting(
        # what the rows of later days are compared with belongs to the rows
        **vars(replace(rows.accounting, labels=())),
        predictions=counts.get(Lake.predictions.name, 0),
        model_version=scorers.version.version,
        model_choice=scorers.choice,
        rows_version=rows.version,
        sql_rejected=counts.get(SQL_REJECTED) or None,
        unseen=named(counts, UNSEEN),
        too_large=named(counts, TOO_LARGE),
        enrichments=dict(answers.versions),
        accepted_drift=scorers.accepted_drift or None,
        unanswered={name: accounting.unanswered for name, accounting in answers.accounting.items()},
    )


def _publish(
    lake: Lake,
    day: str,
    scorers: Scorers,
    reports: Sequence[Report],
    scored: ScoredDay,
    before: _PartsBefore,
    schema: pa.Schema,
) -> ScoredDay:
    """Publish what the champion said of the day, and what the challenger did if it has a word for every row."""
    table, beside, challenger = lake.predictions, lake.challenger_predictions, scorers.challenger
    parts = parts_of(reports, table)
    # first: a row without a prediction is never unexplained
    unpredicted = parts_of(reports, lake.unpredicted)
    if unpredicted or before.unpredicted:
        lake.unpredicted.publish(day, unpredicted, REJECTS, scored.accounting, before.unpredicted, scorers.run)
    profiles = parts_of(reports, lake.profiles)
    if profiles or before.profiles:
        lake.profiles.publish(day, profiles, PROFILES, scored.accounting, before.profiles, scorers.run)
    table.publish(day, parts, schema, scored.accounting, before.predictions, scorers.run)
    answered = add_up(reports)[0].get(beside.name, 0)
    if challenger is None or answered != scored.accounting.predictions:
        return scored
    classes = classes_told(reports, beside)
    numbers = ChallengerAccounting(predictions=answered, model_version=challenger.version, classes=classes)
    beside.publish(day, parts_of(reports, beside), schema, numbers, before.challenger, scorers.run)
    return replace(scored, challenger_version=challenger.version)


def enrichments_of(use_case: UseCase, scorers: Scorers) -> list[str]:
    """The enrichments that the models' SQL names; a shard is scored again if what they say of it changed."""
    versions = [version for version in (scorers.version, scorers.challenger) if version is not None]
    # by their own SQL, not that of today: an edit of `features.sql` scores no day again
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
    version, challenger = task.version, task.challenger
    lake = Lake(task.lake, task.use_case.name)
    table, beside = lake.predictions, lake.challenger_predictions

    def make() -> Made:
        rows = read_rows(lake.rows.folder / task.rows)
        model = load_cached(version, task.use_case)
        watched = Watched(version, model) if is_watched(task.use_case, version) else None
        keeping = keepers(task.use_case.scoring)
        predicted = _ask(task, lake, rows, together(watched.witnesses, keeping) if watched else keeping)
        answers, number = predicted.answers, version.version
        tables: dict[Table[Any], pa.Table] = {
            table: predictions_of(answers[0], predicted.rows, task.use_case, number),
            lake.unpredicted: as_rejects(predicted.left_out),
        }
        if watched is not None:
            tables[lake.profiles] = watched.entries(predicted, task.day, task.use_case.account)
        # one answer alone: the challenger could not be asked, see `_ask`
        if challenger is not None and len(answers) == 2:
            tables[beside] = predictions_of(answers[1], predicted.rows, task.use_case, challenger.version)
        counts = {
            "files": files_of(lake.rows.folder / task.rows),
            "rows": rows.num_rows,
            table.name: tables[table].num_rows,
            beside.name: tables[beside].num_rows if beside in tables else 0,
            SQL_REJECTED: len(predicted.left_out),
            **{UNSEEN + name: number for name, number in answers[0].unseen.items()},
            **{TOO_LARGE + name: number for name, number in answers[0].too_large.items()},
        }
        return Made(tables, counts, notes=notes_of(answers, table, beside))

    return finish(table, task.day, *task.known_by(), make, task.code())


def scores_code(use_case: UseCase) -> Code:
    """The code that decides what a model says: of this step, and of the types of one's own that a model may hold."""
    return code_of(*scores_roots(use_case))


def scores_roots(use_case: UseCase) -> tuple[str, ...]:
    """The modules that `scores_code` begins with."""
    return __name__, *(path.rpartition(".")[0] for path in use_case.training.trusted)


def _ask(task: ScoreTask, lake: Lake, rows: pa.Table, witnesses: Witnesses) -> Predicted:
    """What the champion says of the rows of a shard, and the challenger of the same, if there is one and it can."""
    stored = partial(stored_features, lake, task.day, Path(task.rows).name, marks=task.marks)
    enriched = read_answers(lake, task.marks)
    champion, of_day = load_cached(task.version, task.use_case), (task.day, task.use_case)
    if task.challenger is None:
        return predict([champion], rows, *of_day, stored, enriched, witnesses)
    with suppress(Exception):  # whatever is wrong with the challenger must not keep the day from its champion
        models = [champion, load_cached(task.challenger, task.use_case)]
        return Predicted(rows, answer(models, rows, *of_day, stored, enriched, witnesses))
    # it is for the champion to say which rows are left out
    predicted = predict([champion], rows, *of_day, stored, enriched, witnesses)
    if predicted.left_out:
        with suppress(Exception):
            challenger = load_cached(task.challenger, task.use_case)
            beside = answer([challenger], predicted.rows, *of_day, enriched=enriched, witnesses=witnesses)
            return replace(predicted, answers=[*predicted.answers, *beside])
    return predicted


def scores_mark(
    rows: str, use_case: UseCase, version: Version, challenger: Version | None = None, marks: Marks = NOTHING
) -> str:
    """Fingerprint of what the predictions of a shard depend on: the part with its rows, code, models, answers.

    Where the shard is watched, also of what its profile depends on: the two are made together.
    """
    beside: tuple[object, ...] = (challenger.serving_sha256, challenger.version) if challenger else ()
    if is_watched(use_case, version):
        beside = *beside, version.about.reference
    code, beside = scores_code(use_case).fingerprint, (*beside, *libraries_of(version, challenger))
    # the number as well as the hash, for it stands in every row
    return fingerprint(
        rows, version.serving_sha256, version.version, code, *beside, *sorted(marks.items()), *use_case.scoring.mark
    )
