"""An ONNX or safetensors file of somebody becomes a model, or is refused with what is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.models import infer_signature
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlops_assets.errors import ModelRefused, UsageError
from mlops_assets.journey.model.flavours.flavour import Shape
from mlops_assets.journey.model.flavours.onnx import Onnx
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.external import as_model, read_logged
from mlops_assets.journey.train.from_file import Said, is_file, model_of_file, read_file, said_of
from mlops_assets.use_case import UseCase, find_use_case
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.visits import VISITS, place_visits

LABELS = ("no", "yes")
X = pd.DataFrame({"minutes": np.arange(60.0), "channel": ["web", "shop", ""] * 20})
Y = np.where(X["minutes"] > 30, "yes", "no")
MINUTES = FloatTensorType([None, 1])


@pytest.fixture
def visits(tmp_path: Path) -> UseCase:
    trusting = VISITS.replace("    gate:", "    trusted: [net.Net]\n    gate:")
    return find_use_case([place_visits(tmp_path / "cases", trusting)], "visits")


def by_column() -> Any:
    """A model of an input for each column, texts among them."""
    steps = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["channel"]), (StandardScaler(), ["minutes"])
    )
    model = make_pipeline(steps, LogisticRegression()).fit(X, Y)
    types = [("channel", StringTensorType([None, 1])), ("minutes", MINUTES)]
    return to_onnx(model, initial_types=types, options={"zipmap": False})


def of_numbers(said: Any = Y) -> bytes:
    """A model of one column, with an input of a name of its own."""
    model = LogisticRegression().fit(X[["minutes"]].to_numpy(), said)
    content: bytes = to_onnx(model, initial_types=[("input", MINUTES)]).SerializeToString()
    return content


def take(visits: UseCase, content: bytes, flavour: str = "onnx", **said: Any) -> Model:
    return model_of_file(visits, "m", flavour, content, LABELS, Said(**said)).model


def say(model: Model, rows: pd.DataFrame = X) -> np.ndarray:
    estimator = model.estimator
    loaded = estimator.filled(estimator.content, Onnx().load(estimator.content, estimator.shape))
    said: np.ndarray = loaded.predict_proba(rows[list(model.columns)].astype(object).to_numpy())
    return said


def test_inputs_that_are_named_as_columns_find_them_and_classes_their_labels(visits: UseCase) -> None:
    model = take(visits, by_column().SerializeToString())
    assert model.columns == {"channel": "text", "minutes": None}
    assert model.classes == LABELS
    assert (say(model).argmax(axis=1) == (Y == "yes")).all()
    turned = take(visits, of_numbers((Y == "no").astype(int)), columns=("minutes",), classes=("yes", "no"))
    assert (say(turned).argmax(axis=1) == (Y == "yes")).all(), "class 0 of the file is the label yes"


def test_what_a_file_notes_of_its_training_set_is_known(visits: UseCase) -> None:
    exported = by_column()
    assert model_of_file(visits, "m", "onnx", exported.SerializeToString(), LABELS).learned == ""
    exported.metadata_props.add(key="training_set", value="0123")
    assert model_of_file(visits, "m", "onnx", exported.SerializeToString(), LABELS).learned == "0123"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "of the columns 'channel' are texts. Name the columns that it takes"),
        ({"columns": ("minutes", "hours")}, "makes no column 'hours'; it makes minutes, channel"),
        ({"columns": ("minutes",), "classes": ("no", "maybe")}, "no labels of visits: maybe; labels are no, yes"),
        ({"columns": ("minutes",), "classes": ("no",)}, "it has 2 classes, and --classes names 1"),
        ({"columns": ("minutes",), "classes": ("no", "no")}, "two or more are needed, each once"),
    ],
)
def test_what_is_missing_or_wrong_is_told_with_what_to_say(visits: UseCase, said: Any, message: str) -> None:
    with pytest.raises(ModelRefused, match=message):
        take(visits, of_numbers(), **said)


def test_a_file_that_does_not_name_its_classes_asks_for_them(visits: UseCase) -> None:
    takes = helper.make_tensor_value_info("minutes", TensorProto.FLOAT, ["n", 1])
    says = helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 2])
    nodes = [helper.make_node("MatMul", ["minutes", "w"], ["s"]), helper.make_node("Softmax", ["s"], ["p"])]
    weights = numpy_helper.from_array(np.array([[-1, 1]], np.float32), "w")
    content = helper.make_model(helper.make_graph(nodes, "g", [takes], [says], [weights])).SerializeToString()
    with pytest.raises(ModelRefused, match="does not name its classes; name them, .* by --classes"):
        take(visits, content)
    assert take(visits, content, classes=LABELS).columns == {"minutes": None}


def test_a_forged_file_is_refused_before_its_library_reads_it(visits: UseCase) -> None:
    for flavour, said in (("onnx", "m: "), ("torch", "m: it is no safetensors file")):
        with pytest.raises(ModelRefused, match=said):
            take(visits, b"\x80\x04pickle", flavour)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("no,yes", "a, b", "", ""), Said(LABELS, ("a", "b"))),
        (('["a,b", "c"]', "", "net.Net", '{"hidden": 3}'), Said(("a,b", "c"), (), "net.Net", {"hidden": 3})),
    ],
)
def test_options_are_lists_between_commas_or_json(given: Any, said: Said) -> None:
    assert said_of(*given) == said


@pytest.mark.parametrize(
    "given", [("a,a", "", "", ""), ("[1]", "", "", ""), ("[", "", "", ""), ("", "", "", "[]"), ("", "", "", "{")]
)
def test_options_that_are_none_are_wrong_usage(given: Any) -> None:
    with pytest.raises(UsageError, match="--(classes|parameters): "):
        said_of(*given)


def test_a_file_is_told_from_an_address_of_mlflow(tmp_path: Path) -> None:
    assert is_file("some/m.onnx")
    assert is_file("n.safetensors")
    assert not is_file("models:/m.onnx/3")
    assert not is_file("m.pt")
    with pytest.raises(UsageError, match="there is no such file"):
        read_file(str(tmp_path / "nix.onnx"))
    (tmp_path / "m.onnx").symlink_to("/etc/passwd")
    with pytest.raises(ModelRefused, match="a link"):
        read_file(str(tmp_path / "m.onnx"))


def described(folder: Path, flavour: str, **told: Any) -> Path:
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {flavour: told}, "run_id": "1"}))
    return folder


def test_what_mlflow_logged_as_onnx_is_taken_as_one_file(visits: UseCase, tmp_path: Path) -> None:
    import mlflow.onnx

    mlflow.onnx.save_model(
        by_column(), tmp_path / "m", save_as_external_data=False, signature=infer_signature(X), pip_requirements=[]
    )
    model = as_model(visits, read_logged("runs:/1/model", tmp_path / "m"), LABELS)
    assert model.columns == {"minutes": None, "channel": "text"}
    with pytest.raises(ModelRefused, match="MLmodel names '../x.onnx', which is not beside it"):
        as_model(visits, read_logged("u", described(tmp_path, "onnx", data="../x.onnx")), LABELS)


def test_what_mlflow_logged_as_pytorch_is_taken_for_its_weights_alone(visits: UseCase, tmp_path: Path) -> None:
    pickled = described(tmp_path, "pytorch", model_data="data", pytorch_version="2.13.0")
    with pytest.raises(ModelRefused, match=r"pickle, .*extra_files=\[\"net.safetensors\"\]; or export it as ONNX"):
        as_model(visits, read_logged("u", pickled), LABELS)
    for path in ("/etc/n.safetensors", "extra_files/../n.safetensors", "n.safetensors"):
        forged = described(tmp_path, "pytorch", extra_files=[{"path": path}])
        with pytest.raises(ModelRefused, match="which is not"):
            as_model(visits, read_logged("u", forged), LABELS)


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    """The weights of the network of the examples, for one column and two classes."""
    pytest.importorskip("torch", reason="PyTorch is not installed; `make torch` adds it")
    stored = pytest.importorskip("safetensors.torch", reason="safetensors is not installed; `make torch` adds it")
    monkeypatch.syspath_prepend(ROOT / "examples")
    import net

    yield stored.save(net.Net(1, 2, 8).state_dict(), {"training_set": "0123"})
    sys.modules.pop("net")


NET: dict[str, Any] = {"module": "net.Net", "classes": LABELS, "columns": ("minutes",), "parameters": {"hidden": 8}}


def test_weights_with_the_class_of_their_network_are_a_model(visits: UseCase, tmp_path: Path, weights: bytes) -> None:
    found = model_of_file(visits, "n", "torch", weights, LABELS, Said(**NET))
    assert found.learned == "0123"
    assert found.model.columns == {"minutes": None}
    assert found.model.estimator.shape == Shape(
        "classifier",
        1,
        found.model.estimator.classes_,
        {"module": "net.Net", "parameters": {"hidden": 8}, "places": [0, 1]},
    )
    logged = described(tmp_path, "pytorch", extra_files=[{"path": "extra_files/n.safetensors"}])
    (tmp_path / "extra_files").mkdir()
    (tmp_path / "extra_files" / "n.safetensors").write_bytes(weights)
    assert as_model(visits, read_logged("u", logged), LABELS, Said(**NET)).columns == {"minutes": None}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"module": ""}, "weights alone; name the class of the network by --module"),
        ({"module": "os.system"}, "os.system is code of yours: name it in `training.trusted` of visits"),
        ({"classes": ()}, "weights alone; name its classes"),
        ({"columns": ()}, "a network takes numbers, and of the columns 'channel' are texts"),
        ({"parameters": {}}, "'0.weight' has the shape 8 x 1; that of net.Net is 32 x 1"),
        ({"parameters": {"hiden": 8}}, "net.Net cannot be made for 1 columns and 2 classes"),
    ],
)
def test_weights_that_do_not_fit_are_told_by_name(visits: UseCase, weights: bytes, changed: Any, message: str) -> None:
    with pytest.raises(ModelRefused, match=message):
        take(visits, weights, "torch", **{**NET, **changed})
