"""How near estimates without labels come: months that a model never saw, by labels.

`python -m benchmarks.estimates TRAINING_SET.parquet [CANDIDATE]`, where the training set is one of
`transactions` that a training has stored under `MLOPS_HOME`. A model learns from the months up to one, is calibrated
out of fold by time and judged on the last fifth of its rows; the months after it are the days, and their labels tell
how often it was right.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.tables import markdown
from mlops_assets.journey.features.matrix import to_matrix
from mlops_assets.journey.score.profile.shard import count_answers
from mlops_assets.journey.train.candidates import vocabularies
from mlops_assets.journey.train.pipeline import build_pipeline
from mlops_assets.journey.train.training_set import KEYS
from mlops_assets.monitoring.estimate import Estimate, estimate_said
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.use_case import load_use_case

FIRST, FOLDS, HELD_OUT, GROUPS = 4, 3, 0.2, 40
"""Months of the first model; folds of its calibration; share that judges it; random groups of files."""

FELL = 0.08
"""By how much the accuracy must have fallen for a month to count as one that a lamp should tell."""


@dataclass(frozen=True)
class Month:
    """A month that a model has not seen: what was estimated, and what was so."""

    learned_until: str
    month: str
    estimate: Estimate
    judged: float
    truth: float
    constant: float


class Calibrated:
    """A candidate whose top probability is calibrated by isotonic regression on folds of later rows."""

    def __init__(self, candidate: str, classes: list[str]) -> None:
        self.candidate, self.classes = candidate, classes

    def fit(self, rows: pa.Table) -> Calibrated:
        """Learn from rows in the order of time."""
        from sklearn.isotonic import IsotonicRegression

        bounds = [len(rows) * part // (FOLDS + 1) for part in range(1, FOLDS + 2)]
        tops, rights = [], []
        for start, end in pairwise(bounds):
            self._fit(rows.slice(0, start))
            numbers, probabilities = self._raw(rows.slice(start, end - start))
            tops.append(probabilities.max(axis=1))
            rights.append(numbers == self.truth(rows.slice(start, end - start)))
        self._top = IsotonicRegression(y_min=0.01, y_max=0.99, out_of_bounds="clip")
        self._top.fit(np.concatenate(tops), np.concatenate(rights))
        return self._fit(rows)

    def _fit(self, rows: pa.Table) -> Calibrated:
        use_case = load_use_case(OWN_USE_CASES / "transactions")
        inputs = [name for name in rows.column_names if name not in KEYS]
        kinds = {name: pa.types.is_string(rows.schema.field(name).type) for name in inputs}
        self._columns = vocabularies(rows, kinds)
        candidates = use_case.training.candidates
        self._pipeline: Any = build_pipeline(candidates[self.candidate], self._columns, candidates)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few rows: classes of one row, and no convergence
            self._pipeline.fit(self._matrix(rows), self.truth(rows))
        return self

    def _matrix(self, rows: pa.Table) -> np.ndarray:
        known = {name: pa.array(values, pa.string()) if values else None for name, values in self._columns.items()}
        return to_matrix(rows.combine_chunks(), known)

    def _raw(self, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = self._pipeline.predict_proba(self._matrix(rows))
        probabilities = np.zeros((len(rows), len(self.classes)))
        probabilities[:, self._pipeline.classes_.astype(int)] = found
        return probabilities.argmax(axis=1), probabilities

    def answer(self, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """What is said, and the calibrated probabilities of all classes."""
        numbers, probabilities = self._raw(rows)
        top = probabilities[np.arange(len(numbers)), numbers]
        sure = self._top.predict(top)
        probabilities *= ((1 - sure) / np.maximum(1e-9, 1 - top))[:, None]
        probabilities[np.arange(len(numbers)), numbers] = sure
        return numbers, probabilities

    def truth(self, rows: pa.Table) -> np.ndarray:
        """Class numbers of the labels."""
        return np.array([self.classes.index(label) for label in rows["_label"].to_pylist()])


def months(rows: pa.Table, candidate: str) -> Iterator[Month]:
    """Every month after the first ones, by every model that could have been made before it."""
    rows = rows.sort_by("_order")
    month = np.array([day[:7] for day in rows["_order"].to_pylist()])
    classes = sorted(set(rows["_label"].to_pylist()))
    names = sorted(set(month.tolist()))
    for last, until in enumerate(names[FIRST - 1 : -1], FIRST):
        before = rows.filter(pa.array(month <= until))
        cut = int(len(before) * (1 - HELD_OUT))
        model, judging = Calibrated(candidate, classes).fit(before.slice(0, cut)), before.slice(cut)
        said, probabilities = model.answer(judging)
        judged, constant = float((said == model.truth(judging)).mean()), np.bincount(model.truth(judging)).argmax()
        files = np.unique(judging["_file"].to_numpy(), return_inverse=True)[1] % GROUPS
        groups = [count_answers(probabilities[files == group], said[files == group]) for group in np.unique(files)]
        for name in names[last:]:
            day = rows.filter(pa.array(month == name))
            said, probabilities = model.answer(day)
            found, truth = estimate_said(count_answers(probabilities, said), groups, classes, judged), model.truth(day)
            yield Month(until, name, found, judged, float((said == truth).mean()), float((truth == constant).mean()))


def tell(found: Sequence[Month]) -> Iterator[str]:
    """The months as a table, and how near the estimates come."""
    head = ("learned until", "month", "rows", "judged", "confidence", "estimate", "interval", "truth", "lamp")
    lines = []
    for one in found:
        day = one.estimate
        shares = (f"{value:.3f}" for value in (one.judged, day.confidence, day.accuracy))
        interval = f"{day.low:.2f} to {day.high:.2f}"
        lines.append(
            (one.learned_until, one.month, f"{day.rows}", *shares, interval, f"{one.truth:.3f}", "red" * day.red)
        )
    yield markdown(head, lines)
    truth, judged = (np.array([getattr(one, name) for one in found]) for name in ("truth", "judged"))
    names = ("confidence", "accuracy", "low", "high", "baseline", "red")
    confidence, accuracy, low, high, baseline, red = (
        np.array([getattr(one.estimate, n) for one in found]) for n in names
    )
    for name, guess in (("accuracy when judged", judged), ("confidence", confidence), ("estimate", accuracy)):
        off = guess - truth
        yield f"{name}: off by {abs(off).mean():.3f}, too high by {off.mean():.3f}"
    constant = np.array([one.constant for one in found])
    yield f"one class for all rows, estimated: off by {abs(baseline - constant).mean():.3f}"
    yield f"inside the interval: {((low <= truth) & (truth <= high)).sum()} of {len(found)}"
    fell = judged - truth > FELL
    told = f"fell by more than {FELL}: {fell.sum()}, red {(fell & red).sum()}"
    yield f"{told}; others: {(~fell).sum()}, red {(~fell & red).sum()}"


if __name__ == "__main__":
    candidate = sys.argv[2] if len(sys.argv) > 2 else "vote"
    print(*tell(list(months(pq.read_table(Path(sys.argv[1])), candidate))), sep="\n")
