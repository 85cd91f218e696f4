"""Tensors of the V2 inference protocol, as JSON and with its binary extension: what is sent, and what is answered."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mlops_assets.serving.bodies.query import day
from mlops_assets.serving.problems import Problem, Wrong

HEADER = "Inference-Header-Content-Length"
"""Of a body that is JSON and, behind it, the bytes of tensors: how long the JSON is."""
BINARY = "application/octet-stream"

REALS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
WHOLES = {f"{sign}INT{bits}": f"<{sign.lower() or 'i'}{bits // 8}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
FIXED = {**REALS, **WHOLES, "BOOL": "?"}
"""Datatypes of one width, and numpy's names for them, low byte first as the protocol has it."""

SHOWN = 10
"""Mistakes in the form of a request that are told."""
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class TensorParameters(BaseModel):
    """What the binary extension says of a tensor; whatever else clients say there is not for us."""

    model_config = ConfigDict(strict=True)

    binary_data_size: int | None = Field(None, ge=0, description="Bytes of the tensor behind the JSON.")
    binary_data: bool | None = Field(None, description="Whether this output is answered as bytes.")
    classification: None = Field(None, description="There is none; ask for `probabilities`.")
    shared_memory_region: None = Field(None, description="There is none; send and take bytes.")


class Input(BaseModel):
    """A column of the contract, or the files of a use case with a reader of its own."""

    model_config = ConfigDict(strict=True)

    name: str = Field(description="Name of the column.")
    shape: list[int] = Field(min_length=1, max_length=2, description="`[rows]` or `[rows, 1]`.")
    datatype: str = Field(description="Such as `BYTES`, `FP64`, `INT64`.")
    parameters: TensorParameters = Field(default_factory=TensorParameters)
    data: list[Any] | None = Field(None, description="The values; null where there is none.")


class Output(BaseModel):
    """An output that is asked for."""

    model_config = ConfigDict(strict=True)

    name: str = Field(description="`prediction`, `probability`, `probabilities`, `rejected`.")
    parameters: TensorParameters = Field(default_factory=TensorParameters)


class InferenceParameters(BaseModel):
    """What is asked for besides."""

    model_config = ConfigDict(strict=True)

    binary_data_output: bool = Field(False, description="Whether all outputs are answered as bytes.")
    as_of: str | None = Field(None, description="The day that the rows are of, and whose champion answers.")

    @field_validator("as_of")
    @classmethod
    def _is_a_day(cls, text: str | None) -> str | None:
        return None if text is None else day(text)


class Inference(BaseModel):
    """A request of the protocol."""

    model_config = ConfigDict(strict=True)

    id: str = Field("", max_length=200, description="Is answered as it was sent.")
    parameters: InferenceParameters = Field(default_factory=InferenceParameters)
    inputs: list[Input] = Field(min_length=1, description="One tensor a column; all rows are one file.")
    outputs: list[Output] = Field(default_factory=list, description="Prediction and probability by default.")

    def binary(self, names: Iterable[str]) -> list[str]:
        """Which of some outputs are to be answered as bytes."""
        told = {one.name: one.parameters.binary_data for one in self.outputs}
        # what is said of one output overrules what is said of all
        usual = self.parameters.binary_data_output
        return [name for name in names if (usual if told.get(name) is None else told[name])]


def read_request(body: bytes, header: str | None) -> tuple[Inference, dict[str, list[Any]]]:
    """A request, and the values of its tensors by their names.

    TensorParameters
    ----------
    body
        The body as it was sent.
    header
        What the header of the binary extension says, if it was sent.

    Returns
    -------
    tuple
        The request; for each tensor its values: text, bytes (of a tensor of files), numbers, truth values, and None.

    Raises
    ------
    Problem
        400 with everything that is wrong.
    """
    if header is not None and not (header.isascii() and header.isdigit() and int(header) <= len(body)):
        raise Problem(400, f"{HEADER} is {header[:40]!r}, expected the length of the JSON that the body begins with.")
    end = len(body) if header is None else int(header)
    try:
        asked = Inference.model_validate(orjson.loads(body[:end]))
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"The body is no JSON: {error}.") from None
    except ValidationError as error:
        raise _invalid(error) from None
    return asked, _values(asked.inputs, memoryview(body)[end:])


def _invalid(error: ValidationError) -> Problem:
    found = [Wrong(".".join(map(str, ("body", *one["loc"]))), one["msg"]) for one in error.errors(include_url=False)]
    return Problem(400, f"{found[0].where}: {found[0].message}", found[:SHOWN])


