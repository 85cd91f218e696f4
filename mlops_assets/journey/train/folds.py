"""In: a candidate and the rows. Out: what it says in each round of rows that it has not learned; a fit a round.

With a split by time, every model that is fitted is asked of all later rounds, too: a model serves for months, and what
it says of rows that are long after those it learned is less true.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.candidates import calm_fitting, class_numbers, fit, in_short
from mlops_assets.journey.train.origins import NO_ROWS, Round
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.use_case import Candidate, UseCase

log = logging.getLogger("mlops_assets.training")


@dataclass(frozen=True)
class Said:
    """What a model says of labelled rows that it has not learned, by the numbers of its classes, or as numbers.

    Attributes
    ----------
    truth
        Class number of each row, or its number as a float.
    probabilities
        One row a row, one column a class; or the number, with the ends of its interval.
    rows
        Positions of the rows in the training set; none where nobody asks.
    """

    truth: np.ndarray
    probabilities: np.ndarray
    rows: np.ndarray = field(default_factory=lambda: NO_ROWS)

    def some(self, places: np.ndarray) -> Said:
        """What is said of some of these rows."""
        return Said(self.truth[places], self.probabilities[places], self.rows[places] if len(self.rows) else NO_ROWS)


@dataclass(frozen=True)
class Asked:
    """What is said of the rows of a round.

    Attributes
    ----------
    round
        The round.
    said
        By each model that has not learned these rows, the one that learned most the last; with a split by time as many
        as there are rounds up to it, else one. None where the candidate could not be fitted.
    fresh
        What the last of these models says of the rows of `Round.fresh`.
    """

    round: Round
    said: tuple[Said | None, ...]
    fresh: Said | None = None

    @property
    def own(self) -> Said | None:
        """What the model of the round itself says."""
        return self.said[-1]


def ask_rounds(
    use_case: UseCase,
    data: TrainingSet,
    name: str,
    candidate: Candidate,
    rows: pa.Table,
    asked: Sequence[Round],
    known: Mapping[str, Model] | None = None,
) -> list[Asked]:
    """What a candidate says in each round, in their order.

    Parameters
    ----------
    use_case
        The use case.
    data
        The training set.
    name, candidate
        The candidate, with what a search chose for it.
    rows
        All rows of the training set.
    asked
        The rounds.
    known
        Models that are fitted already, by the name of the round.
    """
    models, found, known = list[Model | None](), list[Asked](), known or {}
    for one in asked:
        model = known.get(one.name) or _fit(use_case, data, name, candidate, rows.take(pa.array(one.learned)))
        models = [*models, model] if use_case.training.split.by == "time" else [model]
        said = tuple(_ask_some(each, rows, one.tested) for each in models)
        found.append(Asked(one, said, _ask_some(model, rows, one.fresh) if len(one.fresh) else None))
    return found


def _ask_some(model: Model | None, rows: pa.Table, places: np.ndarray) -> Said | None:
    return replace(ask_for(model, rows.take(pa.array(places))), rows=places) if model else None


def joined(parts: Sequence[Said]) -> Said:
    """All that was said as one."""
    truth, probabilities, rows = (
        np.concatenate([getattr(said, name) for said in parts]) for name in ("truth", "probabilities", "rows")
    )
    return Said(truth, probabilities, rows)


def pooled(asked: Sequence[Asked]) -> Said | None:
    """What is said of all rounds, of each by its own model; None where none could be fitted."""
    parts = [one.own for one in asked if one.own is not None]
    return joined(parts) if parts else None


def _fit(use_case: UseCase, data: TrainingSet, name: str, candidate: Candidate, learned: pa.Table) -> Model | None:
    """The candidate fitted on what a round learns; None if it cannot be."""
    if len(pc.unique(learned["_label"])) < 2:
        return None  # there is nothing to tell apart
    try:
        return fit(use_case, candidate, data, learned)
    except MlopsError:
        raise
    except Exception as error:  # so few rows may lack what a class needs, such as two rows of every label
        log.warning("%s: a round of %s has no score: %s", use_case.name, name, in_short(error))
        return None


def ask_for(model: Model, rows: pa.Table) -> Said:
    """What a model says of rows whose labels it knows."""
    _, truth, probabilities, _ = ask(model, rows)
    return Said(truth, probabilities)


def ask(model: Model, rows: pa.Table) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]:
    """What a model says of labelled rows: the labels, and by their numbers the truth, probabilities and answers.

    Of a model that says numbers there are no labels; the truth, what is said and the answers are numbers.
    """
    if not model.classes:
        with calm_fitting():
            said = model.probabilities(model.matrix(rows))
        return (), class_numbers(rows, ()), said, model.decide(said)
    # a champion may not know a label that came later: it is a class of its own, which this model never says
    labels = (*model.classes, *sorted(set(pc.unique(rows["_label"]).to_pylist()) - set(model.classes)))
    truth = class_numbers(rows, labels)
    with calm_fitting():
        narrow = model.probabilities(model.matrix(rows))
    probabilities = np.pad(narrow, ((0, 0), (0, len(labels) - narrow.shape[1])))
    return labels, truth, probabilities, model.decide(narrow)
