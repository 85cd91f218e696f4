"""Models that are forged: fitted, changed, stored, and given the hash that fits."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from scipy import sparse
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mlops_assets.journey.model.files import ESTIMATOR_FILE, hash_folder
from mlops_assets.journey.model.model import Model
from mlops_assets_tests.helpers.estimators import MATRIX, NUMBERS, TARGET, TREE, fitted, to_trust

CSR = ("scipy.sparse._csr.csr_matrix",)
FAR = 2**40
"""An index that no array has."""

HARMLESS = ""

Members = dict[str, bytes]


@dataclass(frozen=True)
class Forgery:
    """How a model is forged.

    Attributes
    ----------
    of
        The estimator that is fitted first; a name of `estimators`.
    said
        What the refusal says, as a regular expression; `HARMLESS` if it is loaded and does no harm: it answers, or
        Python says why not.
    change
        Changes the estimator before it is stored.
    rewrite
        Changes the archive that it is stored in: its schema, and its members by name.
    trusts
        What a person trusts besides what the estimator needs.
    """

    of: str
    said: str
    change: Callable[[Any], object] | None = None
    rewrite: Callable[[dict[str, Any], Members], object] | None = None
    trusts: tuple[str, ...] = ()


def forge(name: str, folder: Path) -> tuple[str, list[str]]:
    """Write a forged model into a folder.

    Returns
    -------
    tuple
        Its hash, which fits; and the types that a person must have trusted for it to get that far.
    """
    forgery = FORGED[name]
    model = fitted(forgery.of)
    trusted = [*_to_trust(forgery.of), *forgery.trusts]
    if forgery.change is not None:
        changed = forgery.change(model.estimator)
        if isinstance(changed, Model):
            model = changed
    model.save(folder)
    if forgery.rewrite is not None:
        rewrite(folder / ESTIMATOR_FILE, forgery.rewrite)
    return hash_folder(folder), trusted


@functools.cache
def _to_trust(name: str) -> list[str]:
    return to_trust(fitted(name).estimator)


def rewrite(path: Path, change: Callable[[dict[str, Any], Members], object]) -> None:
    """Change the archive of an estimator."""
    with ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members.pop("schema.json"))
    change(schema, members)
    with ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
        for name, content in members.items():
            archive.writestr(name, content)


def tree_of(estimator: Any) -> Any:
    """The first tree in an estimator."""
    if hasattr(estimator, "tree_"):
        return estimator.tree_
    return tree_of(np.ravel(estimator.estimators_)[0])


def node(field: str, value: Any, number: int | None = 0) -> Callable[[Any], object]:
    """Change a field of the nodes of the first tree: of the first node, or of the first leaf by -1."""

    def change(estimator: Any) -> None:
        nodes = tree_of(estimator).__getstate__()["nodes"]
        at = int(np.flatnonzero(nodes["left_child"] == -1)[0]) if number == -1 else number
        nodes[field][at] = value

    return change


def shares(value: float) -> Callable[[Any], object]:
    def change(estimator: Any) -> None:
        tree_of(estimator).value[...] = value

    return change


def gives(name: str, value: Any, *way: str | int) -> Callable[[Any], object]:
    """Set an attribute of an estimator, or of the one that a way leads to; a function makes it of what was there."""

    def change(estimator: Any) -> None:
        thing = estimator
        for step in way:
            thing = thing[step] if isinstance(step, int) else getattr(thing, step)
        before = getattr(thing, name, None)
        setattr(thing, name, value(before) if callable(value) and not isinstance(value, np.ufunc) else value)

    return change


def lacks(name: str) -> Callable[[Any], object]:
    return lambda estimator: vars(estimator).pop(name)


def changed(array: np.ndarray, value: Any, at: Any = 0) -> np.ndarray:
    """A copy of an array with another value in it."""
    copy = np.array(array)
    copy[at] = value
    return copy


def to(value: Any, at: Any = 0) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: changed(array, value, at)


def predictor(field: str, value: Any) -> Callable[[Any], object]:
    """Change a field of the first node of the first tree of a boosted one."""

    def change(estimator: Any) -> None:
        estimator._predictors[0][0].nodes[field][0] = value

    return change


def narrow_nodes(estimator: Any) -> None:
    tree = estimator._predictors[0][0]
    tree.nodes = np.zeros(len(tree.nodes), [("value", "<f8"), ("left", "<u4")])


def far_csr(array: np.ndarray) -> sparse.csr_matrix:
    """A sparse matrix of the same shape, one of whose indices leads far away."""
    matrix = sparse.csr_matrix(array)
    matrix.indices[-1] = 2**30
    return matrix


def torn_csr(array: np.ndarray) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix(array)
    matrix.indptr[-1] = 2**30
    return matrix


def search_state(number: int, change: Callable[[np.ndarray], object]) -> Callable[[Any], object]:
    """Change an array of a tree of neighbours."""

    def forge_state(estimator: Any) -> None:
        state = list(estimator._tree.__getstate__())
        state[number] = np.array(state[number])
        change(state[number])
        estimator._tree.__setstate__(tuple(state))

    return forge_state


def setting(at: Any, value: Any, field: str | None = None) -> Callable[[np.ndarray], object]:
    def change(array: np.ndarray) -> None:
        (array if field is None else array[field])[at] = value

    return change


def pairs_of_pairs(schema: Any, members: Members) -> None:
    """Twenty estimators, each of which asks the one before it twice: a million calls, in a small file."""
    del members
    inner = json.loads(json.dumps(schema))
    for number in range(20):
        outer = json.loads(json.dumps(schema))
        _number_anew(outer, 10**9 + number * 10**6)
        # only the number and the type of what was said before: it is the same object
        same = {name: inner[name] for name in ("__id__", "__class__", "__module__", "__loader__")}
        outer["content"]["content"]["estimators_"]["content"] = [inner, same]
        inner = outer
    protocol, version = schema["protocol"], schema["_skops_version"]
    schema.clear()
    schema.update(inner, protocol=protocol, _skops_version=version)


def _number_anew(value: Any, start: int) -> None:
    """Give the objects of a copy numbers of their own."""
    if isinstance(value, dict):
        if "__id__" in value:
            value["__id__"] += start
        for one in value.values():
            _number_anew(one, start)
    elif isinstance(value, list):
        for one in value:
            _number_anew(one, start)


def after(transformer: Any) -> Callable[[Any], Model]:
    """Put a transformer before the classifier."""

    def change(estimator: Any) -> Model:
        pipeline = Pipeline([("first", transformer), ("model", estimator)])
        return Model(pipeline, NUMBERS, ("low", "middle", "high"), "-- SQL")

    return change


def with_columns(*names: str) -> Callable[[Any], Model]:
    return lambda estimator: Model(estimator, dict.fromkeys(names), ("low", "middle", "high"), "-- SQL")


def with_classes(*names: str) -> Callable[[Any], Model]:
    return lambda estimator: Model(estimator, NUMBERS, names, "-- SQL")


def in_pipeline(estimator: Any) -> Model:
    """A pipeline whose second step takes more columns than the first makes."""
    wide = LogisticRegression().fit(np.hstack([MATRIX, MATRIX]), TARGET)
    pipeline = make_pipeline(FunctionTransformer(), wide)
    assert estimator is not None
    return Model(pipeline, NUMBERS, ("low", "middle", "high"), "-- SQL")


# -- what is changed in the archive -----------------------------------------------------------------------------------


def found(schema: Any, test: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first object of a schema that meets a test."""
    waiting = [schema]
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, dict):
            if "__loader__" in value and test(value):
                return value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    raise LookupError("no such object")


