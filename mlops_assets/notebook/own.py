"""In: a training set. Out: its rows as models see them, MLflow at the platform's store, a version of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mlops_assets.encoders import as_frame
from mlops_assets.errors import UsageError
from mlops_assets.journey.features.matrix import TEXT, as_text, to_matrix
from mlops_assets.journey.model.archive import ALLOWED_TYPES
from mlops_assets.journey.train.from_file import NOTHING, Said
from mlops_assets.journey.train.records import GatheredRows
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.notebook.finding import find
from mlops_assets.registering import Registered, register_elsewhere
from mlops_assets.work.engines import Engines
from mlops_assets.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd


TRUSTED_TYPES = sorted(ALLOWED_TYPES)
"""For `skops_trusted_types` of `mlflow.sklearn.log_model`: the types that `mlops-assets register` allows."""


@dataclass(frozen=True)
class Rows:
    """Labelled rows.

    Attributes
    ----------
    X
        The columns of `model_input`, in its order, as a model from elsewhere gets them: text as `str`, a missing one
        empty; numbers as float64, a missing one NaN.
    y
        The labels as text, or with `task: regression` as float64.
    keys
        Day, file, line and account of each row.
    """

    X: pd.DataFrame
    y: pd.Series
    keys: pd.DataFrame


@dataclass(frozen=True)
class Data:
    """A training set: what a model may learn from, and what it will be judged by.

    Attributes
    ----------
    fingerprint
        Its name; the same fingerprint means the same rows in the same split.
    train, held_out
        The two parts.
    classes
        The labels, sorted; none where they are numbers.
    """

    fingerprint: str
    train: Rows
    held_out: Rows
    classes: tuple[str, ...]


def load_training_set(use_case: str, fingerprint: str | None = None) -> Data:
    """Load a training set as the candidates of the configuration see it.

    Parameters
    ----------
    use_case
        Name of the use case.
    fingerprint
        Of the training set, or how it begins; the newest one if it is None. Model cards and Dagster's `training_set`
        show it.

    Raises
    ------
    UsageError
        If there is none.
    """
    data = find_training_set(use_case, fingerprint)
    table = data.load()
    held_out = np.asarray(table["_held_out"].to_numpy(), bool)
    train, judged = (rows_of(table.filter(pa.array(part)), data.features) for part in (~held_out, held_out))
    return Data(data.fingerprint, train, judged, data.classes)


def find_training_set(use_case: str, fingerprint: str | None = None) -> TrainingSet:
    """The training set of a fingerprint, or of how it begins; parameters and errors as of `load_training_set`."""
    sets = [record.training_set for record in find(use_case).runs.every(GatheredRows)]
    # its beginning is enough to name a fingerprint
    chosen = [data for data in sets if data.fingerprint.startswith(fingerprint or "")]
    if chosen:
        return chosen[-1]
    if not sets:
        raise UsageError(f"{use_case} has no training set yet: `mlops-assets run {use_case} --train` makes one.")
    existing = ", ".join(dict.fromkeys(data.fingerprint for data in sets))
    raise UsageError(f"{use_case} has no training set {fingerprint}; there are: {existing}.")


def use_mlflow(use_case: str) -> str:
    """Point MLflow at the platform's store and at an experiment for trials.

    Parameters
    ----------
    use_case
        Name of the use case.

    Returns
    -------
    str
        Name of the experiment; trainings of the platform have one of their own.
    """
    import mlflow

    workspace, name = Workspace.from_environment(), f"{use_case}_trials"
    workspace.registry.experiment(name)
    mlflow.set_tracking_uri(workspace.settings.tracking_uri)
    mlflow.set_experiment(name)
    return name


def log_model(use_case: str, model: Any, data: Data, **parameters: Any) -> str:
    """Log a fitted model as `register` takes it: in skops' format, with its signature and what it learned from.

    Parameters
    ----------
    use_case
        Name of the use case.
    model
        A scikit-learn classifier or regressor that was fitted on `data.train`.
    data
        The training set.
    parameters
        What to remember of the trial.

    Returns
    -------
    str
        Its address, for `register`.
    """
    import mlflow
    from mlflow.models import infer_signature

    use_mlflow(use_case)
    with mlflow.start_run() as run:
        mlflow.log_params({"training_set": data.fingerprint, **parameters})
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(data.train.X, data.train.y),
            serialization_format="skops",  # a pickle would be refused: it runs code as it is loaded
            skops_trusted_types=TRUSTED_TYPES,
            pip_requirements=[f"{name}=={version(name)}" for name in ("mlflow", "scikit-learn", "skops", "pandas")],
        )
    return f"runs:/{run.info.run_id}/model"


def register(use_case: str, uri: str, said: Said = NOTHING) -> Registered:
    """Make a version of a model from elsewhere, through the gate; the same as `mlops-assets register`.

    Parameters
    ----------
    use_case
        Name of the use case.
    uri
        `models:/name/version` or `runs:/run/model`, or an ONNX or safetensors file.
    said
        Classes, columns and network, where the model does not say so itself.
    """
    stores = find(use_case)
    with Engines(stores.settings) as engines:
        return register_elsewhere(stores, uri, engines.of(stores.use_case), said)


def rows_of(table: pa.Table, features: Mapping[str, bool]) -> Rows:
    """Rows of a training set as models see them.

    Parameters
    ----------
    table
        The rows.
    features
        The columns of the model, each with whether it is of text.
    """
    import pandas as pd

    # in the order of features.sql, which the table keeps and the record of a training set, in JSON, does not: a model
    # that takes one matrix from elsewhere is handed its columns so
    columns = [name for name in table.column_names if name in features]
    texts = [name for name in columns if features[name]]
    matrix = to_matrix(table, {name: TEXT if features[name] else None for name in columns})
    keys = {name.removeprefix("_"): table[name].to_pylist() for name in ("_day", "_file", "_line", "_account")}
    labels = table["_label"]
    if pa.types.is_floating(labels.type):
        label = pd.Series(labels.to_numpy(), name="label")
    else:
        label = pd.Series(as_text(labels).to_pylist(), name="label", dtype=object)
    return Rows(as_frame(matrix, columns, texts), label, pd.DataFrame(keys))
