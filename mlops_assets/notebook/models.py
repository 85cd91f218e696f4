"""In: a use case. Out: as frames, its training sets, candidates and versions, why a row got its answer, a diff."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.journey.explain.comparison import compare_day
from mlops_assets.journey.explain.span import compare_published
from mlops_assets.journey.explain.why import explain
from mlops_assets.journey.train.records import Evaluation, GatheredRows
from mlops_assets.journey.train.scores import Score
from mlops_assets.notebook.finding import find, find_day, whole
from mlops_assets.notebook.frames import Frame, Library, frame_of, frame_of_records, see_library
from mlops_assets.notebook.own import find_training_set
from mlops_assets.views import diffs, histories, span_diffs
from mlops_assets.views import why as why_views
from mlops_assets.work.engines import Engines
from mlops_assets.work.progress import Progress

SETS = ("fingerprint", "made", "rows", "held_out", "first_day", "last_day", "classes", "features")
CANDIDATES = ("candidate", "chosen", "tied", "chosen_by", "rows_per_second", "failed")
VERSIONS = ("version", "state", "candidate", "made", "rows", "training_set", "reason")
ANSWERS = ("before", "after", "rows", "value", "labelled", "right_before", "right_after")


@dataclass(frozen=True)
class Why:
    """Why a row got its answer.

    Attributes
    ----------
    sentence
        The row and its answer in words.
    agrees
        Whether the answer, computed again, is the published one, to the bit.
    columns
        Every column of the contract: `column`, its `raw` text, its `value`.
    features
        Every column of the model's input, the strongest first: `name`, `value`, `unseen`, `strength`.
    probabilities
        That of every class, the highest first; no line where the answer is a number.
    """

    sentence: str
    agrees: bool
    columns: Frame
    features: Frame
    probabilities: Frame


@dataclass(frozen=True)
class Diff:
    """What differs between two versions, or between what is published and what was.

    Attributes
    ----------
    sentence
        What changes, in words.
    transitions
        Rows by old and new answer, and of those with a label how many each side has right; no line of numbers.
    accounts, examples
        The accounts most affected, and changed rows; no line where published days are compared.
    """

    sentence: str
    transitions: Frame
    accounts: Frame
    examples: Frame


def load_training_sets(use_case: str, *, frame: Library = "pandas") -> Frame:
    """Load a line for each training set, the oldest first; `load_training_set` loads one by its fingerprint.

    Parameters
    ----------
    use_case
        Name of the use case.
    frame
        `pandas` or `polars`.
    """
    see_library(frame)
    known: dict[str, dict[str, Any]] = {}
    for record in find(use_case).runs.every(GatheredRows):
        data = record.training_set
        known[data.fingerprint] = {
            "fingerprint": data.fingerprint,
            "made": record.made,
            "rows": data.rows,
            "held_out": data.held_out,
            "first_day": data.days[0],
            "last_day": data.days[1],
            "classes": len(data.classes),
            "features": len(data.features),
        }
    return frame_of_records(known.values(), frame, SETS)


def load_training_rows(use_case: str, fingerprint: str | None = None, *, frame: Library = "pandas") -> Frame:
    """Load the rows of a training set in one frame, as `features.sql` made them.

    Parameters
    ----------
    use_case
        Name of the use case.
    fingerprint
        Of the training set, or how it begins; the newest one if it is None.
    frame
        `pandas` or `polars`.

    Returns
    -------
    pandas.DataFrame or polars.DataFrame
        `day`, `file`, `line`, `account`, `label`, `held_out`, and the columns of `model_input`. Where one of these has
        such a name, it is the column of `model_input`, and the other one begins with `_`, such as `_account`.
    """
    see_library(frame)
    data = find_training_set(use_case, fingerprint)
    table = data.load()
    features = [name for name in table.column_names if name in data.features]
    keys = ["_day", "_file", "_line", "_account", "_label", "_held_out"]
    names = [key if key[1:] in features else key[1:] for key in keys]
    return frame_of(table.select([*keys, *features]).rename_columns([*names, *features]), frame)


def load_candidates(use_case: str, *, frame: Library = "pandas") -> Frame:
    """Load the candidates of the newest training, the best first, with their metrics.

    Parameters
    ----------
    use_case
        Name of the use case.
    frame
        `pandas` or `polars`.

    Returns
    -------
    pandas.DataFrame or polars.DataFrame
        `candidate`; whether it was `chosen`, and whether it is `tied` with the best one; `chosen_by`, the ranking
        metric on the rows that choose; `rows_per_second`; `failed`, why it could not be fitted; and every metric on
        the rows that test, which nobody asks of a candidate that was not chosen.

    Raises
    ------
    MlopsError
        If nothing was trained yet.
    """
    see_library(frame)
    stores = find(use_case)
    newest = stores.runs.newest(Evaluation)
    if newest is None:
        raise MlopsError(f"{use_case} was not trained yet: `mlops-assets run {use_case} --train`.")
    metric, tied = stores.use_case.training.metric, newest.choice.tied if newest.choice else ()
    lines = [_candidate(score, newest.best, tied, metric) for score in newest.scores]
    return frame_of_records(lines, frame, CANDIDATES)


def load_versions(use_case: str, *, frame: Library = "pandas") -> Frame:
    """Load a line for each version, with its metrics on the rows that test; see `mlops-assets history`.

    Parameters
    ----------
    use_case
        Name of the use case.
    frame
        `pandas` or `polars`.

    Returns
    -------
    pandas.DataFrame or polars.DataFrame
        `version`; `state`: `champion`, `waits`, `refused`, `fails`, `was` or `passed`; `candidate`, `made`, `rows`,
        `training_set`, `reason`, the word of the gate; and its metrics.
    """
    see_library(frame)
    known = histories.read(find(use_case))
    lines = [
        {"version": number, "state": known.state(number), **_known(asdict(summary)), **summary.metrics}
        for number, summary in known.versions.items()
    ]
    return frame_of_records(lines, frame, VERSIONS)


def why(use_case: str, day: str | dt.date, file: str, line: int, *, frame: Library = "pandas") -> Why:
    """Tell why a row got its answer, and compute the answer again; see `mlops-assets why`.

    Parameters
    ----------
    use_case
        Name of the use case.
    day, file, line
        The row, as predictions name it.
    frame
        `pandas` or `polars`.

    Raises
    ------
    MlopsError
        If the day is not published, or the row has no prediction.
    """
    see_library(frame)
    stores = find(use_case)
    key = find_day(stores, stores.lake.predictions, day)
    told = explain(
        stores.use_case, stores.source, stores.lake, stores.proven_version, key, str(file), whole("line", line)
    )
    # values of different types: as texts, which a column of a frame can hold together
    columns = [{"column": one.column, "raw": one.raw, "value": _text(one.value)} for one in told.cleaned]
    features = [{**asdict(one), "value": _text(one.value)} for one in told.features]
    probabilities = [{"class": name, "probability": value} for name, value in told.probabilities.items()]
    return Why(
        f"{use_case}, {key}, {file}, line {line}: {why_views.answer(told.prediction, told.probability, told.interval)}",
        told.agrees,
        frame_of_records(columns, frame, ("column", "raw", "value")),
        frame_of_records(features, frame, ("name", "value", "unseen", "strength")),
        frame_of_records(probabilities, frame, ("class", "probability")),
    )


def diff(
    use_case: str,
    day: str | dt.date | None = None,
    *,
    candidate: int | None = None,
    against: int | None = None,
    frame: Library = "pandas",
) -> Diff:
    """Tell what a version would change on a day, or what has changed; see `mlops-assets diff`.

    Parameters
    ----------
    use_case
        Name of the use case.
    day
        A published day; the newest one if it is None.
    candidate
        The version that might come; if it is None, what is published is compared with what was published before.
    against
        The version to compare with: the champion by default, or that of what was published before.
    frame
        `pandas` or `polars`.

    Raises
    ------
    UsageError
        If the candidate is the champion, and nothing else is named to compare it with.
    MlopsError
        If there is no such version, or nothing else was published of the day.
    """
    see_library(frame)
    stores = find(use_case)
    name, lake = stores.use_case.name, stores.lake
    candidate, against = (None if one is None else whole("a version", one) for one in (candidate, against))
    key = find_day(stores, lake.predictions if candidate is None else lake.rows, day)
    watch = Progress(f"{name} diff {key}", 0)
    with Engines(stores.settings) as engines:
        engine = engines.of(stores.use_case)
        if candidate is None:
            span = compare_published(stores.use_case, lake, [key], against, engine, watch)
            if not span.days:
                raise MlopsError("\n".join(f"{one}: {reason}" for one, reason in span.left_out.items()))
            told = span_diffs.content(span)
            sentence = f"{told['changed']:,} of {told['rows']:,} rows ({span.share:.2%}) have another answer."
            return _diff(sentence, told["flows"], [], [], frame)
        found = compare_day(stores.use_case, lake, key, *stores.sides(candidate, against), engine, watch)
    return _diff(diffs.summary(found), found.transitions, found.accounts, found.examples, frame)


def _diff(
    sentence: str, transitions: list[dict[str, Any]], accounts: list[Any], examples: list[Any], frame: Library
) -> Diff:
    of_accounts, of_examples = ("account_id", "rows", "value"), ("file", "line", "before", "after", "label", "value")
    return Diff(
        sentence,
        frame_of_records(transitions, frame, ANSWERS),
        frame_of_records(accounts, frame, of_accounts),
        frame_of_records(examples, frame, of_examples),
    )


def _candidate(score: Score, best: str | None, tied: tuple[str, ...], metric: str) -> dict[str, Any]:
    return {
        "candidate": score.name,
        "chosen": score.name == best,
        "tied": score.name in tied,
        "chosen_by": score.validation.get(metric),
        "rows_per_second": score.rows_per_second,
        "failed": score.failed,
        **score.metrics,
    }


def _known(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {name: summary[name] for name in VERSIONS if name in summary}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
