"""Classifiers that somebody trusted, and that behave badly once they are asked."""

from __future__ import annotations

import ctypes
import os
import socket
from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator, ClassifierMixin

PATH = "mlops_assets_tests.helpers.misbehaving."


class Behaved(ClassifierMixin, BaseEstimator):
    """Says that all classes are as likely."""

    def fit(self, matrix: np.ndarray, target: np.ndarray) -> Behaved:
        del matrix
        self.classes_ = np.unique(target)
        return self

    def predict_proba(self, matrix: np.ndarray) -> np.ndarray:
        self.behave()
        return np.full((len(matrix), len(self.classes_)), 1 / len(self.classes_))

    def behave(self) -> None:
        """What it does besides."""


class Endless(Behaved):
    def behave(self) -> None:
        while True:
            pass


class Crashing(Behaved):
    def behave(self) -> None:
        ctypes.string_at(0)


class Greedy(Behaved):
    def behave(self) -> None:
        np.ones(2**33)


class Writing(Behaved):
    def __init__(self, path: str = "") -> None:
        self.path = path

    def behave(self) -> None:
        Path(self.path).write_text("sprung")


class Calling(Behaved):
    def behave(self) -> None:
        socket.create_connection(("127.0.0.1", 9))


class Lying(Behaved):
    def predict_proba(self, matrix: np.ndarray) -> np.ndarray:
        return np.full((len(matrix), len(self.classes_)), 0.9)


class Mute(Behaved):
    def predict_proba(self, matrix: np.ndarray) -> np.ndarray:
        return np.full((len(matrix), len(self.classes_)), np.nan)


class Refusing(Behaved):
    def behave(self) -> None:
        raise ValueError("not today")


class Curious(Behaved):
    """Tells what it finds of the environment."""

    def behave(self) -> None:
        raise LookupError(" ".join(f"{name}={value}" for name, value in os.environ.items()))


class Nosy(Behaved):
    def behave(self) -> None:
        Path(f"/proc/{os.getppid()}/environ").read_bytes()


def half_a_gigabyte_beside_arrow() -> int:
    """What an honest model may take beside the rows that it is given."""
    rows = pa.array([1.0])
    return len(rows) + np.empty(1 << 29, np.uint8).nbytes
