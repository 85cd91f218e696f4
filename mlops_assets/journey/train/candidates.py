"""In: a training set. Out: every candidate of the configuration, fitted on the same training rows."""

from __future__ import annotations

import json
import random
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import MlopsError
from mlops_assets.errors.redaction import redacted
from mlops_assets.journey.features.matrix import TEXT
from mlops_assets.journey.model.archive import Known
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.metrics import higher_is_better, load_metrics, measure
from mlops_assets.journey.train.origins import CHOOSES, first_test, order_of, rounds
from mlops_assets.journey.train.pipeline import build_pipeline
from mlops_assets.journey.train.recency import fit_weighted, recency
from mlops_assets.journey.train.training_set import TrainingSet, repeats
from mlops_assets.storage.places import Place
from mlops_assets.use_case import Candidate, UseCase, as_written, references

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

LONGEST = 300
"""Characters that are told of an error of somebody's class."""


class CandidatesFailed(MlopsError):
    """No candidate can be fitted, or the one with which all others are compared cannot."""


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
    """Fit every candidate of the configuration on what was known before the test; one that fails stops no other.

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
    rows, fitted = training_set.load(), []
    learned = int(first_test(training_set.origins, rows).sum())
    # one after the other: on a small machine, two fits at once would halve each other's pace and double the memory
    for number, (name, candidate) in enumerate(use_case.training.candidates.items(), 1):
        log(f"fitting {name} ({number} of {len(use_case.training.candidates)}) on {learned} rows")
        fitted.append(_fit_one(use_case, name, candidate, training_set, rows, folder / name))
        if fitted[-1].failed:
            log(f"{name} cannot be fitted: {fitted[-1].failed}")
    see_that_some_work(use_case, {candidate.name: candidate.failed for candidate in fitted})
    return fitted


def _fit_one(
    use_case: UseCase, name: str, candidate: Candidate, training_set: TrainingSet, rows: pa.Table, folder: Place
) -> Fitted:
    """One candidate, fitted and stored; or what keeps it from that."""
    try:
        chosen = choose(use_case, candidate, training_set, rows)
        train = rows.filter(pa.array(first_test(training_set.origins, rows)))
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


def fit(
    use_case: UseCase, candidate: Candidate, training_set: TrainingSet, rows: pa.Table, seed: int | None = None
) -> Model:
    """Fit a candidate on rows of a training set, each as often as it weighs and counting less the older it is.

    The vocabularies are of these rows. With a `seed`, every part that takes a `random_state` gets that one.
    """
    rows = rows.take(pa.array(repeats(rows)))
    # of these rows alone: in a fold, a value that only its test rows have must be as unknown as it would be tomorrow
    columns = vocabularies(rows, training_set.features, use_case.training.texts)
    pipeline = build_pipeline(candidate, columns, use_case.training.candidates)
    if seed is not None:
        pipeline.set_params(**dict.fromkeys(seeds_of(pipeline), seed))
    sql, threshold = use_case.features_sql, use_case.training.threshold
    told = tuple(references(use_case.at("training")))
    model = Model(pipeline, columns, training_set.classes, sql, threshold, told)
    with calm_fitting(seed or 0):
        weights = recency(order_of(rows), use_case.training.halves_in)
        fit_weighted(pipeline, model.matrix(rows), class_numbers(rows, training_set.classes), weights)
    return model


def unfitted(use_case: UseCase, candidate: Candidate, training_set: TrainingSet) -> Pipeline:
    """The pipeline of a candidate as it is before it has seen a row."""
    texts = use_case.training.texts
    columns: dict[str, Known] = {
        name: None if not is_text else TEXT if name in texts else () for name, is_text in training_set.features.items()
    }
    return build_pipeline(candidate, columns, use_case.training.candidates)


def seeds_of(pipeline: Pipeline) -> list[str]:
    """The arguments of a pipeline, at any depth, that are seeds."""
    arguments = pipeline.get_params(deep=True).items()
    # a text is how scikit-learn marks an argument that it is about to take away
    return [
        name
        for name, value in arguments
        if name.rpartition("__")[2] == "random_state" and (value is None or isinstance(value, int))
    ]


def choose(use_case: UseCase, candidate: Candidate, training_set: TrainingSet, rows: pa.Table) -> Candidate:
    """The candidate with the arguments that did best in the rounds that choose, if it asks for a search."""
    if not candidate.search:
        return candidate
    from sklearn.model_selection import ParameterGrid

    training = use_case.training
    choosing = [one for one in rounds(training_set.origins, rows, training) if one.part == CHOOSES]
    own, sign = load_metrics(training), 1 if higher_is_better(training.metric) else -1

    def found(tried: Candidate) -> float:
        values = []
        for one in choosing:
            model, asked = fit(use_case, tried, training_set, rows.take(pa.array(one.learned))), one.tested
            truth = class_numbers(rows.take(pa.array(asked)), model.classes)
            with calm_fitting():
                said = model.probabilities(model.matrix(rows.take(pa.array(asked))))
            measured = measure(truth, said, model.decide(said), model.classes, own, {training.metric})
            values.append(measured.get(training.metric, np.nan))
        return sign * float(np.mean(values)) if values else np.nan

    tries = [
        candidate.model_copy(update={"parameters": {**candidate.parameters, **chosen}})
        for chosen in ParameterGrid(candidate.search)
    ]
    # the first of equals; one without a value does worse than any
    return max(tries, key=lambda tried: np.nan_to_num(found(tried), nan=-np.inf))


def class_numbers(rows: pa.Table, classes: Sequence[str]) -> np.ndarray:
    """What an estimator learns of each row: its label as the number of its class; where there are none, a number."""
    if not classes:
        values: np.ndarray = rows["_label"].to_numpy()
        return values
    numbers: np.ndarray = pc.index_in(rows["_label"], value_set=pa.array(classes, pa.string())).to_numpy()
    return numbers.astype(np.int64)


@contextmanager
def calm_fitting(seed: int = 0) -> Iterator[None]:
    """Fit at one thread, always from the same seed, and without warnings about rare classes.

    A busy machine slows OpenMP down tenfold. The seed is for classes without a `random_state`, which take NumPy's or
    Python's own: the same rows must give the same model. That a class has few rows, or a category is new, is a fact of
    the data which the evaluation shows.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings(), threadpool_limits(1), _seeded(seed):
        warnings.filterwarnings("ignore", message=".*least populated class.*")
        warnings.filterwarnings("ignore", message=".*unknown categories.*")
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        yield


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The generators of the process at the same place each time; afterwards they go on where they were."""
    numbers, plain = np.random.get_state(), random.getstate()
    np.random.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(numbers)
        random.setstate(plain)
