"""In: a model that somebody logged to MLflow. Out: a `Model`, after its form, signature and classes were checked.

Only scikit-learn's flavour in skops' format is taken: it holds no code, and its types are checked against our own list.
A pickle runs whatever its author wrote as soon as it is loaded, in every process that scores; so does a pyfunc.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from mlops_assets.errors import ModelRefused, UsageError
from mlops_assets.journey.features.sql import TEXT, describe
from mlops_assets.journey.model.model import ESTIMATOR_FILE, LARGEST, Known, Model, load_estimator
from mlops_assets.journey.model.registry import Registry
from mlops_assets.use_case import UseCase

if TYPE_CHECKING:
    from mlflow import MlflowClient

NUMBERS = ("double", "float", "long", "integer", "boolean")
"""MLflow's types that a number column can be given as."""

LARGEST_DESCRIPTION = 1 << 20
"""Bytes that MLflow's description of a model may have."""


@dataclass(frozen=True)
class Logged:
    """A model as MLflow holds it.

    Attributes
    ----------
    uri
        How it was named, such as `models:/name/3`.
    folder
        Where it lies on this machine.
    description
        What its file `MLmodel` says.
    """

    uri: str
    folder: Path
    description: Mapping[str, Any]

    @property
    def run(self) -> str:
        """Id of the run that logged it; empty if it is not told."""
        return str(self.description.get("run_id") or "")


def fetch(registry: Registry, uri: str) -> Logged:
    """Bring a logged model to this machine; nothing of it is loaded.

    Parameters
    ----------
    registry
        Knows where MLflow's store is.
    uri
        `models:/name/version`, `models:/name@alias` or `runs:/run/model`.

    Raises
    ------
    UsageError
        If it is no such address, or there is no such model.
    ModelRefused
        If what is there is no model of MLflow's.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        place = _location(registry.client(), uri)
        folder = Path(download_artifacts(place, tracking_uri=registry.settings.tracking_uri))
    except (MlflowException, OSError) as error:
        said = str(error).splitlines()[0]
        raise UsageError(f"{uri}: MLflow's store has no such model: {said}") from None
    return read_logged(uri, folder)


def read_logged(uri: str, folder: Path) -> Logged:
    """A model that lies on this machine, by its description; nothing of it is loaded.

    Raises
    ------
    ModelRefused
        If it has none.
    """
    try:
        description = yaml.safe_load(_read(folder / "MLmodel", LARGEST_DESCRIPTION))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelRefused(f"{uri}: its file MLmodel cannot be read: {error}") from None
    if not isinstance(description, dict) or not isinstance(description.get("flavors"), dict):
        raise ModelRefused(f"{uri}: its file MLmodel names no flavours; log the model with mlflow.sklearn.log_model.")
    return Logged(uri, folder, description)


def _location(client: MlflowClient, uri: str) -> str:
    """Where the files of a model lie. MLflow's own look-up asks the store of the process, not the one it is given."""
    kind, _, rest = uri.partition(":/")
    name, _, last = rest.strip("/").partition("/")
    if kind == "models" and "@" in rest:
        source = client.get_model_version_by_alias(*rest.split("@", 1)).source
    elif kind == "models" and last.isdigit():
        source = client.get_model_version(name, last).source
    elif kind == "models" and name.startswith("m-") and not last:
        source = uri
    elif kind == "runs" and last:
        run = client.get_run(name)
        asked = f"source_run_id = '{name}' AND name = '{last}'"
        found = client.search_logged_models([run.info.experiment_id], filter_string=asked)
        source = found[0].model_uri if found else f"{run.info.artifact_uri}/{last}"
    else:
        raise UsageError(f"{uri}: name the model as MLflow does: models:/name/version or runs:/run/model.")
    if source.startswith("models:/m-"):
        return str(client.get_logged_model(source.removeprefix("models:/")).artifact_location)
    return str(source)


