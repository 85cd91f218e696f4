"""What stands in a model of CatBoost, looked at before CatBoost reads it: it follows its indices in C++.

Format: the flatbuffers of `catboost/libs/model/flatbuffers`, a head and a core. Taken are symmetric trees on numbers;
what CatBoost keeps beside them (parameters, dates, names) is cleared when a model is stored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops_assets.journey.model.flavours.flatbuffer import Table
from mlops_assets.journey.model.flavours.flavour import Shape
from mlops_assets.journey.model.structure.parts import LARGEST_WIDTH, Malformed

MAGIC, VERSION = b"CBM1", b"FlabuffersModel_v1"

CORE, TREES, FEATURE = 4, 19, 6
"""How many fields the tables of a model, of its trees and of a column have."""

FORMAT, OBLIVIOUS, INFO, PARTS = range(CORE)
DIMENSION, SPLITS, SIZES, STARTS, CATS, FLOATS, ONE_HOT, CTRS, VALUES, WEIGHTS = range(10)
STEPS, LEAF_IDS, TEXTS, ESTIMATED, SCALE, BIAS, BIASES, REPACKED, EMBEDDINGS = range(10, TREES)
HAS_NANS, INDEX, FLAT_INDEX, BORDERS, FEATURE_ID, TREATMENT = range(FEATURE)

OTHERS = {
    CATS: "categories",
    ONE_HOT: "categories",
    CTRS: "categories",
    TEXTS: "texts",
    EMBEDDINGS: "embeddings",
    ESTIMATED: "texts",
    STEPS: "trees that are not symmetric",
    LEAF_IDS: "trees that are not symmetric",
}
"""What a model may hold beside symmetric trees on numbers, and is not taken."""

DEEPEST, MOST_BORDERS = 16, 254
"""Splits of a tree, and borders of a column: of more, CatBoost makes two columns."""

BIN = np.dtype([("feature", "<u2"), ("mask", "u1"), ("split", "u1")])


def check_model(content: bytes, shape: Shape) -> None:
    """See that a model holds together.

    Parameters
    ----------
    content
        Its bytes.
    shape
        What it must take and say.

    Raises
    ------
    Malformed
        If it does not.
    """
    core = content[8:]
    if content[:4] != MAGIC or int.from_bytes(content[4:8], "little") != len(core):
        raise Malformed("it is no model of CatBoost, or is cut, or goes on after its end")
    model = Table.root(core, CORE)
    if model.text(FORMAT) != VERSION:
        raise Malformed(f"its form is {model.text(FORMAT)!r:.80}, known is {VERSION!r}")
    if model.length(INFO) or model.length(PARTS):
        raise Malformed("it tells more than its trees, and a model here does not")
    trees = model.table(OBLIVIOUS, TREES)
    for slot, what in OTHERS.items():
        if trees.length(slot):
            raise Malformed(f"it has {what}; stored are symmetric trees on numbers, so leave that out")
    bins = _columns(trees, shape)
    _trees(trees, bins, _dimension(trees, shape))


@dataclass(frozen=True)
class Cleared:
    """A file from elsewhere without what CatBoost keeps beside its trees, and what that told.

    Attributes
    ----------
    content
        Its bytes.
    classes, labels
        How many classes it says if it says any, and their labels if it tells them.
    loss
        What it was fitted to; empty if it does not tell.
    """

    content: bytes
    classes: int
    labels: tuple[str, ...] | None
    loss: str


def cleared(content: bytes) -> Cleared:
    """A file from elsewhere without what CatBoost keeps beside its trees.

    Parameters
    ----------
    content
        Its bytes.

    Raises
    ------
    Malformed
        If it is no model of CatBoost.
    """
    if content[:4] != MAGIC or len(content) < 12:
        raise Malformed("it is no model of CatBoost")
    model = Table.root(content[8:], CORE)
    told = {one.text(0): one.text(1) for one in model.tables(INFO, 2)}
    count = max(2, int(model.table(OBLIVIOUS, TREES).number(DIMENSION, "<i", 0)))
    names = _told(told.get(b"class_params", b""), "class_names")
    plain = isinstance(names, list) and all(isinstance(name, (str, int)) for name in names)
    loss = _told(told.get(b"params", b""), "loss_function", "type")
    labels = tuple(map(str, names)) if plain else None
    return Cleared(content[:8] + model.without(INFO), count, labels, loss if isinstance(loss, str) else "")


def _told(text: bytes, *keys: str) -> Any:
    """What stands in a text of JSON under some keys; None where there is no such thing."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    for key in keys:
        told = told.get(key) if isinstance(told, dict) else None
    return told


