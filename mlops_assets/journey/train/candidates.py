"""In: a training set. Out: every candidate of the configuration, fitted on the same training rows."""

from __future__ import annotations

import json
import random
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import ConfigError, MlopsError
from mlops_assets.errors.redaction import redacted
from mlops_assets.journey.features.matrix import TEXT
from mlops_assets.journey.model.archive import Known
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.score.profile.bins import BEYOND_ASCII
from mlops_assets.journey.train.metrics import scorer
from mlops_assets.journey.train.pipeline import build_pipeline
from mlops_assets.journey.train.training_set import TrainingSet, fold_indices, repeats
from mlops_assets.storage.places import Place
from mlops_assets.use_case import Candidate, UseCase, as_written, references

LONGEST = 300
"""Characters that are told of an error of somebody's class."""


class CandidatesFailed(MlopsError):
    """No candidate can be fitted, or the one with which all others are compared cannot."""


def check_columns(use_case: UseCase, columns: Mapping[str, bool]) -> None:
    """See that the columns which the configuration names are there, and are of the right kind.

    Parameters
    ----------
    use_case
        The use case.
    columns
        The columns of `model_input`: whether one is of text.

    Raises
    ------
    ConfigError
        If one is not; the message has its key and the columns that there are.
    """
    unknown, not_alone = _unknown_columns(use_case, columns), _texts_with_company(use_case)
    for key, problem in chain(unknown, not_alone, _misused_texts(use_case, columns), _unwatched(use_case, columns)):
        raise ConfigError(f"{use_case.name}: {key}: {problem}")  # the first is enough: the next may follow from it


def _unknown_columns(use_case: UseCase, columns: Collection[str]) -> Iterator[tuple[str, str]]:
    """Keys that name a column which `features.sql` does not make, each with the problem."""
    named = [("checks.unseen_share", tuple(use_case.checks.unseen_share)), ("training.texts", use_case.training.texts)]
    for key, names in (*named, *_prepared(use_case)):
        for name in names:
            if name not in columns:
                yield key, f"features.sql makes no column {name!r}; it makes {', '.join(columns)}"


def _texts_with_company(use_case: UseCase) -> Iterator[tuple[str, str]]:
    """Preparations of a text and something else, each with the problem."""
    texts = use_case.training.texts
    for key, names in _prepared(use_case):
        among = [name for name in names if name in texts]
        if among and len(names) > 1:  # scikit-learn's vectorizers take one column of texts, and nothing beside it
            problem = f"{among[0]!r} is among `training.texts`, so it is prepared alone: one preparation a text"
            yield key, f"{problem}; columns: [{', '.join(names)}]"


def _misused_texts(use_case: UseCase, columns: Mapping[str, bool]) -> Iterator[tuple[str, str]]:
    """Keys that take a text for something else, each with the problem."""
    texts = use_case.training.texts
    for name in use_case.checks.unseen_share:
        if name in texts:
            problem = f"{name!r} is among `training.texts`, and a text is no category whose values could be unseen"
            yield "checks.unseen_share", problem
    for name in texts:
        if not columns[name]:
            yield "training.texts", f"features.sql makes a number of {name!r}; a text is needed"


def _unwatched(use_case: UseCase, columns: Collection[str]) -> Iterator[tuple[str, str]]:
    """Columns that `drift` names and nobody counts, each with the problem: its floor would hold for nothing."""
    counted = [*dict.fromkeys([*use_case.columns, *columns])]
    known = {*counted, *(name + BEYOND_ASCII for name in counted)}
    for key, names in {"columns": use_case.drift.columns, "ignore": use_case.drift.ignore}.items():
        for name in names:
            if name not in known:
                near = " or ".join(map(repr, get_close_matches(name, counted, 3)))
                problem = f"neither the contract nor features.sql has a column {name!r}"
                yield f"drift.{key}", problem + (f"; is it {near}?" if near else f"; they have {', '.join(counted)}")


def _prepared(use_case: UseCase) -> Iterator[tuple[str, Sequence[str]]]:
    """The keys of all preparations that name columns, with these."""
    for name, candidate in use_case.training.candidates.items():
        for preparation in candidate.prepare:
            if not isinstance(preparation.columns, str):
                yield f"training.candidates.{name}.prepare", preparation.columns


def vocabularies(rows: pa.Table, features: Mapping[str, bool], texts: Collection[str] = ()) -> dict[str, Known]:
    """For each column of the model: the values of a category by falling frequency, or what else is known of it."""
    columns: dict[str, Known] = {}
    for name, is_text in features.items():
        if not is_text:
            columns[name] = None
        elif name in texts:
            columns[name] = TEXT
        else:
            columns[name] = _by_frequency(rows[name])
    return columns


def _by_frequency(column: pa.ChunkedArray) -> tuple[str, ...]:
    """The distinct values of a column, those that come most often first; equally frequent ones in their order."""
    counted = pc.value_counts(column.drop_null()).to_pylist()
    return tuple(pair["values"] for pair in sorted(counted, key=lambda pair: (-pair["counts"], pair["values"])))


