"""A model keeps the arguments that it was made with, but none that the environment gave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.archive import load_estimator
from mlops_assets.journey.model.files import hash_folder
from mlops_assets.journey.model.model import Model
from mlops_assets_tests.helpers.careless import KeyedClassifier
from mlops_assets_tests.helpers.planted import leaks

SECRET = "rosebud-7c41"
REFERENCE = "Bearer {{ env.ROSE }}"
TRUSTED = ("mlops_assets_tests.helpers.careless.KeyedClassifier",)
MATRIX, TARGET = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])


def made(secret: str) -> Model:
    """A fitted ensemble: the key is an argument of a member, and of its fitted copy."""
    votes = VotingClassifier([("keyed", KeyedClassifier(f"Bearer {secret}"))], voting="soft")
    estimator = Pipeline([("model", votes)]).fit(MATRIX, TARGET)
    return Model(estimator, {"amount": None}, ("no", "yes"), "SELECT 1", references=(REFERENCE,))


def test_what_a_reference_stands_for_is_filled_in_when_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSE", SECRET)
    model = made(SECRET)
    sha256 = model.save(tmp_path / "model")
    assert leaks(tmp_path, [SECRET]) == []
    loaded = Model.load(tmp_path / "model", sha256, TRUSTED)
    assert loaded.estimator.get_params()["model__keyed__key"] == f"Bearer {SECRET}"
    assert np.array_equal(loaded.probabilities(MATRIX), model.probabilities(MATRIX))
    assert loaded.save(tmp_path / "again") == sha256


def test_another_secret_makes_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = set()
    for secret in (SECRET, "tulip-51a9"):
        monkeypatch.setenv("ROSE", secret)
        hashes.add(made(secret).save(tmp_path / secret[:5]))
    assert len(hashes) == 1


def test_without_its_variable_a_model_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROSE", SECRET)
    sha256 = made(SECRET).save(tmp_path)
    monkeypatch.delenv("ROSE")
    with pytest.raises(ModelRefused, match=r"model\.skops: the environment variable ROSE is not set"):
        Model.load(tmp_path, sha256, TRUSTED)


def test_a_model_may_ask_for_nothing_that_the_configuration_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forged one would name the variables of our own secrets."""
    monkeypatch.setenv("ROSE", SECRET)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tulip-51a9")
    made(SECRET).save(tmp_path)
    meaning = tmp_path / "meaning.json"
    meaning.write_text(meaning.read_text().replace("env.ROSE", "env.AWS_SECRET_ACCESS_KEY"))
    with pytest.raises(
        ModelRefused, match=r"variable AWS_SECRET_ACCESS_KEY, and the configuration does not"
    ) as refused:
        Model.load(tmp_path, hash_folder(tmp_path), TRUSTED)
    assert "tulip" not in str(refused.value)


def test_a_model_without_references_is_stored_as_ever(tmp_path: Path) -> None:
    model = Model(made("any").estimator, {"amount": None}, ("no", "yes"), "SELECT 1")
    model.save(tmp_path)
    assert "references" not in (tmp_path / "meaning.json").read_text()
    load_estimator((tmp_path / "model.skops").read_bytes(), TRUSTED)
