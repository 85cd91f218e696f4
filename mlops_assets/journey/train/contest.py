"""In: candidates and the champion. Out: how they do on the same rows, which none of them has learned.

With each training set lies which rows were learned from, and their content: neither a row that one side has learned nor
a copy of one, wherever that lies, counts. Compared are the models that learned the training part of their set alone;
what serves may have been fitted again on all rows.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import MlopsError
from mlops_assets.journey.features.day import sql_fingerprint
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.trial import try_model
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.train.candidates import calm_fitting, class_numbers
from mlops_assets.journey.train.metrics import UNSURE, load_metrics, measure
from mlops_assets.journey.train.training_set import CONTENT, ROW, TrainingSet, find_training_set
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_part
from mlops_assets.use_case import UseCase

log = logging.getLogger("mlops_assets.training")

SAYS = "training set it says"
"""Where the origin of a model from elsewhere names the training set whose training part it has learned."""

LEAST_OF_CLASS = 5
"""Fewer rows of a class tell nothing of it, unless no more of it are held out."""

FREQUENT = 0.01
"""Share of the held-out rows from which on a class must be among those that are compared; rarer ones are named."""


class Incomparable(MlopsError):
    """There are no rows, or not enough, of which it is known that neither side has learned them."""


@dataclass(frozen=True)
class Contest:
    """The present champion and candidates on the same rows, which none of them has learned.

    Attributes
    ----------
    version
        The champion.
    rows
        Number of these rows.
    champion, candidates
        Metrics of the champion, and of each candidate by its name.
    unjudged
        Rare classes of the held-out rows that none of these rows has.
    problem
        Why they were not compared; empty if they were.
    lost
        Whether that is because the champion cannot be loaded: it predicts nothing any more, and keeps nobody out.
    """

    version: int
    rows: int = 0
    champion: Mapping[str, float] = field(default_factory=dict)
    candidates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    unjudged: tuple[str, ...] = ()
    problem: str = ""
    lost: bool = False

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what a training wrote of it."""
        return cls(**{**written, "unjudged": tuple(written["unjudged"])})


def hold_contest(
    use_case: UseCase,
    registry: Registry,
    lake: Lake,
    data: TrainingSet,
    candidates: Mapping[str, Model],
    learned: str | None,
) -> Contest | None:
    """Compare candidates with the present champion; None if there is none.

    Parameters
    ----------
    use_case
        The use case.
    registry
        Knows the champion.
    lake
        Has the training sets.
    data
        The training set whose held-out rows judge.
    candidates
        By name.
    learned
        Fingerprint of the training set whose training part the candidates have learned; None if nobody knows.
    """
    number = registry.history(use_case.name).champion()
    if number is None:
        return None
    try:
        champion = registry.version(use_case.name, number)
        trusted, home = use_case.training.trusted, registry.settings.home
        name = f"the judged model of version {number} of {use_case.name}"
        try_model(champion.folder / "judged", champion.judged_sha256, trusted, home, name)
        judged = champion.judged(trusted)
        taught = _taught_by(champion)
    except MlopsError as error:  # one that cannot be loaded must not keep out a better one
        log.warning("%s: the champion is not compared with: %s", use_case.name, error)
        return Contest(number, problem=str(error), lost=True)
    try:
        sides = {f"champion {number}": taught, "the candidate": learned}
        rows, unjudged = _rows_of_neither(use_case, lake, data, sides)
        _see_that_it_can_be_asked(use_case, champion)
    except Incomparable as error:
        return Contest(number, problem=str(error))
    metrics = {name: _measure(use_case, model, rows) for name, model in candidates.items()}
    return Contest(number, len(rows), _measure(use_case, judged, rows), metrics, unjudged)


def _taught_by(version: Version) -> str | None:
    """The training set whose training part a version's judged model has learned; None if nobody knows."""
    origin = version.details().origin
    # of a model from elsewhere, only what its author says
    return version.about.training_set if origin is None else origin.get(SAYS) or None


