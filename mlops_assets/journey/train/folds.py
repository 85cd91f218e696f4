"""In: a candidate and the training rows. Out: what it says of each fold, learned from the others or those before it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
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
) -> list[Said | None]:
    """What a candidate says of each fold, in their order; None of a fold for which it cannot be fitted.

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
    """
    return list(_ask_folds(use_case, data, name, candidate, rows))


def _ask_folds(
    use_case: UseCase, data: TrainingSet, name: str, candidate: Candidate, rows: pa.Table
) -> Iterator[Said | None]:
    training = use_case.training
    for before, after in fold_indices(rows["_fold"].to_numpy(), training.folds, training.split.by):
        learned, tested = rows.take(pa.array(before)), rows.take(pa.array(after))
        if len(pc.unique(learned["_label"])) < 2:
            # there is nothing to tell apart
            yield None
            continue
        try:
            model = fit(use_case, candidate, data, learned)
        except MlopsError:
            raise
        except Exception as error:  # so few rows may lack what a class needs, such as two rows of every label
            log.warning("%s: a fold of %s has no score: %s", use_case.name, name, in_short(error))
            yield None
            continue
        yield ask_for(model, tested)


def ask_for(model: Model, rows: pa.Table) -> Said:
    """What a model says of rows whose labels it knows."""
    _, truth, probabilities, _ = ask(model, rows)
    return Said(truth, probabilities)
