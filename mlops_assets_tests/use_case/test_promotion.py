"""What `training.promotion` may say: a word, as ever, or more than that."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.use_case import Promotion
from mlops_assets.use_case.promotion import LONGEST, span_of
from mlops_assets_tests.helpers.toy import toy

NOW = dt.datetime(2026, 3, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=5)))
"""In UTC it is the last of February."""


@pytest.mark.parametrize("word", ["automatic", "manual"])
def test_a_word_says_how_a_version_becomes_champion_and_stands_so_in_a_recipe(word: str) -> None:
    use_case = toy(promotion=word)
    assert use_case.training.promotion == Promotion(mode=word)
    assert use_case.training.promotion.days_before(NOW) == ""
    assert use_case.recipe()["training"]["promotion"] == word
    assert toy().recipe()["training"]["promotion"] == "automatic"


def test_with_days_to_score_again_all_of_it_stands_in_a_recipe_which_decides_no_model() -> None:
    use_case = toy(promotion={"retro_score": "30d"})
    told = {"mode": "automatic", "retro_score": "30d", "most_changed": None, "deliver": False}
    assert use_case.recipe()["training"]["promotion"] == told


@pytest.mark.parametrize(("span", "days"), [("1d", "2026-02-27/2026-02-27"), ("4w", "2026-01-31/2026-02-27")])
def test_the_days_before_a_promotion_are_those_of_utc_without_that_of_the_promotion(span: str, days: str) -> None:
    assert Promotion(retro_score=span).days_before(NOW) == days


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ("by hand", "Input should be 'automatic' or 'manual'"),
        ({"retro_score": "0d"}, "'0d' is no span of 1 to 366 days; write it like 30d or 4w"),
        ({"retro_score": "400d"}, "'400d' is no span"),
        ({"retro_score": "30"}, "'30' is no span"),
        ({"retro_score": 30}, "valid string"),
        ({"most_changed": 0.1}, "most_changed is about days that are scored again: give retro_score"),
        ({"deliver": True}, "deliver is about days that are scored again"),
        ({"retro_score": "30d", "most_changed": 1.5}, "less than or equal to 1"),
        ({"retro_scores": "30d"}, "Extra inputs"),
        (["manual"], "valid dictionary"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_was_expected(given_: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        toy(promotion=given_)


@settings(max_examples=40)
@given(st.text(max_size=8))
def test_a_span_is_one_of_days_or_weeks_or_refused(text: str) -> None:
    try:
        span = span_of(text)
    except ValueError as error:
        assert "is no span" in str(error)  # noqa: PT017 - hypothesis gives both kinds
    else:
        assert dt.timedelta(days=1) <= span <= LONGEST
