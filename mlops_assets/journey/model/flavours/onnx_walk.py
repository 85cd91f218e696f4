"""In: the graph of an ONNX file by somebody. Out: no change; every operator and tensor was looked at."""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping, Sequence

from mlops_assets.journey.model.flavours.onnx_schema import SIZES, STRING
from mlops_assets.journey.model.flavours.protobuf import Message, as_text
from mlops_assets.journey.model.structure.parts import Malformed

MOST_NODES = 100_000
"""Most operators, those of functions counted as often as they are called."""

MOST_TURNS = 10_000
"""Most turns of a loop, those of a loop in a loop multiplied."""

DEEPEST = 8
"""How many graphs may lie within one another."""

STANDARD, LEARNED, MICROSOFT = "", "ai.onnx.ml", "com.microsoft"
DOMAINS = {STANDARD: STANDARD, "ai.onnx": STANDARD, LEARNED: LEARNED, MICROSOFT: MICROSOFT}
"""Whose operators are taken; onnxruntime brings them all."""

OF_MICROSOFT = frozenset(
    {
        *("BiasGelu", "DynamicQuantizeMatMul", "FastGelu", "FusedConv", "FusedGemm", "FusedMatMul", "Gelu", "QGemm"),
        *("MatMulIntegerToFloat", "QLinearAdd", "QLinearConcat", "QLinearMul", "QLinearSigmoid", "QLinearSoftmax"),
        *("QuickGelu", "SkipLayerNormalization", "Tokenizer"),
    }
)
"""Operators of `MICROSOFT` that converters, optimizers and quantizers write. Some of the others open files."""

RANDOM = frozenset(
    {
        *("Bernoulli", "ImageDecoder", "Multinomial"),
        *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
    }
)
"""Standard operators that answer otherwise each time, or decode what is no number."""

SIZED = {
    **dict.fromkeys(("BlackmanWindow", "ConstantOfShape", "HammingWindow", "HannWindow", "Loop"), (0,)),
    **dict.fromkeys(("AffineGrid", "CenterCropPad", "DFT", "Expand", "OneHot", "Pad", "Tile", "Upsample"), (1,)),
    "Col2Im": (1, 2),
    "MaxUnpool": (2,),
    "Range": (0, 1, 2),
    "Resize": (2, 3),
    "STFT": (1, 3),
    "MelWeightMatrix": (0, 1, 2, 3, 4),
}
"""Operators an input of which says how large their output is, or how long they take; and which."""

OF_SHAPES = ("Shape", "Size")
"""What these say hangs on how many rows there are, and on nothing that stands in them."""

Function = tuple[str, str, str]
"""Domain, name and variant of a function of the file."""

Known = ChainMap[str, int | None]
"""What hangs on no value of the data, by name; and its value, if it is one whole number that the file holds."""


def see_graph(model: Message) -> None:
    """See that every operator and tensor of a model is one that is taken, in its graph and its functions.

    Parameters
    ----------
    model
        The message `Model`.

    Raises
    ------
    Malformed
        If one is not.
    """
    walk, graph = _Walk(_functions(model)), model.one("graph")
    for function in walk.functions.values():
        walk.function(function)
    walk.graph(graph, ChainMap(), 1, 1)
    if walk.calls(graph) > MOST_NODES:
        raise Malformed(f"it has more than {MOST_NODES:,} operators")


def _functions(model: Message) -> dict[Function, Message]:
    functions = {}
    for function in model.all("functions"):
        key = function.text("domain"), function.text("name"), function.text("overload")
        if key[0] in DOMAINS:
            raise Malformed(f"its function {key[1]!a} would stand for an operator of {key[0] or 'ai.onnx'}")
        if key in functions:
            raise Malformed(f"it has the function {key[1]!a} twice")
        functions[key] = function
    return functions


