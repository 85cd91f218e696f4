"""Encoders of categories: their codes become indices of a sparse matrix, by which scipy reads without looking."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlops_assets.journey.model.structure.parts import INTEGERS, LARGEST_WIDTH, VALUES, Part, Rule, rules


def _categories(part: Part, features: int, kinds: str = VALUES) -> list[np.ndarray]:
    """The values that are known of each column; a value is found by halving, so they must be in order."""
    found = part.list_of("categories_", features)
    for number, values in enumerate(found):
        name = f"categories_[{number}]"
        part.see_array(values, name, None, kinds=kinds, finite=False)
        part.need(len(values), f"{name} is empty")
        if values.dtype.kind != "O":
            known = values[:-1] if values.dtype.kind == "f" and np.isnan(values[-1]) else values
            part.need((known[:-1] < known[1:]).all(), f"{name} is not in order, or has a value twice")
        else:
            plain = all(one is None or isinstance(one, (str, int, float, np.number)) for one in values)
            part.need(plain, f"{name} holds what is no value of a category")
    return found


def _groups(part: Part, sizes: list[int]) -> list[int]:
    """How many codes each column has once its rare values share one."""
    if not part.choice("_infrequent_enabled", (False, True)):
        return sizes
    rare = part.list_of("_infrequent_indices", len(sizes))
    codes = part.list_of("_default_to_infrequent_mappings", len(sizes))
    grouped = []
    for number, size in enumerate(sizes):
        if (rare[number] is None) != (codes[number] is None):
            part.refuse(f"column {number} has rare values and no code for them")
        if rare[number] is None:
            grouped.append(size)
            continue
        name = f"_infrequent_indices[{number}]"
        chosen = part.see_array(np.asarray(rare[number]), name, None, kinds=INTEGERS, within=(0, size))
        part.need(len(chosen) and len(np.unique(chosen)) == len(chosen), f"{name} is empty, or has one twice")
        grouped.append(size - len(chosen) + 1)
        name = f"_default_to_infrequent_mappings[{number}]"
        part.see_array(np.asarray(codes[number]), name, size, kinds=INTEGERS, within=(0, grouped[-1]))
    return grouped


def _one_hot(part: Part) -> int:
    features = part.features()
    part.choice("handle_unknown", ("error", "ignore", "infrequent_if_exist", "warn"))
    widths = _groups(part, [len(values) for values in _categories(part, features)])
    if part.has("_drop_idx_after_grouping"):
        for number, dropped in enumerate(part.list_of("_drop_idx_after_grouping", features)):
            if dropped is None:
                continue
            part.need(_is_code(dropped, widths[number]), f"_drop_idx_after_grouping[{number}] is {dropped!r:.50}")
            widths[number] -= 1
    part.need(list(part.list_of("_n_features_outs")) == widths, f"_n_features_outs are not {widths}")
    return _bounded(part, sum(widths))


def _is_code(value: Any, end: int) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and 0 <= int(value) < end


def _bounded(part: Part, width: int) -> int:
    part.need(0 < width <= LARGEST_WIDTH, f"it makes {width:,} columns")
    return width


def _own_one_hot(part: Part) -> int:
    features = part.features()
    sizes = [len(values) for values in _categories(part, features, "iuf")]
    # its rare values are asked for by these parameters
    grouped = any(part.get(name) is not None for name in ("min_frequency", "max_categories"))
    part.need(part.get("_infrequent_enabled") is grouped, "_infrequent_enabled is not what its parameters say")
    return _bounded(part, sum(_groups(part, sizes)))


def _ordinal(part: Part) -> int:
    features = part.features()
    sizes = [len(values) for values in _categories(part, features)]
    _groups(part, sizes)
    missing = part.get("_missing_indices")
    fits = isinstance(missing, dict) and all(
        _is_code(column, features) and _is_code(code, sizes[column]) for column, code in missing.items()
    )
    part.need(fits, f"_missing_indices are {missing!r:.80}")
    return features


def _target(part: Part, kinds: str = VALUES) -> int:
    features = part.features()
    many = part.choice("target_type_", ("binary", "multiclass", "continuous")) == "multiclass"
    width = part.classes() if many else 1
    sizes = [len(values) for values in _categories(part, features, kinds)]
    mean = part.get("target_mean_")
    part.see_array(np.atleast_1d(mean), "target_mean_", width)
    for number, means in enumerate(part.list_of("encodings_", features * width)):
        part.see_array(means, f"encodings_[{number}]", sizes[number // width])
    return features * width


def _own_target(part: Part) -> int:
    return _target(part, "iuf")


def _bins(part: Part) -> int | None:
    features = part.features()
    counts = part.array("n_bins_", features, kinds=INTEGERS, within=(1, LARGEST_WIDTH))
    for number, edges in enumerate(part.array("bin_edges_", features, kinds="O")):
        part.see_array(edges, f"bin_edges_[{number}]", int(counts[number]) + 1, finite=False)
    if part.choice("encode", ("onehot", "onehot-dense", "ordinal")) == "ordinal":
        return features
    sizes = [len(values) for values in part.get("_encoder").categories_]
    part.need(sizes == counts.tolist(), "_encoder knows other bins")
    return part.child(part.get("_encoder"), "_encoder", features)


RULES: dict[str, Rule] = {
    **rules("sklearn.preprocessing._encoders", _one_hot, "OneHotEncoder"),
    **rules("sklearn.preprocessing._encoders", _ordinal, "OrdinalEncoder"),
    **rules("sklearn.preprocessing._target_encoder", _target, "TargetEncoder"),
    **rules("sklearn.preprocessing._discretization", _bins, "KBinsDiscretizer"),
    **rules("mlops_assets.encoders", _own_one_hot, "OneHotEncoder"),
    **rules("mlops_assets.encoders", _own_target, "TargetEncoder"),
}