@dataclass(frozen=True)
class Fitted:
    """A candidate fitted on the training rows.

    Attributes
    ----------
    name
        Its name in the configuration.
    folder, sha256
        Where it is stored; see `Model.load`.
    parameters
        Arguments of its classifier, those found by search included.
    fit_seconds
        Time to fit it once.
    size
        Bytes of the stored estimator.
    failed
        The error with which it could not be fitted; empty if it was.
    """

    name: str
    folder: str
    sha256: str
    parameters: dict[str, Any]
    fit_seconds: float
    size: int
    failed: str = ""


def _silent(_: str) -> None:
    """Says nothing."""


def fit_candidates(
    use_case: UseCase, training_set: TrainingSet, folder: Place, log: Callable[[str], None] = _silent
) -> list[Fitted]:
    """Fit every candidate of the configuration on the same training rows; one that fails does not stop the others.

    Parameters
    ----------
    use_case
        The use case.
    training_set
        Rows and split.
    folder
        Where the fitted models are stored, a folder each.
    log
        Is told what is being done.

    Raises
    ------
    CandidatesFailed
        If the baseline cannot be fitted, or nothing beside it.
    """
    rows = training_set.load()
    train = rows.filter(pc.invert(rows["_held_out"]))
    fitted = []
    # one after the other: on a small machine, two fits at once would halve each other's pace and double the memory
    for number, (name, candidate) in enumerate(use_case.training.candidates.items(), 1):
        log(f"fitting {name} ({number} of {len(use_case.training.candidates)}) on {len(train)} rows")
        fitted.append(_fit_one(use_case, name, candidate, training_set, train, folder / name))
        if fitted[-1].failed:
            log(f"{name} cannot be fitted: {fitted[-1].failed}")
    see_that_some_work(use_case, {candidate.name: candidate.failed for candidate in fitted})
    return fitted


def _fit_one(
    use_case: UseCase, name: str, candidate: Candidate, training_set: TrainingSet, train: pa.Table, folder: Place
) -> Fitted:
    """One candidate, fitted and stored; or what keeps it from that."""
    try:
        chosen = choose(use_case, candidate, training_set, train)
        began = time.perf_counter()
        model = fit(use_case, chosen, training_set, train)
        seconds = time.perf_counter() - began
        sha256 = model.save(folder)
    except MlopsError:  # the configuration is wrong, which no other candidate makes up for
        raise
    except Exception as error:  # a class of anybody's may fail in any way on these rows
        return Fitted(name, "", "", _as_written(use_case, name, candidate), 0.0, 0, in_short(error))
    size = sum(path.stat().st_size for path in folder.iterdir())
    return Fitted(name, str(folder), sha256, _as_written(use_case, name, chosen), round(seconds, 3), size)


def _as_written(use_case: UseCase, name: str, chosen: Candidate) -> dict[str, Any]:
    """The parameters of a candidate as they are stored, those that a search chose among them."""
    written = use_case.at("training", "candidates", name, "parameters")
    parameters = dict(as_written(chosen.parameters, written))
    for argument, values in chosen.search.items():
        if argument in parameters and chosen.parameters[argument] in values:
            position = values.index(chosen.parameters[argument])
            parameters[argument] = _offered(use_case, name, chosen, argument)[position]
    return parameters


def _offered(use_case: UseCase, name: str, candidate: Candidate, argument: str) -> list[Any]:
    """The values among which a search chooses, as they are written."""
    written = use_case.at("training", "candidates", name, "search", argument)
    return list(as_written(candidate.search[argument], written))


def as_fitted(use_case: UseCase, name: str, parameters: Mapping[str, Any], what: str) -> Candidate:
    """A candidate of a configuration, with what a search chose for it.

    Parameters
    ----------
    use_case
        Has the configuration.
    name
        Of the candidate.
    parameters
        What a document of the lake, or a card, says that it was fitted with, as it was written. That only chooses among
        what the configuration offers: no argument is taken from what was stored.
    what
        What says so, for the message.

    Raises
    ------
    MlopsError
        If there is no such candidate, or it is said to have an argument that the configuration does not offer.
    """
    candidates = use_case.training.candidates
    candidate = candidates.get(name)
    if candidate is None:
        raise MlopsError(f"{what}: training.candidates has no {name!a}; it has {', '.join(candidates)}.")
    chosen = dict(candidate.parameters)
    for argument, offered in candidate.search.items():
        said = _as_stored(parameters.get(argument))
        for value, written in zip(offered, _offered(use_case, name, candidate, argument), strict=True):
            if _as_stored(written) == said:
                chosen[argument] = value
    found = candidate.model_copy(update={"parameters": chosen})
    ours = _as_written(use_case, name, found)
    for argument in {**ours, **parameters}:
        given = parameters.get(argument)
        if argument not in ours or _as_stored(ours[argument]) != _as_stored(given):
            raise MlopsError(
                f"{what}: {name} was fitted with {argument!a} = {str(given)[:100]!a}, which training.candidates.{name} "
                "does not offer. If the configuration was changed since, train again; else somebody changed what was "
                "stored."
            )
    return found


