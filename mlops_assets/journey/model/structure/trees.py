"""Trees, forests and boosted trees: scikit-learn follows their indices in C, without looking where these lead."""

from __future__ import annotations

import numpy as np

from mlops_assets.journey.model.structure.parts import INTEGERS, Part, Rule, passes, rules, scores

CLASSIFIERS = (
    "sklearn.tree._classes.DecisionTreeClassifier",
    "sklearn.tree._classes.ExtraTreeClassifier",
)
REGRESSORS = ("sklearn.tree._classes.DecisionTreeRegressor", "sklearn.tree._classes.ExtraTreeRegressor")
LOSSES = ("HalfBinomialLoss", "HalfMultinomialLoss", "ExponentialLoss")


def _tree_classifier(part: Part) -> int:
    features, classes = part.features(), part.classes()
    part.whole("n_outputs_", 1, 1)
    part.whole("n_classes_", classes, classes)
    values = _tree(part, features, classes)
    shares = values[:, 0, :]
    part.need((shares >= 0).all() and np.allclose(shares.sum(axis=1), 1), "tree_ holds shares of classes that are none")
    return classes


def _tree_regressor(part: Part) -> int:
    part.whole("n_outputs_", 1, 1)
    _tree(part, part.features(), 1)
    return 1


def _tree(part: Part, features: int, classes: int) -> np.ndarray:
    """Look at a tree's nodes; returns their values."""
    tree = part.get("tree_")
    part.need(type(tree).__name__ == "Tree" and type(tree).__module__ == "sklearn.tree._tree", "tree_ is no tree")
    # before its arrays are asked for: these are as long as this number says
    part.need(
        tree.node_count == tree.capacity >= 1, f"tree_ says {tree.node_count} nodes, and has room for {tree.capacity}"
    )
    facts = tree.n_features, tree.n_outputs, tree.max_n_classes
    part.need(facts == (features, 1, classes), f"tree_ is made for {facts[0]} columns and {facts[2]} classes")
    state = tree.__getstate__()
    nodes = state["nodes"]
    inner = nodes["left_child"] != -1
    _children(part, "tree_", nodes["left_child"], nodes["right_child"], inner)
    part.need((nodes["right_child"][~inner] == -1).all(), "tree_ has a node with one child")
    _within(part, "tree_ asks for column", nodes["feature"][inner], features)
    _thresholds(part, "tree_", nodes["threshold"][inner])
    part.need((nodes["missing_go_to_left"] <= 1).all(), "tree_ sends missing values neither left nor right")
    return part.see_array(state["values"], "tree_.value", tree.node_count, 1, classes)


def _children(part: Part, name: str, left: np.ndarray, right: np.ndarray, inner: np.ndarray) -> None:
    """Children lie behind their parent, as scikit-learn writes them, and each has one: so no way is endless."""
    count, numbers = len(left), np.flatnonzero(inner)
    children = np.concatenate([left[inner], right[inner]]).astype(np.int64)
    parents = np.concatenate([numbers, numbers])
    outside = (children <= parents) | (children >= count)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        part.refuse(f"{name}: node {parents[first]} of {count} has the child {children[first]}")
    # every node but the first is somebody's child, and once
    part.need(
        len(children) == count - 1 and (np.bincount(children, minlength=count)[1:] == 1).all(),
        f"{name} has a node with two parents, or with none",
    )


def _within(part: Part, what: str, numbers: np.ndarray, end: int) -> None:
    wrong = numbers[(numbers < 0) | (numbers >= end)]
    if len(wrong):
        part.refuse(f"{what} {wrong[0]}, there are {end}")


def _thresholds(part: Part, name: str, values: np.ndarray) -> None:
    # infinity parts the rows where a value is missing from all others
    part.need(not (np.isnan(values) | (values == -np.inf)).any(), f"{name} has a threshold that is no number")


def trees_inside(part: Part, trees: list[object], kinds: tuple[str, ...], features: int, width: int) -> None:
    """See to the trees of a forest: of these kinds, for so many columns, each with so many values a leaf."""
    for number, tree in enumerate(trees):
        path = f"{type(tree).__module__}.{type(tree).__qualname__}"
        # a forest hands its rows to the trees without letting these look at the width
        part.need(path in kinds, f"estimators_[{number}] is a {path}")
        if part.child(tree, f"estimators_[{number}]", features) != width:
            part.refuse(f"estimators_[{number}] knows other classes")


def _forest(part: Part) -> int:
    features, classes = part.features(), part.classes()
    part.whole("n_outputs_", 1, 1)
    part.whole("n_classes_", classes, classes)
    trees_inside(part, part.list_of("estimators_"), CLASSIFIERS, features, classes)
    return classes


def _gradient_boosting(part: Part) -> int:
    features, classes = part.features(), part.classes()
    each = scores(classes)
    part.whole("n_classes_", classes, classes)
    part.whole("n_trees_per_iteration_", each, each)
    part.real("learning_rate")
    stages = part.array("estimators_", None, each, kinds="O")
    part.whole("n_estimators_", 1, len(stages))
    trees_inside(part, stages.ravel().tolist(), REGRESSORS, features, 1)
    _loss(part, classes)
    if part.get("init_") != "zero":
        # it makes the rows that compiled code writes scores into
        part.need(part.child(part.get("init_"), "init_", features) == classes, "init_ knows other classes")
    return classes


