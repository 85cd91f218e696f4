"""In: a training set. Out: every candidate of the configuration, fitted on the same training rows."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import ConfigError
from mlops_assets.journey.features.matrix import TEXT
from mlops_assets.journey.model.archive import Known
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.metrics import scorer
from mlops_assets.journey.train.pipeline import build_pipeline
from mlops_assets.journey.train.training_set import TrainingSet, fold_indices, repeats
from mlops_assets.storage.places import Place
from mlops_assets.use_case import Candidate, UseCase


def check_columns(use_case: UseCase, columns: Mapping[str, bool]) -> None:
    """See that the columns which the configuration names are made by `features.sql`, and are of the right kind.

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
    for key, problem in chain(unknown, not_alone, _misused_texts(use_case, columns)):
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
    """

    name: str
    folder: str
    sha256: str
    parameters: dict[str, Any]
    fit_seconds: float
    size: int


def _silent(_: str) -> None:
    """Says nothing."""


def fit_candidates(
    use_case: UseCase, training_set: TrainingSet, folder: Place, log: Callable[[str], None] = _silent
) -> list[Fitted]:
    """Fit every candidate of the configuration on the same training rows.

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
    """
    rows = training_set.load()
    train = rows.filter(pc.invert(rows["_held_out"]))
    fitted = []
    # one after the other: on a small machine, two fits at once would halve each other's pace and double the memory
    for number, (name, candidate) in enumerate(use_case.training.candidates.items(), 1):
        log(f"fitting {name} ({number} of {len(use_case.training.candidates)}) on {len(train)} rows")
        chosen = choose(use_case, candidate, training_set, train)
        began = time.perf_counter()
        model = fit(use_case, chosen, training_set, train)
        seconds = time.perf_counter() - began
        own = folder / name
        sha256 = model.save(own)
        size = sum(path.stat().st_size for path in own.iterdir())
        fitted.append(Fitted(name, str(own), sha256, chosen.parameters, round(seconds, 3), size))
    return fitted


def fit(use_case: UseCase, candidate: Candidate, training_set: TrainingSet, rows: pa.Table) -> Model:
    """Fit a candidate on rows of a training set, each as often as it weighs; the vocabularies are theirs."""
    rows = rows.take(pa.array(repeats(rows)))
    # of these rows alone: in a fold, a value that only its test rows have must be as unknown as it would be tomorrow
    columns = vocabularies(rows, training_set.features, use_case.training.texts)
    pipeline = build_pipeline(candidate, columns, use_case.training.candidates)
    sql, threshold = use_case.features_sql, use_case.training.threshold
    model = Model(pipeline, columns, training_set.classes, sql, threshold)
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
    """The label of each row as the number of its class."""
    numbers: np.ndarray = pc.index_in(rows["_label"], value_set=pa.array(classes, pa.string())).to_numpy()
    return numbers.astype(np.int64)


@contextmanager
def calm_fitting() -> Iterator[None]:
    """Fit at one thread, for a busy machine slows OpenMP down tenfold, and without warnings about rare classes.

    That a class has few rows, or a category is new, is a fact of the data which the evaluation shows.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.filterwarnings("ignore", message=".*least populated class.*")
        warnings.filterwarnings("ignore", message=".*unknown categories.*")
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        yield
