"""What stands in a model of LightGBM, looked at before LightGBM reads it: it follows its indices in C++.

Format: `GBDT::SaveModelToString` and `Tree::ToString` of LightGBM 4, text by lines. Kept is what answers come from;
what stands after the trees (importances, parameters, which may name files) is cut off when a model is stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from mlops_assets.journey.model.flavours.flavour import Shape
from mlops_assets.journey.model.structure.parts import LARGEST_WIDTH, Malformed

END = "end of trees\n"

NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]\d{1,3})?"
NUMBERS = re.compile(rf"(?:{NUMBER}(?: {NUMBER})*)?")
BOUND = rf"(?:{NUMBER}|-?inf)"
BOUNDS = re.compile(rf"(?:{BOUND}(?: {BOUND})*)?")
WHOLES = re.compile(r"(?:-?\d{1,10}(?: -?\d{1,10})*)?")
INFO = re.compile(rf"none|\[{NUMBER}:{NUMBER}\]|-?\d{{1,10}}(?::-?\d{{1,10}})*")

OBJECTIVES = (
    re.compile(rf"binary sigmoid:{NUMBER}"),
    re.compile(r"multiclass num_class:(?P<classes>\d{1,8})"),
    re.compile(rf"multiclassova num_class:(?P<classes>\d{{1,8}}) sigmoid:{NUMBER}"),
)
REGRESSIONS = (
    re.compile(rf"(?:regression|regression_l1|huber|fair|quantile)(?: alpha:{NUMBER})?(?: sqrt)?"),
    re.compile(rf"(?:poisson|gamma|mape|tweedie)(?: tweedie_variance_power:{NUMBER})?(?: sqrt)?"),
)
"""What a model may have been fitted to."""

HEAD = ("num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective")
INNER = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child")
LEAVES = ("leaf_value", "leaf_weight", "leaf_count")
COUNTED = ("internal_value", "internal_weight", "internal_count")
CATEGORIES = ("cat_boundaries", "cat_threshold")
"""The lines of the head and of a tree, in their order."""


def trees_alone(text: str) -> str:
    """The text of a model up to the end of its trees, its columns named by their numbers."""
    kept, end, _ = text.partition(END)
    names = re.search(r"^feature_names=(.*)$", kept, re.M)
    if names is None:
        return kept + end
    count = len(names[1].split(" "))
    numbered = " ".join(f"Column_{number}" for number in range(count))
    return f"{kept[: names.start(1)]}{numbered}{kept[names.end(1) :]}{end}"


def classes_of(text: str) -> int | None:
    """How many classes a model says; None of one that says a number."""
    objective = re.search(r"^objective=(.*)$", text, re.M)
    for known in OBJECTIVES:
        if objective is not None and (found := known.fullmatch(objective[1])) is not None:
            return int(found.groupdict().get("classes") or 2)
    return None


def check_text(content: bytes, shape: Shape) -> None:
    """See that a model holds together.

    Parameters
    ----------
    content
        Its text.
    shape
        What it must take and say.

    Raises
    ------
    Malformed
        If it does not.
    """
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("it holds what is no ASCII") from None
    head, separator, rest = text.partition("\n\n")
    sizes = _head(head, shape)
    at = len(head) + len(separator)
    for number, size in enumerate(sizes):
        # LightGBM reads each tree where these sizes say that it begins
        tree = text[at : at + size]
        _tree(tree, number, shape.features)
        at += size
    if text[at:] != END:
        raise Malformed(f"after {len(sizes)} trees, {END!r} is expected; it has {text[at : at + 40]!r}")
    del rest


def _head(head: str, shape: Shape) -> list[int]:
    """See to the head of a model; returns how many bytes each tree has."""
    lines = head.split("\n")
    if lines[:2] != ["tree", "version=v4"]:
        raise Malformed(f"it begins with {head[:40]!r}, which no model of LightGBM 4 does")
    told = dict(_named(lines[2 : 2 + len(HEAD)], HEAD))
    rest = lines[2 + len(HEAD) :]
    if rest[:1] == ["average_output"]:
        rest = rest[1:]
    names = ["feature_names", "feature_infos", "tree_sizes"]
    if len(rest) == len(names) + 1:
        names.insert(1, "monotone_constraints")
    told |= dict(_named(rest, names))
    each = _objective(told["objective"], shape)
    expected = {"num_class": each, "num_tree_per_iteration": each, "max_feature_idx": shape.features - 1}
    for name, value in {**expected, "label_index": 0}.items():
        if told[name] != str(value):
            raise Malformed(f"{name} is {told[name]!r:.80}, expected {value}")
    if told["feature_names"].split(" ") != [f"Column_{number}" for number in range(shape.features)]:
        raise Malformed(f"feature_names are not those of {shape.features} columns")
    infos = told["feature_infos"].split(" ")
    if len(infos) != shape.features or not all(map(INFO.fullmatch, infos)):
        raise Malformed(f"feature_infos are not those of {shape.features} columns")
    if "monotone_constraints" in told:
        _whole("monotone_constraints", told["monotone_constraints"], shape.features, -1, 2)
    sizes = _whole("tree_sizes", told["tree_sizes"], None, 1, 1 << 31)
    if not len(sizes) or len(sizes) % each:
        raise Malformed(f"it has {len(sizes)} trees, {each} a step")
    return [int(size) for size in sizes]


def _objective(text: str, shape: Shape) -> int:
    """See to what a model was fitted to; returns how many trees it has a step."""
    for known in REGRESSIONS if shape.kind == "regressor" else OBJECTIVES:
        if (found := known.fullmatch(text)) is not None:
            classes = found.groupdict().get("classes")
            if shape.kind == "classifier" and int(classes or 2) != shape.outputs:
                raise Malformed(f"it was fitted to {text!r}, and is said to know {shape.outputs} classes")
            return int(classes or 1)
    raise Malformed(f"it was fitted to {text!r:.80}, which is none of what is stored here")


def _tree(text: str, number: int, features: int) -> None:
    """See to one tree."""
    where = f"Tree={number}"
    lines = text.split("\n")
    if lines[0] != where or lines[-3:] != ["", "", ""]:
        raise Malformed(f"{where}: it is not where tree_sizes says")
    lines = lines[1:-3]
    if "is_linear=1" in lines:
        raise Malformed(f"{where}: it is linear in its leaves, which is not stored here: leave `linear_tree` out")
    told = dict(_named(lines[:2], ("num_leaves", "num_cat"), where))
    (leaves,) = _whole(f"{where}: num_leaves", told["num_leaves"], 1, 1, LARGEST_WIDTH)
    (categories,) = _whole(f"{where}: num_cat", told["num_cat"], 1, 0, LARGEST_WIDTH)
    names = (*INNER, *LEAVES, *COUNTED, *(CATEGORIES if categories else ()), "is_linear", "shrinkage")
    told = dict(_named(lines[2:], names, where))
    _whole(f"{where}: is_linear", told["is_linear"], 1, 0, 1)
    _reals(f"{where}: shrinkage", told["shrinkage"], 1)
    inner = int(leaves) - 1
    _leaves(told, where, int(leaves))
    for name in ("split_gain", "internal_value", "internal_weight"):
        _reals(f"{where}: {name}", told[name], inner)
    _whole(f"{where}: internal_count", told["internal_count"], inner, 0, 1 << 31)
    _whole(f"{where}: split_feature", told["split_feature"], inner, 0, features)
    kinds = _whole(f"{where}: decision_type", told["decision_type"], inner, 0, 12)
    # infinity parts the rows where a value is missing from all others
    thresholds = _reals(f"{where}: threshold", told["threshold"], inner, BOUNDS)
    asked = thresholds[(kinds & 1) == 1]
    _categories(told, where, int(categories), asked)
    _children(told, where, inner)


def _leaves(told: dict[str, str], where: str, leaves: int) -> None:
    _reals(f"{where}: leaf_value", told["leaf_value"], leaves)
    if leaves == 1 and not told["leaf_weight"]:  # a tree without a split
        _whole(f"{where}: leaf_count", told["leaf_count"], None, 0, 1 << 31)
        return
    _reals(f"{where}: leaf_weight", told["leaf_weight"], leaves)
    _whole(f"{where}: leaf_count", told["leaf_count"], leaves, 0, 1 << 31)


def _categories(told: dict[str, str], where: str, count: int, asked: np.ndarray) -> None:
    """See to the splits by categories: their threshold is the number of a set."""
    if not count:
        if len(asked):
            raise Malformed(f"{where}: it splits by categories, and has none")
        return
    values = _whole(f"{where}: cat_threshold", told["cat_threshold"], None, 0, 1 << 32)
    bounds = _whole(f"{where}: cat_boundaries", told["cat_boundaries"], count + 1, 0, len(values) + 1)
    if bounds[0] != 0 or bounds[-1] != len(values) or (np.diff(bounds) < 1).any():
        raise Malformed(f"{where}: cat_boundaries do not lead through cat_threshold")
    if not ((asked == np.floor(asked)) & (asked >= 0) & (asked < count)).all():
        raise Malformed(f"{where}: it asks for a set of categories that is none of {count}")


def _children(told: dict[str, str], where: str, inner: int) -> None:
    """See to the children: those that are nodes lie behind their parent, and each is somebody's, once."""
    left, right = (_whole(f"{where}: {name}", told[name], inner, -inner - 1, inner) for name in INNER[4:])
    children, parents = np.concatenate([left, right]), np.tile(np.arange(inner), 2)
    if (behind := (children >= 0) & (children <= parents)).any():
        raise Malformed(f"{where}: node {parents[behind][0]} has the child {children[behind][0]}")
    nodes, leaves = children[children >= 0], ~children[children < 0]
    expected = np.sort(nodes), np.sort(leaves)
    whole = np.arange(1, inner), np.arange(inner + 1)
    if inner and not all(np.array_equal(one, other) for one, other in zip(expected, whole, strict=True)):
        raise Malformed(f"{where}: a node or leaf has two parents, or none")