def made_by(schema: Any, loader: str) -> dict[str, Any]:
    return found(schema, lambda value: value["__loader__"] == loader)


def tree_argument(number: int, value: int) -> Callable[[Any, Members], object]:
    def change(schema: Any, members: Members) -> None:
        del members
        made_by(schema, "TreeNode")["__reduce__"]["args"]["content"][number] = number_of(value)

    return change


def number_of(value: Any, identity: int = 10**6) -> dict[str, Any]:
    content = json.dumps(value)
    return {
        "__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": content, "is_json": True,
        "__id__": identity,
    }  # fmt: skip


def tree_state(name: str, value: Any) -> Callable[[Any, Members], object]:
    def change(schema: Any, members: Members) -> None:
        del members
        made_by(schema, "TreeNode")["content"]["content"][name] = number_of(value)

    return change


def tree_classes(*counts: int) -> Callable[[Any, Members], object]:
    def change(schema: Any, members: Members) -> None:
        name = made_by(schema, "TreeNode")["__reduce__"]["args"]["content"][1]["file"]
        members[name] = npy(np.array(counts, np.intp))

    return change


def two_things(schema: Any, members: Members) -> None:
    """The tree's arguments bear the number of another tuple, which came before and is the one that is taken."""
    del members
    arguments = made_by(schema, "TreeNode")["__reduce__"]["args"]
    other = json.loads(json.dumps(arguments))
    other["content"][2] = number_of(FAR)
    schema["content"]["content"] = {"first": other, **schema["content"]["content"]}


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(shape: str, dtype: str = "<f8") -> Callable[[Any, Members], object]:
    """Let the first array say another shape than it has."""

    def change(schema: Any, members: Members) -> None:
        del schema
        name = next(name for name in members if name.endswith(".npy"))
        text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
        members[name] = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text

    return change


