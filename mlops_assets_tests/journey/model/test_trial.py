"""A model answers odd rows in a process of its own before it may score; what it does there harms nobody."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlops_assets import encoders
from mlops_assets.errors import ModelRefused, redaction
from mlops_assets.journey.model import trial
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.trial import PLAIN, answer_smoke, smoke_rows, try_model
from mlops_assets.journey.score.loaded import load_cached
from mlops_assets.use_case import UseCase
from mlops_assets.work.apart import Limits, run_apart
from mlops_assets_tests.helpers import misbehaving
from mlops_assets_tests.helpers.estimators import (
    LABELS,
    MANY,
    MATRIX,
    NUMBERS,
    OF_TEXTS,
    TARGET,
    TEXTS,
    WORDS,
    fitted,
    to_trust,
)
from mlops_assets_tests.helpers.models import as_version

SHORT = Limits(seconds=1, memory=1 << 30)


def tried(tmp_path: Path, estimator: Any, limits: Limits = SHORT) -> None:
    """Fit, store and try a classifier that a person trusts."""
    model = Model(estimator.fit(MATRIX, TARGET), NUMBERS, LABELS, "-- SQL")
    sha256 = model.save(tmp_path / "model")
    path = f"{misbehaving.PATH}{type(estimator).__name__}"
    try_model(tmp_path / "model", sha256, [path], tmp_path / "home", "version 7 of shop", limits)


def verdicts(tmp_path: Path) -> list[Path]:
    return list(tmp_path.glob("home/trials/*.json"))


def test_a_model_is_tried_once_and_the_verdict_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried(tmp_path, misbehaving.Behaved())
    (kept,) = verdicts(tmp_path)
    assert json.loads(kept.read_text())["answered"] == PLAIN + len(smoke_rows(NUMBERS))
    # known by what it is, not by where it lies: nothing is loaded again, and other files have no verdict
    sha256 = json.loads(kept.read_text())["model"]
    monkeypatch.setattr(trial, "run_apart", None)
    moved = (tmp_path / "model").rename(tmp_path / "moved")
    given = sha256, [f"{misbehaving.PATH}Behaved"], tmp_path / "home", "version 7 of shop"
    try_model(moved, *given)
    (moved / "features.sql").write_text("-- another one")
    with pytest.raises(ModelRefused, match="not the one that was registered"):
        try_model(moved, *given)


def test_addresses_that_a_library_sets_aside_are_not_counted() -> None:
    """Arrow takes a gigabyte of them at its first byte: where it found room for that, a model had none."""
    limits = Limits(seconds=20, memory=(1 << 30) + (1 << 27))
    assert run_apart(misbehaving.half_a_gigabyte_beside_arrow, (), limits) > 1 << 29


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (misbehaving.Endless(), "did not end within 5 seconds|used up 1 seconds of a core"),
        (misbehaving.Crashing(), r"its process crashed \(signal 11\)"),
        (misbehaving.Greedy(), "asked for more than .* MB of memory"),
        (misbehaving.Calling(), r"socket\.\w+ is refused to a model on trial"),
        (misbehaving.Lying(), "no probabilities"),
        (misbehaving.Mute(), "no probabilities"),
        (misbehaving.Refusing(), "answers none of 12 rows, though some are as plain as can be: ValueError: not today"),
        (misbehaving.Nosy(), "open is refused to a model on trial"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_model_that_behaves_badly_is_refused(tmp_path: Path, estimator: Any, said: str) -> None:
    with pytest.raises(ModelRefused, match=f"version 7 of shop failed its trial, so it may not score: .*({said})"):
        tried(tmp_path, estimator)
    # the next day tries it again: a busy machine must not keep it out for ever
    assert verdicts(tmp_path) == []


def test_a_model_on_trial_writes_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="open is refused"):
        tried(tmp_path, misbehaving.Writing(str(tmp_path / "sprung")))
    assert not (tmp_path / "sprung").exists()


def test_a_model_on_trial_has_no_secret_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_referred", {"ROSE_OF_THE_MODEL"})
    monkeypatch.setenv("ROSE_OF_THE_MODEL", "rosebud-7c41")  # which the configuration refers to
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tulip-51a9")
    monkeypatch.setenv("MLOPS_DATABASE_URL", "postgresql://me:tulip-51a9@host/all")
    with pytest.raises(ModelRefused, match="LookupError") as refused:
        tried(tmp_path, misbehaving.Curious())
    told = str(refused.value)
    assert "ROSE_OF_THE_MODEL=***" in told
    assert not [name for name in ("AWS_", "MLOPS_", "tulip") if name in told]


@pytest.mark.parametrize("name", [*MANY, *OF_TEXTS])
def test_every_honest_model_answers_a_plain_row(tmp_path: Path, name: str) -> None:
    model = fitted(name)
    answer = answer_smoke(str(tmp_path), model.save(tmp_path), to_trust(model.estimator))
    assert answer.get("answered", 0) > 0, answer


def test_a_text_that_only_an_encoder_knows_is_taken_from_it(tmp_path: Path) -> None:
    """A model from elsewhere may refuse every text but those that it has learned."""
    encoder = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="error"))
    columns = ColumnTransformer([("texts", encoder, ["text"]), ("rest", "passthrough", ["amount"])])
    frame = encoders.as_frame(TEXTS, tuple(WORDS), ("text",))
    estimator = make_pipeline(columns, LogisticRegression()).fit(frame, TARGET)
    model = Model(encoders.OnFrame(estimator, tuple(WORDS), ("text",), (0, 1, 2)), WORDS, LABELS, "-- SQL")
    answer = answer_smoke(str(tmp_path), model.save(tmp_path), to_trust(model.estimator))
    assert answer["answered"] == PLAIN


def test_a_changed_model_is_refused_in_the_words_of_its_load(tmp_path: Path) -> None:
    fitted("logistic").save(tmp_path / "model")
    with pytest.raises(ModelRefused, match="another SHA-256"):
        try_model(tmp_path / "model", "0" * 64, [], tmp_path / "home", "version 7 of shop")


def test_a_row_that_a_model_does_not_take_is_no_fault(tmp_path: Path) -> None:
    """As on a day, where such a row is left out and explained."""
    model = fitted("one hot")
    answer = answer_smoke(str(tmp_path), model.save(tmp_path), [])
    assert "refused" not in answer
    assert answer["answered"] < answer["rows"]


def test_the_odd_rows_are_always_the_same_and_hold_every_kind() -> None:
    rows = smoke_rows({"city": ("OSASCO", "RECIFE"), "amount": None, "text": "text"})
    assert rows == smoke_rows({"city": ("OSASCO", "RECIFE"), "amount": None, "text": "text"})
    assert {"OSASCO", None} < set(rows["city"].to_pylist())
    assert any(value not in ("OSASCO", "RECIFE", None) for value in rows["city"].to_pylist())
    assert None in rows["amount"].to_pylist()
    assert "" in rows["text"].to_pylist()
    assert max(map(len, rows["text"].to_pylist())) >= 5000


def test_a_version_that_was_not_tried_does_not_score(tmp_path: Path, transactions: UseCase) -> None:
    version = as_version(fitted("logistic"), tmp_path)
    assert load_cached(version, transactions)
    with pytest.raises(ModelRefused, match="was not tried"):
        load_cached(replace(version, proven=False), transactions)


def test_the_first_door_is_asked_too(tmp_path: Path) -> None:
    """A trial does not make up for the check: a type without a rule, which nobody named, is refused before it runs."""
    model = Model(misbehaving.Writing(str(tmp_path / "sprung")).fit(MATRIX, TARGET), NUMBERS, LABELS, "-- SQL")
    sha256 = model.save(tmp_path / "model")
    with pytest.raises(ModelRefused, match=r"training\.trusted"):
        try_model(tmp_path / "model", sha256, [], tmp_path / "home", "version 7 of shop")
