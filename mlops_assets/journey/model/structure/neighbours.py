"""Neighbours and support vectors: scikit-learn hands their arrays to C as they are."""

from __future__ import annotations

import numpy as np

from mlops_assets.journey.model.structure.parts import LARGEST_WIDTH, Part, Rule, passes, rules

METRICS = ("euclidean", "manhattan", "chebyshev", "minkowski", "cosine", "cityblock", "l1", "l2", "sqeuclidean")
"""Distances without arrays of their own."""

DISTANCES = ("EuclideanDistance", "ManhattanDistance", "ChebyshevDistance", "MinkowskiDistance")
TREES = {"kd_tree": ("sklearn.neighbors._kd_tree", 2), "ball_tree": ("sklearn.neighbors._ball_tree", 1)}
"""The module of each tree of neighbours, and how many bounds a node of it has."""

KERNELS = ("linear", "poly", "rbf", "sigmoid")
MOST_MEGABYTES = 1 << 16


def _neighbours(part: Part) -> int:
    features, classes = part.features(), part.classes()
    rows = part.whole("n_samples_fit_", 1)
    part.whole("n_neighbors", 1, rows)
    part.choice("weights", ("uniform", "distance"))
    part.choice("outputs_2d_", (False,))
    for name in ("metric", "effective_metric_"):
        part.choice(name, METRICS)
    for name in ("metric_params", "effective_metric_params_"):
        known = part.get(name) or {}
        plain = isinstance(known, dict) and set(known) <= {"p", "w"} and known.get("w") is None
        part.need(
            plain and isinstance(known.get("p", 2), (int, float)), f"{name} is {known!r:.80}, expected nothing but p"
        )
    part.real("p")
    part.matrix("_fit_X", rows, features)
    # numbers of classes, by which C counts
    part.array("_y", rows, kinds="iu", within=(0, classes))
    method = part.choice("_fit_method", ("brute", *TREES))
    if method in TREES:
        _search_tree(part, method, rows, features)
    else:
        part.choice("_tree", (None,))
    return classes


def _search_tree(part: Part, method: str, rows: int, features: int) -> None:
    module, sides = TREES[method]
    tree = part.get("_tree")
    part.need(type(tree).__module__ == module, f"_tree is a {type(tree).__name__}")
    state = tree.__getstate__()
    data, order, nodes, bounds = (np.asarray(each) for each in state[:4])
    levels, count, distance, weights = state[5], state[6], state[11], state[12]
    part.see_array(data, "_tree.data", rows, features)
    part.see_array(order, "_tree.idx_array", rows, kinds="i", within=(0, rows))
    part.need(len(np.unique(order)) == rows, "_tree.idx_array has a row twice")
    part.see_array(bounds, "_tree.node_bounds", sides, count, features, finite=False)
    part.need(
        nodes.shape == (count,) and 1 <= levels <= 48 and count == 2**levels - 1,
        f"_tree has {nodes.shape} nodes on {levels} levels",
    )
    starts, ends, leaves = nodes["idx_start"], nodes["idx_end"], nodes["is_leaf"]
    part.need(((starts >= 0) & (starts <= ends) & (ends <= rows)).all(), "_tree has a node with rows that are none")
    # the children of node i are 2 i + 1 and 2 i + 2
    part.need((leaves[count // 2 :] == 1).all(), "_tree has a node whose children lie beyond the array")
    part.need(weights is None and isinstance(state[4], int) and state[4] >= 1, "_tree has weights or no leaf size")
    kind = type(distance)
    known = kind.__module__ == "sklearn.metrics._dist_metrics" and kind.__name__.removesuffix("64") in DISTANCES
    part.need(known, f"_tree measures by {kind.__name__}")
    power, weighted, _ = distance.__getstate__()
    # one weight is what the others have, who never look at it
    most = 0 if kind.__name__.startswith("Minkowski") else 1
    part.need(power >= 1 and len(np.asarray(weighted)) <= most, "_tree measures by weights")


def _support_vectors(part: Part) -> int:
    features, classes = part.features(), part.classes()
    part.choice("kernel", KERNELS)
    part.whole("degree", 0, 100)
    part.real("_gamma")
    part.real("coef0")
    part.need(0 < part.real("cache_size") <= MOST_MEGABYTES, "cache_size is beyond any memory")
    part.choice("_sparse", (False, True))
    counts = part.array("_n_support", classes, kinds="i", within=(0, LARGEST_WIDTH))
    part.need(counts.dtype == np.int32, f"_n_support is {counts.dtype}, expected int32")
    rows, pairs = int(counts.sum()), classes * (classes - 1) // 2
    part.need(part.array("support_", rows, kinds="i", within=(0, 1 << 31)).dtype == np.int32, "support_ is not int32")
    vectors, weights = part.matrix("support_vectors_", rows, features), part.matrix("_dual_coef_", classes - 1, rows)
    if part.get("_sparse"):
        stored = [getattr(each, "nnz", 0) for each in (vectors, weights)]
        part.need(hasattr(vectors, "tocsr") and hasattr(weights, "tocsr"), "support_vectors_ are not sparse")
        part.need(stored[1] == (classes - 1) * rows, "_dual_coef_ lacks a value")
    else:
        part.array("support_vectors_", rows, features)
        part.array("_dual_coef_", classes - 1, rows)
    part.array("_intercept_", pairs)
    fitted = part.get("_effective_probability") is True
    for name in ("_probA", "_probB"):
        part.array(name, pairs if fitted else None)
        part.need(len(part.get(name)) in (0, pairs), f"{name} is no number for each pair of classes")
    part.need(len(part.get("_probA")) == len(part.get("_probB")), "_probA and _probB differ")
    part.array("class_weight_", classes)
    return classes


def _distances() -> dict[str, Rule]:
    module = "sklearn.metrics._dist_metrics"
    return rules(module, passes, *(f"{name}{bits}" for name in DISTANCES for bits in ("", "64")))


RULES: dict[str, Rule] = {
    **rules("sklearn.neighbors._classification", _neighbours, "KNeighborsClassifier"),
    # looked at with the estimator that it is part of, which knows its columns
    **rules("sklearn.neighbors._kd_tree", passes, "KDTree", "KDTree64"),
    **rules("sklearn.neighbors._ball_tree", passes, "BallTree", "BallTree64"),
    **rules("sklearn.svm._classes", _support_vectors, "SVC", "NuSVC"),
    **_distances(),
}
