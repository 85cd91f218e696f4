"""In: what a candidate says of the rows that test, and the champion. Out: how both do on rows that neither has learned.

With each training set lies which rows were learned from, and their content: neither a row that one side has learned nor
a copy of one, wherever that lies, counts. Where there are months after the last row of the champion, what serves is
asked of these, beside the candidate's replay. Else compared are the models that learned the training part of their set
alone, for what serves may have been fitted again on all rows.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.trial import try_model
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.train.choice import has_sql_of
from mlops_assets.journey.train.folds import Asked, ask, joined, pooled
from mlops_assets.journey.train.intervals import Interval, groups_of, interval
from mlops_assets.journey.train.metrics import deciding_metrics, load_metrics, measure
from mlops_assets.journey.train.origins import order_of
from mlops_assets.journey.train.scores import decided
from mlops_assets.journey.train.training_set import CONTENT, ROW, TrainingSet, find_training_set
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_part
from mlops_assets.use_case import Training, UseCase

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
    differences
        By candidate and metric, how far it is above the champion, with bounds; of the metrics that decide something.
    model
        Which model of the champion was asked: `serving` or `judged`.
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
    differences: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    model: str = "judged"

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what a training wrote of it."""
        differences = {
            name: {metric: Interval(**one) for metric, one in some.items()}
            for name, some in written.get("differences", {}).items()
        }
        return cls(**{**written, "unjudged": tuple(written["unjudged"]), "differences": differences})


@dataclass(frozen=True)
class _Side:
    """What one side says of the rows that both are asked of."""

    labels: tuple[str, ...]
    truth: np.ndarray
    probabilities: np.ndarray
    predicted: np.ndarray

    def figures(
        self, training: Training, places: Any = slice(None), names: Collection[str] | None = None
    ) -> dict[str, float]:
        """The metrics of some of these rows."""
        said = self.truth[places], self.probabilities[places], self.predicted[places]
        return measure(*said, self.labels, load_metrics(training), names)


