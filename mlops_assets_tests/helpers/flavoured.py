"""Small estimators of every flavour, and their files forged."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mlops_assets.journey.model.flavours import FLAVOURS, made_of
from mlops_assets.journey.model.flavours.flatbuffer import Table
from mlops_assets.journey.model.flavours.flavour import Shape
from mlops_assets.journey.model.flavours.ubj import read_ubj, write_ubj
from mlops_assets.plugins import import_object

ROWS = np.random.default_rng(7).normal(size=(240, 4))
ROWS[:, 3] = np.round(ROWS[:, 3] * 2)
ROWS[::11, 0] = np.nan
SAID = (ROWS[:, 1] > 0).astype(int) + (ROWS[:, 3] > 0)
"""Rows of four columns, one with missing values, one of few values; and a class of three for each."""

SMALL: Mapping[str, tuple[str, dict[str, Any]]] = {
    "xgboost": ("xgboost.XGBClassifier", {"n_estimators": 3, "max_depth": 3}),
    "xgboost vectors": (
        "xgboost.XGBClassifier",
        {"n_estimators": 3, "max_depth": 3, "multi_strategy": "multi_output_tree"},
    ),
    "xgboost dart": ("xgboost.XGBClassifier", {"n_estimators": 3, "max_depth": 2, "booster": "dart", "rate_drop": 0.5}),
    "xgboost pruned": (
        "xgboost.XGBClassifier",
        {"n_estimators": 3, "max_depth": 3, "tree_method": "approx", "gamma": 2.0},
    ),
    "xgboost softmax": ("xgboost.XGBClassifier", {"n_estimators": 3, "max_depth": 3, "objective": "multi:softmax"}),
    "xgboost forest": ("xgboost.XGBRFClassifier", {"n_estimators": 3, "max_depth": 3}),
    "xgboost of two": ("xgboost.XGBClassifier", {"n_estimators": 3, "max_depth": 3}),
    "lightgbm": ("lightgbm.LGBMClassifier", {"n_estimators": 3, "num_leaves": 6}),
    "lightgbm forest": (
        "lightgbm.LGBMClassifier",
        {"n_estimators": 3, "num_leaves": 6, "boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1},
    ),
    "lightgbm one against all": (
        "lightgbm.LGBMClassifier",
        {"n_estimators": 3, "num_leaves": 6, "objective": "multiclassova"},
    ),
    "lightgbm of two": ("lightgbm.LGBMClassifier", {"n_estimators": 3, "num_leaves": 6}),
    "catboost": ("catboost.CatBoostClassifier", {"iterations": 3, "depth": 3}),
    "catboost of two": ("catboost.CatBoostClassifier", {"iterations": 3, "depth": 3}),
    "xgboost number": ("xgboost.XGBRegressor", {"n_estimators": 3, "max_depth": 3}),
    "lightgbm number": ("lightgbm.LGBMRegressor", {"n_estimators": 3, "num_leaves": 6, "objective": "poisson"}),
    "catboost number": (
        "catboost.CatBoostRegressor",
        {"iterations": 3, "depth": 3, "loss_function": "Poisson"},
    ),
}
"""What a configuration would say of some estimators."""


def flavour_named(name: str) -> str:
    """The flavour of one of `SMALL`."""
    return name.partition(" ")[0]


def target(name: str) -> np.ndarray:
    """What one of `SMALL` learns: classes without one in the middle, two classes, or a number."""
    if name.endswith("number"):
        return SAID.astype(float) + 0.5
    return (SAID > 0).astype(int) if name.endswith("of two") else np.array([0, 2, 3])[SAID]


@functools.cache
def fitted(name: str) -> Any:
    """One of `SMALL`, made as a configuration makes it."""
    path, parameters = SMALL[name]
    made, defaults = made_of(path)
    return import_object(made)(**{**defaults, **parameters}).fit(ROWS, target(name))


@functools.cache
def stored(name: str) -> tuple[bytes, Shape]:
    """The bytes of its file, and what it takes and says."""
    content, shape = FLAVOURS[flavour_named(name)].save(fitted(name))
    return content, shape


# -- forging: XGBoost --------------------------------------------------------------------------------------------------


def of_model(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """Change the model of XGBoost; what reaches into it is given its `learner`."""

    def forge(content: bytes) -> bytes:
        model = read_ubj(content)
        change(model["learner"])
        return write_ubj(model)

    return forge


def of_trees(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """Change what holds the trees of XGBoost."""
    return of_model(lambda learner: change(learner["gradient_booster"]["model"]))


def of_tree(**fields: Any) -> Callable[[bytes], bytes]:
    """Change the first tree of XGBoost: the first value of an array, or what else stands there."""

    def change(model: dict[str, Any]) -> None:
        tree = model["trees"][0]
        for name, value in fields.items():
            if isinstance(tree[name], np.ndarray) and not isinstance(value, np.ndarray):
                tree[name] = tree[name].copy()
                tree[name][0] = value
            else:
                tree[name] = value

    return of_trees(change)


# -- forging: LightGBM -------------------------------------------------------------------------------------------------


def of_text(said: str, other: str) -> Callable[[bytes], bytes]:
    """Replace the first text that an expression finds in a model of LightGBM, and mend the sizes of its trees."""

    def forge(content: bytes) -> bytes:
        changed, count = re.subn(said, other, content.decode(), count=1, flags=re.M)
        assert count == 1
        trees = re.findall(r"^Tree=.*?\n\n\n", changed, re.M | re.S)
        sizes = " ".join(str(len(tree)) for tree in trees)
        return re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", changed, count=1, flags=re.M).encode()

    return forge


# -- forging: CatBoost -------------------------------------------------------------------------------------------------


def of_array(slot: int, place: int, value: Any, form: str = "<i4") -> Callable[[bytes], bytes]:
    """Change a number in an array of the trees of CatBoost."""

    def forge(content: bytes) -> bytes:
        trees = Table.root(content[8:], 4).table(1, 19)
        array = trees.array(slot, form)
        start = 8 + array.__array_interface__["data"][0] - _address(trees)
        at = start + place * array.dtype.itemsize
        return content[:at] + np.array(value, form).tobytes() + content[at + array.dtype.itemsize :]

    return forge


def _address(table: Table) -> int:
    return int(np.frombuffer(table._content, "u1").__array_interface__["data"][0])
