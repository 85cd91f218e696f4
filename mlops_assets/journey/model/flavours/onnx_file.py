"""In: the bytes of an ONNX file by somebody. Out: what it takes and says; it was seen to hold bounded arithmetic alone.

onnxruntime looks after its operators: a tree that turns in circles, or a list of another length than the operator asks
for, it refuses by itself. It does not refuse what is asked of it in earnest: a file of this machine as weights, an
operator of another library, a loop without end, a tensor whose size a value of the data decides. That is done here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.journey.model.flavours.onnx_schema import NAMES, SCHEMA, STRING
from mlops_assets.journey.model.flavours.onnx_walk import LEARNED, see_graph
from mlops_assets.journey.model.flavours.protobuf import Message, as_text, read_message
from mlops_assets.journey.model.structure.parts import Malformed

LARGEST = 512 << 20
"""Bytes that a file may have."""

LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")
"""Where classifiers name their classes."""


@dataclass(frozen=True)
class Value:
    """What a model takes, or says, under a name.

    Attributes
    ----------
    name
        The name.
    type
        Of the elements of a tensor, such as `float`; `maps` for a list of maps, empty for something else.
    shape
        Of a tensor, None for a size that is open; None if it is not said at all.
    """

    name: str
    type: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        """Name, type and shape, for messages."""
        shape = "" if self.shape is None else f" [{', '.join('N' if one is None else str(one) for one in self.shape)}]"
        return f"{self.name!a} ({self.type or 'no tensor'}{shape})"


@dataclass(frozen=True)
class OnnxFile:
    """What an ONNX file says of itself.

    Attributes
    ----------
    inputs, outputs
        What it takes and says, in order.
    classes
        The classes of which it gives the probabilities, in order; none, if it does not name them.
    metadata
        What who made it wrote into it.
    producer
        What wrote it.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    classes: tuple[str, ...]
    metadata: Mapping[str, str]
    producer: str


def read_onnx(content: bytes) -> OnnxFile:
    """See that an ONNX file may be run, and what it takes and says.

    Parameters
    ----------
    content
        Its bytes.

    Raises
    ------
    Malformed
        If it may not: it is no such file, is too large, refers to other files, or has an operator that is not taken.
    """
    if len(content) > LARGEST:
        raise Malformed(f"it has {len(content):,} bytes, {LARGEST:,} are taken")
    model = read_message(content, "Model", SCHEMA)
    graph = model.one("graph")
    if graph is None or not graph.all("output"):
        raise Malformed("it holds no graph that answers something")
    if "training_info" in model:
        raise Malformed("it holds what training needs, too; export it for inference")
    see_graph(model)
    metadata = {entry.text("key"): entry.text("value") for entry in model.all("metadata_props")}
    given = {as_text(tensor.one("name", b"")) for tensor in graph.all("initializer")}
    inputs = tuple(value for value in map(_value, graph.all("input")) if value.name not in given)
    producer = f"{model.text('producer_name')} {model.text('producer_version')}".strip()
    return OnnxFile(inputs, tuple(map(_value, graph.all("output"))), _classes(graph, metadata), metadata, producer)


def _value(value: Message) -> Value:
    name, kind = value.text("name"), value.one("type")
    if kind is None:
        return Value(name, "", None)
    if "opaque_type" in kind or "sparse_tensor_type" in kind:
        raise Malformed(f"its value {name[:60]!a} is of a type that is not taken")
    tensor, sequence = kind.one("tensor_type"), kind.one("sequence_type")
    if tensor is None:
        element = sequence.one("elem_type") if sequence is not None else None
        return Value(name, "maps" if element is not None and "map_type" in element else "", None)
    shape = tensor.one("shape")
    known = NAMES.get(tensor.whole("elem_type"), f"type {tensor.whole('elem_type')}")
    return Value(name, known, None if shape is None else tuple(_dimension(one) for one in shape.all("dim")))


def _dimension(one: Message) -> int | None:
    return one.whole("dim_value") if "dim_value" in one else None


def _classes(graph: Message, metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The classes that a file names: what makes maps of its answers, else all its classifiers alike, else a note."""
    named: dict[tuple[str, ...], None] = {}
    for node in graph.all("node"):
        labels = _labels(node)
        if labels and node.text("op_type") == "ZipMap":
            return labels
        named.update({labels: None} if labels else {})
    if not named:
        named = dict.fromkeys(_chosen_among(graph))
    return next(iter(named)) if len(named) == 1 else _noted(metadata.get("classes", ""))


def _labels(node: Message) -> tuple[str, ...]:
    """The classes that an operator names; none, if it is no classifier."""
    for attribute in node.all("attribute") if node.text("domain") == LEARNED else ():
        if attribute.text("name") in LABELS:
            return tuple(map(as_text, attribute.all("strings"))) or tuple(map(str, attribute.all("ints")))
    return ()


def _chosen_among(graph: Message) -> Iterator[tuple[str, ...]]:
    """The stored texts among which operators choose one by its number, as converters do to say a label."""
    texts = {one.text("name"): one for one in graph.all("initializer") if one.whole("data_type") == STRING}
    for node in graph.all("node"):
        first = as_text(next(iter(node.all("input")), b""))
        if node.text("op_type") == "ArrayFeatureExtractor" and first in texts:
            yield tuple(map(as_text, texts[first].all("string_data")))


def _noted(text: str) -> tuple[str, ...]:
    """A list of texts in JSON; none, where there is something else."""
    try:
        found: Any = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return ()
    return tuple(found) if isinstance(found, list) and all(isinstance(one, str) for one in found) else ()
