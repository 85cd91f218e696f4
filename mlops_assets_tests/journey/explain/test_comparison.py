"""What a comparison counts and shows: labels of any type, categories of any name, none of them twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from mlops_assets.journey.explain.comparison import Comparison
from mlops_assets.journey.features.matrix import as_text
from mlops_assets.journey.model.about import Summary
from mlops_assets.journey.model.version import Version
from mlops_assets.views import diff_page, diffs


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


def test_who_changes_to_what_stands_in_a_table_that_is_darker_where_more_do() -> None:
    page = diff_page.page(compared({("a", "b"): 10, ("b", "c"): 1}))
    assert '<td class="number s5" title="10 rows from a to b">10</td>' in page
    assert '<td class="number s1" title="1 rows from b to c">1</td>' in page


def test_of_very_many_categories_those_that_change_most_are_shown() -> None:
    page = diff_page.page(compared({(f"c{number}", f"c{number + 1}"): number + 1 for number in range(300)}))
    assert "And 261 more classes" in page
    assert "And 280 more" in page


def test_what_was_compared_when_a_version_was_made_is_read_again_unless_it_was_not_written_here(tmp_path: Path) -> None:
    version = Version("cards", 7, tmp_path, "", "", "", Summary())
    assert diff_page.stored(version) is None
    (tmp_path / diff_page.DIFF_FILE).write_text(diffs.as_json(compared({("a", "b"): 1})))
    assert diff_page.stored(version) == replace(compared({("a", "b"): 1}), after=7)
    for odd in ("[]", "{", '{"use_case": 3}', '{"transitions": [[]]}'):
        (tmp_path / diff_page.DIFF_FILE).write_text(odd)
        assert diff_page.stored(version) is None


def test_a_version_that_is_not_registered_yet_has_no_number() -> None:
    assert "the new version against version 1" in diff_page.page(compared({("a", "b"): 1}))
    assert diffs.text(compared({})).startswith("0 of 100 rows (0.00%) get another answer.")
