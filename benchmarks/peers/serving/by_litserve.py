"""LitServe: an API whose requests are answered in batches, with a worker for each process."""

# no `from __future__ import annotations` here: LitServe reads the types of a request and an answer, and not as text
import sys
from pathlib import Path
from typing import Any

import joblib
import litserve
import numpy as np


class Classifier(litserve.LitAPI):
    def __init__(self, folder: Path) -> None:
        super().__init__(max_batch_size=128, batch_timeout=0.004)
        self._folder = folder

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's own
        self.model = joblib.load(self._folder / "model.joblib")

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        return np.array(request["vectors"])

    def predict(self, batch: Any) -> Any:
        vectors = np.concatenate(list(batch))
        probabilities = self.model.predict_proba(vectors)
        return np.split(probabilities, np.cumsum([len(one) for one in batch])[:-1])

    def unbatch(self, output: Any) -> Any:
        return output

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return {"prediction": output.argmax(axis=1).tolist(), "probability": output.max(axis=1).tolist()}


if __name__ == "__main__":
    _, folder, port, processes = sys.argv
    api = Classifier(Path(folder))
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(processes), timeout=60)
    server.run(
        host="127.0.0.1",
        port=int(port),
        num_api_servers=int(processes),
        log_level="warning",
        generate_client_file=False,
    )
