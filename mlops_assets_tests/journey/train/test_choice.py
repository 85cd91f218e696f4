"""Candidates that noise could have ranked are tied: the champion's recipe stays, or the log loss decides."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.journey.features.day import sql_fingerprint
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.train.choice import NO_RECIPE, Choice, Recipe, choose_candidate, recipe_of
from mlops_assets.journey.train.folds import Said
from mlops_assets.journey.train.intervals import GROUPS, Interval, groups_of, interval
from mlops_assets.journey.train.metrics import HIGHER_IS_BETTER, POSSIBLE
from mlops_assets.journey.train.scores import figures
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.models import ABOUT
from mlops_assets_tests.helpers.toy import CANDIDATES, toy

ROWS = 2_000
GROUP = np.arange(ROWS) % 25


def right_of(share: float, sure: float = 0.6, seed: int = 0) -> Said:
    """A model of two classes that is right of a share of the rows, always as sure."""
    truth = np.random.default_rng(9).integers(0, 2, ROWS)
    right = np.random.default_rng(seed).random(ROWS) < share
    answer = np.where(right, truth, 1 - truth)
    return Said(truth, np.where(np.eye(2)[answer] == 1, sure, 1 - sure), np.arange(ROWS))


def choose(kept: Recipe = NO_RECIPE, metric: str = "accuracy", **said: Said) -> Choice:
    training = toy().training
    found = {name: figures(training, ("a", "b"), one) for name, one in said.items()}

    def measured(one: Said, name: str) -> float:
        return figures(training, ("a", "b"), one, name)[name]

    return choose_candidate(metric, said, found, GROUP, measured, kept)


def test_the_best_by_more_than_noise_is_chosen() -> None:
    found = choose(one=right_of(0.6), two=right_of(0.75, sure=0.5001))
    assert (found.ranked, found.tied, found.why) == (("two", "one"), ("two",), "")


def test_between_tied_candidates_the_lowest_log_loss_decides() -> None:
    found = choose(one=right_of(0.71, 0.99), two=right_of(0.69, 0.7, seed=1), worse=right_of(0.5))
    assert found.ranked == ("two", "one", "worse")
    assert found.tied == ("one", "two")
    assert found.why == "accuracy cannot tell it from one, its log_loss is the lowest"


def test_where_the_log_loss_is_noise_too_the_first_in_the_configuration_is_taken() -> None:
    alike = {"plain": right_of(0.69, 0.7), "deep": right_of(0.7, 0.7, seed=1)}
    found = choose(**alike, unsure=right_of(0.7, 0.99, seed=2))
    assert found.ranked[0] == "plain"
    assert found.why == (
        "accuracy cannot tell it from deep and unsure, and log_loss cannot from deep: it stands first in the "
        "configuration"
    )
    by_loss = choose(metric="log_loss", **alike)
    assert by_loss.why == "log_loss cannot tell it from deep: it stands first in the configuration"
    other = choose(deep=alike["deep"], plain=alike["plain"])
    assert (other.ranked[0], set(other.tied)) == ("deep", {"deep", "plain"})


@pytest.mark.parametrize("name", ["one", "two"])
def test_the_recipe_of_the_champion_stays_where_another_is_better_by_no_more_than_noise(name: str) -> None:
    found = choose(Recipe(name, 7), one=right_of(0.71, 0.99), two=right_of(0.69, 0.7, seed=1))
    assert (found.ranked[0], found.kept, found.champion) == (name, name, 7)
    assert ("recipe of champion 7 stays" in found.why) is (name == "two")


def test_what_is_better_by_more_than_noise_replaces_the_recipe_of_the_champion() -> None:
    found = choose(Recipe("one", 7), one=right_of(0.6), two=right_of(0.75))
    assert (found.ranked[0], found.why) == ("two", "")


def test_by_log_loss_the_smallest_is_the_best() -> None:
    assert choose(metric="log_loss", one=right_of(0.7, 0.99), two=right_of(0.7, 0.7)).ranked == ("two", "one")


def test_without_a_value_of_the_metric_nobody_is_ranked() -> None:
    found = choose_candidate("accuracy", {"one": right_of(0.5)}, {"one": {}}, GROUP, lambda *_: math.nan, NO_RECIPE)
    assert found.ranked == ()


def test_a_choice_is_read_as_it_was_written() -> None:
    found = choose(Recipe("two", 7), one=right_of(0.71, 0.99), two=right_of(0.69, 0.7, seed=1))
    assert Choice.from_json(json.loads(json.dumps(asdict(found)))) == found


# -- the champion's recipe --------------------------------------------------------------------------------------------


class Champion:
    """A version as far as its recipe is asked for."""

    version = 7

    def __init__(self, use_case: UseCase, candidate: str = "linear", **changed: Any) -> None:
        recipe = use_case.recipe()
        recipe = {**recipe, "training": {**recipe["training"], **changed}}
        recipe["training"] = {key: value for key, value in recipe["training"].items() if value != "not said"}
        self._sql = use_case.features_sql
        self.about = replace(ABOUT, candidate=candidate, recipe=recipe, sql=sql_fingerprint(self._sql), origin=None)

    def details(self) -> Any:
        return self.about

    def sql(self) -> str:
        return self._sql


CHANGES: dict[str, tuple[Mapping[str, Any], bool]] = {
    "nothing": ({}, True),
    "the gate": ({"gate": {"floors": {"accuracy": 0.9}}}, True),
    "another candidate": ({"candidates": {**CANDIDATES, "third": CANDIDATES["majority"]}}, True),
    "how old rows count": ({"half_life": 30}, False),
    "the half-life was not there": ({"half_life": "not said"}, False),
    "the candidate": ({"candidates": {**CANDIDATES, "linear": CANDIDATES["majority"]}}, False),
    "it is gone": ({"candidates": {}}, False),
    "nonsense": ({"candidates": {"linear": 3}}, False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_candidate_has_the_recipe_of_the_champion_if_it_is_made_just_so(change: str) -> None:
    changed, same = CHANGES[change]
    use_case = toy()
    if "candidates" in changed and same:
        use_case, changed = toy(**changed), {"candidates": toy().recipe()["training"]["candidates"]}
    champion: Version = Champion(use_case, **changed)  # type: ignore[assignment]
    assert recipe_of(use_case, champion) == (Recipe("linear", 7) if same else NO_RECIPE)


def test_without_a_champion_there_is_no_recipe_of_it() -> None:
    assert recipe_of(toy(), None) == NO_RECIPE


def test_other_sql_is_another_recipe() -> None:
    other = toy().model_copy(update={"features_sql": toy().features_sql + " WHERE amount > 0"})
    champion: Version = Champion(other)  # type: ignore[assignment]
    assert recipe_of(toy(), champion) == NO_RECIPE


def test_a_comment_in_the_sql_is_no_other_recipe() -> None:
    sql = "-- what the model sees\n" + toy().features_sql.replace(" FROM", "  /* all */\nFROM")
    champion: Version = Champion(toy().model_copy(update={"features_sql": sql}))  # type: ignore[assignment]
    assert recipe_of(toy(), champion) == Recipe("linear", 7)


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_the_bounds_of_a_mean_of_independent_rows_are_as_wide_as_its_deviation_says() -> None:
    widths = []
    for seed in range(40):
        right = np.random.default_rng(seed).random(3_000) < 0.5
        found = interval(lambda places, right=right: float(right[places].mean()), np.arange(3_000) % GROUPS)
        widths.append((found.high - found.low) / 2)
    assert np.mean(widths) == pytest.approx(2.05 * 0.5 / math.sqrt(3_000), rel=0.1)


def test_accounts_that_stand_or_fall_together_widen_the_bounds() -> None:
    alike = np.repeat(np.random.default_rng(0).random(30) < 0.5, 100)
    found = interval(lambda places: float(alike[places].mean()), np.repeat(np.arange(30), 100))
    assert found.high - found.low > 0.3


def test_bounds_do_not_reach_beyond_what_a_metric_can_be() -> None:
    assert POSSIBLE.keys() == HIGHER_IS_BETTER.keys()
    assert Interval(0.996, 0.99, 1.001).within(*POSSIBLE["roc_auc"]) == Interval(0.996, 0.99, 1.0)
    assert Interval(3.0, -1.0, 7.0).within(*POSSIBLE["rmse"]) == Interval(3.0, 0.0, 7.0)


def test_a_figure_of_one_group_has_no_bounds() -> None:
    found = interval(lambda places: float(len(places)), np.zeros(5, int))
    assert found.value == 5
    assert math.isnan(found.low)
    assert Interval(0.1, math.nan, math.nan).holds_zero


def test_rows_of_an_account_are_in_one_group_and_few_accounts_are_no_groups() -> None:
    many = pa.chunked_array([[f"A{number % 300}" for number in range(900)]])
    content = pa.chunked_array([np.arange(900).astype(np.uint64)])
    groups = groups_of(many, content)
    assert len(set(groups)) <= GROUPS
    assert all(len({*groups[account::300]}) == 1 for account in range(300))
    assert len(set(groups_of(pa.chunked_array([["A"] * 900]), content))) == GROUPS
