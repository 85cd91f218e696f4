"""A file of a flavour that is forged is refused before its library reads it: no crash, no hang, nothing opened."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pytest

from mlops_assets.journey.model.flavours import FLAVOURS
from mlops_assets.journey.model.flavours.ubj import read_ubj
from mlops_assets.journey.model.flavours.xgboost_trees import check_model, cleared
from mlops_assets.journey.model.structure.parts import Malformed
from mlops_assets_tests.helpers.flavoured import (
    SMALL,
    of_array,
    of_model,
    of_text,
    of_tree,
    of_trees,
    stored,
)

SPLITS, SIZES, STARTS, VALUES, REPACKED = 1, 2, 3, 8, 17
FAR = 2**30

XGBOOST: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a child beyond the tree": (of_tree(left_children=FAR), f"a node has the child {FAR}"),
    "a child before the tree": (of_tree(right_children=-2), "a node has the child -2"),
    "a ring": (of_tree(left_children=0), "a node has two parents"),
    "a node with one child": (of_tree(right_children=-1), "a node has the child -1"),
    "a column that there is not": (of_tree(split_indices=4), "a column that is none of 4"),
    "a column before the first": (of_tree(split_indices=-1), "a column that is none of 4"),
    "a split that is no number": (of_tree(split_conditions=np.nan), "hold what is no number"),
    "a category that is none": (of_tree(split_type=1), "nodes that split by categories"),
    "too few nodes": (of_tree(split_indices=np.zeros(1, np.int32)), "split_indices has the shape"),
    "no nodes": (of_tree(left_children=np.zeros(0, np.int32)), "left_children has the shape"),
    "a count that is too high": (
        of_trees(lambda model: model["trees"][0]["tree_param"].update(num_nodes="4000000")),
        "has the shape",
    ),
    "a huge count": (of_trees(lambda m: m["trees"][0]["tree_param"].update(num_nodes="9" * 30)), "num_nodes is"),
    "nodes that are gone": (of_trees(lambda m: m["trees"][0]["tree_param"].update(num_deleted="2")), "num_deleted"),
    "a tree of other columns": (of_trees(lambda m: m["trees"][0]["tree_param"].update(num_feature="9")), "9 columns"),
    "a tree of all classes": (of_trees(lambda m: m["trees"][0].update(leaf_weights=np.zeros(9))), "made for 4 columns"),
    "a tree of no class": (of_trees(lambda m: m.update(tree_info=[99] * len(m["trees"]))), "allowed are 0 to 2"),
    "trees that are missing": (of_trees(lambda m: m.update(trees=m["trees"][:1])), "num_trees is"),
    "steps beyond the trees": (of_trees(lambda m: m.update(iteration_indptr=[0, 99])), "iteration_indptr"),
    "categories of a table": (of_trees(lambda m: m["cats"].update(enc=[{"offsets": [0]}])), "a table with categories"),
    "another booster": (of_model(lambda m: m["gradient_booster"].update(name="gblinear")), "'gblinear'"),
    "another objective": (of_model(lambda m: m["objective"].update(name="rank:ndcg")), "'rank:ndcg'"),
    "other classes": (of_model(lambda m: m["learner_model_param"].update(num_class="5")), "num_class is '5'"),
    "other columns": (of_model(lambda m: m["learner_model_param"].update(num_feature="5")), "num_feature is '5'"),
    "a base that is none": (of_model(lambda m: m["learner_model_param"].update(base_score="[" * 9000)), "base_score"),
    "infinity as base": (of_model(lambda m: m["learner_model_param"].update(base_score="[NaN,1,1]")), "base_score"),
    "a key that nobody knows": (of_model(lambda m: m.update(run="rm")), "not as XGBoost writes it"),
    "an attribute": (of_model(lambda m: m.update(attributes={"scikit_learn": "{}"})), "attributes"),
}
LIGHTGBM = {
    "a child beyond the tree": (of_text(r"^left_child=-?\d+", f"left_child={FAR}"), "left_child holds"),
    "a ring": (of_text(r"^left_child=-?\d+", "left_child=0"), "node 0 has the child 0"),
    "a leaf that there is not": (of_text(r"^left_child=-?\d+", "left_child=-99"), "left_child holds"),
    "a leaf twice": (of_text(r"^left_child=-?\d+ -?\d+", "left_child=-1 -1"), "two parents, or none"),
    "a column that there is not": (of_text(r"^split_feature=\d+", "split_feature=4"), "split_feature holds"),
    "a set of categories": (of_text(r"^decision_type=\d+", "decision_type=1"), "splits by categories"),
    "sets of categories that are cut": (of_text(r"^num_cat=0", "num_cat=2"), "expected split_feature"),
    "a huge count": (of_text(r"^num_leaves=\d+", "num_leaves=4000000"), "expected 4000000"),
    "a count that is none": (of_text(r"^num_leaves=\d+", "num_leaves=1e9"), "is no whole number"),
    "a value that is no number": (of_text(r"^leaf_value=\S+", "leaf_value=nan"), "is no number"),
    "a value that is code": (of_text(r"^leaf_value=\S+", "leaf_value=__import__"), "is no number"),
    "infinity": (of_text(r"^leaf_value=\S+", "leaf_value=1e+999"), "finite ones"),
    "other classes": (of_text(r"num_class:3", "num_class:4"), "said to know 3 classes"),
    "other trees a step": (of_text(r"^num_tree_per_iteration=3", "num_tree_per_iteration=1"), "num_tree_per_iteration"),
    "other columns": (of_text(r"^max_feature_idx=3", "max_feature_idx=9"), "max_feature_idx is '9'"),
    "another objective": (of_text(r"^objective=.*$", "objective=lambdarank"), "'lambdarank'"),
    "sizes of other trees": (
        lambda content: content.replace(b"tree_sizes=", b"tree_sizes=9 ", 1),
        "10 trees, 3 a step",
    ),
    "sizes beyond the end": (
        lambda content: content.replace(b"tree_sizes=", b"tree_sizes=999999999 1 1 ", 1),
        "not where tree_sizes says",
    ),
    "a line twice": (of_text(r"^(shrinkage=.*)$", r"\1\n\1"), "expected split_feature"),
    "parameters": (lambda content: content + b"\nparameters:\n[data: /etc/passwd]\n", "'end of trees"),
    "signs of another alphabet": (of_text(r"^num_leaves=(\d)\d*", "num_leaves=\u0663"), "no ASCII"),
}
CATBOOST = {
    "a border that there is not": (of_array(SPLITS, 0, FAR), "splits at border"),
    "a border before the first": (of_array(SPLITS, 0, -1), "splits at border"),
    "a tree that is too deep": (of_array(SIZES, 0, 30), "more than 16 splits"),
    "fewer splits": (of_array(SIZES, 0, 1), "lead through their splits"),
    "a start beyond the splits": (of_array(STARTS, 1, FAR), "lead through their splits"),
    "bins beyond the columns": (of_array(REPACKED, 0, 0x01FFFFFF, "<u4"), "lie elsewhere"),
    "a value that is no number": (of_array(VALUES, 0, np.nan, "<f8"), "no finite number"),
    "another size": (lambda content: content[:4] + (9).to_bytes(4, "little") + content[8:], "is cut"),
    "more behind it": (lambda content: content + b"\0", "goes on after its end"),
    "a root beyond the end": (lambda content: content[:8] + b"\xff" * 4 + content[12:], "leads to byte"),
}
FORGED = {
    f"{flavour}: {name}": (flavour, *forgery)
    for flavour, forgeries in (("xgboost", XGBOOST), ("lightgbm", LIGHTGBM), ("catboost", CATBOOST))
    for name, forgery in forgeries.items()
}


@pytest.mark.parametrize("name", FORGED)
def test_it_is_refused_by_what_is_wrong(name: str) -> None:
    flavour, forge, said = FORGED[name]
    content, shape = stored(flavour)
    with pytest.raises(Malformed, match=said):
        FLAVOURS[flavour].check(forge(content), shape)


@pytest.mark.parametrize("flavour", ["xgboost", "lightgbm", "catboost"])
@pytest.mark.parametrize(
    "content", [b"", b"{}", pickle.dumps({"a": 1}), b"[" * 100_000, b"\0" * 64, b"CBM1" + b"\xff" * 60]
)
def test_what_is_no_model_at_all_is_refused(flavour: str, content: bytes) -> None:
    with pytest.raises(Malformed):
        FLAVOURS[flavour].check(content, stored(flavour)[1])


@pytest.mark.parametrize("flavour", ["xgboost", "lightgbm", "catboost"])
def test_a_model_of_other_columns_or_classes_is_refused(flavour: str) -> None:
    content, shape = stored(flavour)
    for other in (
        replace(shape, features=5),
        replace(shape, classes=np.arange(4)),
        replace(shape, classes=np.arange(2)),
        replace(shape, kind="regressor", classes=None),
    ):
        with pytest.raises(Malformed):
            FLAVOURS[flavour].check(content, other)


ODD = (-1, 2**40, 1.5, "x" * 300, [], [[]], {"a": 1}, None, np.zeros(3, np.int32))
"""What may stand in the place of a value; an array is compared with nothing."""


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value in a model of XGBoost; of a list, its first element is enough."""
    yield place
    inside = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, one in inside:
        yield from _places(one, (*place, key))