def bomb(schema: Any, members: Members) -> None:
    """A sparse matrix of some kilobytes that unfolds to gigabytes."""
    del schema
    name = next(name for name in members if name.endswith(".npz"))
    file = io.BytesIO()
    with (
        ZipFile(file, "w", ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("data.npy", "w", force_zip64=True) as member,
    ):
        block = bytes(1 << 24)
        for _ in range(130):
            member.write(block)
    members[name] = file.getvalue()


def by_constructor(module: str, kind: str, *arguments: Any) -> Callable[[Any, Members], object]:
    """Let a parameter be whatever a constructor makes of arguments."""

    def change(schema: Any, members: Members) -> None:
        del members
        content = [number_of(value, 10**7 + number) for number, value in enumerate(arguments)]
        schema["content"]["content"]["C"] = {
            "__class__": kind, "__module__": module, "__loader__": "ConstructorFromReduceNode",
            "content": {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": content},
        }  # fmt: skip

    return change


def as_class(loader: str, module: str, kind: str) -> Callable[[Any, Members], object]:
    def change(schema: Any, members: Members) -> None:
        del members
        made_by(schema, loader).update(__module__=module, __class__=kind)

    return change


TREES = {
    "a child beyond the array": Forgery("tree", "node 0 of 17 has the child 1099511627776", node("left_child", FAR)),
    "a child before the array": Forgery("tree", "has the child -5", node("left_child", -5)),
    "a node that is its own child": Forgery("tree", "node 0 of 17 has the child 0", node("right_child", 0)),
    "a way that leads back": Forgery("tree", "has the child 0", node("right_child", 0, 1)),
    "a node with two parents": Forgery("tree", "two parents", node("right_child", 1)),
    "a node with one child": Forgery("tree", "one child", node("right_child", 3, -1)),
    "a column beyond the row": Forgery("tree", "asks for column 1099511627776, there are 3", node("feature", FAR)),
    "a column before the row": Forgery("tree", "asks for column -7", node("feature", -7)),
    "a threshold that is no number": Forgery("tree", "threshold that is no number", node("threshold", np.nan)),
    "a threshold of minus infinity": Forgery("tree", "threshold that is no number", node("threshold", -np.inf)),
    "missing values nowhere": Forgery("tree", "neither left nor right", node("missing_go_to_left", 9)),
    "a share that is no number": Forgery("tree", "no finite number", shares(np.nan)),
    "shares that are none": Forgery("tree", "shares of classes that are none", shares(7)),
    "fewer nodes than there are": Forgery("tree", "says 3 nodes", rewrite=tree_state("node_count", 3)),
    "no nodes": Forgery("tree", "says 0 nodes", rewrite=tree_state("node_count", 0)),
    "outputs beyond the array": Forgery("tree", "a tree is given", rewrite=tree_argument(2, FAR)),
    "columns without end": Forgery("tree", "a tree is given", rewrite=tree_argument(0, FAR)),
    "classes without end": Forgery("tree", "a tree is given 1099511627776 classes", rewrite=tree_classes(FAR)),
    "classes of several outputs": Forgery("tree", r"the classes \(2,\)", rewrite=tree_classes(3, 3)),
    "arguments that are two things": Forgery("tree", "a tree is given", rewrite=two_things),
    "a count of classes without end": Forgery("tree", "n_classes_ is 1099511627776", gives("n_classes_", FAR)),
    "no width": Forgery("tree", "n_features_in_ is missing", lacks("n_features_in_")),
    "another width": Forgery("tree", "takes 9 columns and is handed 3", gives("n_features_in_", 9)),
    "another width of the model": Forgery("tree", "takes 3 columns and is handed 2", with_columns("kind", "age")),
    "a tree of a forest that is wider": Forgery(
        "forest", "takes 9 columns and is handed 3", gives("n_features_in_", 9, "estimators_", 2)
    ),
    "a forest with a bad tree": Forgery("forest", r"estimators_\[0\].*child 1099511627776", node("left_child", FAR)),
    "a forest without trees": Forgery("forest", "expected a list that is not empty", gives("estimators_", [])),
    "a forest of something else": Forgery(
        "forest", "is a sklearn.linear_model", gives("estimators_", [LogisticRegression()])
    ),
    "twenty pairs of pairs": Forgery("voting", "is two things at once", rewrite=pairs_of_pairs),
    "a boosted tree with a bad child": Forgery("gradient boosting", "has the child", node("left_child", FAR)),
    "boosted trees without end": Forgery("gradient boosting", "n_estimators_ is", gives("n_estimators_", FAR)),
    "bins: a child beyond the array": Forgery(
        "hist gradient boosting", "has the child 4000000000", predictor("left", 4 * 10**9)
    ),
    "bins: a node that is its own child": Forgery("hist gradient boosting", "has the child 0", predictor("right", 0)),
    "bins: a column beyond the row": Forgery(
        "hist gradient boosting", "ask for column 1099511627776", predictor("feature_idx", FAR)
    ),
    "bins: a number taken for a category": Forgery(
        "hist gradient boosting", "raw_left_cat_bitsets 0, there are 0", predictor("is_categorical", 1)
    ),
    "bins: a set beyond the array": Forgery(
        "hist gradient boosting of categories",
        "ask for row of raw_left_cat_bitsets 1000000",
        lambda estimator: (predictor("is_categorical", 1)(estimator), predictor("bitset_idx", 10**6)(estimator)),
    ),
    "bins: a threshold that is no number": Forgery(
        "hist gradient boosting", "threshold that is no number", predictor("num_threshold", np.nan)
    ),
    "bins: nodes of another form": Forgery(
        "hist gradient boosting", "nodes are none of a tree|no stored", narrow_nodes
    ),
    "bins: fewer columns": Forgery(
        "hist gradient boosting",
        r"is_categorical_ has the shape",
        gives("is_categorical_", np.zeros(1, bool), "_bin_mapper"),
    ),
    "bins: trees without end": Forgery(
        "hist gradient boosting", "n_trees_per_iteration_ is", gives("n_trees_per_iteration_", FAR)
    ),
    "bagging: a column beyond the row": Forgery(
        "bagging", "allowed are 0 to 2", gives("estimators_features_", lambda all_: [to(FAR)(one) for one in all_])
    ),
}

NUMBERS_OF = {
    "neighbours of a class beyond": Forgery("neighbours by force", "_y holds", gives("_y", to(FAR))),
    "more neighbours than rows": Forgery("neighbours by force", "n_neighbors is", gives("n_neighbors", 10**9)),
    "neighbours by a table of distances": Forgery("neighbours by force", "metric is", gives("metric", "precomputed")),
    "neighbours with weights": Forgery("neighbours by force", "metric_params is", gives("metric_params", {"w": [1.0]})),
    "a k-d tree with a row beyond": Forgery("neighbours by k-d tree", "idx_array", search_state(1, setting(0, FAR))),
    "a k-d tree without leaves": Forgery(
        "neighbours by k-d tree", "children lie beyond", search_state(2, setting(slice(None), 0, "is_leaf"))
    ),
    "a ball tree with rows that are none": Forgery(
        "neighbours by ball tree", "rows that are none", search_state(2, setting(0, FAR, "idx_end"))
    ),
    "sparse coefficients that lead away": Forgery("logistic", "indices are wrong", gives("coef_", far_csr), trusts=CSR),
    "sparse coefficients that are torn": Forgery(
        "logistic", "indices are wrong|no stored", gives("coef_", torn_csr), trusts=CSR
    ),
    "sparse neighbours that lead away": Forgery(
        "sparse neighbours", "indices are wrong", gives("_fit_X", lambda matrix: far_csr(matrix.toarray()), 1)
    ),
    "more support vectors than there are": Forgery(
        "support vectors",
        "_n_support holds 8 to 1073741824",
        gives("_n_support", to(2**30), "calibrated_classifiers_", 0, "estimator"),
    ),
    "support vectors without weights": Forgery(
        "support vectors",
        "_dual_coef_",
        gives("_dual_coef_", np.zeros((1, 1)), "calibrated_classifiers_", 0, "estimator"),
    ),
    "support vectors of a table": Forgery(
        "support vectors", "kernel is", gives("kernel", "precomputed", "calibrated_classifiers_", 0, "estimator")
    ),
    "sparse support vectors without weights": Forgery(
        "sparse support vectors",
        "lacks a value",
        gives(
            "_dual_coef_",
            lambda matrix: sparse.csr_matrix(matrix.shape),
            "calibrated_classifiers_",
            0,
            "estimator",
            1,
        ),
    ),
    "coefficients of another shape": Forgery("logistic", "coef_ has the shape", gives("coef_", np.ones((3, 99)))),
    "a coefficient that is no number": Forgery("logistic", "no finite number", gives("coef_", to(np.nan))),
    "coefficients that are objects": Forgery(
        "logistic", "coef_ is object", gives("coef_", lambda array: array.astype(object))
    ),
    "classes out of order": Forgery("logistic", "classes_ is not in order", gives("classes_", lambda one: one[::-1])),
    "classes that the model has not": Forgery("logistic", "knows the classes", with_classes("low", "high")),
    "layers that do not meet": Forgery("network", r"coefs_\[0\]", gives("coefs_", lambda all_: [all_[0].T, all_[1]])),
    "an activation that is none": Forgery("network", "activation is", gives("activation", "exec")),
    "priors that are none": Forgery("dummy", "class_prior_", gives("class_prior_", to(9.0))),
    "a strategy that is none": Forgery("dummy", "_strategy is", gives("_strategy", "quantile")),
    "calibrations that are missing": Forgery(
        "calibrated", "calibrators has 1", gives("calibrators", lambda all_: all_[:1], "calibrated_classifiers_", 0)
    ),
    "a variance that is none": Forgery("gaussian", "variance that is none", gives("var_", to(-1.0))),
    "a scale of another width": Forgery("standard", "scale_ has the shape", gives("scale_", np.ones(99), 0)),
    "powers without end": Forgery("polynomial", "_max_degree is", gives("_max_degree", 10**6, 1)),
    "a step that takes more than there is": Forgery("logistic", "takes 6 columns and is handed 3", in_pipeline),
    "generator out of its mind": Forgery(
        "network", "in a state that it never has", rewrite=lambda schema, _: generator_position(schema)
    ),
}


def generator_position(schema: Any) -> None:
    state = made_by(schema, "RandomStateNode")["content"]["content"]["state"]["content"]
    state["pos"] = number_of(10**6)


ENCODERS = {
    "categories out of order": Forgery(
        "one hot", "not in order", gives("categories_", lambda all_: [one[::-1] for one in all_], 0)
    ),
    "a category that leads away": Forgery(
        "one hot of rare",
        "_default_to_infrequent_mappings",
        gives("_default_to_infrequent_mappings", lambda all_: [None, to(2**30)(all_[1]), all_[2]], 0),
    ),
    "a dropped category that is none": Forgery(
        "one hot", "_drop_idx_after_grouping", gives("_drop_idx_after_grouping", to(-3), 0)
    ),
    "more columns than categories": Forgery("one hot", "_n_features_outs", gives("_n_features_outs", [10**6] * 3, 0)),
    "own one hot of rare values that are none": Forgery(
        "own one hot of rare",
        "_infrequent_indices",
        gives("_infrequent_indices", lambda all_: [None, to(FAR)(all_[1]), all_[2]], 0),
    ),
    "targets of another shape": Forgery(
        "own targets", "encodings_", gives("encodings_", lambda all_: [np.ones(1), *all_[1:]], 0)
    ),
    "bins that are none": Forgery("bins", "bin_edges_", gives("n_bins_", to(9), 0)),
    "columns beyond the row": Forgery(
        "columns",
        "the columns of a holds",
        gives("_transformer_to_input_indices", lambda table: {**table, "a": [FAR]}, 0),
    ),
}

VECTORIZER = ("steps", 0, 1, "transformers_", 0, 1, "steps", 0, 1)
"""The way to the vectorizer in a model of texts."""


def words(name: str, value: Any, of: str = "counted words") -> dict[str, Any]:
    return {"of": of, "change": gives(name, value, *VECTORIZER)}


WORDS_OF = {
    "a vectorizer that opens files by name": Forgery(**words("input", "filename"), said="input is 'filename'"),
    "a vectorizer that reads files": Forgery(**words("input", "file"), said="input is 'file'"),
    "a hashing one that opens files": Forgery(**words("input", "filename", "hashed words"), said="input is 'filename'"),
    "a pattern without end": Forgery(**words("token_pattern", r"(a+)+$"), said="known to end in time"),
    "another pattern without end": Forgery(
        **words("token_pattern", r"(\w|\w\w)*!", "weighted words"), said="known to end in time"
    ),
    "a word whose column is beyond": Forgery(
        **words("vocabulary_", lambda table: {**table, "apples": 2**30}), said="6 words, in columns 1 to 1073741824"
    ),
    "two words in one column": Forgery(
        **words("vocabulary_", lambda table: {**table, "apples": 0, "blue": 0}), said="two in one"
    ),
    "grams without end": Forgery(**words("ngram_range", (1, 10**9)), said="ngram_range is"),
    "a function for the tokens": Forgery(
        "counted words", r"makes a numpy\.sin.*training\.trusted", gives("tokenizer", np.sin, *VECTORIZER)
    ),
    "hashes without end": Forgery(**words("n_features", 2**60, "hashed words"), said="n_features is"),
    "numbers that are texts": Forgery(**words("dtype", lambda _: str), said="dtype is"),
    "an encoding of somebody": Forgery(**words("encoding", "idna"), said="encoding is"),
    "stop words that are none": Forgery(**words("stop_words", "klingon"), said="stop_words"),
}

PARAMETERS = {
    "processes without end": Forgery("forest", "n_jobs is 1000000000", gives("n_jobs", 10**9)),
    "processes for every batch": Forgery("columns", "would start processes", gives("n_jobs", 8, 0)),
    "a memory on disk": Forgery("standard", "would write files", gives("memory", "/tmp/forged")),
    "words without end": Forgery("forest", "verbose is", gives("verbose", 10**9)),
    "a function": Forgery("logistic", r"makes a numpy\.exp.*training\.trusted", after(FunctionTransformer(np.exp))),
    "a function as a parameter": Forgery(
        "logistic", r"makes a functools\.partial|training\.trusted", gives("C", lambda _: functools.partial(print, "x"))
    ),
    "a method that is a number": Forgery("logistic", "takes the place of a method", gives("predict_proba", 3)),
    "constraints that are none": Forgery(
        "logistic", "takes the place of a method", gives("_parameter_constraints", {"a": 1})
    ),
}

ARCHIVES = {
    "an array longer than the file": Forgery("logistic", "and has 0 bytes", rewrite=header(f"({2**29},)")),
    "an array without end": Forgery("logistic", "has the shape", rewrite=header(f"({FAR},)")),
    "an array of nothing without end": Forgery(
        "logistic", "has the shape|says the shape", rewrite=header(f"({FAR}, 0)")
    ),
    "an array of empty things": Forgery("logistic", "void|V|says", rewrite=header(f"({2**29},)", "|V0")),
    "an array of objects": Forgery("logistic", "array of object", rewrite=header("(1,)", "|O")),
    "an array with many dimensions": Forgery("logistic", "has the shape", rewrite=header(f"({'1, ' * 30})")),
    "a tree by its constructor": Forgery(
        "tree", "which no estimator needs", rewrite=by_constructor("sklearn.tree._tree", "Tree", FAR, [1], FAR)
    ),
    "a list that is a tree": Forgery(
        "forest", r"by ListNode, expected builtins\.list", rewrite=as_class("ListNode", "sklearn.tree._tree", "Tree")
    ),
    "an array that is a type": Forgery(
        "logistic", "by NdArrayNode, expected", rewrite=as_class("NdArrayNode", "numpy", "void")
    ),
    "a sparse matrix that unfolds": Forgery("sparse neighbours", "unfolds to more than", rewrite=bomb),
}


# -- a second round, by somebody who had read the rules ---------------------------------------------------------------


def tree_by_a_loss(schema: Any, members: Members) -> None:
    """A loader that calls a constructor makes a tree, past what is asked of a tree's arguments."""
    node = made_by(schema, "TreeNode")
    node["__loader__"] = "LossNode"
    node["__reduce__"]["args"]["content"][2] = number_of(2**26)
    del members


def output_by_an_array(schema: Any, members: Members) -> None:
    """The number of outputs is said twice: by a text that is looked at, and by an array that is taken."""
    said = {**number_of(1), "__class__": "int64", "__module__": "numpy", "__loader__": "NdArrayNode"}
    members["987654.npy"] = npy(np.int64(2**26))
    made_by(schema, "TreeNode")["__reduce__"]["args"]["content"][2] = {**said, "type": "numpy", "file": "987654.npy"}


def matrix_as_array(schema: Any, members: Members) -> None:
    del members
    node = made_by(schema, "SparseMatrixNode")
    node.update(__loader__="NdArrayNode", __module__="numpy", __class__="ndarray", type="numpy")


def attribute(name: str, made: dict[str, Any]) -> Callable[[Any, Members], object]:
    """Give the outermost estimator an attribute that no estimator would be stored with."""

    def change(schema: Any, members: Members) -> None:
        del members
        content = schema["content"]
        types = content["key_types"]["content"]
        types.append({**types[0], "__id__": 10**7})
        content["content"][name] = made

    return change


def endless_pool() -> dict[str, Any]:
    """A generator whose seed is to be mixed from a billion numbers."""
    pair = {"bit_generator": number_of("PCG64", 10**8)}
    seed = {"entropy": number_of(1, 10**8 + 1), "pool_size": number_of(10**9, 10**8 + 2)}

    def table(content: dict[str, Any], number: int) -> dict[str, Any]:
        kinds = [
            {"__class__": "str", "__module__": "builtins", "__loader__": "TypeNode", "__id__": number + one}
            for one in range(len(content))
        ]
        key_types = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": kinds}
        return {
            "__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": content,
            "key_types": {**key_types, "__id__": number + 10}, "__id__": number + 11,
        }  # fmt: skip

    return {
        "__class__": "Generator", "__module__": "numpy.random._generator", "__loader__": "RandomGeneratorNode",
        "content": {"bit_generator": table(pair, 2 * 10**8), "seed_seq": table(seed, 3 * 10**8)}, "__id__": 4 * 10**8,
    }  # fmt: skip


def nested(depth: int) -> Callable[[Any, Members], object]:
    """A text that is so many lists in each other."""
    return attribute("C", {**number_of(0), "content": "[" * depth + "]" * depth})


def deep(estimator: Any) -> Model:
    for _ in range(60):
        estimator = Pipeline([("model", estimator)])
    return Model(estimator, NUMBERS, ("low", "middle", "high"), "-- SQL")


def named_step(name: str) -> Callable[[Any], Model]:
    def change(estimator: Any) -> Model:
        estimator.coef_ = np.ones(1)
        return Model(Pipeline([(name, estimator)]), NUMBERS, ("low", "middle", "high"), "-- SQL")

    return change


def narrow_preprocessor(estimator: Any) -> None:
    """What comes before the trees hands on one column, and the trees ask for three."""
    before = estimator._preprocessor
    before.transformers_ = [(name, "drop" if number else step, columns)
                            for number, (name, step, columns) in enumerate(before.transformers_)]  # fmt: skip


def other_init(estimator: Any) -> None:
    """The first guess knows two classes, so that there is one score where the trees write three."""
    estimator.init_ = DummyClassifier().fit(MATRIX, np.minimum(TARGET, 1))


def doubled_csr(array: np.ndarray) -> sparse.csr_matrix:
    """A sparse matrix whose columns are out of order, and of which one is there twice."""
    matrix = sparse.csr_matrix(array)
    matrix.indices[:2] = matrix.indices[1], matrix.indices[1]
    return matrix


def below_csr(array: np.ndarray) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix(array)
    matrix.indices[0] = -(2**20)
    return matrix


def as_type(kind: Any) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: array.astype(kind)


SVC = ("calibrated_classifiers_", 0, "estimator")
LONG_TEXT = np.dtype("S100000000")

FURTHER = {
    "a tree by a loss": Forgery("tree", "makes a sklearn.tree._tree.Tree by LossNode", rewrite=tree_by_a_loss),
    "outputs said twice": Forgery("tree", "a tree is given", rewrite=output_by_an_array),
    "outputs without end": Forgery("tree", "n_outputs_ is", gives("n_outputs_", FAR)),
    "a first guess of other classes": Forgery("gradient boosting", "init_ knows other classes", other_init),
    "bins: fewer columns than the trees ask for": Forgery(
        "hist gradient boosting of categories", "_preprocessor makes", narrow_preprocessor
    ),
    "bins: narrow sets": Forgery(
        "hist gradient boosting of categories",
        r"raw_left_cat_bitsets has the shape",
        lambda estimator: setattr(estimator._predictors[0][0], "raw_left_cat_bitsets", np.zeros((9, 1), np.uint32)),
    ),
    "bins: a leaf that is neither": Forgery("hist gradient boosting", "neither yes nor no", predictor("is_leaf", 7)),
    "bins: a category beyond the set": Forgery(
        "hist gradient boosting of categories",
        r"bin_thresholds_\[0\] holds|allowed are 0 to 255",
        gives("bin_thresholds_", lambda all_: [to(1e6)(all_[0]), *all_[1:]], "_bin_mapper"),
    ),
    "processes for every batch of a bag": Forgery("bagging", "would start processes", gives("n_jobs", 8)),
    "a k-d tree of other rows": Forgery(
        "neighbours by k-d tree",
        r"_tree.data has the shape|no stored",
        lambda estimator: estimator._tree.__setstate__((np.ones((2, 3)), *estimator._tree.__getstate__()[1:])),
    ),
    "a k-d tree of more levels": Forgery(
        "neighbours by k-d tree",
        "nodes on 40 levels",
        lambda estimator: estimator._tree.__setstate__(
            (*estimator._tree.__getstate__()[:5], 40, *estimator._tree.__getstate__()[6:])
        ),
    ),
    "a ball tree with bounds that are no numbers": Forgery(
        "neighbours by ball tree", HARMLESS, search_state(3, setting(slice(None), np.nan))
    ),
    "a ball tree with a row twice": Forgery("neighbours by ball tree", "a row twice", search_state(1, setting(0, 1))),
    "a distance of no power": Forgery("neighbours by ball tree", "p is nan", gives("p", float("nan"))),
    "support vectors of a regression": Forgery("support vectors", HARMLESS, gives("_impl", "epsilon_svr", *SVC)),
    "support vectors counted in long numbers": Forgery(
        "support vectors", "expected int32", gives("_n_support", as_type(np.int64), *SVC)
    ),
    "support vectors by columns": Forgery(
        "support vectors", HARMLESS, gives("support_vectors_", np.asfortranarray, *SVC)
    ),
    "support vectors the wrong way round": Forgery(
        "support vectors", HARMLESS, gives("support_vectors_", as_type(">f8"), *SVC)
    ),
    "sparse support vectors out of order": Forgery(
        "sparse support vectors",
        HARMLESS,
        gives("support_vectors_", lambda matrix: doubled_csr(matrix.toarray()), *SVC, 1),
    ),
    "sparse neighbours before the array": Forgery(
        "sparse neighbours", "indices are wrong", gives("_fit_X", lambda matrix: below_csr(matrix.toarray()), 1)
    ),
    "sparse neighbours twice": Forgery(
        "sparse neighbours", HARMLESS, gives("_fit_X", lambda matrix: doubled_csr(matrix.toarray()), 1)
    ),
    "sparse neighbours by diagonals": Forgery(
        "sparse neighbours",
        "which no estimator has",
        gives("_fit_X", sparse.dia_matrix, 1),
        trusts=("scipy.sparse._dia.dia_matrix",),
    ),
    "an archive for an array": Forgery("sparse neighbours", "no matrix of the shape", rewrite=matrix_as_array),
    "a class that is no number": Forgery("logistic", "no finite number", gives("classes_", np.array([0, 1, np.nan]))),
    "classes that are one": Forgery("logistic", r"classes_ has the shape \(\)", gives("classes_", np.array(3.0))),
    "classes that are texts": Forgery("logistic", "knows the classes", gives("classes_", np.array(["a", "b", "c"]))),
    "short coefficients": Forgery("logistic", HARMLESS, gives("coef_", as_type(np.float16))),
    "long coefficients": Forgery("logistic", HARMLESS, gives("coef_", as_type(np.longdouble))),
    "coefficients the wrong way round": Forgery("logistic", HARMLESS, gives("coef_", as_type(">f8"))),
    "coefficients of two parts": Forgery("logistic", "array of complex", gives("coef_", as_type(complex))),
    "coefficients with fields": Forgery("logistic", "coef_ is", gives("coef_", np.zeros((3, 3), [("a", "f8")]))),
    "categories that hold tables": Forgery(
        "one hot",
        "holds what is no value",
        gives("categories_", lambda all_: [np.array([{}, {}], object), *all_[1:]], 0),
    ),
    "categories of long texts": Forgery("one hot", "dtype is", gives("dtype", LONG_TEXT, 0)),
    "an output for another library": Forgery(
        "standard", "_sklearn_output_config is", gives("_sklearn_output_config", {"transform": "polars"}, 0)
    ),
    "a version that is none": Forgery(
        "logistic",
        HARMLESS,
        rewrite=lambda schema, _: schema["content"]["content"].update(_sklearn_version=number_of(["9"])),
    ),
    "requests for metadata": Forgery(
        "logistic", HARMLESS, gives("_metadata_request", {"fit": {"sample_weight": True}})
    ),
    "votes of nobody": Forgery("voting", HARMLESS, gives("weights", [1, 2, 3])),
    "a stack that hands on the columns": Forgery("stacking", HARMLESS, gives("passthrough", True)),
    "a calibration by a tree": Forgery(
        "calibrated",
        HARMLESS,
        gives("calibrators", lambda all_: [TREE.fit(MATRIX, TARGET), *all_[1:]], "calibrated_classifiers_", 0),
    ),
    "the same column thrice": Forgery("on a frame", HARMLESS, gives("columns", ("a", "a", "a"))),
    "a generator without end": Forgery("logistic", "has a pool of", rewrite=attribute("pool", endless_pool())),
    "a text of a thousand lists": Forgery("logistic", "no stored model", rewrite=nested(10**5)),
    "sixty pipelines in each other": Forgery("logistic", "in each other", deep),
    "a name that clears the screen": Forgery("logistic", r"steps\['?\\x1b", named_step("\x1b[2J")),
    "a name that is no text": Forgery("logistic", r"steps\['?\\udc80", named_step("\udc80")),
    "an array of less than nothing": Forgery(
        "logistic", "has the shape|says the shape|cannot reshape", rewrite=header("(-1, 0)")
    ),
    "an array of arrays": Forgery("logistic", "which no estimator has", rewrite=header("(0,)", "(9,)f8")),
    "an array of pairs of numbers": Forgery("logistic", "array of complex", rewrite=header("(0,)", "<c16")),
    "a number that is a list": Forgery(
        "logistic", "no stored model", rewrite=lambda schema, _: schema["content"].update(__id__=[1])
    ),
    "columns by a cut without end": Forgery(
        "columns", HARMLESS, gives("transformers_", lambda all_: [(*all_[0][:2], slice(0, FAR)), *all_[1:]], 0)
    ),
}

FORGED: dict[str, Forgery] = {**TREES, **NUMBERS_OF, **ENCODERS, **WORDS_OF, **PARAMETERS, **ARCHIVES, **FURTHER}
"""Every forged model, by what is wrong with it."""
