"""Networks of PyTorch: the same weights from the same rows, stored as safetensors, and refused where they do not fit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlops_assets.errors import ConfigError, ModelRefused
from mlops_assets.estimators import TorchClassifier
from mlops_assets.journey.model.flavours.flavour import Shape
from mlops_assets.journey.model.flavours.safetensors_file import read_safetensors
from mlops_assets.journey.model.flavours.torch import Torch, _state
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.structure.parts import Malformed
from mlops_assets.journey.model.trial import try_model

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make torch` adds it")
stored = pytest.importorskip("safetensors.torch", reason="safetensors is not installed; `make torch` adds it")

NETS = "mlops_assets_tests.helpers.networks"
NET = f"{NETS}.Net"
ROWS = np.random.default_rng(5).normal(size=(1500, 6))
SAID = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(int) + (ROWS[:, 2] > 1)


def made(**parameters: Any) -> TorchClassifier:
    return TorchClassifier(**{"module": NET, "epochs": 8, "batch_size": 64, "learning_rate": 0.02, **parameters})


@pytest.fixture(scope="module")
def fitted() -> TorchClassifier:
    return made().fit(ROWS[:600], SAID[:600])


def test_it_learns_and_the_same_rows_give_the_same_bytes(fitted: TorchClassifier) -> None:
    assert (fitted.predict(ROWS[600:]) == SAID[600:]).mean() > 0.8
    assert fitted.epochs_ <= 8
    torch.manual_seed(99)  # what the process did before is nothing to it
    again = Torch().save(clone(fitted).fit(ROWS[:600], SAID[:600]))[0]
    assert hashlib.sha256(again).digest() == hashlib.sha256(Torch().save(fitted)[0]).digest()
    other = Torch().save(made(seed=1).fit(ROWS[:600], SAID[:600]))[0]
    assert again != other


def test_how_pytorch_was_set_up_is_left_as_it_was(fitted: TorchClassifier) -> None:
    torch.set_num_threads(2)
    state = torch.random.get_rng_state()
    clone(fitted).set_params(epochs=1).fit(ROWS[:60], SAID[:60]).predict_proba(ROWS[:9])
    assert torch.equal(state, torch.random.get_rng_state())
    assert (torch.get_num_threads(), torch.get_deterministic_debug_mode()) == (2, 0)
    assert torch.get_default_dtype() == torch.float32


def test_an_answer_does_not_hang_on_what_else_is_asked(fitted: TorchClassifier) -> None:
    content, shape = Torch().save(fitted)
    Torch().check(content, shape)
    network = Torch().load(content, shape)
    whole = network.predict(ROWS)
    np.testing.assert_array_equal(whole, fitted.predict_proba(ROWS))
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-7)
    mixed = np.random.default_rng(0).permutation(len(ROWS))
    np.testing.assert_array_equal(network.predict(ROWS[mixed]), whole[mixed])
    np.testing.assert_array_equal(network.predict(sparse.csr_matrix(ROWS)), whole)
    for size in (1, 2, 3, 7, 8, 9, 1023, 1025):
        np.testing.assert_array_equal(network.predict(ROWS[:size]), whole[:size])
    assert network.predict(ROWS[:0]).shape == (0, 3)
    assert network.contributions(ROWS) is None


def test_weights_of_rows_count() -> None:
    heavy = np.where(SAID[:300] == 2, 50.0, 1.0)
    said = made(apart=0).fit(ROWS[:300], SAID[:300], sample_weight=heavy).predict(ROWS)
    assert (said == 2).mean() > 1.5 * (SAID == 2).mean()


def test_fitting_ends_once_the_rows_apart_are_not_told_better() -> None:
    noise = np.random.default_rng(1).integers(0, 2, 200)
    assert made(epochs=200, patience=2).fit(ROWS[:200], noise).epochs_ < 50
    assert made(epochs=3, apart=0).fit(ROWS[:200], noise).epochs_ == 3, "with none apart it learns to the end"


@pytest.mark.parametrize(
    ("parameters", "error", "said"),
    [
        ({"module": f"{NETS}.Nix"}, ConfigError, "Nix"),
        ({"module": "os.system"}, ValueError, "os.system is no class that derives from torch.nn.Module"),
        ({"parameters": {"hiden": 3}}, ValueError, "cannot be made for 6 columns and 3 classes: .*'hiden'"),
        ({"module": f"{NETS}.One"}, ValueError, "says 1 classes; there are 3"),
        ({"minutes": 0}, TimeoutError, "took longer than 0 minutes"),
        ({"learning_rate": 1e30}, ValueError, "loss of .* is nan|loss of .* is inf"),
    ],
)
def test_what_keeps_a_network_from_being_fitted_is_told(parameters: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        made(**parameters).fit(ROWS[:60], SAID[:60])


def test_a_missing_number_is_told_in_fitting_and_in_asking(fitted: TorchClassifier) -> None:
    gap = ROWS[:60].copy()
    gap[3, 3] = np.nan
    with pytest.raises(ValueError, match="fill it in before the network"):
        made().fit(gap, SAID[:60])
    with pytest.raises(ValueError, match="missing ones .* have to be filled in"):
        fitted.predict_proba(gap)


@pytest.mark.parametrize(
    "kind", ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
)
def test_numbers_of_every_type_are_read_as_the_library_wrote_them(kind: str) -> None:
    some = torch.arange(6).reshape(2, 3).to(getattr(torch, kind))
    state = {"some": some, "none": some[:0], "one": some[1, 1].clone()}
    content = stored.save(state)
    read = _state(torch, content, read_safetensors(content))
    assert all(torch.equal(read[name], value) and read[name].dtype == value.dtype for name, value in state.items())


def test_weights_that_share_their_memory_are_stored() -> None:
    model = made(module=f"{NETS}.Tied", epochs=1).fit(ROWS[:60], SAID[:60])
    content, shape = Torch().save(model)
    np.testing.assert_array_equal(Torch().load(content, shape).predict(ROWS), model.predict_proba(ROWS))


def test_it_is_stored_tried_and_asked_like_any_model(fitted: TorchClassifier, tmp_path: Path) -> None:
    steps = make_pipeline(StandardScaler().fit(ROWS), fitted)
    columns = dict.fromkeys("abcdef")
    sha256 = Model(steps, columns, ("x", "y", "z"), "").save(tmp_path / "m")
    with pytest.raises(ModelRefused, match=f"needs the code '{NET}', which is not trusted"):
        Model.load(tmp_path / "m", sha256)
    try_model(tmp_path / "m", sha256, (NET,), tmp_path, "it")
    model = Model.load(tmp_path / "m", sha256, (NET,))
    np.testing.assert_array_equal(model.probabilities(ROWS), steps.predict_proba(ROWS))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"0.weight": None}, f"it lacks '0.weight', which {NET} has"),
        ({"more": torch.zeros(1)}, f"it has 'more', which {NET} does not know"),
        ({"0.weight": torch.zeros(8, 5)}, "'0.weight' has the shape 8 x 5; that of .* is 8 x 6"),
        ({"0.bias": torch.zeros(8, dtype=torch.float64)}, "'0.bias' is of the type F64; that of .* is F32"),
    ],
)
def test_weights_of_another_network_are_told_by_name(fitted: TorchClassifier, state: Any, said: str) -> None:
    content, shape = Torch().save(fitted)
    changed = {**stored.load(content), **state}
    forged = stored.save({name: tensor for name, tensor in changed.items() if tensor is not None})
    Torch().check(forged, shape)
    with pytest.raises(Malformed, match=said):
        Torch().load(forged, shape)


def test_what_is_told_beside_the_weights_must_be_what_is_written_here(fitted: TorchClassifier) -> None:
    content, shape = Torch().save(fitted)
    for change in ({"more": 1}, {"module": ["os.system"]}, {"parameters": "x"}, {"places": [0, 0, 1]}):
        with pytest.raises(Malformed):
            Torch().check(content, Shape("classifier", 6, shape.classes, {**shape.facts, **change}))
    with pytest.raises(Malformed):
        Torch().check(json.dumps({"__metadata__": {}}).encode(), shape)
