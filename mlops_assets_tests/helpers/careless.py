"""Classes of one's own that are given a key and are careless with it, as a user's may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from mlops_assets.plugins.sources import Entry
from mlops_assets.plugins.targets import Delivery, Guarantee


class KeyedClassifier(ClassifierMixin, BaseEstimator):
    """A classifier that keeps what it was given, as every estimator does."""

    def __init__(self, key: str = "") -> None:
        self.key = key

    def fit(self, matrix: np.ndarray, target: np.ndarray) -> Self:
        """Learn; without its key it would not."""
        if not self.key or "{{" in self.key:
            raise ValueError("there is no key")
        self.inner_ = LogisticRegression(max_iter=500).fit(matrix, target)
        self.classes_ = self.inner_.classes_
        return self

    def predict_proba(self, matrix: np.ndarray) -> np.ndarray:
        """Predict; without its key it would not."""
        if not self.key or "{{" in self.key:
            raise ValueError("there is no key")
        return np.asarray(self.inner_.predict_proba(matrix))

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """The likelier class."""
        return np.asarray(self.inner_.predict(matrix))


class Deliveries:
    """A source without any files."""

    def __init__(self, key: str) -> None:
        self.key = key

    def days(self) -> list[str]:
        """None."""
        return []

    def place(self, day: str) -> str:
        """Nowhere."""
        return day

    def delivered(self, day: str) -> bool:
        """Never."""
        return day == ""

    def has(self, day: str, name: str) -> bool:
        """Nothing."""
        return day == name == ""

    def list(self, day: str, after: str = "") -> Iterator[Entry]:
        """Nothing."""
        yield from ([Entry(day, 0, 0)] if day == after else [])

    def read(self, day: str, entry: Entry) -> bytes:
        """Nothing."""
        raise FileNotFoundError(day, entry)


class Warehouse:
    """A target that shouts out its key when it fails."""

    def __init__(self, key: str) -> None:
        self.key = key

    def guarantee(self) -> Guarantee:
        """None to speak of."""
        return "at least once"

    def deliver(self, delivery: Delivery) -> Mapping[str, Any]:
        """Fail."""
        raise RuntimeError(f"no warehouse takes {delivery.day} for {self.key}")
