"""How often lamps are red, measured small; `make bench-lamps` measures it at length, for docs/monitoring.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.lamps.bank import measure_real_days
from benchmarks.lamps.page import BEGIN, END, section
from benchmarks.lamps.rates import Rates, measure
from benchmarks.lamps.real import DATA, judge_real_santander
from benchmarks.lamps.stage import set_stage

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
NOT_SEEN = {"loan_approval": {"class prior moved by 10 points"}}
"""What need not be seen in 95 %: its labels are noise, so that no feature and no answer tells of them."""


def check(rates: Rates) -> None:
    """At most one quiet day is red, and of each damage at least 95 % of the days are."""
    assert rates.quiet.red <= 1, rates.told()
    for damage, rate in rates.damaged.items():
        if damage not in NOT_SEEN.get(rates.name, set()):
            assert rate.red >= 0.95 * rate.days, rates.told()


def test_lamps_are_quiet_on_quiet_days_and_red_on_damaged_ones(tmp_path: Path) -> None:
    rates = measure(set_stage("loan_approval", tmp_path), quiet=2, cases=2, seed=3)
    check(rates)
    told = section([rates], "")
    assert "| half the files missing | 100 % of 2 |" in told
    assert "| encoding broken | none |" in told


def test_the_page_has_a_place_for_both_tables() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)


@pytest.mark.long
@pytest.mark.parametrize("name", ["transactions", "loan_approval", "topics"])
def test_the_same_holds_of_more_days_and_files(name: str, tmp_path: Path) -> None:
    check(measure(set_stage(name, tmp_path), quiet=45, cases=20, seed=4))


@pytest.mark.long
@pytest.mark.skipif(not (DATA / "santander").exists(), reason="the real rows are not there")
def test_real_rows_under_a_model_that_learned_from_drawn_ones_are_red(tmp_path: Path) -> None:
    verdict = judge_real_santander(set_stage("santander", tmp_path), DATA / "santander" / "unlabelled_250_rows.csv")
    red = {lamp.name for lamp in verdict.red_lamps}
    assert {"class_mix", "confidence"} <= red
    assert any(name.startswith("rows.var_") for name in red)


@pytest.mark.long
@pytest.mark.skipif(not (DATA / "transactions").exists(), reason="the real rows are not there")
def test_days_of_real_rows_that_a_model_learned_from_are_seldom_red() -> None:
    (table,) = (DATA / "transactions").glob("*.csv")
    told = measure_real_days(table, quiet=20, seed=5)
    found = re.search(r"(\d+) of 20 days of the months that the model learned from", told)
    assert found is not None
    assert int(found[1]) <= 2, told