class _Walk:
    """Looks at every operator, within graphs of others and in functions.

    Parameters
    ----------
    functions
        Those of the file.
    """

    def __init__(self, functions: Mapping[Function, Message]) -> None:
        self.functions = functions
        self._calls: dict[Function, int] = {}
        self._calling: list[Function] = []

    def function(self, function: Message) -> None:
        """Look at the operators of a function; what it is handed may be anything."""
        for attribute in function.all("attribute_proto"):
            self._attribute(attribute, ChainMap(), 1, 1)
        self._nodes(function.all("node"), ChainMap(), 1, 1)

    def graph(self, graph: Message, outside: Known, depth: int, turns: int) -> None:
        """Look at a graph.

        Parameters
        ----------
        graph
            The graph.
        outside
            What is known around it.
        depth, turns
            In how many graphs it lies, and how often it is run.
        """
        if depth > DEEPEST:
            raise Malformed(f"its graphs are nested more than {DEEPEST} deep")
        if "sparse_initializer" in graph:
            raise Malformed("it has sparse tensors, which are not taken; export it with plain ones")
        known = outside.new_child()
        for tensor in graph.all("initializer"):
            _see_tensor(tensor)
            known[tensor.text("name")] = _number(tensor)
        self._nodes(graph.all("node"), known, depth, turns)

    def _nodes(self, nodes: Collection[Message], known: Known, depth: int, turns: int) -> None:
        for node in nodes:
            name = self._see_operator(node)
            inputs, outputs = [as_text(one) for one in node.all("input")], [as_text(one) for one in node.all("output")]
            _see_sizes(node, name, inputs, known)
            within = turns * (_turns(node, inputs, known) if name == "Loop" else 1)
            if within > MOST_TURNS:
                raise Malformed(f"{_shown(node)} turns {within:,} times; {MOST_TURNS:,} are taken")
            number = None
            for attribute in node.all("attribute"):
                self._attribute(attribute, known, depth, within)
                number = (_constant(attribute) if name == "Constant" else None) or number
            if again := [one for one in outputs if one and one in known]:
                raise Malformed(f"{_shown(node)} makes {again[0]!a}, which is there already")
            # a graph within may take values from around it that are no inputs
            if name in OF_SHAPES or not (_has_graphs(node) or any(one and one not in known for one in inputs)):
                known.update({one: number for one in outputs if one})

    def _see_operator(self, node: Message) -> str:
        """See that an operator is one that is taken; returns its name, empty for a function of the file."""
        domain, name = node.text("domain"), node.text("op_type")
        if (domain, name, node.text("overload")) in self.functions:
            return ""
        if domain not in DOMAINS:
            raise Malformed(
                f"{_shown(node)} is of {domain!a}: operators of other libraries are code, and not taken; export the "
                "model with standard operators"
            )
        if DOMAINS[domain] == MICROSOFT and name not in OF_MICROSOFT:
            raise Malformed(f"{_shown(node)} of {MICROSOFT} is not taken; export the model with standard operators")
        if DOMAINS[domain] == STANDARD and name in RANDOM:
            raise Malformed(f"{_shown(node)} answers otherwise each time, or decodes files; it is not taken")
        return name if DOMAINS[domain] == STANDARD else f"{domain}.{name}"

    def _attribute(self, attribute: Message, known: Known, depth: int, turns: int) -> None:
        if "sparse_tensor" in attribute or "sparse_tensors" in attribute:
            raise Malformed("it has sparse tensors, which are not taken; export it with plain ones")
        for tensor in (*attribute.all("t"), *attribute.all("tensors")):
            _see_tensor(tensor)
        for graph in _graphs(attribute):
            self.graph(graph, known, depth + 1, turns)

    def calls(self, graph: Message) -> int:
        """How many operators a graph has, those of functions counted as often as they are called."""
        return self._count(graph.all("node"))

    def _count(self, nodes: Collection[Message]) -> int:
        count = 0
        for node in nodes:
            key = node.text("domain"), node.text("op_type"), node.text("overload")
            count += 1 + (self._of_function(key) if key in self.functions else 0)
            for attribute in node.all("attribute"):
                count += sum(self._count(graph.all("node")) for graph in _graphs(attribute))
            if count > MOST_NODES:
                break  # functions that call one another twice are soon more than a number can say
        return count

    def _of_function(self, key: Function) -> int:
        if key in self._calling or len(self._calling) >= DEEPEST:
            raise Malformed(f"its function {key[1]!a} calls itself, or others more than {DEEPEST} deep")
        if key not in self._calls:
            self._calling.append(key)
            self._calls[key] = self._count(self.functions[key].all("node"))
            self._calling.pop()
        return self._calls[key]


