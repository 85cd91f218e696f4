"""Columns of the model's input become the matrix that an estimator sees."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.journey.features.matrix import to_matrix


def test_infinite_and_missing_numbers_become_nan() -> None:
    batch = pa.table({"x": [1.0, np.inf, -np.inf, np.nan, None]})
    np.testing.assert_array_equal(to_matrix(batch, {"x": None})[:, 0], [1, np.nan, np.nan, np.nan, np.nan])


def test_a_category_becomes_its_place_in_the_vocabulary_and_an_unknown_or_missing_one_minus_one() -> None:
    batch = pa.table({"city": ["BAURU", "OSASCO", "NEW", "", None]})
    matrix = to_matrix(batch, {"city": pa.array(["OSASCO", "BAURU"])})
    assert matrix[:, 0].tolist() == [1, 0, -1, -1, -1]


def test_a_vocabulary_without_values_knows_nothing() -> None:
    assert to_matrix(pa.table({"city": ["BAURU"]}), {"city": pa.array([], pa.string())}).tolist() == [[-1]]


def test_columns_stand_in_the_order_of_the_model_and_others_are_left_out() -> None:
    batch = pa.table({"file": [0], "a": [1], "b": [True], "c": [2.5]})
    assert to_matrix(batch, {"c": None, "b": None, "a": None}).tolist() == [[2.5, 1.0, 1.0]]


def test_a_number_beyond_float32_is_missing_and_counted() -> None:
    hostile = [1e200, -1e200, 1e308, np.inf, np.nan, 5e-324, -0.0, 3.5e38]
    told: Counter[str] = Counter()
    matrix = to_matrix(pa.table({"x": hostile}), {"x": None}, told)
    np.testing.assert_array_equal(matrix[:, 0], [np.nan] * 5 + [5e-324, -0.0, np.nan])
    assert told == {"x": 5}  # that which was missing does not count


@pytest.mark.parametrize(
    "values",
    [
        pa.array([2**63 - 1, -(2**63), None]),
        pa.array([2**64 - 1, 0, None], pa.uint64()),
        pa.array([10**37, -1, None], pa.decimal128(38, 0)),
        pa.array([True, False, None]),
    ],
)
def test_every_number_that_sql_has_becomes_a_float(values: pa.Array) -> None:
    expected = [float(value.as_py()) if value.is_valid else np.nan for value in values]
    np.testing.assert_array_equal(to_matrix(pa.table({"x": values}), {"x": None})[:, 0], expected)
