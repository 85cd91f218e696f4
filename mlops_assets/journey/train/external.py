"""In: a model that somebody logged to MLflow. Out: a `Model`, after its form, signature and classes were checked.

Only scikit-learn's flavour in skops' format is taken: it holds no code, and its types are checked against our own list.
A pickle runs whatever its author wrote as soon as it is loaded, in every process that scores; so does a pyfunc.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from mlops_assets.errors import ModelRefused, UsageError
from mlops_assets.journey.features.matrix import TEXT
from mlops_assets.journey.features.sql import describe
from mlops_assets.journey.model.archive import ESTIMATOR_FILE, LARGEST, Known, load_estimator, read_plain
from mlops_assets.journey.model.fetching import download, folder_here
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.registry import Registry
from mlops_assets.plugins.stored import see_depth
from mlops_assets.use_case import UseCase

if TYPE_CHECKING:
    from mlflow import MlflowClient

NUMBERS = ("double", "float", "long", "integer", "boolean")
TEXTS = ("string",)
"""MLflow's types that a number column, and one of text, can be given as."""

WAY_OUT = 'log it with mlflow.sklearn.log_model(..., serialization_format="skops", skops_trusted_types=...)'
"""What to do where a model is stored in a form that is not taken."""

DESCRIPTION_FILE, LARGEST_DESCRIPTION = "MLmodel", 1 << 20
"""MLflow's description of a model, and the bytes that it may have."""


class _Loader(yaml.SafeLoader):
    """Takes no references, which MLflow does not write: a few lines of them unfold to any size."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it refers from one part to another, as no file of MLflow's does")
        return super().compose_node(parent, index)


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
        return _text(self.description.get("run_id"))


@contextmanager
def fetch(registry: Registry, uri: str) -> Iterator[Logged]:
    """Bring a logged model to this machine, for as long as it is looked at; nothing of it is loaded.

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
        If what is there is no model of MLflow's, or it lies where MLflow keeps no files by the settings.
    """
    from mlflow.exceptions import MlflowException

    settings = registry.settings
    try:
        location = _location(registry.client(), uri)
    except (MlflowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{uri}: MLflow's store has no such model: {reason}") from None
    if (here := folder_here(uri, location)) is not None:
        yield read_logged(uri, here)
        return
    with TemporaryDirectory() as folder:
        described, whole = Path(folder) / "described", Path(folder) / "whole"
        download(uri, location, {DESCRIPTION_FILE: LARGEST_DESCRIPTION}, described, settings)
        logged = read_logged(uri, described)
        download(uri, location, {_skops_file(logged): LARGEST[ESTIMATOR_FILE]}, whole, settings)
        yield replace(logged, folder=whole)


def read_logged(uri: str, folder: Path) -> Logged:
    """A model that lies on this machine, by its description; nothing of it is loaded.

    Raises
    ------
    ModelRefused
        If it has none.
    """
    try:
        # nothing of the file runs, as YAML with types of Python would
        description = yaml.load(read_plain(folder / DESCRIPTION_FILE, LARGEST_DESCRIPTION), _Loader)  # noqa: S506 - a SafeLoader
        see_depth(description)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:  # dates, numbers and keys that are none
        raise ModelRefused(f"{uri}: its file MLmodel cannot be read: {error}") from None
    if not isinstance(description, dict) or not isinstance(description.get("flavors"), dict):
        raise ModelRefused(f"{uri}: its file MLmodel names no flavours; log the model with mlflow.sklearn.log_model.")
    return Logged(uri, folder, description)


def _location(client: MlflowClient, uri: str) -> str:
    """Where the files of a model lie. MLflow's own look-up asks the store of the process, not the one it is given."""
    kind, _, rest = uri.partition(":/")
    name, _, last = rest.strip("/").partition("/")
    source: str | None = None
    if kind == "models":
        source = _registered(client, uri, rest, name, last)
    elif kind == "runs" and last:
        source = _logged_in_run(client, name, last)
    if source is None:
        raise UsageError(f"{uri}: name the model as MLflow does: models:/name/version or runs:/run/model.")
    # MLflow 3 gives every logged model an id of its own
    if source.startswith("models:/m-"):
        return str(client.get_logged_model(source.removeprefix("models:/")).artifact_location)
    if source.startswith("models:/"):  # copied from another version
        name, _, last = source.removeprefix("models:/").partition("/")
        return str(client.get_model_version_download_uri(name, last))
    return source


def _registered(client: MlflowClient, uri: str, rest: str, name: str, last: str) -> str | None:
    if "@" in rest:
        return str(client.get_model_version_by_alias(*rest.split("@", 1)).source)
    if last.isdigit():
        return str(client.get_model_version(name, last).source)
    return uri if name.startswith("m-") and not last else None


