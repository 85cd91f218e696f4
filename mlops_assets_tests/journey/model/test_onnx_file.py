"""What an ONNX file may hold, and the forged ones that are refused before onnxruntime sees a byte of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from mlops_assets.journey.model.flavours import onnx_file
from mlops_assets.journey.model.flavours.onnx_file import read_onnx
from mlops_assets.journey.model.flavours.onnx_schema import SCHEMA
from mlops_assets.journey.model.flavours.protobuf import read_message
from mlops_assets.journey.model.structure.parts import Malformed

WEIGHTS = numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3), "w")


def tensor(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def node(operator: str, inputs: str, outputs: str, **more: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), **more)


def graph(*nodes: onnx.NodeProto, tensors: Any = (), inputs: str = "x", outputs: str = "p") -> onnx.GraphProto:
    values = [
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2 if name == "x" else 3])
            for name in names.split()
        ]
        for names in (inputs, outputs)
    ]
    return helper.make_graph(list(nodes), "g", *values, list(tensors))


def model(*nodes: onnx.NodeProto, tensors: Any = (), **more: Any) -> onnx.ModelProto:
    return helper.make_model(graph(*nodes, tensors=tensors), **more)


def plain() -> onnx.ModelProto:
    return model(node("MatMul", "x w", "s"), node("Softmax", "s", "p"), tensors=[WEIGHTS])


def test_what_a_file_takes_and_says_is_read_without_onnxruntime() -> None:
    made = plain()
    helper.set_model_props(made, {"classes": '["a", "b", "c"]', "note": "by ann"})
    made.producer_name = "mine"
    found = read_onnx(made.SerializeToString())
    assert [str(one) for one in (*found.inputs, *found.outputs)] == ["'x' (float [N, 2])", "'p' (float [N, 3])"]
    assert (found.classes, found.metadata["note"], found.producer) == (("a", "b", "c"), "by ann", "mine")


@pytest.mark.parametrize(
    ("attributes", "classes"),
    [
        ({"classlabels_strings": ["no", "yes"]}, ("no", "yes")),
        ({"classlabels_int64s": [0, 1, 2]}, ("0", "1", "2")),
        ({"classlabels_ints": [7, 300]}, ("7", "300")),
    ],
)
def test_classes_are_those_that_a_classifier_names(attributes: dict[str, Any], classes: tuple[str, ...]) -> None:
    made = model(node("LinearClassifier", "x", "label p", domain="ai.onnx.ml", coefficients=[1.0], **attributes))
    assert read_onnx(made.SerializeToString()).classes == classes


def test_a_map_of_probabilities_says_the_classes_whatever_is_within() -> None:
    inner = node("LinearClassifier", "x", "l s", domain="ai.onnx.ml", coefficients=[1.0], classlabels_ints=[0, 1])
    made = model(inner, node("ZipMap", "s", "p", domain="ai.onnx.ml", classlabels_strings=["no", "yes"]))
    assert read_onnx(made.SerializeToString()).classes == ("no", "yes")


def outside(made: onnx.ModelProto, tmp_path: Path) -> bytes:
    onnx.save(made, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="weights.bin")
    return (tmp_path / "m.onnx").read_bytes()


def hidden(where: str) -> onnx.ModelProto:
    """A model with a tensor that lies elsewhere, in an attribute, a graph within a graph, or a function."""
    elsewhere = numpy_helper.from_array(np.zeros(2, np.float32), "e")
    elsewhere.data_location = TensorProto.EXTERNAL
    elsewhere.external_data.add(key="location", value="/etc/passwd")
    constant = node("Constant", "", "c", value=elsewhere)
    if where == "attribute":
        return model(constant, node("Softmax", "x", "p"))
    if where == "graph":
        inner = graph(constant, inputs="", outputs="c")
        deeper = graph(node("If", "b", "c", then_branch=inner, else_branch=inner), inputs="", outputs="c")
        return model(node("If", "b", "c", then_branch=deeper, else_branch=deeper))
    function = helper.make_function("mine", "f", ["x"], ["c"], [constant], [helper.make_opsetid("", 17)])
    return model(node("f", "x", "p", domain="mine"), functions=[function])


@pytest.mark.parametrize("where", ["attribute", "graph", "function"])
def test_a_tensor_in_another_file_is_refused_wherever_it_is_named(where: str, tmp_path: Path) -> None:
    for content in (hidden(where).SerializeToString(), outside(plain(), tmp_path)):
        with pytest.raises(Malformed, match="lies in another file; save the model as one file"):
            read_onnx(content)


def sparse() -> onnx.ModelProto:
    made = plain()
    made.graph.sparse_initializer.add().dims.extend([1 << 40, 1 << 20])
    return made


def twice(name: str, *called: str) -> onnx.FunctionProto:
    nodes = [node(one, "x", f"y{number}", domain="mine") for number, one in enumerate(called)]
    return helper.make_function("mine", name, ["x"], ["y0"], nodes, [helper.make_opsetid("", 17)])


def loop(turns: str, tensors: Any = (), body: onnx.GraphProto | None = None) -> onnx.ModelProto:
    body = body or graph(node("Identity", "c", "d"), inputs="i c", outputs="d")
    return model(node("Loop", f"{turns} yes", "p", body=body), tensors=tensors)


def endless() -> onnx.ModelProto:
    made = plain()
    made.graph.node.append(helper.make_node("Loop", ["", "yes"], ["q"], body=graph(inputs="i c", outputs="c")))
    return made


def functions(*made: onnx.FunctionProto) -> onnx.ModelProto:
    return model(node("f0", "x", "p", domain="mine"), functions=list(made))


def resized(size: int, values: int) -> onnx.ModelProto:
    weights = onnx.TensorProto(name="w", dims=[size], data_type=TensorProto.FLOAT, raw_data=bytes(4 * values))
    return model(node("Softmax", "x", "p"), tensors=[weights])


FORGED: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "an operator of another library": (
        lambda: model(node("Run", "x", "p", domain="evil.ops")),
        "operators of other lib",
    ),
    "a file opened by onnxruntime": (
        lambda: model(node("EPContext", "x", "p", domain="com.microsoft", ep_cache_context="/etc/passwd")),
        "EPContext.* of com.microsoft is not taken",
    ),
    "a function of the standard": (
        lambda: model(functions=[helper.make_function("", "Softmax", ["x"], ["p"], [], [helper.make_opsetid("", 17)])]),
        "would stand for an operator of ai.onnx",
    ),
    "a sparse tensor": (sparse, "sparse tensors"),
    "chance": (lambda: model(node("RandomNormalLike", "x", "p")), "otherwise each time"),
    "dropout": (lambda: model(node("Dropout", "x r t", "p")), "export the model for inference"),
    "a loop without a bound": (endless, "has no bound"),
    "a loop as long as the data say": (lambda: loop("x"), "as a value of the data says"),
    "a long loop": (lambda: loop("m", [tensor("m", 10**9)]), "turns 1,000,000,000 times; 10,000 are taken"),
    "long loops within one another": (
        lambda: loop(
            "m",
            [tensor("m", 1000)],
            graph(
                node("Loop", "m yes", "q", body=graph(inputs="i c", outputs="c")),
                tensors=[tensor("m", 1000)],
                inputs="i c",
                outputs="c",
            ),
        ),
        "turns 1,000,000 times",
    ),
    "a loop of a constant": (
        lambda: model(node("Constant", "", "m", value_int=10**7), node("Loop", "m yes", "p", body=graph())),
        "turns 10,000,000 times",
    ),
    "a size of the data": (
        lambda: model(node("Cast", "x", "i", to=7), node("Expand", "x i", "p")),
        "'Expand' becomes as large",
    ),
    "a size of the data, in a roundabout way": (
        lambda: model(
            node("Shape", "x", "s"), node("ReduceMax", "x", "m"), node("Mul", "s m", "i"), node("Tile", "x i", "p")
        ),
        "'Tile' becomes as large",
    ),
    "a name made twice": (lambda: model(node("Cast", "x", "w", to=7), tensors=[WEIGHTS]), "is there already"),
    "a function that calls itself": (lambda: functions(twice("f0", "f0")), "calls itself"),
    "functions that double": (
        lambda: functions(*(twice(f"f{number}", *[f"f{number + 1}"] * 40) for number in range(5)), twice("f5")),
        "more than 100,000 operators",
    ),
    "functions without end": (
        lambda: functions(*(twice(f"f{number}", f"f{number + 1}") for number in range(30)), twice("f30")),
        "more than 8 deep",
    ),
    "a tensor that is not there": (lambda: resized(1 << 40, 1), "says 1,099,511,627,776 elements, and has 1"),
    "a tensor that is too long": (lambda: resized(1, 3), "says 1 elements, and has 3"),
    "a negative size": (lambda: resized(-1, 1), "negative size"),
    "no answer": (lambda: helper.make_model(graph(outputs="")), "no graph that answers"),
    "a model under training": (lambda: onnx.ModelProto(graph=plain().graph, training_info=[{}]), "for inference"),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_file_is_refused(what: str) -> None:
    make, said = FORGED[what]
    with pytest.raises(Malformed, match=said):
        read_onnx(make().SerializeToString())


def test_graphs_nested_beyond_any_model_are_refused() -> None:
    made = graph(inputs="", outputs="c")
    for _ in range(9):
        made = graph(node("If", "b", "c", then_branch=made), inputs="", outputs="c")
    with pytest.raises(Malformed, match="nested more than"):
        read_onnx(helper.make_model(made).SerializeToString())


def test_a_size_that_follows_from_shapes_is_taken() -> None:
    expand = node("Shape", "x", "s"), node("Mul", "s two", "i"), node("Expand", "x i", "p")
    found = read_onnx(model(*expand, tensors=[tensor("two", 2)]).SerializeToString())
    assert found.inputs[0].shape == (None, 2)


def varint(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def piece(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no protobuf at all", "which is not known|ends in the middle"),
        (b"", "no graph"),
        (plain().SerializeToString()[:-3], "middle"),
        # a reader that merges what comes twice, and one that replaces it, would see two models
        (plain().SerializeToString() + piece(7, plain().graph.SerializeToString()), "graph twice|at two places"),
        (plain().SerializeToString() + piece(7, b"") + piece(2, b"a") + piece(7, b""), "at two places"),
        (piece(99, b"more"), "a field 99, which is not known"),
        (b"\x0b\x0c", "a field is written as another type"),  # a group
        (b"\x08" + b"\xff" * 11 + b"\x01", "does not end"),
        (b"\x08\x80\x00", "longer than it need be"),
        (
            piece(7, piece(12, b"") + piece(5, b"\x70\x81\x80\x80\x80\x10")),
            "lies in another file",
        ),  # 2**32 + 1, cut off to 1
    ],
)
def test_bytes_that_two_readers_could_take_otherwise_are_refused(content: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        read_onnx(content)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST", 10)
    with pytest.raises(Malformed, match="bytes, 10 are taken"):
        read_onnx(plain().SerializeToString())


WHOLE = st.integers(-(1 << 63), (1 << 63) - 1)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(WHOLE, max_size=200), st.lists(st.floats(width=32, allow_nan=False), max_size=200), st.lists(st.binary())
)
def test_lists_are_read_as_the_library_wrote_them(whole: list[int], floats: list[float], texts: list[bytes]) -> None:
    written = onnx.AttributeProto(name="a", ints=whole, floats=floats, strings=texts, i=-1, f=0.5)
    read = read_message(written.SerializeToString(), "Attribute", SCHEMA)
    assert [int(one) for one in read.all("ints")] == whole
    assert [float(one) for one in read.all("floats")] == floats
    assert list(read.all("strings")) == texts
    assert (read.whole("i"), read.one("f")) == (-1, 0.5)
    dims = onnx.TensorProto(dims=whole, int64_data=whole, double_data=floats)
    read = read_message(dims.SerializeToString(), "Tensor", SCHEMA)
    assert [int(one) for one in read.all("dims")] == [int(one) for one in read.all("int64_data")] == whole
    assert [float(one) for one in read.all("double_data")] == floats


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_whatever_is_done_to_the_bytes_it_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(plain().SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    for changed in (bytes(content), bytes(content[:cut])):
        try:
            read_onnx(changed)
        except Malformed:
            continue
