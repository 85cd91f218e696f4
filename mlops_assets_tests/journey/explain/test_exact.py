"""What each column brings to boosted trees is told of the columns of the input, whatever lies between."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlops_assets.encoders import OnFrame
from mlops_assets.journey.explain.exact import log_odds
from mlops_assets.journey.model.flavours import FLAVOURS
from mlops_assets.journey.model.flavours.flavoured import Flavoured
from mlops_assets.journey.model.model import Model
from mlops_assets_tests.helpers.flavoured import ROWS, fitted, stored, target

COLUMNS = {"a": None, "b": None, "c": None, "d": None}
LABELS = ("w", "x", "y", "z")
FULL = np.nan_to_num(ROWS)


def loaded(name: str, estimator: Any = None) -> Flavoured:
    flavour = FLAVOURS[name.partition(" ")[0]]
    content, shape = flavour.save(estimator) if estimator is not None else stored(name)
    return Flavoured.of(flavour.name, shape, content, flavour.load(content, shape))


def model(*steps: Any) -> Model:
    return Model(Pipeline([(str(number), step) for number, step in enumerate(steps)]), COLUMNS, LABELS, "")


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "catboost"])
def test_it_is_what_the_library_says_of_the_class(name: str) -> None:
    boosted = loaded(name)
    brought = boosted.contributions(ROWS[5:6])
    assert brought is not None
    for place, number in enumerate((0, 2, 3)):
        assert np.array_equal(log_odds(model(boosted), ROWS[5], number), brought[0, place])
    assert log_odds(model(boosted), ROWS[5], 1) is None, "a class that it never saw"


def test_of_two_classes_the_first_is_the_other_way_round() -> None:
    one = model(loaded("lightgbm of two"))
    assert np.array_equal(log_odds(one, ROWS[5], 0), -log_odds(one, ROWS[5], 1))  # type: ignore[operator]


def test_columns_are_followed_through_their_preparation() -> None:
    prepare = ColumnTransformer(
        [
            ("few", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [3]),
            ("scaled", make_pipeline(StandardScaler()).steps[0][1], [1, 0]),
            ("dropped", "drop", [2]),
        ]
    ).fit(FULL)
    scale = StandardScaler().fit(prepare.transform(FULL))
    inside = scale.transform(prepare.transform(FULL))
    boosted = loaded("lightgbm", type(fitted("lightgbm"))(n_estimators=3, verbosity=-1).fit(inside, target("lightgbm")))
    told = log_odds(model(prepare, scale, boosted), FULL[5], 2)
    brought = boosted.contributions(inside[5:6])[0, 1]  # type: ignore[index]
    assert told is not None
    np.testing.assert_allclose(told, [brought[-1], brought[-2], 0.0, brought[:-2].sum()])


def test_a_model_from_elsewhere_tells_by_its_own_classes() -> None:
    boosted = loaded("catboost")
    wrapped = OnFrame(boosted, tuple(COLUMNS), (), (3, 0, 1))
    brought = boosted.contributions(ROWS[5:6])
    one = Model(wrapped, COLUMNS, LABELS, "")
    assert brought is not None
    assert np.array_equal(log_odds(one, ROWS[5], 0), brought[0, 1])


def test_what_cannot_be_followed_tells_nothing() -> None:
    boosted = loaded("xgboost")
    mixed = PCA(4).fit(FULL)
    assert log_odds(model(mixed, boosted), FULL[5], 0) is None
    assert log_odds(model(ColumnTransformer([("mixed", mixed, [0, 1, 2, 3])]).fit(FULL), boosted), FULL[5], 0) is None
    assert log_odds(model(loaded("xgboost vectors")), FULL[5], 0) is None
    assert log_odds(model(LogisticRegression().fit(FULL, target("xgboost"))), FULL[5], 0) is None
