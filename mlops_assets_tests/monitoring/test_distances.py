"""How far apart two spreads are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mlops_assets.journey.score.profile.bins import number_bins
from mlops_assets.monitoring.distances import (
    deviation,
    jensen_shannon,
    positions,
    psi,
    shares,
    smoothed,
    total_variation,
    towards,
    wasserstein,
)

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]
LINE = np.arange(12.0)


def on_a_line(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return wasserstein(one, other, LINE)


DISTANCES = {"psi": psi, "jensen_shannon": jensen_shannon, "total_variation": total_variation, "wasserstein": on_a_line}


@pytest.fixture
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Spreads of 500 pairs over 12 bins, some of them empty."""
    generator = np.random.default_rng(3)
    counts = generator.poisson(generator.gamma(0.5, 30, (2, 500, 12)))
    one, other = shares(counts + (counts.sum(-1, keepdims=True) == 0))
    return one, other


@pytest.mark.parametrize("name", DISTANCES)
def test_equal_shares_are_no_distance_apart(name: str, pairs: tuple[np.ndarray, np.ndarray]) -> None:
    one, _ = pairs
    assert np.allclose(DISTANCES[name](one, one), 0, atol=1e-7)


@pytest.mark.parametrize("name", DISTANCES)
def test_it_is_as_far_there_as_back_and_never_less_than_nothing(
    name: str, pairs: tuple[np.ndarray, np.ndarray]
) -> None:
    there, back = DISTANCES[name](*pairs), DISTANCES[name](*reversed(pairs))
    assert np.allclose(there, back)
    assert (there >= 0).all()


def test_what_is_a_share_is_at_most_one(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    assert total_variation(*pairs).max() <= 1
    assert jensen_shannon(*pairs).max() <= 1


def test_spreads_without_a_common_bin_are_as_far_apart_as_can_be() -> None:
    left, right = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.2, 0.8])
    assert total_variation(left, right) == 1
    assert jensen_shannon(left, right) == pytest.approx(1)


@pytest.mark.parametrize("name", DISTANCES)
def test_many_columns_at_once_are_as_one_by_one(name: str, pairs: tuple[np.ndarray, np.ndarray]) -> None:
    one_by_one = [float(DISTANCES[name](one, other)) for one, other in zip(*pairs, strict=True)]
    assert np.allclose(DISTANCES[name](*pairs), one_by_one)


def test_psi_is_that_of_a_worked_example() -> None:
    # Siddiqi, Credit Risk Scorecards, 2006: sum of (actual - expected) ln(actual / expected)
    expected, actual = np.array([0.2, 0.5, 0.3]), np.array([0.3, 0.4, 0.3])
    assert psi(expected, actual) == pytest.approx(0.1 * np.log(1.5) + 0.1 * np.log(1.25))


def test_an_empty_bin_costs_more_where_there_were_more_rows_and_never_without_end() -> None:
    usual = smoothed(np.array([500, 500]), np.ones(2, bool))
    few, many = (float(psi(usual, towards(np.array([rows, 0]), usual))) for rows in (10, 10_000))
    assert few < many < 10


def test_no_rows_are_no_difference() -> None:
    usual = smoothed(np.array([10, 90]), np.ones(2, bool))
    assert psi(usual, towards(np.zeros(2), usual)) == pytest.approx(0)


def test_a_bin_that_only_fills_up_the_array_has_no_share() -> None:
    assert smoothed(np.array([3, 1, 0]), np.array([True, True, False])).tolist() == [0.7, 0.3, 0]


def test_adding_the_same_counts_again_changes_no_share() -> None:
    counts = np.random.default_rng(0).poisson(20, (7, 9))
    assert np.array_equal(shares(counts), shares(counts + counts))


@pytest.mark.parametrize("moved", [0.3, 1.0])
def test_a_mean_that_moves_is_found_from_bins_in_standard_deviations(moved: float) -> None:
    values = np.random.default_rng(5).normal(50, 10, 100_000)
    edges = number_bins(values).edges
    where = positions(edges)
    usual, now = (
        shares(np.bincount(np.searchsorted(edges, these, side="right"), minlength=len(where)))
        for these in (values, values + moved * 10)
    )
    assert wasserstein(usual, now, where) / deviation(usual, where) == pytest.approx(moved, rel=0.15)


def test_one_value_far_out_moves_no_position_of_others_by_much() -> None:
    values = np.random.default_rng(5).normal(50, 10, 10_000)
    near, far = positions(number_bins(values).edges), positions(number_bins(np.append(values, 90.0)).edges)
    assert len(near) == len(far)
    assert np.abs(near - far).max() < 10


@pytest.mark.parametrize("edges", [(), (1.0,), (0.0, 1.0), (0.0, 0.5, 1.0), tuple(np.linspace(0, 9, 21))])
def test_positions_rise_and_there_is_one_for_each_bin(edges: tuple[float, ...]) -> None:
    found = positions(edges)
    assert len(found) == len(edges) + 1
    assert (np.diff(found) >= 0).all()
