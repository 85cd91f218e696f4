"""MLServer: its scikit-learn runtime with adaptive batching; more processes are workers of its pool."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Write its settings and become the server."""
    folder, port, processes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    place = folder / "mlserver"
    place.mkdir(exist_ok=True)
    ports = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
    # with 0 workers a model runs in the server's own process: the cheapest way to have one process
    workers = 0 if processes == 1 else processes
    settings = {"host": "127.0.0.1", **ports, "parallel_workers": workers, "debug": False, "metrics_endpoint": None}
    (place / "settings.json").write_text(json.dumps(settings))
    model = {
        "name": "classifier",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "max_batch_size": 6400,
        "max_batch_time": 0.004,
        "parameters": {"uri": str(folder / "model.joblib"), "version": "1"},
    }
    (place / "model-settings.json").write_text(json.dumps(model))
    command = Path(sys.executable).with_name("mlserver")
    os.execv(command, [str(command), "start", str(place)])


if __name__ == "__main__":
    main()
