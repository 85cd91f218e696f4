"""Lamps and days as plain values for a page."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mlops_assets.monitoring.kept import Judged
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.views.html.panels import panel
from mlops_assets.views.lamps import FIGURES, ToldDay, grid, lamp_lines, over_time, severity
from mlops_assets.views.multiples import Panel
from mlops_assets_tests.helpers.evil import MARKDOWN, unseen

DAY, BEFORE = "2026-01-02", "2026-01-01"
RED = Lamp("rows.city", "red", "nulls", 0.5, 0.01, 0.1, "rows", "city", "`city` is empty.", "Look.", DAY)
GREEN = replace(RED, state="green", effect=0.05, advice="", since=None)
GREY = Lamp("rejects.type", "grey", "rejects", sentence="Too few days.")


def told(day: str, *lamps: Lamp) -> ToldDay:
    return ToldDay(day, True, Judged(DayVerdict(day, "the training rows", lamps)))


def test_a_line_of_the_table_has_no_number_where_nothing_was_judged_or_it_is_infinite() -> None:
    red, endless, grey = lamp_lines([RED, replace(RED, effect=math.inf), GREY], stops=False)
    assert (red["value"], red["threshold"], red["band"], red["since"]) == (0.5, 0.1, 0.1, DAY)
    assert endless["value"] is None
    assert (grey["value"], grey["threshold"], grey["severity"]) == (None, None, None)


def test_a_red_lamp_warns_or_keeps_its_day_back_and_says_what_it_follows() -> None:
    assert severity(RED, stops=False) == "warning"
    assert severity(RED, stops=True) == "keeps the day back"
    assert severity(replace(RED, cause="rows.x"), stops=False) == "warning, follows from rows.x"
    assert severity(GREEN, stops=True) is None


def test_the_grid_counts_red_lamps_by_figure_and_a_judged_column_by_all_of_its_figures() -> None:
    first, last = grid([told(BEFORE, GREEN, GREY), told(DAY, RED, replace(RED, name="rows.x"))])
    assert (first["state"], last["state"]) == ("green", "red")
    assert first["cells"]["psi"] == {"state": "green", "number": 0}
    assert first["cells"]["rejects"]["state"] == "grey"
    assert last["cells"]["nulls"] == {"state": "red", "number": 2}
    assert [*last["cells"]] == [*FIGURES]


@pytest.mark.parametrize(("published", "state"), [(True, "grey"), (False, "missing")], ids=["published", "not"])
def test_a_day_of_which_nothing_is_said_is_in_the_grid(published: bool, state: str) -> None:
    (day,) = grid([ToldDay(DAY, published, None)])
    assert (day["state"], {cell["state"] for cell in day["cells"].values()}) == (state, {"grey"})


def test_a_lamp_over_time_is_told_in_its_thresholds() -> None:
    days = over_time([ToldDay("2025-12-31", False, None), told(BEFORE, GREEN), told(DAY, RED)], "rows.city")
    assert [(day["state"], day["times"]) for day in days] == [("missing", None), ("green", 0.5), ("red", 5.0)]
    assert [day["state"] for day in over_time([told(DAY, RED)], "another")] == ["grey"]


def test_a_panel_of_21_bins_is_small_and_has_its_numbers_behind_it() -> None:
    shares = [1 / 21] * 21
    drawn = panel(Panel("amount", [f"{n} to {n + 1}" for n in range(21)], shares, shares, True), "usual", DAY)
    assert len(drawn) < 2_100
    assert drawn.count("<tr>") == 22
    assert drawn.count("<path") == 2


@pytest.mark.parametrize("text", MARKDOWN)
def test_names_of_strangers_are_text_in_a_panel(text: str) -> None:
    drawn = panel(Panel(text, [text, text], [0.5, 0.5], [0.0, 0.0], False), text, text)
    assert unseen(drawn) == []
    assert "<script" not in drawn
