"""A profile is whole numbers: it can be written, read and added up in any order, and nothing of it changes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.journey.score.profile.counts import STEPS, Bins, Counts, Profile, Said, add_up

BINS = {
    ("rows", "city"): Bins("category", values=("Rio", "Natal")),
    ("model_input", "amount"): Bins("number", edges=(0.0, 1.5)),
}
CLASSES = 2


def cells(*shape: int) -> st.SearchStrategy[np.ndarray]:
    size = int(np.prod(shape))
    numbers = st.lists(st.integers(0, 2**40), min_size=size, max_size=size)
    return numbers.map(lambda values: np.array(values, np.int64).reshape(shape))


COUNT = st.integers(0, 2**40)
ENDS = st.none() | st.floats(-1e9, 1e9)
NEW = st.dictionaries(st.text(max_size=3), st.integers(1, 99), max_size=3)
COUNTS = {
    name: st.builds(Counts, cells(each.number), COUNT, COUNT, st.integers(-(2**40), 2**40), ENDS, ENDS, NEW)
    for name, each in BINS.items()
}
SAID = st.builds(Said, cells(CLASSES), cells(CLASSES, CLASSES), cells(CLASSES), cells(CLASSES, STEPS))
PROFILES = st.builds(Profile, st.fixed_dictionaries(COUNTS), SAID, cells(32))


def told(profile: Profile) -> list[tuple[object, ...]]:
    return sorted(map(tuple, (row.values() for row in profile.to_table().to_pylist())), key=repr)


@settings(deadline=None, max_examples=50)
@given(PROFILES, PROFILES)
def test_what_is_written_together_is_read_as_the_sum(one: Profile, other: Profile) -> None:
    both = pa.concat_tables([one.to_table(), other.to_table()])
    assert told(Profile.from_table(both, BINS, CLASSES)) == told(one + other) == told(other + one)
    # and it tells itself which bins there are
    assert told(Profile.from_table(add_up(both))) == told(Profile.from_table(both)) == told(one + other)


def test_every_row_counts_once() -> None:
    counts = Counts(np.array([3, 4, 5]), nulls=2, unseen=1)
    assert counts.rows == counts.spread.sum() == 15
