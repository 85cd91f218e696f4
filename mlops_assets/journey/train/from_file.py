"""In: an ONNX or safetensors file of somebody, and what they say of it. Out: a `Model`, after its form was checked.

Neither form holds code. An ONNX file is a model by itself; a safetensors file has the weights of a network alone, whose
class is code of the use case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.errors import ConfigError, ModelRefused, UsageError
from mlops_assets.journey.features.matrix import TEXT
from mlops_assets.journey.features.sql import describe
from mlops_assets.journey.model.archive import Known
from mlops_assets.journey.model.files import read_plain
from mlops_assets.journey.model.flavours import FLAVOURS
from mlops_assets.journey.model.flavours.flavour import Shape
from mlops_assets.journey.model.flavours.onnx import read_as
from mlops_assets.journey.model.flavours.onnx_file import OnnxFile, read_onnx
from mlops_assets.journey.model.flavours.safetensors_file import notes_of, read_safetensors
from mlops_assets.journey.model.flavours.torch import see_state
from mlops_assets.journey.model.model import Model
from mlops_assets.plugins.stored import see_depth
from mlops_assets.use_case import UseCase

ENDINGS = {f".{flavour}": name for name in ("onnx", "torch") for flavour in (FLAVOURS[name].suffix,)}
"""How the files end that are taken, and the flavour of each."""


@dataclass(frozen=True)
class Said:
    """What somebody says of a model from elsewhere, where it does not say so itself.

    Attributes
    ----------
    classes
        Its classes in the order of its probabilities.
    columns
        The columns that it takes, in order.
    module, parameters
        Import path of the class of a network, and its further arguments.
    """

    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    module: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


NOTHING = Said()

LEARNED = "training_set"
"""Under which name a file may note the fingerprint of the training set that its model has learned."""


@dataclass(frozen=True)
class Brought:
    """A model that was brought from elsewhere.

    Attributes
    ----------
    model
        The model.
    origin
        Where it came from, for its card: `model` is its name.
    learned
        Fingerprint of the training set that it says it has learned; empty if it says none.
    """

    model: Model
    origin: Mapping[str, str]
    learned: str = ""


def said_of(classes: str, columns: str, module: str, parameters: str) -> Said:
    """What the options of a command say.

    Parameters
    ----------
    classes, columns
        Names between commas, or a list in JSON.
    module
        As in `Said`.
    parameters
        A table in JSON.

    Raises
    ------
    UsageError
        If one is none.
    """
    given = _json("--parameters", parameters or "{}")
    if not isinstance(given, dict):
        raise UsageError(f'--parameters: it is a table in JSON, such as {{"hidden": 32}}, and not {parameters[:80]}')
    return Said(_names("--classes", classes), _names("--columns", columns), module, given)


def _names(option: str, text: str) -> tuple[str, ...]:
    # a name may hold a comma
    names = _json(option, text) if text.lstrip().startswith("[") else [one.strip() for one in text.split(",") if one]
    if not all(isinstance(one, str) and one for one in names):
        raise UsageError(f"{option}: it is a list of names, and not {text[:80]}")
    if twice := [one for one in names if names.count(one) > 1]:
        raise UsageError(f"{option}: {twice[0]!r} stands there twice")
    return tuple(names)


def _json(option: str, text: str) -> Any:
    try:
        found = json.loads(text)
        see_depth(found)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{option}: {text[:80]} cannot be read as JSON: {error}") from None
    return found


def is_file(uri: str) -> bool:
    """Whether a model is named by a file of this machine, and not as MLflow names one."""
    return ":/" not in uri and Path(uri).suffix in ENDINGS


def read_file(uri: str) -> bytes:
    """The content of a file that somebody names.

    Raises
    ------
    UsageError
        If there is none.
    ModelRefused
        If it is too large, a link or no plain file.
    """
    path = Path(uri)
    if not path.exists():
        raise UsageError(f"{uri}: there is no such file.")
    return read_plain(path, FLAVOURS[ENDINGS[path.suffix]].largest)


def model_of_file(
    use_case: UseCase, name: str, flavour: str, content: bytes, labels: Sequence[str], said: Said = NOTHING
) -> Brought:
    """Make a model of the content of a file. It is not loaded: that is done once it has passed its trial.

    Parameters
    ----------
    use_case
        The use case; its `features.sql` makes the input of the model.
    name
        The file, for messages.
    flavour
        `onnx` or `torch`.
    content
        Its bytes.
    labels
        The labels of the training set.
    said
        What who registers it says of it.

    Raises
    ------
    ModelRefused
        If it holds what is not taken, is forged, needs columns that `features.sql` does not make, or says classes that
        are no labels.
    """
    from mlops_assets.journey.model.flavours.flavoured import Flavoured

    if use_case.training.says_numbers:
        raise ModelRefused(
            f"{name}: {use_case.name} predicts a number, and a model of {flavour} is taken for classes alone. Log a "
            "regressor of scikit-learn, XGBoost, LightGBM or CatBoost to MLflow."
        )
    made = describe(use_case).model
    if absent := [column for column in said.columns if column not in made]:
        raise ModelRefused(
            f"{name}: features.sql of {use_case.name} makes no column {', '.join(map(repr, absent))}; it makes "
            f"{', '.join(made)}."
        )
    try:
        columns, classes, facts = (_onnx if flavour == "onnx" else _network)(use_case, content, made, said)
        numbers = _numbers(use_case, classes, labels)
        # said in the order of the labels, whatever that of the file is
        facts["places"] = np.argsort(numbers).tolist()
        shape = Shape("classifier", len(columns), np.sort(numbers), facts)
        if flavour == "torch":
            _see_weights(content, shape)
        FLAVOURS[flavour].check(content, shape)
        notes = read_onnx(content).metadata if flavour == "onnx" else notes_of(content)
    except (ValueError, ConfigError) as error:
        raise ModelRefused(f"{name}: {str(error).rstrip('.')}.") from None
    estimator = Flavoured.of(flavour, shape, content)
    known: dict[str, Known] = {column: TEXT if made[column] else None for column in columns}
    model = Model(estimator, known, tuple(labels), use_case.features_sql, use_case.training.threshold)
    return Brought(model, {"model": name}, notes.get(LEARNED, ""))


def _numbers(use_case: UseCase, classes: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """The numbers of its classes."""
    if unknown := [name for name in classes if name not in labels]:
        raise ValueError(
            f"it says classes that are no labels of {use_case.name}: {', '.join(unknown[:10])}; labels are "
            f"{', '.join(labels[:20])}. Name the label of each of its classes, in its order, by --classes"
        )
    if len(set(classes)) < len(classes) or len(classes) < 2:
        raise ValueError(f"it says the classes {', '.join(classes[:10])}; two or more are needed, each once")
    return np.array([labels.index(name) for name in classes], np.int64)


def _onnx(
    use_case: UseCase,  # noqa: ARG001 - all the rest is in the file
    content: bytes,
    made: Mapping[str, bool],
    said: Said,
) -> tuple[Sequence[str], Sequence[str], dict[str, Any]]:
    """Columns and classes of an ONNX file, and what is stored beside it."""
    file = read_onnx(content)
    columns = said.columns or _columns(file, made)
    texts = [name for name in columns if made[name]]
    classes = said.classes or file.classes
    if not classes:
        raise ValueError("it does not name its classes; name them, in the order of its probabilities, by --classes")
    if file.classes and len(file.classes) != len(classes):
        raise ValueError(f"it has {len(file.classes)} classes, and --classes names {len(classes)}")
    return columns, classes, read_as(file, columns, texts, file.classes or classes).facts


def _columns(file: OnnxFile, made: Mapping[str, bool]) -> Sequence[str]:
    """The columns that it takes: those that its inputs are named as, else all."""
    names = [value.name for value in file.inputs]
    return names if all(name in made for name in names) else list(made)


def _network(
    use_case: UseCase, content: bytes, made: Mapping[str, bool], said: Said
) -> tuple[Sequence[str], Sequence[str], dict[str, Any]]:
    """Columns and classes of a network, and what is stored beside its weights."""
    read_safetensors(content)
    if not said.module:
        raise ValueError("it has weights alone; name the class of the network by --module, such as my_use_case.net.Net")
    if said.module not in use_case.training.trusted:
        raise ValueError(
            f"{said.module} is code of yours: name it in `training.trusted` of {use_case.name}, if you know what it "
            "does"
        )
    if not said.classes:
        raise ValueError("it has weights alone; name its classes, in the order of what it says, by --classes")
    columns = said.columns or list(made)
    if texts := [name for name in columns if made[name]]:
        raise ValueError(
            f"a network takes numbers, and of the columns {', '.join(map(repr, texts[:5]))} are texts. Name the "
            "columns that it takes, in its order, by --columns; or export it as ONNX with what makes numbers of texts"
        )
    return columns, said.classes, {"module": said.module, "parameters": dict(said.parameters)}


def _see_weights(content: bytes, shape: Shape) -> None:
    from mlops_assets.estimators import make_network

    facts = shape.facts
    network = make_network(facts["module"], shape.features, shape.outputs, facts["parameters"])
    see_state(read_safetensors(content), network.state_dict(), facts["module"])
