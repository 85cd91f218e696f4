"""Columns of the model's input become the matrix that an estimator sees."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

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
