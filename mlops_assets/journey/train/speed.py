"""In: a model and rows. Out: how many it scores in a CPU second of one core, whatever else the machine does."""

from __future__ import annotations

import math
import resource
import time

import numpy as np

from mlops_assets.journey.features.sql import BATCH
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.candidates import calm_fitting

TRIES, FEWER = 5, 2
"""Measurements, of which the best counts: a busy machine can only take away from one, by emptying the caches. Of one
that takes longer than `LEAST` fewer are enough."""

LEAST = 0.05
"""CPU seconds that a measurement takes at least."""

SLOW, PROBE = 1.0, 1_000
"""A model that takes as many CPU seconds for as many rows is measured on these alone, and twice."""


def speed(model: Model, matrix: np.ndarray, slow: float = SLOW) -> float:
    """Rows that a model scores in a CPU second of one core: matrix in, class and probability out.

    Counted is the CPU time of this process with all its threads, and of the processes that it starts and ends. The rows
    are repeated to as many as the daily job asks at once.

    Parameters
    ----------
    model
        The model.
    matrix
        Rows as the model sees them.
    slow
        CPU seconds; a model that takes as many for `PROBE` rows is measured on these alone.
    """
    from joblib import parallel_config

    if not len(matrix):
        return 0.0
    texts = matrix.dtype == object  # which are read at thousands a second, so that fewer are enough
    # in threads, whose CPU time is ours: processes that live on are seen by nobody
    with calm_fitting(), parallel_config(backend="threading"):
        _seconds(model, np.resize(matrix, (100, matrix.shape[1])), 1)  # a first call pays for what is made only once
        batch = np.resize(matrix, (PROBE, matrix.shape[1]))
        first = _seconds(model, batch, 1)
        if first < slow:
            batch = np.resize(matrix, (BATCH // 20 if texts else BATCH, matrix.shape[1]))
            first = _seconds(model, batch, 1)
        calls = max(1, math.ceil(LEAST / max(first, 1e-6)))
        tries = 1 if first >= slow else FEWER if first >= LEAST else TRIES
        return len(batch) / max(1e-9, min(first, *(_seconds(model, batch, calls) / calls for _ in range(tries))))


def _seconds(model: Model, batch: np.ndarray, calls: int) -> float:
    """CPU seconds that a model takes for some calls."""
    began = _cpu_time()
    for _ in range(calls):
        model.decide(model.probabilities(batch))
    return _cpu_time() - began


def _cpu_time() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime
