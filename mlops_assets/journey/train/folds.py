"""In: a candidate and the training rows. Out: what it says of each fold, learned from the others or those before it.

With a split by time, every model that is fitted for a fold is asked of all later ones, too: a model serves for months,
and what it says of rows that are long after those it learned is less true.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.candidates import fit, in_short
from mlops_assets.journey.train.contest import ask
from mlops_assets.journey.train.training_set import TrainingSet, fold_indices
from mlops_assets.use_case import Candidate, UseCase

log = logging.getLogger("mlops_assets.training")


@dataclass(frozen=True)
class Said:
    """What a model says of labelled rows that it has not learned, by the numbers of its classes.

    Attributes
    ----------
    truth
        Class number of each row.
    probabilities
        One row a row, one column a class.
    """

    truth: np.ndarray
    probabilities: np.ndarray


def ask_folds(
    use_case: UseCase, data: TrainingSet, name: str, candidate: Candidate, rows: pa.Table
) -> list[tuple[Said | None, ...]]:
    """What a candidate says of each fold, in their order.

    Parameters
    ----------
    use_case
        The use case.
    data
        The training set.
    name, candidate
        The candidate, with what a search chose for it.
    rows
        The training rows.

    Returns
    -------
    list of tuple
        Of each fold what each model says that has not learned it, the one that learned most the last; with a split by
        time as many as there are folds up to it, else one. None where the candidate cannot be fitted.
    """
    split, models, said = use_case.training.split.by, list[Model | None](), list[tuple[Said | None, ...]]()
    for before, after in fold_indices(rows["_fold"].to_numpy(), use_case.training.folds, split):
        model = _fit(use_case, data, name, candidate, rows.take(pa.array(before)))
        models = [*models, model] if split == "time" else [model]
        tested = rows.take(pa.array(after))
        said.append(tuple(ask_for(one, tested) if one else None for one in models))
    return said


def _fit(use_case: UseCase, data: TrainingSet, name: str, candidate: Candidate, learned: pa.Table) -> Model | None:
    """The candidate fitted on the rows of some folds; None if it cannot be."""
    if len(pc.unique(learned["_label"])) < 2:
        return None  # there is nothing to tell apart
    try:
        return fit(use_case, candidate, data, learned)
    except MlopsError:
        raise
    except Exception as error:  # so few rows may lack what a class needs, such as two rows of every label
        log.warning("%s: a fold of %s has no score: %s", use_case.name, name, in_short(error))
        return None


def ask_for(model: Model, rows: pa.Table) -> Said:
    """What a model says of rows whose labels it knows."""
    _, truth, probabilities, _ = ask(model, rows)
    return Said(truth, probabilities)
