"""What a comparison counts and shows: labels of any type, categories of any name, none of them twice."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mlops_assets.journey.explain.comparison import Comparison
from mlops_assets.journey.features.matrix import as_text
from mlops_assets.views import diffs


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        ([True, None, False], pa.bool_(), ["1", None, "0"]),
        ([3, None], pa.int64(), ["3", None]),
        (["a", None], pa.string(), ["a", None]),
        (["a", "b", "a"], pa.dictionary(pa.int32(), pa.string()), ["a", "b", "a"]),
        ([], pa.string(), []),
    ],
)
def test_a_label_of_any_type_is_the_text_of_its_class(values: list[object], kind: pa.DataType, text: list[str]) -> None:
    assert as_text(pa.chunked_array([pa.array(values, kind)])).to_pylist() == text


def compared(pairs: dict[tuple[str, str], int]) -> Comparison:
    transitions = [
        {"before": a, "after": b, "rows": n, "value": 1.0, "labelled": 0, "right_before": 0, "right_after": 0}
        for (a, b), n in pairs.items()
    ]
    changed = sum(pairs.values())
    return Comparison("cards", "2026-01-01", 1, 0, 100, changed, 9.0, 1.0, 0, 0, 0, transitions, [], [])


def test_categories_with_signs_of_formulas_are_drawn_as_they_are() -> None:
    page = diffs.html(compared({("$5_$10", "a$^$b"): 3, ("$0-$50", "$5_$10"): 1}))
    assert 'src="data:image/png;base64,' in page
    assert "$5_$10" in page


def test_of_very_many_categories_the_most_frequent_are_drawn() -> None:
    page = diffs.html(compared({(f"c{number}", f"c{number + 1}"): number + 1 for number in range(300)}))
    assert len(page) < 1_000_000


def test_a_version_that_is_not_registered_yet_has_no_number() -> None:
    assert "the new version against version 1" in diffs.html(compared({("a", "b"): 1}))
    assert diffs.text(compared({})).startswith("0 of 100 rows (0.00%) get another answer.")
