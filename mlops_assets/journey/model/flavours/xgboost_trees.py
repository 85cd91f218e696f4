"""What stands in a model of XGBoost, looked at before XGBoost reads it: it follows its indices in C++.

Format: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html; what its schema leaves open is as
release 3 writes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np

from mlops_assets.journey.model.flavours.flavour import Shape
from mlops_assets.journey.model.structure.parts import LARGEST_WIDTH, Malformed, Part

OBJECTIVES = {
    "binary:logistic": ("reg_loss_param",),
    "multi:softprob": ("softmax_multiclass_param",),
}
REGRESSIONS = {
    "reg:squarederror": ("reg_loss_param",),
    "reg:squaredlogerror": ("reg_loss_param",),
    "reg:logistic": ("reg_loss_param",),
    "reg:absoluteerror": (),
    "reg:gamma": (),
    "reg:pseudohubererror": ("pseudo_huber_param",),
    "reg:tweedie": ("tweedie_regression_param",),
    "count:poisson": ("poisson_regression_param",),
}
"""What a model may have been fitted to, and the parameters that stand beside it."""

DELETED = 0x7FFFFFFF
"""The column that a node asks for which pruning took away."""

TREE = {
    *("id", "tree_param", "left_children", "right_children", "parents", "split_indices", "split_conditions"),
    *("split_type", "default_left", "base_weights", "loss_changes", "sum_hessian"),
    *("categories", "categories_nodes", "categories_segments", "categories_sizes"),
}
VECTORS = {*TREE, "leaf_weights"}
"""What is said of a tree whose leaves hold a number, and of one whose leaves hold one for every class."""


def check_model(model: Any, shape: Shape) -> None:
    """See that a model holds together.

    Parameters
    ----------
    model
        What `read_ubj` made of its bytes.
    shape
        What it must take and say.

    Raises
    ------
    Malformed
        If it does not.
    """
    whole = _table(model, "model", {"learner", "version"})
    learner = _table(whole["learner"], "learner", _LEARNER)
    for name in ("attributes", "feature_names", "feature_types"):
        if not isinstance(learner[name], (dict, list)) or learner[name]:
            raise Malformed(f"{name} are told, and a model here has none")
    release = whole["version"]
    if not isinstance(release, list) or [*map(type, release)] != [int] * 3 or release[0] != 3:
        raise Malformed(f"it was written by release {release!r:.80} of XGBoost; known is the form of release 3")
    groups = _objective(learner, shape)
    booster = _table(learner["gradient_booster"], "gradient_booster")
    if str(booster.get("name")) == "dart":
        _table(booster, "dart", {"gbtree", "name", "weight_drop"})
        trees = _trees_of(_table(booster["gbtree"], "gbtree", {"model", "name"}), shape, groups)
        weights = booster["weight_drop"]
        fits = isinstance(weights, list) and len(weights) == trees and all(type(one) is float for one in weights)
        if not fits or not np.isfinite(weights).all():
            raise Malformed(f"weight_drop are no {trees} numbers")
    else:
        _trees_of(_table(booster, "gradient_booster", {"model", "name"}), shape, groups)


def cleared(model: Any) -> Any:
    """What `read_ubj` made of a file from elsewhere, without what XGBoost keeps beside the trees.

    Parameters
    ----------
    model
        It is changed itself. Where fitting was stopped early, the trees after the best ones are left out.

    Raises
    ------
    Malformed
        If it holds none.
    """
    learner = _table(_table(model, "model", {"learner", "version"})["learner"], "learner", _LEARNER)
    best = _table(learner["attributes"], "attributes").get("best_iteration")
    cleaned = {**learner, "attributes": {}, "feature_names": [], "feature_types": []}
    objective = _table(learner["objective"], "objective")
    if str(objective.get("name")) == "multi:softmax":  # which says the likeliest class alone
        cleaned["objective"] = {**objective, "name": "multi:softprob"}
    if best is not None:
        booster = _table(learner["gradient_booster"], "gradient_booster")
        cleaned["gradient_booster"] = {**booster, "model": _up_to(_table(booster.get("model"), "model"), best)}
    return {"learner": cleaned, "version": model["version"]}


def _up_to(model: Mapping[str, Any], best: Any) -> Mapping[str, Any]:
    """The trees up to the best step of those that fitting went on to."""
    steps, trees, info = (_table(model, "model").get(name) for name in ("iteration_indptr", "trees", "tree_info"))
    if not (isinstance(steps, list) and isinstance(trees, list) and isinstance(info, list) and isinstance(best, str)):
        raise Malformed("it was stopped early, and does not tell its steps")
    last = _number_of(best, "best_iteration", 0, len(steps) - 2) + 2
    kept = steps[last - 1] if type(steps[last - 1]) is int else 0
    parameters = {**_table(model.get("gbtree_model_param"), "gbtree_model_param"), "num_trees": str(len(trees[:kept]))}
    # lists, as they were: XGBoost reads no arrays here
    cut = {name: model[name][:end] for name, end in (("iteration_indptr", last), ("tree_info", kept))}
    return {**model, **cut, "trees": trees[:kept], "gbtree_model_param": parameters}


def classes_of(model: Any) -> int | None:
    """How many classes a model says; None of one that says a number.

    Parameters
    ----------
    model
        What `cleared` made.
    """
    learner = model["learner"]
    if str(learner["objective"].get("name")) not in OBJECTIVES:
        return None
    count = _table(learner["learner_model_param"], "learner_model_param").get("num_class")
    return max(2, _number_of(str(count), "num_class", 0, LARGEST_WIDTH))


_LEARNER = {"attributes", "feature_names", "feature_types", "gradient_booster", "learner_model_param", "objective"}


def _objective(learner: Mapping[str, Any], shape: Shape) -> int:
    """See to what a model was fitted to; returns how many numbers it adds up for a row."""
    kind, outputs = shape.kind, shape.outputs
    names = {"base_score", "boost_from_average", "num_class", "num_feature", "num_target"}
    told = _texts(learner["learner_model_param"], "learner_model_param", names)
    objective = _table(learner["objective"], "objective")
    name = str(objective.get("name"))
    known = REGRESSIONS if kind == "regressor" else OBJECTIVES
    if name not in known:
        raise Malformed(f"it was fitted to {name!r:.80}; known are {', '.join(known)}")
    for parameters in _table(objective, "objective", {"name", *known[name]}).keys() - {"name"}:
        _texts(objective[parameters], parameters)
    many = name == "multi:softprob"
    groups = outputs if many else 1
    if kind == "classifier" and many != (outputs != 2):
        raise Malformed(f"it was fitted to {name}, and knows {outputs} classes")
    expected = {"num_feature": shape.features, "num_class": outputs if many else 0, "num_target": 1}
    for key, value in expected.items():
        if told[key] != str(value):
            raise Malformed(f"{key} is {told[key]!r:.80}, expected {value}")
    if many and objective["softmax_multiclass_param"] != {"num_class": str(outputs)}:
        raise Malformed(f"softmax_multiclass_param is not that of {outputs} classes")
    _base_score(told["base_score"], groups, name)
    return groups


def _base_score(text: str, groups: int, objective: str) -> None:
    try:
        said = json.loads(text, parse_constant=_no_number)
        scores = [float(score) for score in (said if isinstance(said, list) else [said])]
    except (ValueError, TypeError, RecursionError):
        raise Malformed(f"base_score is {text!r:.80}, which are no numbers") from None
    # it is stored as a probability, of which the library takes the logarithm
    fits = all(map(math.isfinite, scores)) and (objective != "binary:logistic" or 0 < scores[0] < 1)
    if len(scores) not in (1, groups) or not fits:
        raise Malformed(f"base_score is {text!r:.80}, expected {groups} numbers")


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)


def _trees_of(booster: Mapping[str, Any], shape: Shape, groups: int) -> int:
    """See to all trees of a model; returns how many there are."""
    if str(booster["name"]) != "gbtree":
        raise Malformed(f"it is a {booster['name']!r:.80}; stored are gbtree and dart")
    names = {"cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees"}
    model = _table(booster["model"], "model", names)
    cats = _table(model["cats"], "cats", {"enc", "feature_segments", "sorted_idx"})
    if not all(isinstance(values, (list, np.ndarray)) and not len(values) for values in cats.values()):
        raise Malformed("it was fitted on a table with categories of its own; fit it on numbers")
    trees = model["trees"]
    if not isinstance(trees, list) or len(trees) > LARGEST_WIDTH:
        raise Malformed("trees are no list")
    told = _texts(model["gbtree_model_param"], "gbtree_model_param", {"num_parallel_tree", "num_trees"})
    if told["num_trees"] != str(len(trees)):
        raise Malformed(f"num_trees is {told['num_trees']!r:.80}, and there are {len(trees)}")
    _number_of(told["num_parallel_tree"], "num_parallel_tree", 1, max(1, len(trees)))
    part = _part(model, "model")
    steps = part.see_array(_whole(model["iteration_indptr"]), "iteration_indptr", None, kinds="i")
    ordered = len(steps) and steps[0] == 0 and steps[-1] == len(trees) and (np.diff(steps) >= 0).all()
    part.need(ordered, "iteration_indptr does not lead through the trees")
    info = part.see_array(_whole(model["tree_info"]), "tree_info", len(trees), kinds="i", within=(0, groups))
    for number, tree in enumerate(trees):
        vector = _tree(tree, number, shape.features, groups)
        part.need(not vector or info[number] == 0, f"tree {number} is one of all classes and of one")
    vectors = {"leaf_weights" in tree for tree in trees}
    part.need(len(vectors) < 2, "some trees are of all classes, and some of one")
    return len(trees)


def _tree(tree: Any, number: int, features: int, groups: int) -> bool:
    """See to one tree; returns whether its leaves hold a number for every class."""
    where = f"trees[{number}]"
    is_vector = isinstance(tree, dict) and "leaf_weights" in tree
    _table(tree, where, VECTORS if is_vector else TREE)
    names = {"num_deleted", "num_feature", "num_nodes", "size_leaf_vector"}
    told = _texts(tree["tree_param"], where, names)
    nodes = _number_of(told["num_nodes"], "num_nodes", 1, LARGEST_WIDTH)
    width = groups if is_vector else 1
    if (told["num_feature"], told["size_leaf_vector"]) != (str(features), str(width)):
        raise Malformed(
            f"{where} is made for {told['num_feature']:.20} columns and {told['size_leaf_vector']:.20} classes"
        )
    part = _part(tree, where)
    part.whole("id", number, number)
    left, right, parents = (
        part.array(name, nodes, kinds="i") for name in ("left_children", "right_children", "parents")
    )
    columns = part.array("split_indices", nodes, kinds="i")
    inner = left != -1
    reached = _reached(part, left, right, parents, inner)
    part.need(reached[inner].all(), "a node that nothing leads to has children")
    _number(part, told["num_deleted"], ~reached, columns)
    asked = columns[inner]
    part.need(((asked >= 0) & (asked < features)).all(), f"it asks for a column that is none of {features}")
    part.array("default_left", nodes, kinds="iu", within=(0, 2))
    kinds = part.array("split_type", nodes, kinds="iu", within=(0, 2))
    part.array("split_conditions", nodes, finite=False)
    part.need(not np.isnan(tree["split_conditions"]).any(), "split_conditions hold what is no number")
    part.array("base_weights", nodes * width)
    for name in ("loss_changes", "sum_hessian"):
        part.array(name, nodes, finite=False)
    if is_vector:
        leaves = int((~inner).sum())
        part.array("leaf_weights", leaves * width)
        part.see_array(right[~inner], "leaf", leaves, kinds="i", within=(0, leaves))
    else:
        part.need(np.isfinite(tree["split_conditions"][~inner]).all(), "a leaf holds what is no finite number")
        part.need((right[~inner] == -1).all(), "it has a node with one child")
    _categories(part, kinds, inner)
    return is_vector


def _reached(part: Part, left: np.ndarray, right: np.ndarray, parents: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The nodes that the root leads to, each by one way: so no way is endless."""
    reached = np.zeros(len(left), bool)
    reached[0], level = True, np.zeros(1, np.int64)
    part.need(parents[0] in (-1, DELETED), "its root has a parent")
    while len(level := level[inner[level]]):
        children = np.concatenate([left[level], right[level]]).astype(np.int64)
        if ((children < 0) | (children >= len(left))).any():
            part.refuse(f"a node has the child {children[(children < 0) | (children >= len(left))][0]} of {len(left)}")
        part.need(not reached[children].any() and len(np.unique(children)) == len(children), "a node has two parents")
        part.need((parents[children] == np.tile(level, 2)).all(), "a node says another parent than it has")
        reached[children], level = True, children
    return reached