def hold_contest(
    use_case: UseCase,
    registry: Registry,
    lake: Lake,
    data: TrainingSet,
    candidates: Mapping[str, Sequence[Asked]],
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
        By name, what each says of the rounds that test.
    learned
        Fingerprint of the training set whose training part the candidates have learned; None if nobody knows.
    """
    number = registry.history(use_case.name).champion()
    if number is None:
        return None
    try:
        champion = registry.version(use_case.name, number)
        models = {name: _tried(use_case, registry, champion, name) for name in ("judged", "serving")}
        taught = _taught_by(champion)
    except MlopsError as error:  # one that cannot be loaded must not keep out a better one
        log.warning("%s: the champion is not compared with: %s", use_case.name, error)
        return Contest(number, problem=str(error), lost=True)
    everything = data.load()
    try:
        sides = {f"champion {number}": taught, "the candidate": learned}
        which, rows, unjudged = _rows_of_neither(use_case, lake, data, everything, sides, champion)
        _see_that_it_can_be_asked(use_case, champion)
    except Incomparable as error:
        return Contest(number, problem=str(error))
    places, training = rows["_place"].to_numpy(), use_case.training
    theirs = _Side(*ask(models[which], rows))
    mine = {name: _answers(training, data, asked, places, which) for name, asked in candidates.items()}
    groups = groups_of(rows["_account"], rows[CONTENT])
    gaps = {
        name: {metric: _gap(training, side, theirs, groups, metric) for metric in deciding_metrics(training)}
        for name, side in mine.items()
    }
    metrics = {name: side.figures(training) for name, side in mine.items()}
    return Contest(number, len(rows), theirs.figures(training), metrics, unjudged, differences=gaps, model=which)


def _tried(use_case: UseCase, registry: Registry, champion: Version, which: str) -> Model:
    """One of the two models of the champion, after it has answered a trial."""
    trusted, home = use_case.training.trusted, registry.settings.home
    sha256 = champion.judged_sha256 if which == "judged" else champion.serving_sha256
    name = f"the {which} model of version {champion.version} of {use_case.name}"
    try_model(champion.folder / which, sha256, trusted, home, name)
    return champion.judged(trusted) if which == "judged" else champion.serving(trusted)


def _answers(training: Training, data: TrainingSet, asked: Sequence[Asked], places: np.ndarray, which: str) -> _Side:
    """What a candidate says of some rows: beside what serves its replay, beside a judged model its own one."""
    said = pooled(asked) if which == "serving" else joined([one.said[0] for one in asked if one.said[0] is not None])
    assert said is not None, "it was chosen, so it could be asked"  # noqa: S101
    order = np.argsort(said.rows)
    mine = said.some(order[np.searchsorted(said.rows[order], places)])
    return _Side(data.classes, mine.truth, mine.probabilities, decided(training, mine.probabilities))


def _gap(training: Training, mine: _Side, theirs: _Side, groups: np.ndarray, metric: str) -> Interval:
    def figure(places: np.ndarray) -> float:
        both = (side.figures(training, places, {metric}).get(metric, np.nan) for side in (mine, theirs))
        first, second = both
        return first - second

    return interval(figure, groups)


def _taught_by(version: Version) -> str | None:
    """The training set whose training part a version's judged model has learned; None if nobody knows."""
    origin = version.details().origin
    # of a model from elsewhere, only what its author says
    return version.about.training_set if origin is None else origin.get(SAYS) or None


def _see_that_it_can_be_asked(use_case: UseCase, champion: Version) -> None:
    # the training set has the columns of today's SQL, which such a champion cannot be asked about
    if not has_sql_of(champion, use_case):
        raise Incomparable("features.sql was changed since it was trained, and the rows have the columns of today's")


def _rows_of_neither(
    use_case: UseCase,
    lake: Lake,
    data: TrainingSet,
    everything: pa.Table,
    sides: Mapping[str, str | None],
    champion: Version,
) -> tuple[str, pa.Table, tuple[str, ...]]:
    """Which model of the champion is asked, the held-out rows that no side has learned, the rare classes they lack.

    Raises
    ------
    Incomparable
        If it is not known what a side has learned, or there are too few such rows.
    """
    numbered = everything.append_column("_place", pa.array(np.arange(len(everything))))
    held_out = numbered.filter(numbered["_held_out"])
    least = min(use_case.training.gate.compared_rows, len(held_out))
    theirs, *_ = sides
    if data.origins and champion.details().origin is None:
        whole = _set_of(lake, theirs, sides[theirs])
        later = held_out.filter(pa.array(order_of(held_out) > max(order_of(whole).tolist())))
        rows = _without(later, whole)
        if len(rows) >= least:
            return "serving", rows, _see_classes(held_out, rows)
    rows = held_out
    for who, mark in sides.items():
        learned = _set_of(lake, who, mark)
        rows = _without(rows, learned.filter(pc.invert(learned["_held_out"])))
    if len(rows) < least:
        raise Incomparable(
            f"{len(rows):,} of {len(held_out):,} held-out rows are known to neither, {least:,} are asked "
            "(training.gate.compared_rows)"
        )
    return "judged", rows, _see_classes(held_out, rows)


def _without(rows: pa.Table, learned: pa.Table) -> pa.Table:
    """The rows without those that were learned, and without their copies."""
    return rows.filter(pa.array(~(_are_among(rows, learned, ROW) | _are_among(rows, learned, [CONTENT]))))


def _set_of(lake: Lake, who: str, mark: str | None) -> pa.Table:
    """The training set of a side: rows of the lake by day, file and line, and their content."""
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
    return rows


def _are_among(rows: pa.Table, others: pa.Table, by: Sequence[str]) -> np.ndarray:
    """Which rows are among others, by some columns."""
    numbered = rows.select(by).append_column("_number", pa.array(np.arange(len(rows))))
    found = numbered.join(others.select(by), list(by), join_type="left semi")["_number"].to_numpy()
    mask = np.zeros(len(rows), bool)
    mask[found] = True
    return mask


def _see_classes(held_out: pa.Table, rows: pa.Table) -> tuple[str, ...]:
    """See that there are enough rows of every frequent class; the rare ones of which there is none."""
    if pa.types.is_floating(held_out["_label"].type):
        return ()
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