def _loss(part: Part, classes: int) -> None:
    loss = part.get("_loss")
    part.need(type(loss).__name__ in LOSSES, f"_loss is a {type(loss).__name__}")
    part.need(getattr(loss, "n_classes", classes) == classes, "_loss is made for other classes")


def _hist_gradient_boosting(part: Part) -> int:
    classes, each = part.classes(), 0
    features = part.features()
    each = scores(classes)
    part.whole("n_trees_per_iteration_", each, each)
    part.array("_baseline_prediction", 1, each)
    _loss(part, classes)
    stages(part, features, each)
    return classes


def stages(part: Part, features: int, each: int) -> None:
    """See to the trees of histogram boosting, so many a stage."""
    if part.has("_preprocessor"):
        # its categories come first then, as whole numbers; the trees read as many columns as there were before
        made = part.child(part.get("_preprocessor"), "_preprocessor", features)
        part.need(made == features, f"_preprocessor makes {made} columns of {features}")
    mapper = part.get("_bin_mapper")
    part.need(type(mapper).__name__ == "_BinMapper", "_bin_mapper is none")
    part.child(mapper, "_bin_mapper", features)
    categorical = np.asarray(mapper.is_categorical_)
    for number, stage in enumerate(part.list_of("_predictors")):
        name = f"_predictors[{number}]"
        part.need(isinstance(stage, list) and len(stage) == each, f"{name} is no list of {each} trees")
        for tree in stage:
            part.need(type(tree).__name__ == "TreePredictor", f"{name} holds a {type(tree).__name__}")
            part.child(tree, name, features)
            nodes = tree.nodes
            asked = nodes["feature_idx"][(nodes["is_categorical"] != 0) & (nodes["is_leaf"] == 0)]
            part.need(categorical[asked].all(), f"{name} takes a number for a category")


def _predictor(part: Part) -> None:
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    nodes = part.get("nodes")
    part.need(
        type(nodes) is np.ndarray and nodes.dtype == PREDICTOR_RECORD_DTYPE and nodes.ndim == 1 and len(nodes),
        "nodes are none of a tree",
    )
    part.need((nodes["is_leaf"] <= 1).all() and (nodes["is_categorical"] <= 1).all(), "nodes say neither yes nor no")
    inner = nodes["is_leaf"] == 0
    _children(part, "nodes", nodes["left"], nodes["right"], inner)
    features = part.columns if part.columns is not None else 0
    _within(part, "nodes ask for column", nodes["feature_idx"][inner], features)
    categorical = inner & (nodes["is_categorical"] == 1)
    _thresholds(part, "nodes", nodes["num_threshold"][inner & ~categorical])
    part.need(np.isfinite(nodes["value"]).all(), "nodes hold a value that is no finite number")
    for name in ("raw_left_cat_bitsets", "binned_left_cat_bitsets"):
        sets = part.array(name, None, 8, kinds="u")
        part.need(sets.dtype == np.uint32, f"{name} is {sets.dtype}, expected uint32")
        _within(part, f"nodes ask for row of {name}", nodes["bitset_idx"][categorical], len(sets))


def _bin_mapper(part: Part) -> None:
    features = part.columns if part.columns is not None else len(part.list_of("bin_thresholds_"))
    part.array("is_categorical_", features, kinds="bu")
    categorical = part.get("is_categorical_").astype(bool)
    for number, values in enumerate(part.list_of("bin_thresholds_", features)):
        part.see_array(values, f"bin_thresholds_[{number}]", None, finite=False)
        if categorical[number]:
            part.see_array(values, f"bin_thresholds_[{number}]", None, within=(0, 256))


def _ada_boost(part: Part) -> int:
    features, classes = part.features(), part.classes()
    part.whole("n_classes_", classes, classes)
    members = part.list_of("estimators_")
    weights = part.array("estimator_weights_", None)
    part.need(len(weights) >= len(members), "estimator_weights_ are fewer than estimators_")
    for number, member in enumerate(members):
        part.child(member, f"estimators_[{number}]", features)
    return classes


def _bagging(part: Part) -> int:
    part.one_process()
    features, classes = part.features(), part.classes()
    part.whole("n_classes_", classes, classes)
    members = part.list_of("estimators_")
    for number, chosen in enumerate(part.list_of("estimators_features_", len(members))):
        name = f"estimators_features_[{number}]"
        columns = part.see_array(chosen, name, None, kinds=INTEGERS, within=(0, features))
        part.child(members[number], f"estimators_[{number}]", len(columns))
    return classes


RULES: dict[str, Rule] = {
    **dict.fromkeys(CLASSIFIERS, _tree_classifier),
    **dict.fromkeys(REGRESSORS, _tree_regressor),
    # looked at with the estimator that it is part of, which knows its columns
    **rules("sklearn.tree._tree", passes, "Tree"),
    **rules("sklearn.ensemble._forest", _forest, "RandomForestClassifier", "ExtraTreesClassifier"),
    **rules("sklearn.ensemble._gb", _gradient_boosting, "GradientBoostingClassifier"),
    **rules(
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting",
        _hist_gradient_boosting,
        "HistGradientBoostingClassifier",
    ),
    **rules("sklearn.ensemble._hist_gradient_boosting.predictor", _predictor, "TreePredictor"),
    **rules("sklearn.ensemble._hist_gradient_boosting.binning", _bin_mapper, "_BinMapper"),
    **rules("sklearn.ensemble._weight_boosting", _ada_boost, "AdaBoostClassifier"),
    **rules("sklearn.ensemble._bagging", _bagging, "BaggingClassifier"),
}