def _dimension(trees: Table, shape: Shape) -> int:
    """See to how many numbers are added up for a row, and returns it."""
    many = shape.kind == "classifier" and shape.outputs != 2
    expected = shape.outputs if many else 1
    dimension = int(trees.number(DIMENSION, "<i", 0))
    if dimension != expected:
        raise Malformed(f"it adds up {dimension} numbers a row, expected {expected}")
    numbers = [trees.number(SCALE, "<d", 1.0), trees.number(BIAS, "<d", 0.0)]
    biases = trees.array(BIASES, "<f8")
    if len(biases) not in (0, dimension) or not (np.isfinite(numbers).all() and np.isfinite(biases).all()):
        raise Malformed("its scale and biases are no finite numbers")
    return dimension


def _columns(trees: Table, shape: Shape) -> np.ndarray:
    """See to the columns; returns where CatBoost finds each border: its column, its number in that."""
    columns = trees.tables(FLOATS, FEATURE)
    numbers = [(int(one.number(INDEX, "<i", -1)), int(one.number(FLAT_INDEX, "<i", -1))) for one in columns]
    if numbers != [(number, number) for number in range(shape.features)]:
        raise Malformed(f"it has {len(columns)} columns, or not in order; expected are {shape.features}")
    counts = []
    for number, one in enumerate(columns):
        borders = one.array(BORDERS, "<f4")
        if not np.isfinite(borders).all() or (np.diff(borders) <= 0).any() or len(borders) > MOST_BORDERS:
            raise Malformed(f"the borders of column {number} are not in order, or more than {MOST_BORDERS}")
        kinds = one.number(HAS_NANS, "B", 0), one.number(TREATMENT, "b", 0)
        if kinds[0] not in (0, 1) or kinds[1] not in (0, 1, 2):
            raise Malformed(f"column {number} treats missing values in no known way")
        counts.append(len(borders))
    used = [count for count in counts if count]
    bins = np.zeros(sum(used), BIN)
    bins["feature"] = np.repeat(np.arange(len(used)), used)
    bins["split"] = np.concatenate([np.arange(1, count + 1) for count in used]) if used else []
    return bins


def _trees(trees: Table, bins: np.ndarray, dimension: int) -> None:
    sizes, starts, splits = (trees.array(slot, "<i4") for slot in (SIZES, STARTS, SPLITS))
    if not 1 <= len(sizes) <= LARGEST_WIDTH or ((sizes < 0) | (sizes > DEEPEST)).any():
        raise Malformed(f"it has {len(sizes):,} trees, or one of more than {DEEPEST} splits")
    if len(splits) != sizes.sum() or not np.array_equal(starts, np.cumsum(sizes) - sizes):
        raise Malformed("its trees do not lead through their splits")
    if ((splits < 0) | (splits >= len(bins))).any():
        raise Malformed(f"a tree splits at border {splits[(splits < 0) | (splits >= len(bins))][0]} of {len(bins)}")
    # it believes these, and does not look at the splits again
    if not np.array_equal(trees.array(REPACKED, "<u4"), bins[splits].view("<u4")):
        raise Malformed("its splits lie elsewhere than it says")
    leaves = int((1 << sizes.astype(np.int64)).sum())
    values, weights = trees.array(VALUES, "<f8"), trees.array(WEIGHTS, "<f8")
    if len(values) != leaves * dimension or len(weights) not in (0, leaves):
        raise Malformed(f"it has {len(values):,} values and {len(weights):,} weights of {leaves:,} leaves")
    if not (np.isfinite(values).all() and np.isfinite(weights).all()):
        raise Malformed("a leaf holds what is no finite number")