def _values(inputs: Sequence[Input], behind: memoryview) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {}
    wrong: list[Wrong] = []
    for number, one in enumerate(inputs):
        size = one.parameters.binary_data_size
        piece, behind = behind[: size or 0], behind[size or 0 :]
        try:
            if one.name in values:
                raise ValueError(f"{one.name!r} is there twice")
            values[one.name] = _read(one, piece)
        except ValueError as error:
            wrong.append(Wrong(f"body.inputs[{number}]", str(error)))
    if len(behind):
        wrong.append(Wrong("body", f"{len(behind)} bytes more follow the JSON than its tensors have"))
    if wrong:
        raise Problem(400, f"{wrong[0].where}: {wrong[0].message}", wrong)
    return values


def _read(one: Input, piece: memoryview) -> list[Any]:
    """The values of a tensor; ValueError says what is wrong with it."""
    if one.datatype != "BYTES" and one.datatype not in FIXED:
        raise ValueError(f"{one.name!r} has the datatype {one.datatype!r}, expected one of BYTES, {', '.join(FIXED)}")
    if one.shape[1:] not in ([], [1]):
        raise ValueError(f"{one.name!r} has the shape {one.shape}, expected [rows] or [rows, 1]")
    if one.parameters.binary_data_size is not None:
        if one.data is not None or len(piece) < one.parameters.binary_data_size:
            raise ValueError(f"{one.name!r} has `data` and bytes, or fewer bytes than its `binary_data_size`")
        values = _of_bytes(one, piece)
    elif one.data is None:
        raise ValueError(f"{one.name!r} has no `data`")
    else:
        values = _of_json(one)
    if len(values) != one.shape[0]:
        raise ValueError(f"{one.name!r} has {len(values)} values, by its shape there are {one.shape[0]}")
    return values


def _of_json(one: Input) -> list[Any]:
    values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in one.data or ()]
    types: tuple[type, ...] = {"BYTES": (str,), "BOOL": (bool,)}.get(one.datatype, (int, float))
    if one.datatype in WHOLES:
        types = (int,)
    for number, value in enumerate(values):
        # True is an int to Python
        if value is not None and not (isinstance(value, types) and isinstance(value, bool) == (types == (bool,))):
            raise ValueError(
                f"{one.name!r} has {json.dumps(value)[:80]} as value {number + 1}, expected {one.datatype}"
            )
    return values


def _of_bytes(one: Input, piece: memoryview) -> list[Any]:
    if one.datatype == "BYTES":
        return _texts(one.name, piece)
    dtype = np.dtype(FIXED[one.datatype])
    if len(piece) % dtype.itemsize:
        raise ValueError(f"{one.name!r} has {len(piece)} bytes, expected {dtype.itemsize} a value")
    array = np.frombuffer(piece, dtype)
    if one.datatype in ("FP16", "FP32"):  # 0.1 is meant by what is 0.10000000149 as a double
        return [None if math.isnan(value) else float(str(value)) for value in array]
    if one.datatype == "FP64":
        return [None if math.isnan(value) else value for value in array.tolist()]
    return list(array.tolist())


def _texts(name: str, piece: memoryview) -> list[bytes]:
    """Each with four bytes before it that say how long it is."""
    texts, at = [], 0
    while at < len(piece):
        if at + 4 > len(piece):
            raise ValueError(f"{name!r} ends within the length of a text")
        (length,) = struct.unpack_from("<I", piece, at)
        at += 4 + length
        if at > len(piece):
            raise ValueError(f"{name!r} ends within a text")
        texts.append(bytes(piece[at - length : at]))
    return texts


def write_answer(
    told: Mapping[str, Any], outputs: Mapping[str, np.ndarray], binary: Sequence[str]
) -> tuple[bytes, int]:
    """The body of an answer.

    TensorParameters
    ----------
    told
        What is said besides the outputs.
    outputs
        The outputs by their names, texts as arrays of objects.
    binary
        Which of them are answered as bytes.

    Returns
    -------
    tuple
        The body, and the length of its JSON.
    """
    tensors, pieces = [], []
    for name, array in outputs.items():
        tensor: dict[str, Any] = {"name": name, "datatype": datatype_of(array), "shape": list(array.shape)}
        if name in binary:
            pieces.append(_as_bytes(array))
            tensor["parameters"] = {"binary_data_size": len(pieces[-1])}
        else:
            tensor["data"] = array.ravel().tolist() if array.dtype == object else np.ascontiguousarray(array.ravel())
        tensors.append(tensor)
    head = orjson.dumps({**told, "outputs": tensors}, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"".join((head, *pieces)), len(head)


def datatype_of(array: np.ndarray) -> str:
    """The protocol's name for the type of an output."""
    kinds = {"f4": "FP32", "f8": "FP64", "i4": "INT32"}
    return kinds.get(array.dtype.str[1:], "BYTES")


def _as_bytes(array: np.ndarray) -> bytes:
    if array.dtype != object:
        return array.astype(array.dtype.newbyteorder("<")).tobytes()
    encoded = [str(text).encode() for text in array]
    return b"".join(piece for text in encoded for piece in (struct.pack("<I", len(text)), text))
