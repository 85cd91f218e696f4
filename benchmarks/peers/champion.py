"""The model that all ways use: our champion, with its own vocabularies and its own code for numbers and classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.peers.job import Job
from mlops_assets.journey.model.model import Model

_kept: tuple[Job, Model]


def keep(job: Job) -> None:
    """Begin a worker process of a pool: the model is loaded once."""
    global _kept  # noqa: PLW0603 - a worker's own
    _kept = job, load(job)


def kept() -> tuple[Job, Model]:
    """What `keep` left in this process."""
    return _kept


def load(job: Job) -> Model:
    """The champion of the job."""
    return Model.load(Path(job.model), job.sha256)


def predict(model: Model, features: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Label of every row, and the probability of that label.

    Parameters
    ----------
    model
        The champion.
    features
        Its columns; others are not looked at.
    """
    probabilities = model.probabilities(model.matrix(features))
    numbers = model.decide(probabilities)
    return np.array(model.classes)[numbers], probabilities[np.arange(len(numbers)), numbers]
