"""A calibrator changes what an answer's probability is, and neither the answer nor the order of rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mlops_assets.journey.model.calibrator import Calibrator, Isotonic, Temperature, read_calibrator
from mlops_assets.journey.model.model import Model

CURVE = Isotonic((0.0, 0.3, 0.6, 1.0), (0.0, 0.2, 0.5, 0.9))

SHARES = st.floats(0, 1).map(lambda share: round(share, 6))
TEMPERATURES = st.floats(0.01, 100).map(Temperature)
CURVES = st.lists(st.tuples(SHARES, SHARES), min_size=1, max_size=8, unique_by=lambda knot: knot[0]).map(
    lambda knots: Isotonic(tuple(sorted(x for x, _ in knots)), tuple(sorted(y for _, y in knots)))
)
CALIBRATORS = st.one_of(TEMPERATURES, CURVES)
WEIGHTS = st.one_of(st.just(0.0), st.floats(1e-12, 1), st.sampled_from([1.0, 0.5, 1 / 3, math.nextafter(0.5, 1)]))


@st.composite
def probabilities(draw: st.DrawFn) -> np.ndarray:
    width = draw(st.integers(2, 24))
    rows = draw(st.lists(st.lists(WEIGHTS, min_size=width, max_size=width).filter(any), min_size=1, max_size=6))
    weights = np.array(rows)
    return weights / weights.sum(axis=1, keepdims=True)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(calibrator=CALIBRATORS, before=probabilities())
def test_rows_stay_probabilities_of_the_same_answer(calibrator: Calibrator, before: np.ndarray) -> None:
    given_before = before.copy()
    after = calibrator.apply(before)
    assert np.isfinite(after).all()
    assert (after >= 0).all()
    np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))
    np.testing.assert_array_equal(before, given_before)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(calibrator=CALIBRATORS, second=st.lists(SHARES, min_size=2, max_size=30, unique=True))
def test_of_two_classes_rows_keep_their_order(calibrator: Calibrator, second: list[float]) -> None:
    ordered = np.sort(np.array(second))
    assert (np.diff(calibrator.apply(np.column_stack([1 - ordered, ordered]))[:, 1]) >= -1e-15).all()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(calibrator=CURVES, before=probabilities())
def test_the_other_classes_keep_their_order(calibrator: Calibrator, before: np.ndarray) -> None:
    after = calibrator.apply(before)
    for row, changed in zip(before, after, strict=True):
        others = np.delete(
            np.argsort(row, kind="stable"), np.flatnonzero(np.argsort(row, kind="stable") == row.argmax())
        )
        assert (np.diff(changed[others]) >= 0).all()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(calibrator=CALIBRATORS, before=probabilities())
def test_a_row_alone_has_the_bits_that_it_has_among_others(calibrator: Calibrator, before: np.ndarray) -> None:
    many = np.tile(before, (37, 1))
    together = calibrator.apply(many)
    for number in range(len(before)):
        np.testing.assert_array_equal(calibrator.apply(many[number : number + 1])[0], together[number])


def test_a_temperature_divides_the_logarithms() -> None:
    before = np.array([[0.7, 0.2, 0.1]])
    np.testing.assert_allclose(Temperature(2.0).apply(before), softmax(np.log(before) / 2, axis=1))


def test_what_is_impossible_stays_so_by_a_temperature() -> None:
    assert Temperature(5.0).apply(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist() == [[1, 0], [0, 1]]


def test_the_curve_is_that_of_the_answer_and_the_others_share_the_rest() -> None:
    np.testing.assert_allclose(CURVE.apply(np.array([[0.8, 0.15, 0.05]])), [[0.7, 0.225, 0.075]])


def test_an_answer_that_was_sure_leaves_the_rest_to_all_others_alike() -> None:
    np.testing.assert_allclose(CURVE.apply(np.array([[0.0, 1.0, 0.0]])), [[0.05, 0.9, 0.05]])


def test_an_answer_falls_no_further_than_the_second_one() -> None:
    (after,) = CURVE.apply(np.array([[0.36, 0.34, 0.30]]))
    assert after[0] > after[1] > after[2]
    assert after[0] == pytest.approx(after[1], abs=1e-3)


@pytest.mark.parametrize("calibrator", [CURVE, Temperature(3.0), Isotonic((0.5,), (0.1,))], ids=["curve", "t", "flat"])
def test_with_two_classes_the_area_is_the_same(calibrator: Calibrator) -> None:
    random = np.random.default_rng(0)
    second = random.uniform(0, 1, 500)
    truth = random.uniform(0, 1, 500) < second
    after = calibrator.apply(np.column_stack([1 - second, second]))
    assert roc_auc_score(truth, after[:, 1]) == roc_auc_score(truth, second)


# -- in a model -------------------------------------------------------------------------------------------------------


def a_model(calibrator: Calibrator | None = None) -> Model:
    estimator = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    return Model(estimator, {"amount": None}, ("no", "yes"), "-- SQL", calibrator=calibrator)


@pytest.mark.parametrize("calibrator", [CURVE, Temperature(1.7)], ids=["curve", "temperature"])
def test_a_stored_model_is_calibrated_as_before(calibrator: Calibrator, tmp_path: Any) -> None:
    model, matrix = a_model(calibrator), np.linspace(-3, 6, 40)[:, None]
    loaded = Model.load(tmp_path, model.save(tmp_path))
    assert loaded.calibrator == calibrator
    np.testing.assert_array_equal(loaded.probabilities(matrix), model.probabilities(matrix))
    np.testing.assert_array_equal(loaded.uncalibrated(matrix), a_model().probabilities(matrix))


def test_without_a_calibrator_nothing_is_written_of_one(tmp_path: Any) -> None:
    a_model().save(tmp_path)
    assert "calibrator" not in (tmp_path / "meaning.json").read_text()


def test_a_copy_with_a_calibrator_is_the_same_bytes_as_a_model_that_was_made_with_it(tmp_path: Any) -> None:
    stored, wanted = a_model().save(tmp_path / "stored"), a_model(CURVE).save(tmp_path / "wanted")
    assert a_model(CURVE).save_copy(tmp_path / "stored", stored, tmp_path / "copy") == wanted
    files = [
        sorted((path.name, path.read_bytes()) for path in (tmp_path / name).iterdir()) for name in ("copy", "wanted")
    ]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 0.009, "kind": "temperature"},
        {"temperature": math.nan, "kind": "temperature"},
        {"temperature": 1.0},
        {"temperature": 1.0, "kind": "platt"},
        {"x": [0.5, 0.4], "y": [0.1, 0.2], "kind": "isotonic"},
        {"x": [0.4, 0.5], "y": [0.2, 0.1], "kind": "isotonic"},
    ],
)
def test_what_is_no_calibrator_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read_calibrator(wrong)


@pytest.mark.parametrize("left", [0.0, 5e-324, 1e-310, 1e-300])
def test_what_rounding_left_of_a_probability_is_no_number_to_divide_by(left: float) -> None:
    """Boosted trees may be as sure as that; a row of them must not become what is no number."""
    said = Isotonic((0.5, 1.0), (0.5, 0.9)).apply(np.array([[1.0, left, 0.0], [0.2, 0.5, 0.3]]))
    assert np.isfinite(said).all()
    np.testing.assert_allclose(said.sum(axis=1), 1)
    assert said[0, 0] == pytest.approx(0.9)