def _named(lines: Sequence[str], names: Sequence[str], where: str = "its head") -> Iterator[tuple[str, str]]:
    """What lines say, which must be these, in this order."""
    said = [line.partition("=") for line in lines]
    if [one[0] for one in said] != [*names]:
        told = ", ".join(one[0][:20] for one in said[:20])
        raise Malformed(f"{where}: it says {told!r:.200}, expected {', '.join(names)}")
    return ((name, value) for name, _, value in said)


def _reals(name: str, text: str, count: int, form: re.Pattern[str] = NUMBERS) -> np.ndarray:
    if not form.fullmatch(text):
        raise Malformed(f"{name} holds what is no number")
    values = np.array(text.split(" ") if text else [], np.float64)
    if len(values) != count or (form is NUMBERS and not np.isfinite(values).all()):
        raise Malformed(f"{name} are {len(values)} numbers, expected {count} finite ones")
    return values


def _whole(name: str, text: str, count: int | None, low: int, end: int) -> np.ndarray:
    if not WHOLES.fullmatch(text):
        raise Malformed(f"{name} holds what is no whole number")
    values = np.array(text.split(" ") if text else [], np.int64)
    if count is not None and len(values) != count:
        raise Malformed(f"{name} are {len(values)} numbers, expected {count}")
    if len(values) and not (low <= values.min() and values.max() < end):
        raise Malformed(f"{name} holds {values.min()} to {values.max()}, allowed are {low} to {end - 1}")
    return values
