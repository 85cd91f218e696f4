"""An estimator of another library is stored beside the archive, comes back as it was, and is carried wherever that goes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlops_assets.errors import ConfigError, ModelRefused
from mlops_assets.journey.model.carried import near
from mlops_assets.journey.model.files import MEANING_FILE, hash_folder, part_files
from mlops_assets.journey.model.flavours import FLAVOURS, flavour_of, made_of
from mlops_assets.journey.model.flavours.flavoured import Flavoured
from mlops_assets.journey.model.flavours.parts import MOST_PARTS, taken_out
from mlops_assets.journey.model.flavours.ubj import read_ubj, write_ubj
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.structure.parts import Malformed
from mlops_assets.journey.model.trial import try_model
from mlops_assets.journey.train.pipeline import build_pipeline
from mlops_assets.journey.train.recency import fit_weighted, unweighted
from mlops_assets.plugins import PluginError, import_object
from mlops_assets.plugins.estimators import CLASSIFIER, check_estimator
from mlops_assets.plugins.loading import EXTRAS
from mlops_assets.use_case import Candidate
from mlops_assets_tests.helpers.flavoured import (
    ROWS,
    SMALL,
    fitted,
    flavour_named,
    of_text,
    stored,
    target,
)
from mlops_assets_tests.helpers.paths import ROOT

COLUMNS = {"a": None, "b": None, "c": None, "d": None}
LABELS = ("w", "x", "y", "z")


def model(estimator: Any) -> Model:
    return Model(Pipeline([("model", estimator)]), COLUMNS, LABELS, "-- SQL")


def saved(estimator: Any, folder: Path) -> str:
    return model(estimator).save(folder)


@pytest.mark.parametrize("name", SMALL)
def test_it_answers_as_the_one_that_was_fitted(name: str) -> None:
    content, shape = stored(name)
    asked = FLAVOURS[flavour_named(name)].load(content, shape)
    own = fitted(name)
    expected = own.predict(ROWS) if shape.kind == "regressor" else own.predict_proba(ROWS)
    np.testing.assert_allclose(asked.predict(ROWS), expected, rtol=0, atol=2e-7)
    # to the bit, whatever else is asked together with a row
    alone = np.concatenate([asked.predict(ROWS[number : number + 1]) for number in range(20)])
    assert np.array_equal(alone, asked.predict(ROWS)[:20])
    assert np.array_equal(asked.predict(ROWS[::-1]), asked.predict(ROWS)[::-1])


@pytest.mark.parametrize("name", SMALL)
def test_what_its_columns_bring_adds_up_to_what_it_says(name: str) -> None:
    content, shape = stored(name)
    brought = FLAVOURS[flavour_named(name)].load(content, shape).contributions(ROWS)
    outputs = 1 if shape.outputs < 3 else shape.outputs
    if name == "xgboost vectors":  # XGBoost does not tell
        assert brought is None
        return
    assert brought is not None
    assert brought.shape == (len(ROWS), outputs, 4)
    # the same base for all rows, so that two rows differ by what their columns bring
    if shape.kind == "classifier" and outputs == 1:
        said = FLAVOURS[flavour_named(name)].load(content, shape).predict(ROWS)
        odds, sums = np.log(said[:, 1] / said[:, 0]), brought.sum(axis=(1, 2))
        np.testing.assert_allclose(odds - odds[0], sums - sums[0], atol=1e-4)


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "catboost"])
def test_the_same_rows_give_the_same_bytes(name: str) -> None:
    path, parameters = SMALL[name]
    made, defaults = made_of(path)
    again = import_object(made)(**{**defaults, **parameters}).fit(ROWS, target(name))
    assert FLAVOURS[name].save(again)[0] == stored(name)[0]


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "catboost"])
def test_a_model_is_stored_copied_and_loaded_with_its_part(name: str, tmp_path: Path) -> None:
    one = model(fitted(name))
    sha256 = one.save(tmp_path / "model")
    (part,) = part_files((tmp_path / "model" / MEANING_FILE).read_bytes())
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        *("model.skops", "meaning.json", "features.sql"),
        part,
    }
    again = Model.load(tmp_path / "model", sha256)
    np.testing.assert_allclose(again.probabilities(ROWS), one.probabilities(ROWS), atol=2e-7)
    assert again.probabilities(ROWS)[:, 1].max() == 0.0, "a class that it never saw"
    assert again.save(tmp_path / "again") == sha256
    assert again.save_copy(tmp_path / "model", sha256, tmp_path / "copy") == sha256
    assert near(tmp_path / "model", sha256) == tmp_path / "model"
    # every byte of it counts
    content = (tmp_path / "model" / part).read_bytes()
    (tmp_path / "model" / part).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelRefused, match="another SHA-256"):
        Model.load(tmp_path / "model", sha256)
    (tmp_path / "model" / part).unlink()
    with pytest.raises(ModelRefused, match=rf"{part}: cannot be read: No such file"):
        hash_folder(tmp_path / "model")


def test_members_of_an_ensemble_have_a_part_each_and_templates_none(tmp_path: Path) -> None:
    encoded = ColumnTransformer([("few", OneHotEncoder(handle_unknown="ignore"), [3])], remainder="passthrough")
    members = [
        ("boosted", make_pipeline(encoded, import_object("lightgbm.LGBMClassifier")(n_estimators=2, verbosity=-1))),
        ("other", clone(fitted("catboost"))),
        ("boosted again", clone(fitted("xgboost"))),
    ]
    voting = VotingClassifier(members, voting="soft").fit(ROWS, target(""))
    # what scikit-learn fitted is not changed by being stored
    assert flavour_of(type(voting.estimators_[1])) is FLAVOURS["catboost"]
    one = model(voting)
    sha256 = one.save(tmp_path / "model")
    assert flavour_of(type(voting.estimators_[1])) is FLAVOURS["catboost"]
    assert sorted(path.name for path in (tmp_path / "model").glob("part-*")) == [
        *("part-0.txt", "part-1.cbm", "part-2.ubj")
    ]
    loaded = Model.load(tmp_path / "model", sha256)
    np.testing.assert_allclose(loaded.probabilities(ROWS), one.probabilities(ROWS), atol=2e-7)
    assert not any(member.is_fitted for _, member in loaded.estimator.steps[-1][1].estimators[1:])
    try_model(tmp_path / "model", sha256, (), tmp_path / "home", "version 1 of shop")


def test_what_no_flavour_owns_is_stored_as_ever() -> None:
    estimator = make_pipeline(LogisticRegression().fit(np.nan_to_num(ROWS), SAID))
    parts = taken_out(estimator)
    assert parts.estimator is estimator
    assert not parts.files
    assert not part_files(json.dumps({"columns": COLUMNS}).encode())


SAID = target("xgboost")


# -- models that are forged beside their part --------------------------------------------------------------------------


def rewritten(folder: Path, **changes: Any) -> str:
    meaning = json.loads((folder / MEANING_FILE).read_bytes())
    (folder / MEANING_FILE).write_text(json.dumps({**meaning, **changes}), encoding="utf-8")
    return hash_folder(folder)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, "part-0.ubj: it is a part that nothing asks for, or one that is missing"),
        ({"part-0.ubj": "lightgbm"}, "part-0.ubj: it is said to be of lightgbm, and of xgboost"),
        ({"part-0.ubj": "keras"}, "flavour 'keras'; known are xgboost"),
        ({"part-0.ubj": "xgboost", "part-1.ubj": "xgboost"}, r"part-1\.ubj"),
        ({"../part-0.ubj": "xgboost"}, "nothing asks for, or one that is missing"),
        ({f"part-{number}.ubj": "xgboost" for number in range(MOST_PARTS + 1)}, "nothing asks for"),
    ],
)
def test_a_list_of_parts_that_is_forged_is_refused(parts: dict[str, str], said: str, tmp_path: Path) -> None:
    saved(fitted("xgboost"), tmp_path)
    (tmp_path / "part-1.ubj").write_bytes(stored("xgboost")[0])
    with pytest.raises(ModelRefused, match=said):
        Model.load(tmp_path, rewritten(tmp_path, parts=parts))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_features_in_": 5}, "it takes 5 columns and is handed 4"),
        ({"classes_": np.array([0, 1, 2, 3])}, "expected"),
        ({"flavour": "pickle"}, "flavour is 'pickle', known are 'xgboost'"),
        ({"kind": "regressor", "classes_": None}, "it knows the classes"),
        ({"facts": {"link": "eval"}}, "part-0"),
        ({"predict_proba": 1}, "predict_proba"),
        ({"further": "more"}, "further is an attribute that it never has"),
    ],
)
def test_a_placeholder_that_is_forged_is_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    content, shape = stored("catboost")
    forged = Flavoured.of("catboost", shape, content)
    folder = tmp_path / "model"
    taken = taken_out(Pipeline([("model", forged)]))
    vars(taken.estimator.steps[-1][1]).update(change)
    import skops.io

    saved(fitted("catboost"), folder)
    (folder / "model.skops").write_bytes(skops.io.dumps(taken.estimator))
    with pytest.raises(ModelRefused, match=said):
        Model.load(folder, hash_folder(folder))


# -- configurations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "catboost"])
def test_a_configuration_names_it_and_it_is_made_calm(name: str) -> None:
    path, parameters = SMALL[name]
    built = build_pipeline(Candidate.model_validate({"use": path, "parameters": parameters}), COLUMNS)
    arguments = built.steps[-1][1].get_params()
    assert {"random_state", "random_seed"} & {key for key, value in arguments.items() if value == 0}
    assert {"n_jobs", "thread_count"} & {key for key, value in arguments.items() if value == 1}
    assert flavour_of(type(built.steps[-1][1])) is FLAVOURS[name]


def test_labels_of_which_some_are_missing_are_learned() -> None:
    assert fitted("xgboost").classes_.tolist() == [0, 2, 3]
    assert set(fitted("xgboost").predict(ROWS)) <= {0, 2, 3}


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "catboost"])
def test_rows_count_what_they_weigh(name: str) -> None:
    path, parameters = SMALL[name]
    built = build_pipeline(Candidate.model_validate({"use": path, "parameters": parameters}), COLUMNS)
    assert unweighted(built) == ()
    said = []
    for weights in (None, np.linspace(0.01, 2, len(ROWS))):
        fit_weighted(built, ROWS, target(name), weights)
        said.append(built.predict_proba(ROWS))
    assert not np.array_equal(*said)


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "catboost"])
def test_without_its_library_the_extra_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = saved(fitted(name), tmp_path)
    brings = rf"pip install 'mlops-assets\[{EXTRAS[FLAVOURS[name].module]}\]' brings it"
    monkeypatch.setitem(__import__("sys").modules, FLAVOURS[name].module, None)
    with pytest.raises(PluginError, match=brings):
        import_object(SMALL[name][0])
    with pytest.raises(ConfigError, match=brings):
        FLAVOURS[name].library()
    with pytest.raises(ModelRefused, match=f"needs the package {name}, which is not installed: {brings}"):
        Model.load(tmp_path, sha256)


def test_what_cannot_be_stored_says_so() -> None:
    lightgbm, catboost = FLAVOURS["lightgbm"], FLAVOURS["catboost"]
    linear = import_object("lightgbm.LGBMClassifier")(n_estimators=2, linear_tree=True, verbosity=-1)
    with pytest.raises(Malformed, match="leave `linear_tree` out"):
        lightgbm.save(linear.fit(ROWS, SAID))
    plain = {"iterations": 2, "logging_level": "Silent", "allow_writing_files": False}
    deep = import_object("catboost.CatBoostClassifier")(grow_policy="Lossguide", **plain)
    with pytest.raises(Malformed, match="stored are symmetric trees on numbers"):
        catboost.save(deep.fit(ROWS, SAID))
    apart = import_object("catboost.CatBoostClassifier")(loss_function="MultiClassOneVsAll", **plain)
    with pytest.raises(Malformed, match="stored are Logloss, CrossEntropy, MultiClass"):
        catboost.save(apart.fit(ROWS, SAID))


# -- Universal Binary JSON ---------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        st.text(max_size=5),
        arrays.arrays(st.sampled_from([np.float32, np.int32, np.uint8, np.int64]), st.integers(0, 5)),
    ),
    lambda inside: st.one_of(st.lists(inside, max_size=4), st.dictionaries(st.text(max_size=3), inside, max_size=4)),
    max_leaves=10,
)


@settings(max_examples=30)
@given(VALUES)
def test_ubj_is_read_as_it_was_written(value: Any) -> None:
    np.testing.assert_equal(read_ubj(write_ubj(value)), value)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        read_ubj(content)
    except Malformed:
        return


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[#L" + (2**60).to_bytes(8, "big"), "says a length"),
        (b"[$d#L" + (2**60).to_bytes(8, "big"), "says a length"),
        (b"[$S#L" + (1).to_bytes(8, "big"), "which are no numbers"),
        (b"[#L" + (2).to_bytes(8, "big", signed=True) + b"i\x01", "in the middle of a value"),
        (b"[#L" + (-1).to_bytes(8, "big", signed=True), "says a length"),
        ((b"[#L" + (9).to_bytes(8, "big")) * 30, "in each other"),
        (write_ubj({"a": 1})[:-1] + write_ubj({"a": 2})[1:], "says 'a' twice"),
        (write_ubj([1]) + b"i", "goes on after its end"),
        (b"\x80\x04\x95", "begins no value"),
    ],
)
def test_ubj_that_is_forged_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        read_ubj(content)


# -- what the page says ------------------------------------------------------------------------------------------------


def test_the_configuration_of_the_page_is_one() -> None:
    page = (ROOT / "docs" / "flavours.md").read_text(encoding="utf-8")
    boosted, network = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", page, re.S))
    written = {**boosted["candidates"], **network["training"]["candidates"]}
    candidates = {name: Candidate.model_validate(one) for name, one in written.items()}
    for candidate in candidates.values():
        given = [*candidate.parameters, *(["estimators"] if candidate.members else [])]
        check_estimator(candidate.use, CLASSIFIER, given, candidate.search)
        assert build_pipeline(candidate, COLUMNS, candidates).steps[-1][0] == "model"
    for name, flavour in FLAVOURS.items():
        assert f"mlops-assets[{name}]" in page
        assert f"part-N.{flavour.suffix}" in page
    named = set(re.findall(r"`((?:xgboost|lightgbm|catboost)\.\w+)`", page))
    assert named == {path for name in FLAVOURS for path in FLAVOURS[name].defaults if "Regressor" not in path}


def test_a_bound_of_lightgbm_may_be_infinite() -> None:
    """Where a column has few values beside missing ones, LightGBM parts the two so."""
    content, shape = stored("lightgbm")
    content = of_text(r"^threshold=\S+", "threshold=inf")(content)
    FLAVOURS["lightgbm"].check(content, shape)
    said = FLAVOURS["lightgbm"].load(content, shape).predict(ROWS)
    assert np.isfinite(said).all()
    assert not np.array_equal(said, fitted("lightgbm").predict_proba(ROWS))


def test_a_sum_of_catboosts_that_was_scaled_afterwards_is_explained_too() -> None:
    flavour, plain = FLAVOURS["catboost"], fitted.__wrapped__("catboost number")
    before = flavour.load(*flavour.save(plain)).contributions(ROWS)
    plain.set_scale_and_bias(2.0, plain.get_scale_and_bias()[1])
    after = flavour.load(*flavour.save(plain)).contributions(ROWS)
    assert before is not None
    assert after is not None
    np.testing.assert_allclose(after, 2 * before)
