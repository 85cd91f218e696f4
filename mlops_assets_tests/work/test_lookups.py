"""Values are found among known ones: by a table where they are whole numbers or hundredths, by hash where not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.work.lookups import Positions

KNOWN = {
    "codes": [-1.0, 0.0, 1.0, 7.0],
    "amounts": [0.29, 1.1, -3.05, 2945.9],
    "nearly hundredths": [0.001, 0.5, 0.123456],
    "too near for hundredths": [0.001, 0.002],
    "fractions and none": [1 / 3, np.nan, 0.0],
    "amounts and none": [0.07, np.nan, 0.0],
    "large": [1e6, 2.0**53, -1e300],
    "nothing": [],
}
HOSTILE = [np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, 0.29000000000000004, 2.0**31, -(2.0**31), 2.0**63, 1e308, 5e-324]


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
@given(st.lists(st.one_of(st.floats(), st.integers(-10, 10).map(float), st.integers(-400, 400).map(lambda n: n / 100))))
@settings(max_examples=15, deadline=None)
def test_each_value_has_the_place_of_its_equal(known: list[float], drawn: list[float]) -> None:
    values = np.array([*known, *HOSTILE, *drawn])
    none = len(known)
    places = {value: place for place, value in enumerate(known) if not math.isnan(value)}
    of_nan = next((place for place, value in enumerate(known) if math.isnan(value)), none)
    expected = [of_nan if math.isnan(value) else places.get(value, none) for value in values.tolist()]
    assert Positions(np.array(known), none)(values).tolist() == expected
