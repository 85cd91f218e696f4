"""`mlflow models serve`: a scikit-learn model with its own scoring server."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def main() -> None:
    """Write the model in MLflow's form and become the server."""
    folder, port, processes = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    import joblib
    import mlflow.sklearn

    place = folder / "mlflow_model"
    shutil.rmtree(place, ignore_errors=True)
    model = joblib.load(folder / "model.joblib")
    mlflow.sklearn.save_model(model, place, pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle")
    command = Path(sys.executable).with_name("mlflow")
    given = ["models", "serve", "-m", str(place), "-h", "127.0.0.1", "-p", port, "-w", processes]
    os.environ["PATH"] = f"{command.parent}:{os.environ['PATH']}"  # it looks for uvicorn there
    os.execv(command, [str(command), *given, "--env-manager", "local"])


if __name__ == "__main__":
    main()
