"""Degradation: audited accuracy by window, age, slice and value, and when a fall is more than chance."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.journey.feedback.audit import draw_audit
from mlops_assets.journey.feedback.audited import Counted, count_rows, shares_right, wilson
from mlops_assets.journey.feedback.corrections import take_in
from mlops_assets.journey.feedback.degradation import age_of, find_fall, levels
from mlops_assets.journey.feedback.files import HEADER
from mlops_assets.journey.model.about import Summary
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import Feedback, UseCase
from mlops_assets_tests.helpers.feedback import LABELS, NOW, about, predicted
from mlops_assets_tests.helpers.toy import DAY, purchases, put, toy

LEARNED = "2026-01-01"
KNOWN = {1: Summary(metrics={"accuracy": 0.8}, held_out=1_000, days=("2025-12-01", LEARNED))}


@pytest.fixture
def use_case() -> UseCase:
    return toy().model_copy(update={"feedback": Feedback(audit_rows=60), "value": "amount"})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """The newest published day is the 31st of January, by version 1."""
    lake = Lake(tmp_path / "lake", "toy")
    predicted(lake, purchases(20))
    return lake


def audited(back: int, right: int, rows: int, part: str = "all", version: int = 1) -> Counted:
    """So many right of the audited rows of a day before the newest."""
    day = (dt.date.fromisoformat(DAY) - dt.timedelta(days=back)).isoformat()
    return Counted(day, version, part, Counter({"drawn": rows, "audited": rows, "right audited": right}))


def lines(use_case: UseCase, lake: Lake, *counted: Counted, by: str) -> list[dict[str, Any]]:
    return [line for line in levels(use_case, lake, counted, KNOWN).to_pylist() if line["by"] == by]


# -- levels -------------------------------------------------------------------------------------------------------------


def test_a_window_ends_with_the_newest_published_day_and_leaves_out_what_the_version_learned_from(
    use_case: UseCase, lake: Lake
) -> None:
    found = lines(use_case, lake, audited(0, 5, 10), audited(7, 9, 10), audited(30, 10, 10), by="window")
    assert [(one["part"], one["days"], one["right_audited"], one["audited"]) for one in found] == [
        ("last 7 days", 1, 5, 10),
        ("last 28 days", 2, 14, 20),
        ("last 90 days", 2, 14, 20),
    ]
    assert (found[0]["low"], found[0]["high"]) == wilson(5, 10)


def test_a_version_has_a_line_of_all_its_days_that_it_did_not_learn_from_up_to_the_one_that_is_asked_for(
    use_case: UseCase, lake: Lake
) -> None:
    counted = audited(1, 5, 10), audited(9, 9, 10), audited(30, 10, 10), audited(2, 1, 10, version=2)
    found = lines(use_case, lake, *counted, by="version")
    assert [(one["part"], one["right_audited"], one["audited"]) for one in found] == [
        ("version 1", 14, 20),
        ("version 2", 1, 10),
    ]
    earlier = (dt.date.fromisoformat(DAY) - dt.timedelta(days=8)).isoformat()
    windows = [one for one in levels(use_case, lake, counted, KNOWN, earlier).to_pylist() if one["by"] == "window"]
    assert (windows[0]["part"], windows[0]["right_audited"]) == ("last 7 days", 9)


def test_accuracy_by_age_tells_days_that_were_learned_from_apart(use_case: UseCase, lake: Lake) -> None:
    found = lines(use_case, lake, *(audited(back, right, 10) for back, right in ((0, 5), (23, 8), (30, 10))), by="age")
    assert [(one["part"], one["accuracy"]) for one in found] == [
        ("days it learned from", 1.0),
        ("1 to 7 days", 0.8),
        ("29 to 90 days", 0.5),
    ]
    assert age_of(audited(23, 8, 10), KNOWN) == 7
    assert age_of(audited(23, 8, 10, version=2), KNOWN) is None, "nothing is known of that version"


def test_slices_are_of_the_longest_window_those_with_most_rows_first(use_case: UseCase, lake: Lake) -> None:
    few, many = audited(1, 1, 5, "city=C1"), [audited(back, 4, 5, "city=C2") for back in (1, 2)]
    found = lines(use_case, lake, few, *many, by="slice")
    assert [(one["part"], one["right_audited"], one["audited"]) for one in found] == [
        ("city=C2", 8, 10),
        ("city=C1", 1, 5),
    ]


def test_the_share_of_the_value_that_is_right_has_the_interval_of_as_many_rows_of_equal_value(
    use_case: UseCase, lake: Lake, tmp_path: Path
) -> None:
    rows = purchases(20)
    put(lake, use_case, rows)
    draw_audit(use_case, lake, DAY)
    (tmp_path / "all.csv").write_text("\n".join([",".join(HEADER), *(about(row, row["kind"]) for row in rows)]))
    take_in(use_case, lake, tmp_path, LABELS, NOW)
    (counted,) = count_rows(use_case, lake)
    found = shares_right(counted.count, valued=True)
    worth = {row["amount"] or 0.0: row["kind"] == "FOOD" for row in rows}  # every prediction is FOOD
    total = sum(worth)
    assert found["value_accuracy"] == pytest.approx(sum(value for value, right in worth.items() if right) / total)
    alike = total**2 / sum(value**2 for value in worth)
    assert 10 < alike < 16 < found["audited"], "amounts differ, and some rows have none"
    expected = wilson(found["value_accuracy"] * alike, alike)
    assert (found["value_low"], found["value_high"]) == pytest.approx(expected)
    assert found["accuracy"] == 0.5


def test_where_rows_have_no_value_nothing_is_said_of_it(lake: Lake) -> None:
    assert "value_accuracy" not in shares_right(audited(0, 5, 10).count, valued=False)
    assert shares_right(audited(0, 5, 10).count, valued=True)["value_accuracy"] is None


# -- a fall -------------------------------------------------------------------------------------------------------------

CASES = {
    "as in evaluation": (160, "It does not do worse", (False, False)),
    "chance": (150, "Chance explains the difference", (False, False)),
    "perhaps": (142, "it is red from", (False, True)),
    "red": (120, "That is lower by 0.200", (True, False)),
}


@pytest.mark.parametrize(("right", "said", "lamps"), CASES.values(), ids=CASES)
def test_a_fall_is_told_with_its_numbers(
    right: int, said: str, lamps: tuple[bool, bool], use_case: UseCase, lake: Lake
) -> None:
    found = find_fall(use_case, lake, [audited(1, right, 200)], KNOWN)
    assert said in found.sentence
    assert f"Version 1 has {right / 200:.3f} of 200 audited rows of the last 7 days right" in found.sentence
    assert (found.red, found.yellow and not found.red) == lamps
    assert found.numbers["fall"] == pytest.approx(0.8 - right / 200)
    assert found.red is (found.numbers["fall"] > found.numbers["threshold"])


def test_the_shortest_window_with_enough_rows_decides(use_case: UseCase, lake: Lake) -> None:
    found = find_fall(use_case, lake, [audited(1, 10, 60), audited(20, 60, 60)], KNOWN)
    assert found.numbers["window"] == 28
    assert found.numbers["audited"] == 120


def test_of_too_few_rows_or_rows_that_were_learned_from_nothing_is_concluded(use_case: UseCase, lake: Lake) -> None:
    for counted in (audited(1, 0, 99), audited(30, 0, 500), audited(1, 0, 500, version=2)):
        found = find_fall(use_case, lake, [counted], KNOWN)
        assert (found.red, found.yellow, found.numbers) == (False, False, {})
        assert "audited rows of the 100 that are needed" in found.sentence
    assert "is not known" in find_fall(use_case, lake, [audited(1, 0, 500)], {}).sentence
    assert find_fall(use_case, Lake(lake.root / "x", "toy"), [], KNOWN).sentence == "Nothing is published yet."


def test_an_evaluation_on_few_rows_explains_more(use_case: UseCase, lake: Lake) -> None:
    few = {1: Summary(metrics={"accuracy": 0.8}, held_out=30, days=KNOWN[1].days)}
    counted = [audited(1, 120, 200)]
    more, less = (find_fall(use_case, lake, counted, known).numbers["threshold"] for known in (few, KNOWN))
    assert more > less
    # bounds by accounts, as the card has them, are wider than the number of rows says
    wide = {1: replace(KNOWN[1], bounds={"accuracy": (0.7, 0.9)})}
    assert find_fall(use_case, lake, counted, wide).numbers["threshold"] > 1.5 * less