def _as_stored(value: Any) -> str:
    """A value as JSON gives it back, keys in their order: equal texts are equal values, NaN too."""
    return json.dumps(json.loads(json.dumps(value, default=str)), sort_keys=True)


def in_short(error: Exception) -> str:
    """An error of somebody's class, in one line; it may quote an argument, and an argument may be a secret."""
    return redacted(f"{type(error).__name__}: {' '.join(str(error).split())}")[:LONGEST]


def see_that_some_work(use_case: UseCase, failed: Mapping[str, str]) -> None:
    """See that the baseline works, and a candidate beside it.

    Parameters
    ----------
    use_case
        The use case.
    failed
        For every candidate the error with which it failed; empty if it did not.

    Raises
    ------
    CandidatesFailed
        If it is not so.
    """
    baseline, why = use_case.training.baseline, "; ".join(f"{name}: {error}" for name, error in failed.items() if error)
    if failed[baseline]:
        raise CandidatesFailed(
            f"{use_case.name}: the baseline, {baseline}, with which all others are compared, fails ({why}). "
            f"Mend training.candidates.{baseline}, or name another one in training.baseline."
        )
    if why and all(error for name, error in failed.items() if name != baseline):
        raise CandidatesFailed(f"{use_case.name}: every candidate beside the baseline fails ({why}). Mend one of them.")


def fit(use_case: UseCase, candidate: Candidate, training_set: TrainingSet, rows: pa.Table) -> Model:
    """Fit a candidate on rows of a training set, each as often as it weighs; the vocabularies are theirs."""
    rows = rows.take(pa.array(repeats(rows)))
    # of these rows alone: in a fold, a value that only its test rows have must be as unknown as it would be tomorrow
    columns = vocabularies(rows, training_set.features, use_case.training.texts)
    pipeline = build_pipeline(candidate, columns, use_case.training.candidates)
    sql, threshold = use_case.features_sql, use_case.training.threshold
    told = tuple(references(use_case.at("training")))
    model = Model(pipeline, columns, training_set.classes, sql, threshold, told)
    with calm_fitting():
        pipeline.fit(model.matrix(rows), class_numbers(rows, training_set.classes))
    return model


def choose(use_case: UseCase, candidate: Candidate, training_set: TrainingSet, rows: pa.Table) -> Candidate:
    """The candidate with the arguments that did best over the folds, if it asks for a search."""
    if not candidate.search:
        return candidate
    from sklearn.model_selection import GridSearchCV

    columns = vocabularies(rows, training_set.features, use_case.training.texts)
    pipeline = build_pipeline(candidate, columns, use_case.training.candidates)
    model = Model(pipeline, columns, training_set.classes, "")
    # learned from as often as it weighs, tested on once
    positions = repeats(rows)
    once = np.append(True, positions[1:] != positions[:-1])
    fold, split = rows["_fold"].to_numpy()[positions], use_case.training.split.by
    folds = [(train, test[once[test]]) for train, test in fold_indices(fold, use_case.training.folds, split)]
    rows = rows.take(pa.array(positions))
    grid = {f"model__{name}": values for name, values in candidate.search.items()}
    # not fitted again here: `fit` does it, with the vocabularies of all training rows
    search = GridSearchCV(model.estimator, grid, cv=folds, scoring=scorer(use_case.training, model), refit=False)
    with calm_fitting():
        search.fit(model.matrix(rows), class_numbers(rows, training_set.classes))
    best = {name.removeprefix("model__"): value for name, value in search.best_params_.items()}
    return candidate.model_copy(update={"parameters": {**candidate.parameters, **best}})


def class_numbers(rows: pa.Table, classes: Sequence[str]) -> np.ndarray:
    """What an estimator learns of each row: its label as the number of its class; where there are none, a number."""
    if not classes:
        values: np.ndarray = rows["_label"].to_numpy()
        return values
    numbers: np.ndarray = pc.index_in(rows["_label"], value_set=pa.array(classes, pa.string())).to_numpy()
    return numbers.astype(np.int64)


@contextmanager
def calm_fitting() -> Iterator[None]:
    """Fit at one thread, always from the same seed, and without warnings about rare classes.

    A busy machine slows OpenMP down tenfold. The seed is for classes without a `random_state`, which take NumPy's or
    Python's own: the same rows must give the same model. That a class has few rows, or a category is new, is a fact of
    the data which the evaluation shows.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings(), threadpool_limits(1), _seeded():
        warnings.filterwarnings("ignore", message=".*least populated class.*")
        warnings.filterwarnings("ignore", message=".*unknown categories.*")
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        yield


@contextmanager
def _seeded() -> Iterator[None]:
    """The generators of the process at the same place each time; afterwards they go on where they were."""
    numbers, plain = np.random.get_state(), random.getstate()
    np.random.seed(0)
    random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(numbers)
        random.setstate(plain)