def as_model(use_case: UseCase, logged: Logged, labels: Sequence[str]) -> Model:
    """Make a model of ours of a logged one.

    Parameters
    ----------
    use_case
        The use case; its `features.sql` makes the input of the model.
    logged
        What `fetch` returned.
    labels
        The labels of the training set.

    Raises
    ------
    ModelRefused
        If it is stored as a pickle or as code, holds a type that is not allowed, needs other columns than
        `model_input` has, or says other classes than the labels.
    """
    columns = _columns(use_case, logged)
    estimator = _load(use_case, logged)
    classes = [_class_text(one) for one in np.asarray(estimator.classes_).tolist()]
    unknown = [one for one in classes if one not in labels]
    if unknown:
        raise ModelRefused(
            f"{logged.uri}: it says classes that are no labels of {use_case.name}: {', '.join(unknown[:10])}; "
            f"labels are {', '.join(labels[:20])}. Fit it on the labels as text, as `mlops_assets.notebook` gives them."
        )
    from mlops_assets.encoders import OnFrame  # brings scikit-learn, for which nobody else shall wait

    texts = tuple(name for name, known in columns.items() if known == TEXT)
    wrapped = OnFrame(estimator, tuple(columns), texts, tuple(labels.index(one) for one in classes))
    return Model(wrapped, columns, tuple(labels), use_case.features_sql, use_case.training.threshold)


def _columns(use_case: UseCase, logged: Logged) -> dict[str, Known]:
    """The inputs of the signature, compared with what `features.sql` makes."""
    made = describe(use_case).model
    signature = logged.description.get("signature")
    inputs = json.loads(signature["inputs"]) if isinstance(signature, dict) and signature.get("inputs") else []
    if not inputs or not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in inputs):
        raise ModelRefused(
            f"{logged.uri}: it has no signature that names its columns. Fit it on a DataFrame and log it with "
            "signature=mlflow.models.infer_signature(X, y)."
        )
    absent = [one["name"] for one in inputs if one["name"] not in made]
    if absent:
        raise ModelRefused(
            f"{logged.uri}: features.sql of {use_case.name} makes no column {', '.join(map(repr, absent))}; it makes "
            f"{', '.join(made)}."
        )
    kinds = {one["name"]: str(one.get("type")) for one in inputs}
    other = [
        f"{name!r} is {'text' if made[name] else 'a number'} and the model takes {kind}"
        for name, kind in kinds.items()
        if kind not in (("string",) if made[name] else NUMBERS)
    ]
    if other:
        raise ModelRefused(f"{logged.uri}: columns are of another type: {'; '.join(other)}.")
    return {name: TEXT if made[name] else None for name in kinds}


def _load(use_case: UseCase, logged: Logged) -> Any:
    from skops.io.exceptions import UntrustedTypesFoundException

    flavours = logged.description["flavors"]
    ours = flavours.get("sklearn")
    way_out = 'log it with mlflow.sklearn.log_model(..., serialization_format="skops", skops_trusted_types=...)'
    if not isinstance(ours, dict):
        raise ModelRefused(
            f"{logged.uri}: its flavours, {', '.join(flavours)}, run code of their own when they are loaded. "
            f"Only scikit-learn's is taken: {way_out}."
        )
    if ours.get("serialization_format") != "skops":
        raise ModelRefused(
            f"{logged.uri}: it is stored as {ours.get('serialization_format')}, which runs code when it is loaded. "
            f"Here only skops is taken: {way_out}."
        )
    name = str(ours.get("pickled_model"))
    if Path(name).name != name:
        raise ModelRefused(f"{logged.uri}: its file MLmodel names {name!r}, which is not beside it.")
    content = _read(logged.folder / name, LARGEST[ESTIMATOR_FILE])
    try:
        return load_estimator(content, use_case.training.trusted)
    except UntrustedTypesFoundException as error:
        raise ModelRefused(
            f"{logged.uri}: {error} If you know what they do, add them to `training.trusted` of {use_case.name}."
        ) from None
    except Exception as error:  # whatever a damaged or forged file makes skops, zip, JSON or NumPy say
        raise ModelRefused(f"{logged.uri}: it cannot be loaded: {error}. To mend it, {way_out}.") from None


def _read(path: Path, largest: int) -> bytes:
    """A plain file of at most so many bytes."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > largest:
            raise ModelRefused(f"{path}: it is no plain file of at most {largest:,} bytes.")
        return path.read_bytes()
    except OSError as error:
        raise ModelRefused(f"{path}: this is no model of MLflow's: {error.strerror}.") from None


def _class_text(value: object) -> str:
    """A class as labels are written."""
    return str(int(value)) if isinstance(value, bool) else str(value)