def _logged_in_run(client: MlflowClient, run: str, name: str) -> str:
    info = client.get_run(run).info
    asked = f"source_run_id = '{run}' AND name = '{name}'"
    models = client.search_logged_models([info.experiment_id], filter_string=asked)
    # before MLflow 3, a model was a folder among the artifacts of its run
    return str(models[0].model_uri) if models else f"{info.artifact_uri}/{name}"


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
    if use_case.training.says_numbers:
        return _of_numbers(use_case, logged, columns)
    estimator = _load(use_case, logged)
    classes = [_class_text(value) for value in np.asarray(estimator.classes_).tolist()]
    unknown = [name for name in classes if name not in labels]
    if unknown:
        raise ModelRefused(
            f"{logged.uri}: it says classes that are no labels of {use_case.name}: {', '.join(unknown[:10])}; "
            f"labels are {', '.join(labels[:20])}. Fit it on the labels as text, as `mlops_assets.notebook` gives them."
        )
    from mlops_assets.encoders import OnFrame  # brings scikit-learn, for which nobody else shall wait

    texts = tuple(name for name, vocabulary in columns.items() if vocabulary == TEXT)
    # wrapped, not rewritten: so it is stored, checked and loaded as any other model
    wrapped = OnFrame(estimator, tuple(columns), texts, tuple(map(labels.index, classes)))
    return Model(wrapped, columns, tuple(labels), use_case.features_sql, use_case.training.threshold)


def _of_numbers(use_case: UseCase, logged: Logged, columns: Mapping[str, Known]) -> Model:
    """A model of ours of a regressor; without an interval, for of no row it is known that it has not learned it."""
    estimator = _load(use_case, logged, "predict")
    if hasattr(estimator, "classes_"):
        raise ModelRefused(f"{logged.uri}: it says classes, and {use_case.name} predicts a number: log a regressor.")
    from mlops_assets.encoders import NumbersOnFrame

    texts = tuple(name for name, vocabulary in columns.items() if vocabulary == TEXT)
    return Model(NumbersOnFrame(estimator, tuple(columns), texts), columns, (), use_case.features_sql)


def _columns(use_case: UseCase, logged: Logged) -> dict[str, Known]:
    """The inputs of the signature, compared with what `features.sql` makes."""
    made = describe(use_case).model
    inputs = _signature(logged)
    # it may need fewer columns than there are
    absent = [name for name in inputs if name not in made]
    if absent:
        raise ModelRefused(
            f"{logged.uri}: features.sql of {use_case.name} makes no column {', '.join(map(repr, absent))}; it makes "
            f"{', '.join(made)}."
        )
    other = [
        f"{name!r} is {'text' if made[name] else 'a number'} and the model takes {kind}"
        for name, kind in inputs.items()
        if kind not in (TEXTS if made[name] else NUMBERS)
    ]
    if other:
        raise ModelRefused(f"{logged.uri}: columns are of another type: {'; '.join(other)}.")
    return {name: TEXT if made[name] else None for name in inputs}


def _signature(logged: Logged) -> dict[str, str]:
    """The inputs that a model was logged with: name and MLflow's type."""
    signature = logged.description.get("signature")
    inputs = signature.get("inputs") if isinstance(signature, dict) else None
    try:
        columns = json.loads(_text(inputs)) if inputs else []
    except (ValueError, RecursionError):
        columns = []
    if not isinstance(columns, list) or not columns or not all(map(_is_named, columns)):
        raise ModelRefused(
            f"{logged.uri}: it has no signature that names its columns. Fit it on a DataFrame and log it with "
            "signature=mlflow.models.infer_signature(X, y)."
        )
    return {column["name"]: str(column.get("type")) for column in columns}


def _is_named(column: Any) -> bool:
    return isinstance(column, dict) and isinstance(column.get("name"), str)


def _load(use_case: UseCase, logged: Logged, method: str = "predict_proba") -> Any:
    from skops.io.exceptions import UntrustedTypesFoundException

    content = read_plain(logged.folder / _skops_file(logged), LARGEST[ESTIMATOR_FILE])
    try:
        return load_estimator(content, use_case.training.trusted, method=method)
    except UntrustedTypesFoundException as error:
        raise ModelRefused(
            f"{logged.uri}: {error} If you know what they do, add them to `training.trusted` of {use_case.name}."
        ) from None
    except Exception as error:  # whatever a damaged or forged file makes skops, zip, JSON or NumPy say
        raise ModelRefused(f"{logged.uri}: it cannot be loaded: {error}. To mend it, {WAY_OUT}.") from None


def _skops_file(logged: Logged) -> str:
    """Name of the file with the estimator, where that can be loaded without running code."""
    flavours = logged.description["flavors"]
    sklearn = flavours.get("sklearn")
    if not isinstance(sklearn, dict):
        raise ModelRefused(
            f"{logged.uri}: its flavours, {', '.join(map(_text, flavours))}, run code of their own when they are "
            f"loaded. Only scikit-learn's is taken: {WAY_OUT}."
        )
    stored_as = _text(sklearn.get("serialization_format")) or None
    if stored_as != "skops":
        raise ModelRefused(
            f"{logged.uri}: it is stored as {stored_as}, which runs code when it is loaded. "
            f"Here only skops is taken: {WAY_OUT}."
        )
    name = _text(sklearn.get("pickled_model"))
    if not name or Path(name).name != name:
        raise ModelRefused(f"{logged.uri}: its file MLmodel names {name!r}, which is not beside it.")
    return name


def _text(value: object) -> str:
    """A text of a file that anybody may have written; empty where there is another thing."""
    return value if isinstance(value, str) else ""


def _class_text(value: object) -> str:
    """A class as labels are written."""
    return str(int(value)) if isinstance(value, bool) else str(value)
