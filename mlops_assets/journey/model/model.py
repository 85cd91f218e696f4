"""A model that can score: the estimator with all that its numbers mean.

What it *says* and what is *decided* of that are words of `task`, which has one way for classes and one for numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from mlops_assets.journey.features.crosses import Pairs
from mlops_assets.journey.features.matrix import to_matrix
from mlops_assets.journey.model.archive import Kept, Known, copy_model, read_model, write_model
from mlops_assets.journey.model.calibrator import Calibrator
from mlops_assets.journey.model.scorer.steps import Asked, Scorer
from mlops_assets.journey.model.task import Task, task_of
from mlops_assets.storage.places import Place

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


EIGHT = 8
"""See `_in_eights`."""


@dataclass(frozen=True)
class Model:
    """A fitted estimator and what its columns and classes mean.

    Attributes
    ----------
    fitted
        The estimator, fitted on the matrix of `to_matrix`, with class numbers as its target, or numbers; or one that is
        kept until somebody asks for it.
    columns
        Columns of the model's input in order, each with what is known of it.
    classes
        Labels by class number; none of a model that says numbers.
    sql
        The `features.sql` that makes the input.
    threshold
        Binary only: probability from which the second class is said; None for the likelier class.
    references
        Texts with `{{ env.NAME }}` of the configuration that it was made by: what they stand for is not stored.
    calibrator
        What makes probabilities of what the estimator says, or an interval around it; None if it is taken as it is.
    stored_scorer
        The scorer that was stored with it; None if there was none.
    """

    fitted: Pipeline | Kept
    columns: Mapping[str, Known]
    classes: tuple[str, ...]
    sql: str
    threshold: float | None = None
    references: tuple[str, ...] = ()
    calibrator: Calibrator | None = None
    stored_scorer: Scorer | None = None

    @property
    def estimator(self) -> Pipeline:
        """The estimator; see `fitted`."""
        return self.fitted.estimator if isinstance(self.fitted, Kept) else self.fitted

    @cached_property
    def _vocabularies(self) -> dict[str, pa.Array | Literal["text"] | None]:
        return {
            name: pa.array(vocabulary, pa.string()) if isinstance(vocabulary, tuple) else vocabulary
            for name, vocabulary in self.columns.items()
        }

    @cached_property
    def _pairs(self) -> dict[tuple[str, str], Pairs]:
        return {}

    @cached_property
    def task(self) -> Task:
        """What it says: classes or numbers."""
        return task_of(self.classes, self.threshold)

    @cached_property
    def scorer(self) -> Scorer | None:
        """What answers in the place of the estimator, to the same bits; None if that is asked itself."""
        if self.stored_scorer is not None:
            return self.stored_scorer
        from mlops_assets.journey.model.scorer.compiled import compiled  # brings scikit-learn

        return compiled(self.estimator, self.task.method)

    def _predict(self, matrix: np.ndarray) -> np.ndarray:
        if self.scorer is not None:
            with suppress(Asked):
                return self.scorer.ask(matrix)
        said: np.ndarray = getattr(self.estimator, self.task.method)(matrix)
        return said

    def matrix(self, batch: pa.Table, too_large: Counter[str] | None = None) -> np.ndarray:
        """What the estimator sees; see `to_matrix`."""
        return to_matrix(batch, self._vocabularies, too_large, self._pairs)

    def probabilities(self, matrix: np.ndarray) -> np.ndarray:
        """What it says of each row: the probability of every class; or its number, with the ends of its interval."""
        return self.calibrated(self.uncalibrated(matrix))

    def uncalibrated(self, matrix: np.ndarray) -> np.ndarray:
        """What the estimator says, in the form of `probabilities`."""
        return self.task.said(self.scorer or self.estimator, self._predict(_in_eights(matrix))[: len(matrix)])

    def calibrated(self, uncalibrated: np.ndarray) -> np.ndarray:
        """The probabilities that follow from what the estimator says; see `Calibrator`."""
        return uncalibrated if self.calibrator is None else self.calibrator.apply(uncalibrated)

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """The answer for each row: the number of its class, or its number."""
        return self.task.decide(probabilities)

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
        # what is filled into a reference as a model is loaded could decide what it says
        fits = (
            not self.references and self.scorer is not None and self.scorer.fits(len(self.columns), len(self.classes))
        )
        return write_model(folder, self.estimator, self._meaning, self.sql, self.scorer if fits else None)

    def save_copy(self, source: Place, sha256: str, folder: Path) -> str:
        """Write the model into a folder that is not there yet, with the bytes of an estimator that was stored.

        Parameters
        ----------
        source, sha256
            Where the model lies that this one was made of by another calibrator, and its hash.
        folder
            Where to.

        Returns
        -------
        str
            As `save`.
        """
        return copy_model(source, sha256, folder, self._meaning)

    @property
    def _meaning(self) -> dict[str, Any]:
        meaning = {"columns": dict(self.columns), "classes": self.classes, "threshold": self.threshold}
        # not where there are none: the same model is always the same bytes
        if self.references:
            meaning["references"] = self.references
        if self.calibrator:
            meaning["calibrator"] = asdict(self.calibrator)
        return meaning

    @classmethod
    def load(cls, folder: Place, sha256: str, trusted: Sequence[str] = (), *, whole: bool = True) -> Model:
        """Read a model that `save` wrote; parameters and errors are those of `read_model`."""
        stored = read_model(folder, sha256, trusted, whole=whole)
        meaning = stored.meaning
        known = meaning.columns, meaning.classes, stored.sql, meaning.threshold, meaning.references, meaning.calibrator
        return cls(stored.fitted, *known, stored.scorer)


def _in_eights(matrix: np.ndarray) -> np.ndarray:
    """A matrix whose rows are a multiple of `EIGHT`, the last one being there as often as it takes.

    Libraries add up a product of matrices in another order for a row alone, and for what is left over of four or eight
    rows: a probability would hang, in its last bits, on what else is asked for together.
    """
    missing = -len(matrix) % EIGHT
    if not missing or not len(matrix) or matrix.dtype == object:  # texts become sparse rows, which are added up singly
        return matrix
    longer = np.empty((len(matrix) + missing, matrix.shape[1]), matrix.dtype, order="F")
    longer[: len(matrix)] = matrix
    longer[len(matrix) :] = matrix[-1]
    return longer
