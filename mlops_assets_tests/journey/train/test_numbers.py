"""Numbers are judged by errors with bounds, get an interval that holds what it says, and are made again byte by byte."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mlops_assets.journey.train.conformal import LEAST, by_size, learn_interval
from mlops_assets.journey.train.folds import Said
from mlops_assets.journey.train.intervals import Interval
from mlops_assets.journey.train.metrics import measure, shown

FINITE = some.floats(-1e6, 1e6, allow_subnormal=False).map(lambda number: round(number, 6))


def said(rows: int, seed: int, spread: float = 0.2) -> Said:
    """Numbers whose errors grow with them, and are not alike on both sides."""
    random = np.random.default_rng(seed)
    numbers = random.uniform(1, 100, rows)
    return Said(numbers * np.exp(random.normal(0, spread, rows)), numbers[:, None])


@given(some.lists(some.tuples(FINITE, FINITE), min_size=2, max_size=30))
def test_errors_are_those_of_the_definitions(pairs: list[tuple[float, float]]) -> None:
    truth, predicted = np.array(pairs).T
    found = measure(truth, predicted[:, None], predicted)
    errors = np.abs(truth - predicted)
    assert found["mae"] == pytest.approx(errors.mean(), rel=1e-5)
    assert found["rmse"] == pytest.approx(math.sqrt((errors**2).mean()), rel=1e-5)
    assert found["median_error"] == pytest.approx(np.median(errors), rel=1e-5)
    assert ("mape" in found) == bool(truth.all())
    assert ("r2" in found) == (((truth - truth.mean()) ** 2).sum() > 0)
    assert "coverage" not in found


def test_r2_is_nothing_where_all_are_the_same_and_mape_where_one_is_0() -> None:
    assert "r2" not in measure(np.full(3, 5.0), np.ones((3, 1)), np.ones(3))
    assert "mape" not in measure(np.array([0.0, 1.0]), np.ones((2, 1)), np.ones(2))


def test_a_metric_of_ones_own_gets_the_numbers() -> None:
    def within_ten(labels: np.ndarray, numbers: np.ndarray, classes: Any) -> float:
        assert classes == ()
        return float((np.abs(labels - numbers[:, 0]) <= 10).mean())

    truth, predicted = np.array([1.0, 50.0]), np.array([[5.0], [90.0]])
    assert measure(truth, predicted, predicted[:, 0], (), {"within_ten": within_ten})["within_ten"] == 0.5


@settings(max_examples=25, deadline=None)
@given(some.integers(0, 10_000), some.sampled_from([0.8, 0.9]), some.integers(LEAST, 1_500))
def test_an_interval_holds_what_it_says_of_rows_like_those_it_learned(seed: int, coverage: float, rows: int) -> None:
    interval = learn_interval([said(rows, seed)], coverage)
    assert interval is not None
    fresh = said(4_000, seed + 1)
    held = measure(fresh.truth, interval.apply(fresh.probabilities), fresh.probabilities[:, 0])["coverage"]
    # of the shares that splits of so few rows have, nearly all lie within four standard deviations
    assert abs(held - coverage) < 4 * math.sqrt(coverage * (1 - coverage) * (1 / rows + 1 / 4_000)) + 21 / rows


def test_it_holds_so_much_of_small_and_of_large_numbers() -> None:
    interval = learn_interval([said(3_000, 1)], 0.9)
    assert interval is not None
    assert len(interval.below) == 10
    fresh = said(10_000, 2)
    groups = by_size(fresh.truth, interval.apply(fresh.probabilities))
    assert [group["rows"] for group in groups] == [1_000] * 10
    assert all(0.84 < group["inside"] < 0.96 for group in groups)
    assert groups[-1]["error"] > 5 * groups[0]["error"]


def test_few_rows_have_no_interval_and_equal_numbers_one_for_all() -> None:
    assert learn_interval([], 0.9) is None
    assert learn_interval([said(LEAST - 1, 1)], 0.9) is None
    same = Said(np.random.default_rng(0).normal(size=1_000), np.zeros((1_000, 1)))
    interval = learn_interval([same], 0.9)
    assert interval is not None
    assert interval.edges == ()
    assert interval.below[0] == pytest.approx(-1.64, abs=0.2)


def test_numbers_of_any_size_can_be_read_in_a_sentence() -> None:
    assert str(Interval(0.000012345, 0.00001, 0.000015)) == "1.234e-05 (1e-05 to 1.5e-05)"
    assert shown(float("nan")) == "nan"
    assert shown(0.0) == "0.000"
