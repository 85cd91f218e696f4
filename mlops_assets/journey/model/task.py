"""What a model says of a row, a class or a number: an object for each, so that those who hand it on need not ask which.

An estimator *says* something of each row, as an array of one row a row: the probability of every class; or a number in
the first column, and once an interval is known, its ends in two more. What is *decided* of it is an answer: the number
of a class, or the number itself. *Beside* an answer stands how sure it is: the probability of that class, or the
interval around that number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import pyarrow as pa

from mlops_assets.storage.catalog import PREDICTIONS

NUMBERS = pa.schema(
    {
        **{name: PREDICTIONS.field(name).type for name in ("file", "line", "account_id")},
        **dict.fromkeys(("prediction", "low", "high"), pa.float64()),
        "model_version": pa.int32(),
    }
)
"""The columns of `predictions` where these are numbers; `low` and `high` are the ends of the interval around one, null
where its model has none."""


class Task(Protocol):
    """What a model says, and what follows from it.

    Attributes
    ----------
    method
        The method that an estimator is asked by.
    schema
        The columns in which answers are stored.
    answer
        Type of an answer.
    beside
        What stands beside an answer, by name, with its type.
    """

    @property
    def method(self) -> str: ...  # noqa: D102 - said above, as of the others
    @property
    def schema(self) -> pa.Schema: ...  # noqa: D102
    @property
    def answer(self) -> type[Any]: ...  # noqa: D102
    @property
    def beside(self) -> Mapping[str, type[Any]]: ...  # noqa: D102

    def said(self, estimator: Any, raw: np.ndarray) -> np.ndarray:
        """What an estimator says, as an array of one row a row, by what its method gave.

        Raises
        ------
        ValueError
            If that is no answer for a row.
        """
        ...

    def odd(self, said: np.ndarray) -> str:
        """What is wrong with what was said; empty if nothing is."""
        ...

    def decide(self, said: np.ndarray) -> np.ndarray:
        """The answer of each row."""
        ...

    def sure(self, said: np.ndarray, decided: np.ndarray) -> dict[str, np.ndarray]:
        """How sure each answer is: what stands beside it, by name."""
        ...

    def column(self, decided: np.ndarray) -> pa.Array:
        """Answers as the column `prediction`."""
        ...

    def see(self, estimator: Any) -> None:
        """See that an estimator says what is asked for.

        Raises
        ------
        ValueError
            If it says something else.
        """
        ...


@dataclass(frozen=True)
class Classes:
    """Each row is of one of a few classes.

    Attributes
    ----------
    labels
        By class number.
    threshold
        Binary only: probability from which the second class is said; None for the likelier class.
    """

    labels: tuple[str, ...]
    threshold: float | None = None
    method: ClassVar[str] = "predict_proba"
    schema: ClassVar[pa.Schema] = PREDICTIONS
    answer: ClassVar[type[Any]] = np.int32
    beside: ClassVar[Mapping[str, type[Any]]] = {"probability": np.float32}

    def said(self, estimator: Any, raw: np.ndarray) -> np.ndarray:
        """Probability of every class; those that the estimator never saw get 0."""
        full = np.zeros((len(raw), len(self.labels)))
        full[:, estimator.classes_.astype(int)] = raw
        return full

    def odd(self, said: np.ndarray) -> str:
        """Whether they are probabilities."""
        positive = np.isfinite(said).all() and (said >= 0).all()
        if positive and np.allclose(said.sum(axis=1), 1, atol=1e-6):
            return ""
        return "it answers what are no probabilities: they must be from 0 to 1, and their sum 1"

    def decide(self, said: np.ndarray) -> np.ndarray:
        """The class number said for each row."""
        if self.threshold is not None and len(self.labels) == 2:
            return np.asarray(said[:, 1] >= self.threshold, np.int64)
        return np.asarray(said.argmax(axis=1), np.int64)

    def sure(self, said: np.ndarray, decided: np.ndarray) -> dict[str, np.ndarray]:
        """The probability of the class that is said."""
        return {"probability": said[np.arange(len(decided)), decided]}

    def column(self, decided: np.ndarray) -> pa.Array:
        """The labels of the classes."""
        return pa.DictionaryArray.from_arrays(pa.array(decided), pa.array(self.labels, pa.string()))

    def see(self, estimator: Any) -> None:
        """See that the classes of an estimator are numbers of these."""
        known, count = np.asarray(estimator.classes_), len(self.labels)
        if known.ndim != 1 or known.dtype.kind not in "iufb" or not np.isin(known, np.arange(count)).all():
            raise ValueError(f"it knows the classes {known!r:.100}, its model has {count}")
        if len(np.unique(known)) != len(known):
            raise ValueError("it knows a class twice")


@dataclass(frozen=True)
class Numbers:
    """Each row has a number."""

    method: ClassVar[str] = "predict"
    schema: ClassVar[pa.Schema] = NUMBERS
    answer: ClassVar[type[Any]] = np.float64
    beside: ClassVar[Mapping[str, type[Any]]] = {"low": np.float64, "high": np.float64}

    def said(self, estimator: Any, raw: np.ndarray) -> np.ndarray:
        """One column with the number; one that is not finite fails, as rows do that an estimator does not take."""
        del estimator
        numbers = np.asarray(raw, np.float64).reshape(len(raw), 1)
        if not np.isfinite(numbers).all():
            raise ValueError("it answers what is no finite number")
        return numbers

    def odd(self, said: np.ndarray) -> str:
        """Nothing is: `said` looks at them."""
        del said
        return ""

    def decide(self, said: np.ndarray) -> np.ndarray:
        """The number of each row."""
        return said[:, 0]

    def sure(self, said: np.ndarray, decided: np.ndarray) -> dict[str, np.ndarray]:
        """The ends of the interval, NaN where there is none."""
        low, high = said[:, 1:].T if said.shape[1] > 1 else np.full((2, len(decided)), np.nan)
        return {"low": low, "high": high}

    def column(self, decided: np.ndarray) -> pa.Array:
        """The numbers."""
        return pa.array(decided, pa.float64())

    def see(self, estimator: Any) -> None:
        """See that an estimator knows no classes."""
        if hasattr(estimator, "classes_"):
            raise ValueError("it says classes, its model has numbers")


def task_of(classes: tuple[str, ...], threshold: float | None = None) -> Task:
    """The task of a model that has these classes: none has one that says numbers."""
    return Classes(classes, threshold) if classes else Numbers()
