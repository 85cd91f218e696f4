"""Models of ONNX: how they are asked, what does not fit, and that they answer as where they were exported."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.flavours.flavour import Shape
from mlops_assets.journey.model.flavours.flavoured import Flavoured
from mlops_assets.journey.model.flavours.onnx import BLOCK, Onnx, read_as
from mlops_assets.journey.model.flavours.onnx_file import read_onnx
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.structure.parts import Malformed
from mlops_assets.journey.model.trial import try_model

ROWS = np.random.default_rng(3).normal(size=(2000, 5)).astype(np.float32).astype(np.float64)
SAID = np.array(["a", "b", "c"])[(ROWS[:, 0] > 0).astype(int) + (ROWS[:, 1] > 0.5)]
COLUMNS = tuple("vwxyz")
CLASSES = ("a", "b", "c")


def exported(model: Any, *, zipmap: bool = False) -> bytes:
    model.fit(ROWS[:300], SAID[:300])
    content: bytes = to_onnx(model, ROWS[:1].astype(np.float32), options={"zipmap": zipmap}).SerializeToString()
    return content


def asked(content: bytes, columns: Sequence[str] = COLUMNS, classes: Sequence[str] = CLASSES, texts: Any = ()) -> Any:
    facts = read_as(read_onnx(content), columns, texts, classes).facts
    shape = Shape("classifier", len(columns), np.arange(len(classes)), facts)
    Onnx().check(content, shape)
    return Onnx().load(content, shape)


def graph(said: str, shape: Any, *nodes: onnx.NodeProto, rows: Any = "n", **tensors: np.ndarray) -> bytes:
    """A model of an input of five numbers."""
    takes = helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 5])
    says = helper.make_tensor_value_info(said, TensorProto.FLOAT, shape)
    given = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    made = helper.make_graph(list(nodes), "g", [takes], [says], given)
    content: bytes = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return content


def node(operator: str, inputs: str, outputs: str, **more: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), **more)


@pytest.mark.parametrize("zipmap", [True, False])
def test_it_answers_as_where_it_was_exported(zipmap: bool) -> None:
    model = LogisticRegression()
    said = asked(exported(model, zipmap=zipmap)).predict(ROWS)
    np.testing.assert_allclose(said, model.predict_proba(ROWS), atol=1e-6)
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-12)
    assert asked(exported(model, zipmap=zipmap)).predict(ROWS[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    "model", [RandomForestClassifier(5, random_state=0), MLPClassifier((9, 5), max_iter=3, random_state=0)], ids=str
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_an_answer_does_not_hang_on_what_else_is_asked(model: Any) -> None:
    session = asked(exported(model))
    whole = session.predict(ROWS)
    mixed = np.random.default_rng(0).permutation(len(ROWS))
    np.testing.assert_array_equal(session.predict(ROWS[mixed]), whole[mixed])
    for size in (1, 2, 3, 7, 8, 9, BLOCK - 1, BLOCK, BLOCK + 1):
        np.testing.assert_array_equal(session.predict(ROWS[:size]), whole[:size])


def test_a_model_may_take_an_input_for_each_column_texts_among_them() -> None:
    frame = pd.DataFrame({"minutes": ROWS[:300, 0], "channel": np.where(ROWS[:300, 1] > 0, "web", "")})
    steps = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["channel"]), (StandardScaler(), ["minutes"])
    )
    model = make_pipeline(steps, LogisticRegression()).fit(frame, SAID[:300])
    types = [("channel", StringTensorType([None, 1])), ("minutes", FloatTensorType([None, 1]))]
    session = asked(to_onnx(model, initial_types=types).SerializeToString(), tuple(frame), texts=("channel",))
    matrix = frame.astype(object).to_numpy()
    np.testing.assert_allclose(session.predict(matrix), model.predict_proba(frame), atol=1e-6)


@pytest.mark.parametrize("shape", [["n"], ["n", 1]])
def test_one_number_a_row_is_the_probability_of_the_second_of_two_classes(shape: list[Any]) -> None:
    axes = {"axes": np.array([1])} if len(shape) == 1 else {}
    last = [node("Squeeze", "s axes", "p")] if axes else [node("Identity", "s", "p")]
    content = graph("p", shape, node("MatMul", "x w", "l"), node("Sigmoid", "l", "s"), *last,
                    w=np.ones((5, 1), np.float32), **axes)  # fmt: skip
    said = asked(content, classes=("no", "yes")).predict(ROWS)
    np.testing.assert_allclose(said[:, 1], 1 / (1 + np.exp(-ROWS.sum(axis=1))), atol=1e-6)


def test_what_converters_of_networks_and_trees_write_is_taken() -> None:
    # Keras by tf2onnx: names with signs, an open size with a name; and weights among the inputs, as before IR version 4
    weights = numpy_helper.from_array(np.eye(5, 3, dtype=np.float32), "seq/dense/kernel:0")
    takes = [
        helper.make_tensor_value_info("dense_input", TensorProto.FLOAT, ["unk__6", 5]),
        helper.make_tensor_value_info(weights.name, TensorProto.FLOAT, [5, 3]),
    ]
    nodes = [node("MatMul", f"dense_input {weights.name}", "l"), node("Softmax", "l", "Identity:0")]
    says = [helper.make_tensor_value_info("Identity:0", TensorProto.FLOAT, ["unk__7", 3])]
    made = helper.make_graph(nodes, "tf2onnx", takes, says, [weights])
    opsets = [helper.make_opsetid("", 9), helper.make_opsetid("ai.onnx.ml", 2)]
    content = helper.make_model(made, opset_imports=opsets, ir_version=3).SerializeToString()
    assert asked(content).predict(ROWS[:9]).shape == (9, 3)
    # PyTorch by its own exporter
    torch = pytest.importorskip("torch")
    written = io.BytesIO()
    network = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.BatchNorm1d(3), torch.nn.Softmax(dim=1)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that there is a newer one, which needs another package
        torch.onnx.export(network, (torch.zeros(2, 5),), written, input_names=["x"], output_names=["p"], dynamo=False,
                          dynamic_axes={"x": {0: "n"}, "p": {0: "n"}})  # fmt: skip
    with torch.no_grad():
        expected = network(torch.tensor(ROWS[:9], dtype=torch.float32)).numpy()
    np.testing.assert_allclose(asked(written.getvalue()).predict(ROWS[:9]), expected, atol=1e-6)


def test_it_is_stored_tried_and_asked_like_any_model(tmp_path: Path) -> None:
    content = exported(LogisticRegression())
    # the first class of the model is the third of the use case
    facts = read_as(read_onnx(content), COLUMNS, (), CLASSES, (1, 2, 0)).facts
    made = Flavoured.of("onnx", Shape("classifier", 5, np.arange(3), facts), content)
    sha256 = Model(made, dict.fromkeys(COLUMNS), ("b", "c", "a"), "").save(tmp_path / "m")
    assert (tmp_path / "m" / "part-0.onnx").read_bytes() == content
    try_model(tmp_path / "m", sha256, (), tmp_path, "it")
    model = Model.load(tmp_path / "m", sha256)
    np.testing.assert_array_equal(model.probabilities(ROWS)[:, [2, 0, 1]], asked(content).predict(ROWS))


def test_a_model_that_mixes_rows_is_refused_in_its_trial(tmp_path: Path) -> None:
    # the mean over the rows goes into the answer of each
    content = graph("p", ["n", 5], node("ReduceMean", "x", "m", axes=[0]), node("Sub", "x m", "d"),
                    node("Clip", "d low high", "c"), node("Softmax", "c", "p"),
                    low=np.float32(-9), high=np.float32(9))  # fmt: skip
    facts = read_as(read_onnx(content), COLUMNS, (), COLUMNS).facts
    made = Flavoured.of("onnx", Shape("classifier", 5, np.arange(5), facts), content)
    sha256 = Model(made, dict.fromkeys(COLUMNS), COLUMNS, "").save(tmp_path / "m")
    with pytest.raises(ModelRefused, match="hangs on which other rows it is asked about at the same time"):
        try_model(tmp_path / "m", sha256, (), tmp_path, "it")


def test_a_model_that_takes_too_much_for_as_many_rows_as_a_day_has_is_refused_in_its_trial(tmp_path: Path) -> None:
    # the cube of the number of rows: nothing for the few odd rows of a trial, 8 GiB for the rows of one call in a day
    content = graph("p", ["n", 2], node("ReduceMax", "x", "m", axes=[1], keepdims=0), node("Unsqueeze", "m one", "a"),
                    node("Add", "a m", "b"), node("Unsqueeze", "b two", "c"), node("Add", "c m", "d"),
                    node("Cast", "d", "e", to=11), node("ReduceMin", "e", "f", keepdims=0), node("Clip", "f no yes", "g"),
                    node("Cast", "g", "h", to=1), node("MatMul", "x w", "l"), node("Add", "l h", "s"),
                    node("Softmax", "s", "p"), one=np.array([1]), two=np.array([2]), no=np.float64(0), yes=np.float64(1),
                    w=np.ones((5, 2), np.float32))  # fmt: skip
    facts = read_as(read_onnx(content), COLUMNS, (), ("a", "b")).facts
    made = Flavoured.of("onnx", Shape("classifier", 5, np.arange(2), facts), content)
    sha256 = Model(made, dict.fromkeys(COLUMNS), ("a", "b"), "").save(tmp_path / "m")
    with pytest.raises(ModelRefused, match="failed its trial, so it may not score: .*onnxruntime"):
        try_model(tmp_path / "m", sha256, (), tmp_path, "it")


SOFTMAX = node("Softmax", "x", "p")


@pytest.mark.parametrize(
    ("content", "columns", "texts", "classes", "said"),
    [
        (graph("p", ["n", 5], SOFTMAX), "abc", (), "abcde", "it takes 5 columns, and there are 3: a, b, c"),
        (graph("p", ["n", 5], SOFTMAX), "abcde", ("b",), "abcde", "of the columns 'b' are texts. Name the columns"),
        (graph("p", ["n", 5], SOFTMAX), "abcde", (), "ab", r"says 'p' \(float \[N, 5\]\), and there are 2 classes"),
        (graph("p", ["n", 5], SOFTMAX, rows=1), "abcde", (), "abcde", "export it with an open number of rows"),
    ],
)
def test_what_does_not_fit_is_told_with_what_is_expected(
    content: bytes, columns: str, texts: Any, classes: str, said: str
) -> None:
    with pytest.raises(Malformed, match=said):
        read_as(read_onnx(content), columns, texts, classes)


def test_columns_of_other_names_or_types_are_told() -> None:
    takes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in "vw"]
    says = helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 3])
    made = helper.make_graph([node("Concat", "v w v", "p", axis=1)], "g", takes, [says])
    content = helper.make_model(made).SerializeToString()
    with pytest.raises(Malformed, match=r"it takes 'v' .*, 'w' .*, and the columns are v, x\. Taken is one input"):
        read_as(read_onnx(content), ("v", "x"), (), CLASSES)
    with pytest.raises(Malformed, match="it takes 'w' .*, and the column is text"):
        read_as(read_onnx(content), ("v", "w"), ("w",), CLASSES)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([node("Identity", "x", "p")], "no probabilities: they must be from 0 to 1, .* with its softmax"),
        ([node("Sqrt", "x", "r"), node("Softmax", "r", "p")], "no probabilities"),
        ([node("Gather", "x far", "g", axis=1), node("Softmax", "g", "p")], "onnxruntime: .*out of data bounds"),
    ],
)
def test_what_is_no_probability_is_told_and_not_passed_on(nodes: Any, said: str) -> None:
    content = graph("p", ["n", 5], *nodes, far=np.full(5, 99))
    with pytest.raises(ValueError, match=said):
        asked(content, classes=COLUMNS).predict(ROWS[:9])


def test_what_is_told_beside_a_file_must_be_what_is_written_here() -> None:
    content = exported(LogisticRegression())
    facts = read_as(read_onnx(content), COLUMNS, (), CLASSES).facts
    for places in ([0, 1], [0, 1, 1], [0, 1, 3], [0, 1, True], "012", None):
        with pytest.raises(Malformed, match="its classes stand at"):
            Onnx().check(content, Shape("classifier", 5, np.arange(3), {**facts, "places": places}))
    for forged in ({}, {**facts, "more": 1}, {**facts, "classes": [1, 2, 3]}, {**facts, "columns": "vwxyz"}):
        with pytest.raises(Malformed, match="not what is written here"):
            Onnx().check(content, Shape("classifier", 5, np.arange(3), forged))
    with pytest.raises(Malformed, match="stored for 5 columns and 3 classes"):
        Onnx().check(content, Shape("classifier", 7, np.arange(3), facts))


def forest(**forged: Any) -> bytes:
    """A tree of three nodes, with attributes of somebody's."""
    attributes = {
        "nodes_treeids": [0] * 3,
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0] * 3,
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "class_treeids": [0, 0],
        "class_nodeids": [1, 2],
        "class_ids": [0, 1],
        "class_weights": [1.0, 1.0],
        "classlabels_int64s": [0, 1, 2],
    }
    tree = node("TreeEnsembleClassifier", "x", "l s", domain="ai.onnx.ml", **{**attributes, **forged})
    takes = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 5])
    says = helper.make_tensor_value_info("s", TensorProto.FLOAT, ["n", 3])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(helper.make_graph([tree], "g", [takes], [says]), opset_imports=opsets, ir_version=8)
    content: bytes = made.SerializeToString()
    return content


@pytest.mark.parametrize(
    "forged",
    [
        {"nodes_featureids": [10**9, 0, 0]},
        {"nodes_featureids": [-5, 0, 0]},
        {"nodes_truenodeids": [0, 0, 0], "nodes_falsenodeids": [0, 0, 0]},
        {"nodes_truenodeids": [99, 0, 0]},
        {"class_ids": [10**8, 1]},
        {"class_nodeids": [1, 77]},
    ],
    ids=str,
)
def test_onnxruntime_itself_refuses_a_forged_tree(forged: Any) -> None:
    """What `onnx_file` relies on: a release that walks where a tree leads would fail here."""
    with pytest.raises(ValueError, match="onnxruntime: "):
        asked(forest(**forged)).predict(ROWS[:9])
