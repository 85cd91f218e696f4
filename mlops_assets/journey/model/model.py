"""A model that can score: the estimator with all that its numbers mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from mlops_assets.journey.features.matrix import to_matrix
from mlops_assets.journey.model.archive import Known, read_model, write_model
from mlops_assets.storage.places import Place

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Model:
    """A fitted estimator and what its columns and classes mean.

    Attributes
    ----------
    estimator
        Fitted on the matrix of `to_matrix`, with class numbers as its target.
    columns
        Columns of the model's input in order, each with what is known of it.
    classes
        Labels by class number.
    sql
        The `features.sql` that makes the input.
    threshold
        Binary only: probability from which the second class is said; None for the likelier class.
    references
        Texts with `{{ env.NAME }}` of the configuration that it was made by: what they stand for is not stored.
    """

    estimator: Pipeline
    columns: Mapping[str, Known]
    classes: tuple[str, ...]
    sql: str
    threshold: float | None = None
    references: tuple[str, ...] = ()

    @cached_property
    def _vocabularies(self) -> dict[str, pa.Array | Literal["text"] | None]:
        return {
            name: pa.array(vocabulary, pa.string()) if isinstance(vocabulary, tuple) else vocabulary
            for name, vocabulary in self.columns.items()
        }

    def matrix(self, batch: pa.Table, too_large: Counter[str] | None = None) -> np.ndarray:
        """What the estimator sees; see `to_matrix`."""
        return to_matrix(batch, self._vocabularies, too_large)

    def probabilities(self, matrix: np.ndarray) -> np.ndarray:
        """Probability of every class, one row per row; classes that the estimator never saw get 0."""
        probabilities = self.estimator.predict_proba(matrix)
        full = np.zeros((len(matrix), len(self.classes)))
        full[:, self.estimator.classes_.astype(int)] = probabilities
        return full

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """The class number said for each row."""
        if self.threshold is not None and len(self.classes) == 2:
            return np.asarray(probabilities[:, 1] >= self.threshold, np.int64)
        return np.asarray(probabilities.argmax(axis=1), np.int64)

    def unseen(self, batch: pa.Table, matrix: np.ndarray) -> dict[str, int]:
        """How many values of each category the model never saw; empty ones do not count."""
        unseen = {}
        for position, (name, vocabulary) in enumerate(self.columns.items()):
            if isinstance(vocabulary, tuple):
                # -1 stands for an unknown value and for none
                unknown = int((matrix[:, position] < 0).sum())
                unseen[name] = unknown - batch[name].null_count
        return unseen

    def save(self, folder: Place) -> str:
        """Write the model into a folder.

        Returns
        -------
        str
            Its hash; `load` asks for it.
        """
        meaning = {"columns": dict(self.columns), "classes": self.classes, "threshold": self.threshold}
        if self.references:  # not where there are none: the same model is always the same bytes
            meaning["references"] = self.references
        return write_model(folder, self.estimator, meaning, self.sql)

    @classmethod
    def load(cls, folder: Place, sha256: str, trusted: Sequence[str] = ()) -> Model:
        """Read a model that `save` wrote; parameters and errors are those of `read_model`."""
        stored = read_model(folder, sha256, trusted)
        meaning = stored.meaning
        known = meaning.columns, meaning.classes, stored.sql, meaning.threshold, meaning.references
        return cls(stored.estimator, *known)