def _see_sizes(node: Message, name: str, inputs: Sequence[str], known: Known) -> None:
    """See that no value of the data decides how large an output is, nor chance what it is."""
    for place in SIZED.get(name, ()):
        if place < len(inputs) and inputs[place] and inputs[place] not in known:
            raise Malformed(f"{_shown(node)} becomes as large, or takes as long, as a value of the data says")
    if name == "Dropout" and any(inputs[2:]):
        raise Malformed(f"{_shown(node)} may be random; export the model for inference, not for training")


def _has_graphs(node: Message) -> bool:
    return any("g" in attribute or "graphs" in attribute for attribute in node.all("attribute"))


def _graphs(attribute: Message) -> Iterator[Message]:
    yield from attribute.all("g")
    yield from attribute.all("graphs")


def _turns(node: Message, inputs: Sequence[str], known: Known) -> int:
    """How often a loop turns; 1 where that hangs on how many rows there are."""
    if not inputs or not inputs[0]:
        raise Malformed(f"{_shown(node)} has no bound; give the loop a largest number of turns")
    return max(1, known[inputs[0]] or 1)


def _shown(node: Message) -> str:
    name = node.text("name")
    return f"its operator {node.text('op_type')!a}" + (f" ({name[:60]!a})" if name else "")


def _see_tensor(tensor: Message) -> None:
    """See that a tensor is stored in the file, as a whole."""
    name = f"its tensor {tensor.text('name')[:60]!a}"
    if "external_data" in tensor or tensor.whole("data_location"):
        raise Malformed(f"{name} lies in another file; save the model as one file (save_as_external_data=False)")
    if "segment" in tensor:
        raise Malformed(f"{name} is stored in segments")
    dims, kind = [int(one) for one in tensor.all("dims")], tensor.whole("data_type")
    if any(one < 0 for one in dims):
        raise Malformed(f"{name} has a negative size")
    if kind != STRING and kind not in SIZES:
        raise Malformed(f"{name} is of the type {kind}, which is not taken")
    elements, stored = math.prod(dims), _stored(tensor, kind)
    if stored != elements:
        raise Malformed(f"{name} says {elements:,} elements, and has {stored:,}")


def _stored(tensor: Message, kind: int) -> int:
    """How many elements a tensor has, by its bytes."""
    held = [name for name in tensor.fields if name.endswith("_data") and len(tensor.all(name))]
    if len(held) > 1:
        raise Malformed(f"its tensor {tensor.text('name')[:60]!a} is stored in two ways")
    if not held:
        return 0
    if held == ["raw_data"]:
        size = len(tensor.one("raw_data"))
        return size // SIZES[kind] if kind in SIZES and size % SIZES[kind] == 0 else -1
    count = len(tensor.all(held[0]))
    return count // 2 if kind in (14, 15) else count


def _number(tensor: Message) -> int | None:
    """The one whole number of 64 bits that a tensor holds; None if it holds something else."""
    if tensor.whole("data_type") != 7 or math.prod(int(one) for one in tensor.all("dims")) != 1:
        return None
    if "raw_data" in tensor:
        return int.from_bytes(tensor.one("raw_data"), "little", signed=True)
    return tensor.whole("int64_data")


def _constant(attribute: Message) -> int | None:
    """The one whole number that a constant holds; None if it holds something else."""
    if "t" in attribute:
        return _number(attribute.one("t"))
    return attribute.whole("i") if "i" in attribute else None
