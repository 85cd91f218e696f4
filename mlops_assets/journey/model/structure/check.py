"""The way through the objects of an estimator: each by the rule of its type, every value by what it is."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from mlops_assets.journey.model.structure import (
    composed,
    encoding,
    linear,
    neighbours,
    regressors,
    scaling,
    texts,
    trees,
)
from mlops_assets.journey.model.structure.parts import LARGEST_WIDTH, Malformed, Part, Rules, path_of

RULES: Rules = {
    **trees.RULES,
    **linear.RULES,
    **regressors.RULES,
    **neighbours.RULES,
    **scaling.RULES,
    **encoding.RULES,
    **texts.RULES,
    **composed.RULES,
}
"""The types whose structure is known, and the rule of each."""

MOST_CALLS = 100_000
"""Most objects that one prediction may call. An object may be there often: forty pairs of pairs are 2**40 calls."""

MOST_DEPTH = 12
"""Most objects in each other: of pipelines, each asks the next one thrice, and twelve take seconds for a row."""

OUTPUTS = ("default", "pandas")
"""What `set_output` may have asked for: another library would be imported when it is asked."""

MOST_THREADS = 256
MOST_WORDS = 100
"""Largest `n_jobs`, and largest `verbose`: that speaks while it predicts."""

NOT_LOOKED_AT = {"sklearn.isotonic.IsotonicRegression": ("f_",)}
"""Attributes that a type makes of the others when it is loaded."""


def check_structure(estimator: Any, trusted: Collection[str] = (), columns: int | None = None) -> None:
    """See that an estimator is built as scikit-learn builds it, before anything of it is called.

    Parameters
    ----------
    estimator
        The classifier or regressor.
    trusted
        Import paths of types that need no rule. One that has a rule must keep to it all the same, and so must the
        estimators that a trusted type holds.
    columns
        How many columns it will be handed; None if that is not known yet.

    Raises
    ------
    Malformed
        If an index leads out of its array, arrays do not agree, a value is none that fitting makes, a parameter opens
        files or starts processes, or a type has no rule.
    """
    walk = _Walk(frozenset(trusted))
    walk.visit(estimator, type(estimator).__name__, columns)


class _Walk:
    """One check; remembers what it has seen."""

    def __init__(self, trusted: frozenset[str]) -> None:
        self._trusted = trusted
        self._called: dict[tuple[int, int | None], tuple[int | None, int]] = {}
        self._seen: set[int] = set()
        self._calls = 0
        self._inside = self._depth = 0

    def may_call(self, function: Any) -> bool:
        if isinstance(function, functools.partial):
            return "functools.partial" in self._trusted and self.may_call(function.func)
        names = (getattr(function, name, "") for name in ("__module__", "__qualname__"))
        return ".".join(map(str, names)) in self._trusted

    def visit(self, thing: Any, where: str, columns: int | None) -> int | None:
        key = (id(thing), columns)
        if key not in self._called:
            # what an object calls counts as often as it is called itself
            before, self._calls, self._depth = self._calls, 1, self._depth + 1
            if self._depth > MOST_DEPTH:
                raise Malformed(f"{where}: more than {MOST_DEPTH} objects in each other")
            self._called[key] = self._look(thing, where, columns), self._calls
            self._calls, self._depth = before, self._depth - 1
        width, calls = self._called[key]
        self._calls += calls
        if self._calls > MOST_CALLS:
            raise Malformed(f"{where}: a prediction would call more than {MOST_CALLS:,} objects")
        return width

    def _look(self, thing: Any, where: str, columns: int | None) -> int | None:
        path = path_of(type(thing))
        if path not in RULES:
            if path in self._trusted or self._inside:
                self._see_inside(thing, where)
                return None
            raise Malformed(
                f"{where}: the structure of a {path} is not known here, so nobody can say whether it was forged. If "
                "you trust whoever made it, name it in `training.trusted`"
            )
        width = RULES[path](Part(self, thing, where, columns))
        # last: what a rule has followed is not looked at again
        self._see_values(thing, where)
        return width

    def _see_inside(self, thing: Any, where: str) -> None:
        """Whoever trusts a type answers for what it is made of; what in it has a rule keeps to that all the same."""
        self._inside += 1
        for name, value in getattr(thing, "__dict__", {}).items():
            self._see(value, f"{where}.{name}")
        self._inside -= 1

    def _see_values(self, thing: Any, where: str) -> None:
        """Look at the attributes of an object, whatever its type."""
        if id(thing) in self._seen:
            return
        self._seen.add(id(thing))
        kind = type(thing)
        for name, value in getattr(thing, "__dict__", {}).items():
            if name in NOT_LOOKED_AT.get(path_of(kind), ()):
                continue
            place = f"{where}.{name}"
            if _shadows(kind, name):
                raise Malformed(f"{place}: it takes the place of a method or of a rule of its class")
            _see_parameter(name, value, place)
            self._see(value, place)

    def _see(self, value: Any, where: str) -> None:
        if value is None or isinstance(value, (bool, int, float, str, bytes, np.number, np.bool_, np.dtype)):
            return
        if type(value) is np.ndarray:
            self._see_array(value, where)
        elif isinstance(value, (dict, list, tuple, set, frozenset)):
            self._see_container(value, where)
        elif hasattr(value, "tocsr"):
            self._once(value, where, _see_sparse)
        elif isinstance(value, np.random.RandomState):
            _see_generator(value, where)
        elif not _is_plain(value) and not self.may_call(value):
            self._see_object(value, where)

    def _once(self, value: Any, where: str, look: Any) -> None:
        if id(value) not in self._seen:
            self._seen.add(id(value))
            look(value, where)

    def _see_array(self, value: np.ndarray, where: str) -> None:
        if value.dtype.kind == "O":
            self._once(value, where, self._see_elements)
        elif value.dtype.kind not in "biufUSV":
            raise Malformed(f"{where}: an array of {value.dtype}, which no estimator has")

    def _see_elements(self, values: Any, where: str) -> None:
        for one in values.ravel() if isinstance(values, np.ndarray) else values:
            self._see(one, where)

    def _see_container(self, value: Any, where: str) -> None:
        def look(container: Any, place: str) -> None:
            for key in container if isinstance(container, Mapping) else ():
                self._see(key, place)
            self._see_elements(container.values() if isinstance(container, Mapping) else container, place)

        self._once(value, where, look)

    def _see_object(self, value: Any, where: str) -> None:
        """An object that may be called or not: a fitted one must keep its rule, one that is a parameter be known."""
        path = path_of(type(value))
        fitted = any(name.endswith("_") and not name.startswith("__") for name in getattr(value, "__dict__", {}))
        if (fitted or not hasattr(value, "fit")) and path not in composed.CONTAINERS:
            # apart from what a prediction calls
            before = self._calls
            if id(value) not in self._seen:
                self.visit(value, where, None)
            self._calls = before
        elif path in RULES:
            self._see_values(value, where)
        else:
            self._look(value, where, None)


def _shadows(kind: type, name: str) -> bool:
    """Whether an attribute hides what its class does; a property is not hidden."""
    if name.startswith("__"):
        return True
    for base in kind.__mro__:
        if name in vars(base):
            own = vars(base)[name]
            return callable(own) or isinstance(own, (classmethod, staticmethod)) or name.startswith("_parameter")
    return False


def _see_parameter(name: str, value: Any, where: str) -> None:
    """Parameters that mean the same in every estimator."""
    if name == "n_jobs" and value is not None and not (_is_whole(value) and -1 <= value <= MOST_THREADS):
        raise Malformed(f"{where} is {value!r:.50}: expected None, or -1 to {MOST_THREADS} threads")
    if name == "memory" and value is not None:
        raise Malformed(f"{where} is {value!r:.200}: it would write files; a stored model keeps nothing on disk")
    if name == "_sklearn_output_config" and value not in ({}, *({"transform": one} for one in OUTPUTS)):
        raise Malformed(f"{where} is {value!r:.80}: expected one of {', '.join(OUTPUTS)}")
    if name == "dtype" and value is not None and not _is_number_type(value):
        raise Malformed(f"{where} is {value!r:.80}: expected a type of numbers")
    if name == "verbose" and not (isinstance(value, (bool, int, np.integer)) and 0 <= value <= MOST_WORDS):
        raise Malformed(f"{where} is {value!r:.50}: expected 0 to {MOST_WORDS}")


def _is_number_type(value: Any) -> bool:
    # of texts, each of which may be as long as a type says, an array of any length can be asked for
    return isinstance(value, (type, np.dtype)) and np.dtype(value).kind in "fiubO"


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_plain(value: Any) -> bool:
    """A type of numbers or texts that a parameter names, a slice, or a generator, which draws nothing here."""
    if isinstance(value, type):
        return value in (int, float, str, bool, object) or issubclass(value, np.generic)
    return isinstance(value, (slice, range, np.random.Generator, np.str_))


def _see_generator(value: np.random.RandomState, where: str) -> None:
    state = value.get_state(legacy=False)
    if state["bit_generator"] != "MT19937" or not 0 <= state["state"]["pos"] <= len(state["state"]["key"]):
        raise Malformed(f"{where}: a generator of random numbers in a state that it never has")


def _see_sparse(value: Any, where: str) -> None:
    """See to the indices: scipy multiplies by a sparse matrix without looking where its indices lead."""
    if value.format not in ("csr", "csc") or value.dtype.kind not in "fiub" or max(value.shape) > LARGEST_WIDTH:
        raise Malformed(f"{where}: a sparse matrix of {value.dtype} {value.shape}, which no estimator has")
    try:
        value.check_format(full_check=True)
    except ValueError as error:
        raise Malformed(f"{where}: a sparse matrix whose indices are wrong: {error}") from None
    if value.dtype.kind == "f" and not np.isfinite(value.data).all():
        raise Malformed(f"{where}: a sparse matrix with a value that is no finite number")
