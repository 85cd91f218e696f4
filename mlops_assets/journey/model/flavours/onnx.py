"""ONNX: what any library exports, asked by onnxruntime. Such a model comes from elsewhere; none is fitted here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mlops_assets.journey.model.flavours.flavour import Asked, Flavour, Shape, see_places
from mlops_assets.journey.model.flavours.onnx_file import LARGEST, OnnxFile, Value, read_onnx
from mlops_assets.journey.model.structure.parts import Malformed

BLOCK = 1024
"""Rows that are asked together: what a model needs for a row it takes so many times, however long a day is."""

FLOATS: Mapping[str, type[np.generic]] = {"float": np.float32, "double": np.float64}
TYPES: Mapping[str, type[np.generic]] = {**FLOATS, "int64": np.int64, "int32": np.int32, "bool": np.bool_}
"""The types of an input of numbers."""

FACTS = ("columns", "texts", "classes", "places")
"""What is stored of a `Reading` beside its file."""

EXPECTED = (
    "Taken is one input of numbers [N, columns] in the order of the columns, or an input [N, 1] for each column, named "
    "as it; said must be probabilities [N, classes], or a map of them for each row"
)


@dataclass(frozen=True)
class Reading:
    """How a file is asked.

    Attributes
    ----------
    file
        What it says of itself.
    columns
        The columns of the matrix, in order.
    texts
        Those of them that are of text.
    classes
        The classes as the file names them, in the order of its probabilities.
    output
        The output that has the probabilities.
    places
        Where in it each class stands that is said, in order.
    """

    file: OnnxFile
    columns: tuple[str, ...]
    texts: tuple[str, ...]
    classes: tuple[str, ...]
    output: Value
    places: tuple[int, ...]

    @property
    def is_whole(self) -> bool:
        """Whether it takes the matrix as it is."""
        return _takes_matrix(self.file, self.columns)

    @property
    def facts(self) -> dict[str, Any]:
        """What is stored of it beside the file."""
        return {name: list(getattr(self, name)) for name in FACTS}


def read_as(
    file: OnnxFile, columns: Sequence[str], texts: Sequence[str], classes: Sequence[str], places: Sequence[int] = ()
) -> Reading:
    """How a file is to be asked, after it was seen to fit.

    Parameters
    ----------
    file
        What it says of itself.
    columns, texts, classes, places
        As in `Reading`; without places, classes are said in the order of the file.

    Raises
    ------
    Malformed
        If it does not fit, with what is expected.
    """
    if _takes_matrix(file, columns):
        _see_matrix(file.inputs[0], columns, texts)
    else:
        _see_columns(file.inputs, columns, texts)
    output = _probabilities(file, len(classes))
    return Reading(file, tuple(columns), tuple(texts), tuple(classes), output, tuple(places or range(len(classes))))


def _takes_matrix(file: OnnxFile, columns: Sequence[str]) -> bool:
    """Whether it takes all columns at once: there is one input, and it is none of them."""
    if len(file.inputs) != 1:
        return False
    given = file.inputs[0]
    return given.name not in columns or (given.shape or (None,))[1:] not in ((), (1,))


def _see_matrix(given: Value, columns: Sequence[str], texts: Sequence[str]) -> None:
    shape = given.shape or (None, None)
    if given.type not in FLOATS or len(shape) != 2:
        raise Malformed(f"it takes {given}. {EXPECTED}")
    _see_rows(given, shape)
    if texts:
        raise Malformed(
            f"it takes {given}, and of the columns {', '.join(map(repr, texts[:5]))} are texts. Name the columns that "
            "it takes, in its order, or export it with an input for each column"
        )
    if shape[1] not in (None, len(columns)):
        raise Malformed(
            f"it takes {shape[1]} columns, and there are {len(columns)}: {', '.join(columns)}. Name those that it "
            "takes, in its order"
        )


def _see_rows(given: Value, shape: Sequence[int | None]) -> None:
    if not shape or shape[0] is not None:
        raise Malformed(f"it takes {given}: export it with an open number of rows (dynamic axes, dynamic shapes)")


def _see_columns(inputs: Sequence[Value], columns: Sequence[str], texts: Sequence[str]) -> None:
    names = [value.name for value in inputs]
    if sorted(names) != sorted(columns):
        raise Malformed(f"it takes {', '.join(map(str, inputs))}, and the columns are {', '.join(columns)}. {EXPECTED}")
    for value in inputs:
        takes_text = value.type == "string"
        if takes_text != (value.name in texts) or not (takes_text or value.type in TYPES):
            kind = "text" if value.name in texts else "a number"
            raise Malformed(f"it takes {value}, and the column is {kind}. {EXPECTED}")
        _see_rows(value, value.shape or ())
        if (value.shape or ())[1:] not in ((), (1,), (None,)):
            raise Malformed(f"it takes {value}, which is not one value a row. {EXPECTED}")


def _probabilities(file: OnnxFile, classes: int) -> Value:
    """The output that has the probabilities of so many classes."""
    maps = [value for value in file.outputs if value.type == "maps"]
    floats = [value for value in file.outputs if value.type in FLOATS and _may_be(value.shape, classes)]
    named = [value for value in floats if "prob" in value.name.lower()]
    for found in (maps, floats, named):
        if len(found) == 1:
            return found[0]
    raise Malformed(f"it says {', '.join(map(str, file.outputs))}, and there are {classes} classes. {EXPECTED}")


def _may_be(shape: Sequence[int | None] | None, classes: int) -> bool:
    # one number a row is the probability of the second of two classes
    ends = {None, classes} | ({1} if classes == 2 else set())
    return shape is None or (len(shape) == 2 and shape[1] in ends) or (len(shape) == 1 and classes == 2)


class Onnx(Flavour):
    """See `Flavour`."""

    name: ClassVar[str] = "onnx"
    suffix: ClassVar[str] = "onnx"
    module: ClassVar[str] = "onnxruntime"
    distributions: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnxruntime-gpu")
    largest: ClassVar[int] = LARGEST
    takes_texts: ClassVar[bool] = True

    def save(self, estimator: Any) -> tuple[bytes, Shape]:
        """Nothing is fitted to ONNX here; see `Flavour.save`."""
        raise ValueError(f"a {type(estimator).__name__} is not stored as ONNX")

    def check(self, content: bytes, shape: Shape) -> None:
        """See `Flavour.check`."""
        reading = _reading(content, shape)
        if len(reading.columns) != shape.features or len(reading.classes) != shape.outputs:
            raise Malformed(f"it is stored for {len(reading.columns)} columns and {len(reading.classes)} classes")

    def logged_file(self, told: Mapping[str, Any]) -> str:
        """The file of `mlflow.onnx.log_model`."""
        return str(told.get("data"))

    def load(self, content: bytes, shape: Shape) -> Asked:
        """See `Flavour.load`."""
        return Session(self.library(), content, _reading(content, shape))


def _reading(content: bytes, shape: Shape) -> Reading:
    """How a stored file is asked, by what is stored beside it."""
    facts = shape.facts
    if set(facts) != {*FACTS} or not all(_are_texts(facts[name]) for name in ("columns", "texts", "classes")):
        raise Malformed("what is told beside it is not what is written here")
    see_places(facts["places"], len(facts["classes"]))
    return read_as(read_onnx(content), facts["columns"], facts["texts"], facts["classes"], facts["places"])


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


class Session:
    """A file as onnxruntime loaded it.

    Parameters
    ----------
    library
        onnxruntime.
    content
        The file.
    reading
        How it is asked.

    Raises
    ------
    ValueError
        If onnxruntime does not take it.
    """

    def __init__(self, library: Any, content: bytes, reading: Reading) -> None:
        self._reading = reading
        self._session = _told(lambda: library.InferenceSession(content, _options(library), ["CPUExecutionProvider"]))

    def predict(self, matrix: Any) -> np.ndarray:
        """See `flavour.Asked`."""
        blocks = [self._block(matrix[at : at + BLOCK]) for at in range(0, matrix.shape[0], BLOCK)]
        if not blocks:
            return np.zeros((0, len(self._reading.classes)))
        said: np.ndarray = np.concatenate(blocks)[:, list(self._reading.places)]
        return said

    def contributions(self, matrix: Any) -> np.ndarray | None:  # noqa: ARG002 - onnxruntime cannot tell
        """See `flavour.Asked`."""
        return None

    def _block(self, rows: np.ndarray) -> np.ndarray:
        output = self._reading.output
        said = _told(lambda: self._session.run([output.name], self._given(rows))[0])
        if output.type == "maps":
            return _of_maps(said, self._reading.classes)
        return _of_tensor(np.asarray(said, np.float64), len(rows), len(self._reading.classes))

    def _given(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        inputs = self._reading.file.inputs
        if self._reading.is_whole:
            return {inputs[0].name: rows.astype(TYPES[inputs[0].type])}
        return {value.name: _column(rows[:, self._reading.columns.index(value.name)], value) for value in inputs}


def _column(values: np.ndarray, value: Value) -> np.ndarray:
    shape = (len(values),) if value.shape is not None and len(value.shape) == 1 else (len(values), 1)
    if value.type == "string":
        return values.astype(object).reshape(shape)
    numbers = values.astype(np.float64)
    if value.type not in FLOATS and not np.isfinite(numbers).all():
        raise ValueError(f"a missing number, and {value.name!a} takes whole ones alone")
    return numbers.astype(TYPES[value.type]).reshape(shape)


def _of_maps(said: Sequence[Mapping[Any, float]], classes: Sequence[str]) -> np.ndarray:
    rows = [{str(label): share for label, share in row.items()} for row in said]
    if any(row.keys() != {*classes} for row in rows):
        raise ValueError(f"it says the classes {', '.join(map(repr, [*rows[0]][:10]))}, and not those that it names")
    return _as_shares(np.array([[row[label] for label in classes] for row in rows], np.float64))


def _of_tensor(said: np.ndarray, rows: int, classes: int) -> np.ndarray:
    if said.shape in ((rows,), (rows, 1)) and classes == 2:
        second = said.reshape(-1)
        said = np.stack([1 - second, second], axis=1)
    if said.shape != (rows, classes):
        raise ValueError(f"it says an array of {said.shape} for {rows} rows and {classes} classes")
    return _as_shares(said)


def _as_shares(said: np.ndarray) -> np.ndarray:
    """Probabilities whose sum is 1 as exactly as a float64 can say: those of float32 are only near it."""
    total = said.sum(axis=1, keepdims=True)
    if not (np.isfinite(said).all() and (said >= 0).all() and (np.abs(total - 1) < 1e-3).all()):
        raise ValueError(
            "it says what are no probabilities: they must be from 0 to 1, and their sum 1. Export the model with its "
            "softmax (or sigmoid) as the last operator, and fill in or refuse missing numbers (NaN) within it"
        )
    shares: np.ndarray = said / total
    return shares


def _options(library: Any) -> Any:
    """One thread, the same bits each time, nothing kept between calls, no library of somebody's operators."""
    options = library.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = library.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = library.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_cpu_mem_arena = options.enable_mem_pattern = options.enable_profiling = False
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    # by its bytes it might be taken for onnxruntime's own form, which nobody has looked at
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options


def _told(do: Callable[[], Any]) -> Any:
    """What onnxruntime answers; its many errors are one, of one line."""
    try:
        return do()
    except (ValueError, ArithmeticError):
        raise
    except Exception as error:  # its errors share no base class
        raise ValueError(f"onnxruntime: {' '.join(str(error).split())[:300]}") from None