def _number(part: Part, told: str, gone: np.ndarray, columns: np.ndarray) -> None:
    """See to the nodes that pruning took away: they are marked as such, and counted."""
    part.need((gone == (columns == DELETED)).all(), "a node that nothing leads to is not marked as such")
    part.need(told == str(int(gone.sum())), f"num_deleted is {told!r:.20}, and {int(gone.sum())} are")


def _categories(part: Part, kinds: np.ndarray, inner: np.ndarray) -> None:
    """See to the splits by categories: each has a stretch of a list."""
    asked = part.array("categories_nodes", None, kinds="i")
    starts = part.array("categories_segments", len(asked), kinds="i")
    sizes = part.array("categories_sizes", len(asked), kinds="i")
    values = part.array("categories", None, kinds="i", within=(0, LARGEST_WIDTH))
    by_category = np.flatnonzero((kinds == 1) & inner)
    part.need(np.array_equal(asked, by_category), "categories_nodes are not the nodes that split by categories")
    ends = np.cumsum(sizes)
    fits = (sizes > 0).all() and np.array_equal(starts, ends - sizes) and (ends[-1] if len(ends) else 0) == len(values)
    part.need(fits, "categories_segments do not lead through the categories")


def _whole(values: Any) -> Any:
    """A list of whole numbers as an array; what is none stays what it is."""
    if isinstance(values, list) and all(type(value) is int for value in values):
        return np.array(values, np.int64)
    return values


def _table(value: Any, name: str, names: set[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict) or (names is not None and value.keys() != names):
        raise Malformed(f"{name} is not as XGBoost writes it")
    return value


def _texts(value: Any, name: str, names: set[str] | None = None) -> Mapping[str, str]:
    table = _table(value, name, names)
    if not all(isinstance(text, str) for text in table.values()):
        raise Malformed(f"{name} holds what is no text")
    return table


def _number_of(text: str, name: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise Malformed(f"{name} is {text!r:.80}, expected a number from {low} to {high:,}")
    return int(text)


def _part(table: Mapping[str, Any], where: str) -> Part:
    return Part(None, SimpleNamespace(**table), where, None)
