"""In: a fitted estimator. Out: its scorer, if all its parts are known here and it says the same to the bit.

What is known is what use cases are made of: encoders, imputing and scaling before a forest or a linear model, and votes
of these. Everything else is left to the estimator. So is one whose bits differ on rows of every kind, `odd_rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops_assets.journey.model.scorer.links import IDENTITY, SIGMOID, SOFTMAX
from mlops_assets.journey.model.scorer.odd import odd_rows
from mlops_assets.journey.model.scorer.steps import (
    Asked,
    Block,
    Coded,
    Forest,
    Gathered,
    Head,
    Impute,
    Linear,
    Lookup,
    Numbers,
    Scale,
    Scorer,
    Vote,
)
from mlops_assets.journey.model.scorer.stored import as_bytes, read_scorer
from mlops_assets.journey.model.scorer.trees import DEEPEST, Trees
from mlops_assets.journey.model.structure.check import check_structure
from mlops_assets.journey.model.structure.parts import Malformed

MOST_TREES = 1000
LARGEST_TABLE = 1 << 20
"""Elements of the table that a one-hot column becomes where it is not sparse."""


class _Unknown(Exception):
    """A part is none of those that are known here."""


def compiled(estimator: Any, method: str) -> Scorer | None:
    """The scorer of an estimator.

    Parameters
    ----------
    estimator
        The fitted classifier or regressor.
    method
        The method that it is asked by.

    Returns
    -------
    Scorer or None
        None if a part of it is not known, or a bit differs.
    """
    try:
        lookups: dict[tuple[int, bytes], Lookup] = {}
        width = int(estimator.n_features_in_)
        # before an index in it is followed; of a type that it does not know, nothing is known here either
        check_structure(estimator, (), width)
        head = _head(estimator, width, lookups)
        classes = np.asarray(estimator.classes_, np.int64) if method == "predict_proba" else None
        made = Scorer(width, classes, tuple(lookups.values()), head)
        # as it will be read: what would be refused then is not stored
        scorer = read_scorer(as_bytes(made), width, 0 if classes is None else int(classes.max()) + 1)
    except (_Unknown, Malformed, AttributeError, ValueError):  # classes that are no numbers, too
        return None
    return scorer if _says_the_same(scorer, getattr(estimator, method)) else None


def _says_the_same(scorer: Scorer, ask: Callable[[np.ndarray], np.ndarray]) -> bool:
    rows = odd_rows(scorer)
    for some in (rows, np.where(np.isnan(rows), 1.0, rows)):
        asked = np.asfortranarray(some)
        with suppress(Asked), np.errstate(all="ignore"):
            said = scorer.ask(asked)
            try:
                expected = np.asarray(ask(asked))
            except (ValueError, ArithmeticError):  # who refuses these rows shall be asked about all
                return False
            if said.tobytes() != expected.tobytes():
                return False
    return True


# -- parts -------------------------------------------------------------------------------------------------------------


def _known() -> Mapping[type, Callable[..., Head]]:
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
        VotingClassifier,
        VotingRegressor,
    )
    from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
    from sklearn.pipeline import Pipeline

    forests = (ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor)
    return {
        Pipeline: _pipeline,
        VotingClassifier: _vote,
        VotingRegressor: _vote,
        **dict.fromkeys(forests, _forest),
        **dict.fromkeys((LogisticRegression, LinearRegression, Ridge), _linear),
    }


Lookups = dict[tuple[int, bytes], Lookup]


@dataclass(frozen=True)
class _Hot:
    """One-hot columns: by known value its column, -1 if it has none."""

    lookup: int
    places: np.ndarray

    @property
    def width(self) -> int:
        return int(self.places.max() - self.places[self.places >= 0].min() + 1)

    def times(self, rows: np.ndarray) -> Coded:
        """The rows of coefficients that its values have."""
        table = np.zeros((len(self.places), rows.shape[1]))
        seen = self.places >= 0
        table[seen] = rows[self.places[seen] - self.places[seen].min()]
        return Coded(self.lookup, table)


Part = Block | _Hot


class _Prepared:
    """What the last step of a pipeline sees: its parts, whether they lie sparse, and what becomes of them together."""

    def __init__(self) -> None:
        self.parts: list[Part] = [Numbers(None, ())]
        self.sparse = False
        self.then: list[Impute | Scale] = []
        self.first = True


def _head(part: Any, width: int, lookups: Lookups, prepared: _Prepared | None = None) -> Head:
    # a class that derives from one of those may do something else
    make = _known().get(type(part))
    if make is None or (prepared is not None and make in (_pipeline, _vote)):
        raise _Unknown
    return make(part, width, lookups, prepared or _Prepared())


def _pipeline(part: Any, width: int, lookups: Lookups, prepared: _Prepared) -> Head:
    *before, (_, last) = part.steps
    steps = [step for _, step in before if step != "passthrough"]
    if not steps:
        return _head(last, width, lookups)
    for step in steps:
        _prepare(step, width, lookups, prepared)
    return _head(last, width, lookups, prepared)


def _prepare(step: Any, width: int, lookups: Lookups, prepared: _Prepared) -> None:
    from sklearn.compose import ColumnTransformer

    if isinstance(step, ColumnTransformer):
        if not prepared.first or type(step) is not ColumnTransformer:
            raise _Unknown
        prepared.parts, prepared.sparse = _columns(step, lookups), bool(step.sparse_output_)
    elif prepared.sparse:
        raise _Unknown
    else:
        found = _elementwise(step)
        if found is None:
            parts = _encoded(step, list(range(width)), lookups) if prepared.first else None
            if parts is None:
                raise _Unknown
            prepared.parts, prepared.sparse = parts, isinstance(parts[0], _Hot)
        else:
            prepared.then += found
    prepared.first = False


def _columns(part: Any, lookups: Lookups) -> list[Part]:
    if part.transformer_weights or part.remainder != "drop":
        raise _Unknown
    parts: list[Part] = []
    for _, step, columns in part.transformers_:
        # one number is a column of texts, a vector of which an encoder of words makes rows
        if not isinstance(columns, list | np.ndarray) or not all(isinstance(one, int | np.integer) for one in columns):
            raise _Unknown
        if len(columns) and step != "drop":
            parts += _of_columns(step, [int(one) for one in columns], lookups)
    if not parts:
        raise _Unknown
    return parts


def _of_columns(step: Any, columns: list[int], lookups: Lookups) -> list[Part]:
    """The parts that a transformer makes of some columns."""
    from sklearn.pipeline import Pipeline

    then: list[Impute | Scale] = []
    made: list[Part] | None = None
    for one in _flat(step, Pipeline):
        found = _elementwise(one)
        if found is None:
            if made is not None or then:
                raise _Unknown
            made = _encoded(one, columns, lookups)
            if made is None:
                raise _Unknown
        elif found:
            if made is not None:
                raise _Unknown
            then += found
    return made or [Numbers(np.array(columns, np.int64), tuple(then))]


def _flat(step: Any, pipeline: Any) -> Iterator[Any]:
    """The steps of a pipeline, at any depth."""
    if type(step) is pipeline:
        for _, one in step.steps:
            yield from _flat(one, pipeline)
    elif step != "passthrough":
        yield step


def _elementwise(step: Any) -> list[Impute | Scale] | None:
    """What a step does to each number for itself; None if it is another one."""
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    if type(step) is FunctionTransformer and step.func is None:
        return []
    if type(step) is StandardScaler:
        return [Scale(step.mean_, step.scale_)]
    if type(step) is SimpleImputer:
        fill = step.statistics_
        plain = fill.dtype == np.float64 and not np.isnan(fill).any() and not step.add_indicator
        if plain and isinstance(step.missing_values, float) and np.isnan(step.missing_values):
            return [Impute(fill)]
    return None


def _encoded(step: Any, columns: list[int], lookups: Lookups) -> list[Part] | None:
    """A part a column of what an encoder makes; None if it is none."""
    from mlops_assets.encoders import OneHotEncoder, TargetEncoder

    makes: dict[type, Callable[..., Part]] = {OneHotEncoder: _Hot, TargetEncoder: Coded}
    if type(step) not in makes:
        return None
    tables = step.columns()[0] if type(step) is OneHotEncoder else step.means()
    found = zip(columns, step.categories_, tables, strict=True)
    return [makes[type(step)](_lookup(column, known, lookups), table) for column, known, table in found]


def _lookup(column: int, known: np.ndarray, lookups: Lookups) -> int:
    """The number of a lookup: who asks for the same values of the same column shares it."""
    known = np.asarray(known, np.float64)
    key = column, known.tobytes()
    lookups.setdefault(key, Lookup(column, known))
    return list(lookups).index(key)


def _dense(prepared: _Prepared) -> tuple[Block, ...]:
    """The blocks of a matrix that is not sparse; one-hot columns become a table of ones."""
    if prepared.sparse:
        raise _Unknown
    return tuple(_ones(part) if isinstance(part, _Hot) else part for part in prepared.parts)


def _ones(part: _Hot) -> Coded:
    own = part.places[part.places >= 0]
    width = int(own.max() - own.min() + 1)
    if len(part.places) * width > LARGEST_TABLE:
        raise _Unknown
    table = np.zeros((len(part.places), width))
    seen = np.flatnonzero(part.places >= 0)
    table[seen, part.places[seen] - own.min()] = 1
    return Coded(part.lookup, table)


# -- what says something -----------------------------------------------------------------------------------------------


def _vote(part: Any, width: int, lookups: Lookups, prepared: _Prepared) -> Head:
    del prepared
    if getattr(part, "voting", "soft") != "soft":
        raise _Unknown
    weights = part._weights_not_none
    members = tuple(_head(member, width, lookups) for member in part.estimators_)
    numbers = not hasattr(part, "classes_")
    return Vote(members, None if weights is None else np.asarray(weights, np.float64), numbers)


def _linear(part: Any, width: int, lookups: Lookups, prepared: _Prepared) -> Head:
    del width, lookups
    says_classes = hasattr(part, "classes_")
    if not says_classes and np.ndim(part.coef_) != 1:
        raise _Unknown
    coefficients = np.atleast_2d(part.coef_)
    intercept = np.atleast_1d(np.asarray(part.intercept_, np.float64))
    link = IDENTITY if not says_classes else SOFTMAX if len(part.classes_) > 2 else SIGMOID
    if not prepared.sparse:
        turned = not coefficients.flags.c_contiguous
        lying = np.ascontiguousarray(coefficients.T) if turned else coefficients
        return Linear(_dense(prepared), tuple(prepared.then), lying, turned, intercept, link)
    blocks: list[Block] = []
    weights: list[np.ndarray] = []
    at = 0
    for one in prepared.parts:
        made = one.width
        rows = coefficients[:, at : at + made].T
        if isinstance(one, Numbers):
            blocks.append(one)
            weights.append(np.ascontiguousarray(rows))
        elif isinstance(one, _Hot):
            blocks.append(one.times(rows))
        else:  # of dense columns among sparse ones, those that are 0 are left out: they are rare, and left alone
            raise _Unknown
        at += made
    return Gathered(tuple(blocks), tuple(weights), intercept, link)


def _forest(part: Any, width: int, lookups: Lookups, prepared: _Prepared) -> Head:
    del width, lookups
    # side by side, trees are added up in any order
    if part.n_outputs_ != 1 or part.n_jobs not in (None, 1) or len(part.estimators_) > MOST_TREES:
        raise _Unknown
    blocks = list(_dense(prepared))
    if prepared.then:
        alone = blocks[0]
        if len(blocks) > 1 or not isinstance(alone, Numbers):
            raise _Unknown
        blocks = [Numbers(alone.columns, (*alone.then, *prepared.then))]
    # trees see float32
    made = [Coded(one.lookup, one.table.astype(np.float32)) if isinstance(one, Coded) else one for one in blocks]
    return Forest(tuple(made), _trees([one.tree_ for one in part.estimators_], part))


def _trees(trees: list[Any], part: Any) -> Trees:
    if max(tree.max_depth for tree in trees) > DEEPEST:
        raise _Unknown
    outputs = int(getattr(part, "n_classes_", 1))
    made = [_by_level(tree) for tree in trees]
    begins = np.cumsum([0, *(len(nodes) for _, nodes in made)])
    left = [np.where(left < 0, -1, left + begin) for (left, _), begin in zip(made, begins, strict=False)]
    nodes = np.concatenate([nodes for _, nodes in made])
    leaf = np.concatenate(left) < 0
    values = np.concatenate([tree.value[_order(tree), 0, :outputs] for tree in trees])
    return Trees(
        np.concatenate(left).astype(np.int32),
        np.where(leaf, 0, nodes["feature"]).astype(np.int32),
        np.where(leaf, 0, _at_most(nodes["threshold"])).astype(np.float32),
        ~leaf & (nodes["missing_go_to_left"] != 0),
        np.ascontiguousarray(values[leaf]),
        begins[:-1].astype(np.int32),
        bool(part.estimators_[0]._support_missing_values(np.zeros((1, 1)))),
    )


def _order(tree: Any) -> np.ndarray:
    """The nodes of a tree level by level, children of a node side by side."""
    left, right = tree.children_left, tree.children_right
    level, levels = np.array([0]), []
    while len(level):
        levels.append(level)
        inner = level[left[level] >= 0]
        level = np.stack([left[inner], right[inner]], axis=1).ravel()
    return np.concatenate(levels)


def _by_level(tree: Any) -> tuple[np.ndarray, np.ndarray]:
    """The left children and the nodes of a tree, level by level."""
    order = _order(tree)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    left = tree.children_left[order]
    return np.where(left < 0, -1, place[left]), tree.__getstate__()["nodes"][order]


def _at_most(thresholds: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above each: of columns, which are float32, the same ones are at most as large."""
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(np.float32)
    above = rounded.astype(np.float64) > thresholds
    rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
    return rounded
