"""What is stored of a fit only chooses among what the configuration offers: the arguments are those of the configuration."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from mlops_assets.errors import MlopsError
from mlops_assets.journey.train.candidates import as_fitted
from mlops_assets_tests.helpers.toy import CANDIDATES, toy

FOREST = {
    "use": "sklearn.ensemble.RandomForestClassifier",
    "parameters": {"class_weight": {0: 1, 1: 5}, "max_depth": 4, "min_impurity_decrease": math.nan},
    "search": {"max_depth": [4, 8], "max_features": ["sqrt", None]},
}
USE_CASE = toy(candidates={**CANDIDATES, "forest": FOREST})


def stored(**changes: Any) -> dict[str, Any]:
    """The arguments of the forest as JSON gives them back, some of them changed."""
    chosen = {**FOREST["parameters"], "max_depth": 8, "max_features": "sqrt", **changes}  # type: ignore[dict-item]
    return dict(json.loads(json.dumps(chosen)))


def test_what_a_search_chose_is_taken_and_all_else_is_as_configured() -> None:
    found = as_fitted(USE_CASE, "forest", stored(), "the card").parameters
    assert (found["max_depth"], found["max_features"]) == (8, "sqrt")
    assert found["class_weight"] == {0: 1, 1: 5}  # JSON would have made texts of the keys
    assert as_fitted(USE_CASE, "forest", stored(max_features=None), "the card").parameters["max_features"] is None


def test_a_candidate_without_a_search_is_the_configured_one() -> None:
    assert as_fitted(USE_CASE, "majority", {}, "the card") == USE_CASE.training.candidates["majority"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_depth": 9}, "'max_depth' = '9'"),
        ({"max_depth": True}, "'max_depth' = 'True'"),
        ({"class_weight": {"0": 1, "1": 6}}, "'class_weight' = "),
        ({"class_weight": {"use": "os.system"}}, "'class_weight' = "),
        ({"n_jobs": -1}, "'n_jobs' = '-1'"),
        ({"max_features": ["sqrt"]}, "'max_features' = "),
    ],
)
def test_what_is_not_offered_is_refused_with_the_argument(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(MlopsError, match=r"^the card: forest was fitted with .*does not offer") as error:
        as_fitted(USE_CASE, "forest", stored(**changes), "the card")
    assert said in str(error.value)


def test_a_candidate_that_is_not_configured_is_refused() -> None:
    with pytest.raises(MlopsError, match="training.candidates has no 'nobody'; it has majority, linear, forest"):
        as_fitted(USE_CASE, "nobody", {}, "the card")
