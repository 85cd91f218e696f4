"""A forged model whose hash fits is refused in words that a person understands: no crash, no hang, no file opened."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.files import ESTIMATOR_FILE, hash_folder
from mlops_assets.journey.model.model import Model
from mlops_assets_tests.helpers.estimators import MANY, fitted, rows_of, to_trust
from mlops_assets_tests.helpers.forged_models import FORGED, HARMLESS, Members, npy, rewrite

SECONDS = 600
"""How long all of them together may take; a busy machine needs a minute and a half."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of each forged model, loaded in a process of its own that it may crash."""
    command = [sys.executable, "-m", "mlops_assets_tests.helpers.forged_driver", str(tmp_path_factory.mktemp("forged"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{lines[-1:]}: ended with {done.returncode}\n{done.stderr[-2000:]}"
    return {line["name"]: line for line in lines if "name" in line}


def test_they_are_many() -> None:
    assert len(FORGED) >= 150


@pytest.mark.parametrize("name", FORGED)
def test_it_is_refused_or_harmless_and_opens_nothing(told: dict[str, dict[str, Any]], name: str) -> None:
    refused = told[name]["refused"]
    assert told[name]["events"] == []
    if FORGED[name].said == HARMLESS:
        assert refused == ""
    else:
        assert re.search(FORGED[name].said, refused)
        assert ESTIMATOR_FILE in refused


# -- any content of any array: an answer, an error of Python's, or a refusal ------------------------------------------

FAMILIES = ("tree", "forest", "hist gradient boosting", "neighbours by force", "one hot of rare", "sparse neighbours")
NUMBERS = st.sampled_from([0, 1, -1, 2, 7, 255, 2**16, 2**31 - 1, 2**40, -(2**62)])
REALS = st.one_of(st.floats(width=32), st.sampled_from([np.nan, np.inf, -np.inf, 1e308]))


def _spoil(draw: st.DataObject, array: np.ndarray) -> np.ndarray:
    """Put some numbers of any size into an array, keeping its form."""
    spoilt = np.array(array)
    flat = spoilt.reshape(-1)
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, max(0, flat.size - 1)))
        names = flat.dtype.names
        target = flat[draw.draw(st.sampled_from(names))] if names else flat
        if not flat.size or target.dtype.kind not in "iufb":
            continue
        value = draw.draw(NUMBERS if target.dtype.kind in "iub" else REALS)
        if target.dtype.kind in "iu":
            bounds = np.iinfo(target.dtype)
            value = min(max(int(value), bounds.min), bounds.max)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target[at] = value
    return spoilt


def _spoil_and_ask(folder: Path, model: Model, draw: st.DataObject) -> None:
    model.save(folder)

    def change(schema: Any, members: Members) -> None:
        del schema
        arrays = sorted(name for name in members if name.endswith(".npy"))
        name = draw.draw(st.sampled_from(arrays))
        members[name] = npy(_spoil(draw, np.load(io.BytesIO(members[name]))))

    rewrite(folder / ESTIMATOR_FILE, change)
    try:
        loaded = Model.load(folder, hash_folder(folder), to_trust(model.estimator))
    except ModelRefused:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            answered = loaded.probabilities(rows_of(model))
        except (ValueError, IndexError, ArithmeticError):  # told by Python: no crash
            return
    assert answered.shape == (len(rows_of(model)), len(model.classes))


MODELS: dict[str, Model] = {}


def _model(name: str) -> Model:
    if name not in MODELS:
        MODELS[name] = fitted(name)
    return MODELS[name]


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=QUIET)
@given(name=st.sampled_from(FAMILIES), draw=st.data())
def test_whatever_stands_in_an_array_there_is_no_crash(tmp_path: Path, name: str, draw: st.DataObject) -> None:
    _spoil_and_ask(tmp_path, _model(name), draw)


@pytest.mark.long
@settings(max_examples=3000, deadline=None, suppress_health_check=QUIET)
@given(name=st.sampled_from(sorted(MANY)), draw=st.data())
def test_whatever_stands_in_any_array_of_any_family_there_is_no_crash(
    tmp_path: Path, name: str, draw: st.DataObject
) -> None:
    _spoil_and_ask(tmp_path, _model(name), draw)
