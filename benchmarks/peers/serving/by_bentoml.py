"""BentoML: a service whose requests are answered in batches, as its guide of adaptive batching shows."""

from __future__ import annotations

import os
from pathlib import Path

import bentoml
import joblib
import numpy as np

FOLDER = Path(os.environ["BENCH_FOLDER"])


@bentoml.service(
    workers=int(os.environ["BENCH_PROCESSES"]), traffic={"timeout": 60}, logging={"access": {"enabled": False}}
)
class Classifier:
    def __init__(self) -> None:
        self.model = joblib.load(FOLDER / "model.joblib")

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=6400, max_latency_ms=1000)
    def predict(self, vectors: np.ndarray) -> np.ndarray:
        probabilities = self.model.predict_proba(vectors)
        return np.column_stack([probabilities.argmax(axis=1), probabilities.max(axis=1)])