@pytest.mark.parametrize("name", ["xgboost vectors", "xgboost dart"])
def test_a_value_of_another_kind_is_refused_wherever_it_stands(name: str) -> None:
    content, shape = stored(name)
    for place in _places(read_ubj(content)):
        for odd in ODD:
            model = read_ubj(content)
            if place:
                holder = reduce(lambda inside, key: inside[key], place[:-1], model)
                holder[place[-1]] = odd
            with suppress(Malformed):
                check_model(model if place else odd, shape)
            with suppress(Malformed):
                cleared(model if place else odd)


def _survived(rounds: int, *names: str) -> None:
    """Forge files at random in a process of its own, which a library may crash."""
    command = [sys.executable, "-m", "mlops_assets_tests.helpers.flavoured_driver", str(rounds), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, f"{lines[-1:]}: ended with {done.returncode}\n{done.stderr[-2000:]}"
    ends = {line["name"]: line for line in lines if "rounds" in line}
    assert {*ends} == {*names}
    assert all(line["refused"] > line["rounds"] / 4 for line in ends.values())


def test_random_changes_are_refused_or_harmless() -> None:
    _survived(60, "xgboost", "lightgbm", "catboost", "xgboost vectors")


@pytest.mark.long
@pytest.mark.parametrize("name", SMALL)
def test_many_random_changes_are_refused_or_harmless(name: str) -> None:
    _survived(4_000, name)
