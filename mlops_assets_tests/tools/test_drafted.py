"""What a draft makes of dates, and what it tells of the label by number."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.tools.drafting import Draft, draft_use_case
from mlops_assets.tools.drafting import candidates as drafted_candidates

DAYS = [dt.date(2025, 1, 1) + dt.timedelta(days=7 * number) for number in range(40)]
CUSTOMERS: Mapping[str, Sequence[object]] = {
    "customer": [f"c{number}" for number in range(40)],
    "opened_on": DAYS,
    "closed_on": [day + dt.timedelta(days=number % 9) for number, day in enumerate(DAYS)],
    "birthday": [f"19{50 + number}-05-17" for number in range(40)],
    "left": ["no", "yes"] * 20,
}


def draft(folder: Path, columns: Mapping[str, Sequence[object]], label: str) -> Draft:
    path = folder / "table.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return draft_use_case("case", path, label, folder / "cases", None, dt.date(2026, 3, 1))


def test_dates_become_the_days_up_to_that_of_the_row(tmp_path: Path) -> None:
    sql = draft(tmp_path, CUSTOMERS, "left").use_case.features_sql
    assert "date_diff('day', CAST(r.closed_on AS DATE), CAST(r.opened_on AS DATE)) AS closed_on_to_opened_on" in sql
    assert "date_diff('day', CAST(r.birthday AS DATE), CAST(r.opened_on AS DATE)) AS birthday_to_opened_on" in sql


def test_a_birthday_alone_becomes_an_age_on_the_day_of_the_file(tmp_path: Path) -> None:
    alone = {name: CUSTOMERS[name] for name in ("customer", "birthday", "left")}
    sql = draft(tmp_path, alone, "left").use_case.features_sql
    assert "date_diff('day', CAST(r.birthday AS DATE), CAST(r.day AS DATE)) AS birthday_age" in sql


def test_between_two_moments_parts_of_days_count(tmp_path: Path) -> None:
    moments = {
        "asked_at": [f"{day} 08:15:00" for day in DAYS],
        "answered_at": [f"{day} {8 + number % 12:02}:45:00" for number, day in enumerate(DAYS)],
        "left": CUSTOMERS["left"],
    }
    sql = draft(tmp_path, moments, "left").use_case.features_sql
    assert "date_diff('minute', r.asked_at, r.answered_at) / 1440.0 AS asked_at_to_answered_at" in sql


def test_the_balance_of_the_classes_and_a_column_that_tells_the_label_are_told_by_number(tmp_path: Path) -> None:
    left = np.where(np.arange(2000) % 40, "no", "yes")
    age = np.random.default_rng(0).integers(18, 90, 2000)
    drafted = draft(tmp_path, {"age": age, "letter": np.where(left == "yes", "sent", "kept"), "left": left}, "left")
    told = "\n".join(drafted.checks)
    assert "the classes of left_value in 2,000 rows: 'no' 97.5%, 'yes' 2.5%" in told
    assert "'yes' is rare: accuracy says nothing here" in told
    assert "letter alone tells left_value right in 100.0% of rows that it was not fitted on" in told
    assert all(f"# - {check}" in (drafted.folder / "defs.yaml").read_text("utf-8") for check in drafted.checks)


def test_classes_with_few_rows_are_named(tmp_path: Path) -> None:
    kinds = ["a"] * 150 + ["b"] * 150 + ["c"] * 3
    drafted = draft(tmp_path, {"size": [number * 7 % 101 for number in range(303)], "kind": kinds}, "kind")
    assert any("fewer than 20 rows are hardly learned: 'c'" in check for check in drafted.checks)


def test_boosting_is_that_of_a_library_which_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafted_candidates, "find_spec", lambda name: name == "sklearn" or None)
    with_own = draft(tmp_path, CUSTOMERS, "left").use_case.training.candidates
    assert with_own["boosting"].use == "sklearn.ensemble.HistGradientBoostingClassifier"
    assert [*with_own] == ["majority", "linear", "forest", "boosting"]


def test_of_many_classes_there_is_no_boosting_that_asks_a_tree_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafted_candidates, "find_spec", lambda name: name == "sklearn" or None)
    kinds = {"size": [number * 7 % 101 for number in range(300)], "kind": [f"k{number % 12}" for number in range(300)]}
    assert "boosting" not in draft(tmp_path, kinds, "kind").use_case.training.candidates
