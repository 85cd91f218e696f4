"""What a column tells of the label, by arithmetic on counts, and what is no more than chance in few rows."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.monitoring.association import LEAST, cramers_v, missing_tells, tell_label


def counted(column: np.ndarray, label: np.ndarray, bins: int, classes: int, seed: int = 1) -> np.ndarray:
    """Rows by half, bin and class."""
    halves = np.zeros((2, bins, classes), np.int64)
    half = np.random.default_rng(seed).integers(0, 2, len(label))
    np.add.at(halves, (half, column, label), 1)
    return halves


def test_v_is_that_of_the_paper() -> None:
    # by hand: chi2 = 20, n = 100, phi2 = 0.2, less 1 / 99; r~ = c~ = 2 - 1 / 99
    table = np.array([[36, 14], [14, 36]])
    chi2 = 4 * 11**2 / 25
    expected = np.sqrt((chi2 / 100 - 1 / 99) / (1 - 1 / 99))
    assert cramers_v(table) == pytest.approx(expected)


def test_v_is_one_for_the_same_in_other_words_and_zero_for_what_has_nothing_to_do_with_it() -> None:
    assert cramers_v(np.diag([30, 50, 20])) == pytest.approx(1)
    assert cramers_v(np.outer([2, 3, 5], [10, 20])) == 0


@pytest.mark.parametrize("table", [np.zeros((3, 2)), np.array([[5, 6], [0, 0]]), np.array([[5, 0], [6, 0]])])
def test_of_one_value_or_one_class_nothing_is_said(table: np.ndarray) -> None:
    assert cramers_v(table) is None


def test_as_many_values_as_rows_are_no_association() -> None:
    assert cramers_v(np.eye(10)) == 0


def test_the_bias_of_few_rows_is_taken_away() -> None:
    random = np.random.default_rng(0)
    tables = [np.histogram2d(random.integers(0, 10, 100), random.integers(0, 5, 100), (10, 5))[0] for _ in range(100)]
    plain = [np.sqrt(phi2(table) / 4) for table in tables]
    assert np.mean(plain) > 0.25
    assert np.mean([cramers_v(table) for table in tables]) < 0.06


def phi2(table: np.ndarray) -> float:
    """Chi-square a row."""
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return float(((table - expected) ** 2 / np.maximum(expected, 1e-9)).sum() / table.sum())


@pytest.mark.parametrize("rows", [60, 200, 5_000])
def test_names_of_rows_tell_nothing_though_each_goes_with_one_label(rows: int) -> None:
    label = np.arange(rows) % 2
    told = tell_label(counted(np.arange(rows), label, rows, 2))
    assert told is not None
    assert told.accuracy < 0.6
    assert told.auc == pytest.approx(0.5, abs=0.02)
    assert not told.determines


@pytest.mark.parametrize("classes", [2, 3, 20])
def test_the_label_in_other_words_determines_it(classes: int) -> None:
    label = np.arange(600) % classes
    told = tell_label(counted((label * 7 + 3) % 101, label, 101, classes))
    assert told is not None
    assert told.accuracy == 1
    assert told.determines
    assert (told.auc == 1) == (classes == 2)


def test_of_a_rare_class_a_column_that_says_always_no_determines_nothing() -> None:
    label = (np.arange(5_000) % 100 == 0).astype(int)
    noise = np.random.default_rng(0).integers(0, 5, 5_000)
    told = tell_label(counted(noise, label, 5, 2))
    assert told is not None
    assert told.accuracy > 0.98
    assert not told.determines
    leak = tell_label(counted(label, label, 5, 2))
    assert leak is not None
    assert leak.determines


def test_of_few_rows_nothing_is_said() -> None:
    label = np.array([0] * 500 + [1] * (LEAST - 1))
    assert tell_label(counted(label, label, 2, 2)) is None
    assert tell_label(np.zeros((2, 3, 2), np.int64)) is None


def test_an_area_is_that_of_the_ranks() -> None:
    # one bin right, one undecided, one wrong, alike in both halves
    half = np.array([[0, 30], [20, 20], [30, 0]])
    told = tell_label(np.stack([half, half]))
    assert told is not None
    # of 50 times 50 pairs those in order, and half of the ties
    assert told.auc == pytest.approx((30 * 50 + 20 * 30 + 20 * 20 / 2) / 2_500)


def test_missing_values_that_go_with_the_label_are_told_and_others_are_not() -> None:
    random = np.random.default_rng(0)
    label = random.integers(0, 2, 1_000)
    # left out for nearly all of one class, as of what is filled in afterwards
    with_label = np.where((label == 1) & (random.random(1_000) < 0.8), 1, 0)
    by_chance = np.where(random.random(1_000) < 0.3, 1, 0)
    assert missing_tells(counted(with_label, label, 2, 2)) == pytest.approx(0.81, abs=0.05)
    assert missing_tells(counted(by_chance, label, 2, 2)) is None
    assert missing_tells(counted(np.zeros(1_000, int), label, 2, 2)) is None
