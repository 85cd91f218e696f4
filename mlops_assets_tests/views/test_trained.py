"""What `run --train` says of the version that it made."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.journey.train.thresholds import STEPS, best, try_thresholds


class Sure:
    """A model of two classes that says what stands in its only column."""

    def __init__(self, classes: tuple[str, ...] = ("no", "yes")) -> None:
        self.classes = classes

    def matrix(self, rows: pa.Table) -> np.ndarray:
        return np.asarray(rows["p"].to_numpy()).reshape(-1, 1)

    def probabilities(self, matrix: np.ndarray) -> np.ndarray:
        return np.hstack([1 - matrix, matrix])


ROWS = pa.table({"p": [0.05, 0.35, 0.45, 0.9], "_label": ["no", "yes", "yes", "yes"]})


def test_each_threshold_is_told_by_what_it_would_bring() -> None:
    lines = {line["threshold"]: line for line in try_thresholds(Sure(), ROWS)}  # type: ignore[arg-type]
    assert [*lines] == [*STEPS]
    assert lines[0.5] == {"threshold": 0.5, "said": 0.25, "precision": 1.0, "recall": 0.3333, "f1": 0.5}
    assert best([*lines.values()])["threshold"] == pytest.approx(0.3)


def test_a_class_that_is_never_said_has_no_precision_and_fails_nothing() -> None:
    never = pa.table({"p": [0.0, 0.0], "_label": ["no", "yes"]})
    lines = try_thresholds(Sure(), never)  # type: ignore[arg-type]
    assert {line["f1"] for line in lines} == {0.0}


def test_of_three_classes_there_is_no_threshold() -> None:
    assert try_thresholds(Sure(("a", "b", "c")), ROWS) == []  # type: ignore[arg-type]
