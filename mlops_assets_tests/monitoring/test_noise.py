"""How large a figure is on days on which nothing happened."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.monitoring.distances import psi, shares, smoothed, towards
from mlops_assets.monitoring.noise import novelty, of_days, of_groups, rare

FILES, GROUPS, ROWS = 25, 40, 8


def files_of_one_city(generator: np.random.Generator, files: int) -> np.ndarray:
    """Rows by city, `(1, 3)`: all rows of a file have the same, so that files count and not rows."""
    return generator.multinomial(files, [0.5, 0.3, 0.2])[None] * ROWS


def moved(counts: np.ndarray, base: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.abs(shares(counts) - shares(base))[..., 0]
    return found


def index(counts: np.ndarray, base: np.ndarray) -> np.ndarray:
    usual = smoothed(base, np.ones(3, bool))
    return psi(usual, towards(counts, usual))


@pytest.mark.parametrize(("measure", "squared"), [(moved, False), (index, True)])
def test_the_groups_know_how_far_quiet_days_of_any_size_lie_apart(measure: object, squared: bool) -> None:
    generator = np.random.default_rng(4)
    groups = np.array([files_of_one_city(generator, FILES) for _ in range(GROUPS)])
    noise = of_groups(measure, groups, np.full(GROUPS, float(FILES)), squared=squared)  # type: ignore[arg-type]
    for files in (50, 400):
        days = np.array([files_of_one_city(generator, files) for _ in range(300)])
        effects = measure(days, groups.sum(0))[:, 0]  # type: ignore[operator]
        band = noise.band(files, FILES * GROUPS, 8)[0]
        assert effects.max() < band
        # were the 8 rows of a file drawn one by one, the band would be narrower by the root of 8, and reached
        assert effects.max() > band / 8**0.5


def test_the_noise_of_the_comparison_is_noise_too() -> None:
    groups = np.array([files_of_one_city(np.random.default_rng(4), FILES) for _ in range(GROUPS)])
    groups[::2] = np.roll(groups[::2], 1, -1)
    noise = of_groups(moved, groups, np.full(GROUPS, float(FILES)))
    assert noise.band(100, 100, 3) > noise.band(100, 1e9, 3)
    assert noise.band(100, 100, 3)[0] == pytest.approx(noise.band(50, 1e9, 3)[0], rel=1e-3)


def test_three_files_are_chance_even_if_no_group_has_any() -> None:
    assert rare(np.zeros(1), 100, 1e6, 0)[0] == pytest.approx(0.03)


def test_the_chance_of_a_share_falls_with_the_number_of_units() -> None:
    few, many = (float(rare(np.array([0.1]), units, 1e6, 8)[0]) for units in (100, 10_000))
    assert few == pytest.approx(10 * many, rel=0.01)


def test_a_long_tail_explains_as_many_new_rows_as_it_has_values() -> None:
    assert novelty(np.array([0, 30]), np.array([1000, 1000])).tolist() == [0, 0.03]


def test_days_before_explain_their_median_and_some_spread() -> None:
    figures = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 9.0])[:, None]
    assert of_days(figures, 2)[0] == pytest.approx(0.4 + 2 * 1.4826 * 0.2)


def test_a_single_broken_day_before_explains_no_other() -> None:
    figures = np.full((28, 1), 0.01)
    figures[5] = 5.0
    assert of_days(figures, 6)[0] == pytest.approx(0.01)


def test_fewer_than_seven_days_explain_nothing() -> None:
    assert of_days(np.ones((6, 3)), 6).tolist() == [0, 0, 0]
