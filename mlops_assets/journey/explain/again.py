"""In: a row and those beside it. Out: what a model says of it, as when they were scored, and what that hangs on."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mlops_assets.journey.explain.strengths import Word, occlusion, word_strengths
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.score.predict import Answers

OTHERS = 200
"""Most other rows from which a feature gets its other values."""

SHOWN_WORDS = 20
"""Most words of a text that are told."""


@dataclass(frozen=True)
class Cleaned:
    """One column of the contract: its text in the raw file (None where that is not at hand) and its stored value."""

    column: str
    raw: str | None
    value: Any

    @property
    def differs(self) -> bool:
        """Whether the value, written down, is another text than the raw one."""
        written = "" if self.value is None else str(self.value)
        if isinstance(self.value, float):
            written = written.removesuffix(".0")  # 31 is no other text than 31.0
        return self.raw is not None and self.raw != written


@dataclass(frozen=True)
class Feature:
    """One column of the model's input.

    Attributes
    ----------
    name, value
        As `features.sql` made it.
    unseen
        Whether it is a category that the model never saw in training.
    strength
        How much probability of the predicted class hangs on it; see `occlusion`.
    """

    name: str
    value: Any
    unseen: bool
    strength: float


@dataclass(frozen=True)
class Enriched:
    """What an enrichment said of the row.

    Attributes
    ----------
    name
        The enrichment.
    keys, values
        The row's keys, and what was answered for them.
    status
        `fetched`, `last known` or `missing`.
    of_day
        The day for which it was fetched; None without an answer.
    """

    name: str
    keys: Mapping[str, Any]
    values: Mapping[str, Any]
    status: str
    of_day: str | None


@dataclass(frozen=True)
class Again:
    """The answer, computed again.

    Attributes
    ----------
    values, row
        The row for SQL and for the estimator.
    others
        Some other rows for the estimator.
    said
        What the model says: the probability of every class, or its number.
    predicted
        Which place of that has the answer.
    prediction
        The answer: a label or a number.
    sure
        What stands beside it, by name; see `Task.sure`.
    """

    values: Mapping[str, Any]
    row: np.ndarray
    others: np.ndarray
    said: np.ndarray
    predicted: int
    prediction: str | float
    sure: Mapping[str, float | None]

    @property
    def probability(self) -> float | None:
        """The probability of a class; None of a number."""
        return self.sure.get("probability")

    @property
    def interval(self) -> tuple[float, float] | None:
        """The ends of the interval around a number; None of a class, and where there is none."""
        return interval_of(self.sure)


def interval_of(told: Mapping[str, Any]) -> tuple[float, float] | None:
    """The ends of the interval among the columns of a prediction; None where there is none."""
    low, high = told.get("low"), told.get("high")
    return None if low is None or high is None else (low, high)


def answer_again(model: Model, rows: pa.Table, position: int, batches: Iterable[tuple[pa.Table, np.ndarray]]) -> Again:
    """Run the batch that holds a row through its model, as when all of them were scored.

    Parameters
    ----------
    model
        The model.
    rows
        The rows that are scored together.
    position
        The place of the row among them.
    batches
        What `compute` makes of them.
    """
    drawn = _drawn(rows, position)
    answers = Answers(model, rows.num_rows)
    others: list[np.ndarray] = []
    here: tuple[pa.Table, int] | None = None
    for batch, positions in batches:
        if len(at := np.flatnonzero(positions == position)):
            here = batch, int(at[0])
            answers.add(batch, positions)  # the other batches need no answer, but give rows to compare with
        others.append(model.matrix(batch.take(np.flatnonzero(np.isin(positions, drawn)))))
    assert here is not None, "the SQL gives every row"  # noqa: S101 - compute() saw to it
    batch, place = here
    matrix = model.matrix(batch)
    return Again(
        values=batch.slice(place, 1).to_pylist()[0],
        row=matrix[place],
        others=np.concatenate(others),
        # of the whole batch and not of the row alone: sums over many rows may differ in their last bit
        said=model.probabilities(matrix)[place],
        predicted=int(answers.numbers[position]) if model.classes else 0,
        prediction=answers.predicted()[position].as_py(),
        sure={name: column[position].as_py() for name, column in zip(answers.beside, answers.sure(), strict=True)},
    )


def _drawn(rows: pa.Table, position: int) -> np.ndarray:
    """Positions of some other rows: the same ones each time that one asks for this row."""
    file, line = (rows[name][position].as_py() for name in ("file", "line"))
    others = np.delete(np.arange(rows.num_rows), position)
    return np.random.default_rng(zlib.crc32(f"{file}:{line}".encode())).permutation(others)[:OTHERS]


def features_of(model: Model, again: Again) -> tuple[Feature, ...]:
    """The columns of the model's input, the strongest first."""
    strengths = occlusion(model, again.row, again.others, again.predicted)
    features = []
    # -1 stands for an unknown category and for none: only one with a value is unseen
    for (name, vocabulary), code, strength in zip(model.columns.items(), again.row, strengths, strict=True):
        value = again.values[name]
        is_unseen = isinstance(vocabulary, tuple) and value is not None and code < 0
        features.append(Feature(name, value, bool(is_unseen), float(strength)))
    # against a number nothing speaks: what makes it smaller is as strong
    size = (lambda strength: strength) if model.classes else abs
    return tuple(sorted(features, key=lambda feature: -size(feature.strength)))


def words_of(model: Model, again: Again) -> tuple[Word, ...]:
    """The words of its texts that matter most, the strongest first; none if the model sees no text."""
    return tuple(word_strengths(model, again.row, again.predicted)[:SHOWN_WORDS])


def probabilities_of(model: Model, again: Again) -> dict[str, float]:
    """The probability of every class, the highest first; none of a number."""
    if not model.classes:
        return {}
    probabilities = zip(model.classes, again.said.tolist(), strict=True)
    return dict(sorted(probabilities, key=lambda pair: -pair[1]))


def enriched_of(row: Mapping[str, Any], name: str, table: pa.Table) -> Enriched:
    """What the answers of an enrichment hold for a row: its keys are the columns that the row has."""
    keys = {key: row[key] for key in table.column_names if key in row}
    values = _values_for(keys, table)
    if values is None:  # the row has no key
        return Enriched(name, keys, {}, "missing", None)
    status, day = values.pop(f"{name}_status"), values.pop(f"{name}_day")
    return Enriched(name, keys, values, status, day and day.isoformat())


def _values_for(keys: Mapping[str, Any], table: pa.Table) -> dict[str, Any] | None:
    for answer in table.to_pylist():
        if keys.items() <= answer.items():
            return {column: value for column, value in answer.items() if column not in keys}
    return None
