"""The conditions of a day, by its numbers alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlops_assets.journey.score.checks import check_rows_of_day, check_scores_of_day
from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.use_case import Checks

ACCOUNTING = ReadingAccounting(files=10, files_read=9, files_refused=1, lines=100, rows=96, rejected=4)


@pytest.mark.parametrize("lost", ["files_read", "files_refused", "rows", "rejected"])
def test_numbers_that_do_not_add_up_are_refused(lost: str) -> None:
    assert all(check.passed for check in check_rows_of_day(Checks(), ACCOUNTING, ""))
    checks = check_rows_of_day(Checks(), replace(ACCOUNTING, **{lost: getattr(ACCOUNTING, lost) - 1}), "")
    assert [check.name for check in checks if not check.passed] == ["accounting_adds_up"]


def test_fewer_predictions_than_rows_are_refused() -> None:
    checks = check_scores_of_day(Checks(), {"predictions": 95}, 96)
    assert [(check.name, check.found) for check in checks if not check.passed] == [
        ("every_row_predicted", "95 predictions for 96 rows")
    ]


def test_a_rate_at_its_limit_is_allowed() -> None:
    checks = check_rows_of_day(Checks(reject_rate=0.04, quarantine_rate=0.1), ACCOUNTING, "")
    assert all(check.passed for check in checks)


def test_what_is_noticed_is_told_and_refuses_a_day_only_beyond_its_limit() -> None:
    noticed = replace(ACCOUNTING, noticed={"no_final_line_end": 2})
    told = {}
    for limits in ({}, {"no_final_line_end": 0.2}, {"no_final_line_end": 0.1}):
        (check,) = [each for each in check_rows_of_day(Checks(noticed=limits), noticed, "") if each.name == "noticed"]
        told[check.found] = check.passed
    assert told == {
        "no_final_line_end 2 of 10 files": True,
        "no_final_line_end 2 of 10 files (20.00% of 20.00%)": True,
        "no_final_line_end 2 of 10 files (20.00% of 10.00%)": False,
    }


def test_a_limit_for_what_is_never_noticed_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing named 'no_line_end' is noticed; known: .*no_final_line_end"):
        Checks(noticed={"no_line_end": 0.1})