def _see_that_it_can_be_asked(use_case: UseCase, champion: Version) -> None:
    # the training set has the columns of today's SQL, which such a champion cannot be asked about
    if champion.about.sql != sql_fingerprint(use_case.features_sql):
        raise Incomparable("features.sql was changed since it was trained, and the rows have the columns of today's")


def _rows_of_neither(
    use_case: UseCase, lake: Lake, data: TrainingSet, sides: Mapping[str, str | None]
) -> tuple[pa.Table, tuple[str, ...]]:
    """The held-out rows that no side has learned, and the rare classes that they lack.

    Raises
    ------
    Incomparable
        If it is not known what a side has learned, or there are too few such rows.
    """
    everything = data.load()
    held_out = everything.filter(everything["_held_out"])
    rows = held_out
    for who, mark in sides.items():
        learned = _learned(lake, who, mark)
        rows = rows.filter(pa.array(~(_are_among(rows, learned, ROW) | _are_among(rows, learned, [CONTENT]))))
    least = min(use_case.training.gate.compared_rows, len(held_out))
    if len(rows) < least:
        raise Incomparable(
            f"{len(rows):,} of {len(held_out):,} held-out rows are known to neither, {least:,} are asked "
            "(training.gate.compared_rows)"
        )
    return rows, () if use_case.training.says_numbers else _see_classes(held_out, rows)


def _learned(lake: Lake, who: str, mark: str | None) -> pa.Table:
    """What a side has learned: rows of the lake by day, file and line, and their content."""
    if mark is None:
        raise Incomparable(f"nobody knows what {who} has learned: it was made elsewhere and does not say")
    try:
        path = find_training_set(lake, mark)
    except MlopsError as error:
        raise Incomparable(f"nobody knows what {who} has learned: {error}") from None
    if not path.exists():
        raise Incomparable(f"what {who} has learned is not known any more: {path} is gone")
    rows = read_part(path)
    if CONTENT not in rows.column_names:
        raise Incomparable(f"an earlier release stored the training set of {who}, without the content of its rows")
    return rows.filter(pc.invert(rows["_held_out"]))


def _are_among(rows: pa.Table, others: pa.Table, by: Sequence[str]) -> np.ndarray:
    """Which rows are among others, by some columns."""
    numbered = rows.select(by).append_column("_number", pa.array(np.arange(len(rows))))
    found = numbered.join(others.select(by), list(by), join_type="left semi")["_number"].to_numpy()
    mask = np.zeros(len(rows), bool)
    mask[found] = True
    return mask


def _see_classes(held_out: pa.Table, rows: pa.Table) -> tuple[str, ...]:
    """See that there are enough rows of every frequent class; the rare ones of which there is none."""
    there, left = _class_counts(held_out), _class_counts(rows)
    for label, number in sorted(there.items()):
        least = min(LEAST_OF_CLASS, number)
        if number >= FREQUENT * len(held_out) and left.get(label, 0) < least:
            raise Incomparable(
                f"of the class {label!r}, {left.get(label, 0)} of {number:,} held-out rows are known to neither, "
                f"{least} are asked"
            )
    return tuple(label for label in sorted(there) if label not in left)


def _class_counts(rows: pa.Table) -> dict[str, int]:
    return {pair["values"]: pair["counts"] for pair in pc.value_counts(rows["_label"]).to_pylist()}


def _measure(use_case: UseCase, model: Model, rows: pa.Table) -> dict[str, float]:
    """The metrics of a model on labelled rows."""
    labels, truth, probabilities, predicted = ask(model, rows)
    sure = model.task.sure(probabilities, predicted) if not labels else UNSURE
    return measure(truth, probabilities, predicted, labels, load_metrics(use_case.training), sure=sure)


def ask(model: Model, rows: pa.Table) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]:
    """What a model says of labelled rows: the labels, and by their numbers the truth, probabilities and answers."""
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
