"""One object of an estimator under the check: what its rule asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, Protocol

import numpy as np

LARGEST_WIDTH = 1 << 24
"""Most columns, classes, trees or rows that something in a model may have."""

INTEGERS, FLOATS, NUMBERS, VALUES = "iu", "f", "iufb", "iufbUSO"
"""Kinds of NumPy's dtypes."""


class Malformed(ValueError):
    """Something in an estimator is not as scikit-learn writes it."""

    def __init__(self, text: str) -> None:
        # names in a forged model are of somebody else: a terminal would obey some signs
        super().__init__("".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text))


class Visitor(Protocol):
    """What goes through the objects of an estimator; see `check`."""

    def visit(self, thing: Any, where: str, columns: int | None) -> int | None:
        """Check an object that predictions will call; see `Part.child`."""

    def may_call(self, function: Any) -> bool:
        """Whether a function is named in the configuration, and so is trusted."""


class Part:
    """An object, where it is, and how many columns it is handed.

    Parameters
    ----------
    visitor
        Checks the objects inside; None where there can be none, such as in a file of another library.
    thing
        The object.
    where
        The way to it, for messages.
    columns
        How many columns it is handed; None if nobody knows, or it is handed texts.
    """

    def __init__(self, visitor: Visitor | None, thing: Any, where: str, columns: int | None) -> None:
        self.thing, self.where, self.columns = thing, where, columns
        self._visitor = visitor
        self._values: Mapping[str, Any] = getattr(thing, "__dict__", {})

    def refuse(self, what: str) -> NoReturn:
        """Say what is wrong with it."""
        raise Malformed(f"{self.where}: {what}")

    def need(self, holds: object, what: str) -> None:
        """Refuse it unless a condition holds."""
        if not holds:
            self.refuse(what)

    def has(self, name: str) -> bool:
        """Whether it has an attribute that is not None."""
        return self._values.get(name) is not None

    def get(self, name: str) -> Any:
        """An attribute of its own; what its class says does not count."""
        if name not in self._values:
            self.refuse(f"{name} is missing")
        return self._values[name]

    def whole(self, name: str, low: int = 0, high: int = LARGEST_WIDTH) -> int:
        """An attribute that is a whole number within bounds."""
        value = self.get(name)
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not low <= value <= high:
            self.refuse(f"{name} is {value!r:.50}, expected a whole number from {low} to {high:,}")
        return int(value)

    def real(self, name: str) -> float:
        """An attribute that is a finite number."""
        value = self.get(name)
        if not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
            self.refuse(f"{name} is {value!r:.50}, expected a finite number")
        return float(value)

    def choice(self, name: str, allowed: Iterable[Any]) -> Any:
        """An attribute that is one of a few values."""
        value, known = self.get(name), list(allowed)
        if not any(type(value) is type(one) and value == one for one in known):
            self.refuse(f"{name} is {value!r:.200}, known are {', '.join(map(repr, known))}")
        return value

    def list_of(self, name: str, length: int | None = None) -> list[Any]:
        """An attribute that is a list, a tuple or an array of objects."""
        value = self.get(name)
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= LARGEST_WIDTH:
            self.refuse(f"{name} is {type(value).__name__}, expected a list that is not empty")
        if length is not None and len(value) != length:
            self.refuse(f"{name} has {len(value)} elements, expected {length}")
        return list(value)

    def array(
        self,
        name: str,
        *shape: int | None,
        kinds: str = FLOATS,
        finite: bool = True,
        within: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """An attribute that is an array; see `see_array`."""
        return self.see_array(self.get(name), name, *shape, kinds=kinds, finite=finite, within=within)

    def see_array(
        self,
        value: Any,
        name: str,
        *shape: int | None,
        kinds: str = FLOATS,
        finite: bool = True,
        within: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """A value that must be an array.

        Parameters
        ----------
        value
            The value.
        name
            Its name, for messages.
        shape
            Its length in each dimension; None for any.
        kinds
            Kinds of its dtype.
        finite
            Whether it must hold no NaN and no infinity.
        within
            The least value, and the first that is too great.
        """
        if type(value) is not np.ndarray or value.dtype.kind not in kinds or value.dtype.names:
            kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
            self.refuse(f"{name} is {kind}, expected an array of the kind {kinds}")
        if not _fits(value, shape):
            expected = ", ".join("any" if length is None else str(length) for length in shape)
            self.refuse(f"{name} has the shape {value.shape}, expected ({expected})")
        if finite and value.dtype.kind == "f" and not np.isfinite(value).all():
            self.refuse(f"{name} holds a value that is no finite number")
        if within is not None and value.size and not (within[0] <= value.min() and value.max() < within[1]):
            self.refuse(f"{name} holds {value.min()} to {value.max()}, allowed are {within[0]} to {within[1] - 1}")
        return value

    def matrix(self, name: str, *shape: int | None) -> Any:
        """An attribute that is an array of floats or a sparse matrix; of that, `check` has looked at the indices."""
        value = self.get(name)
        if isinstance(value, np.ndarray):
            return self.see_array(value, name, *shape)
        self.need(hasattr(value, "tocsr") and _fits(value, shape), f"{name} is no matrix of the shape {shape}")
        return value

    def features(self) -> int:
        """`n_features_in_`, which must be the number of columns that it is handed."""
        # without it, scikit-learn does not look at the width of what it is handed
        width = self.whole("n_features_in_", 1)
        if self.columns is not None and width != self.columns:
            self.refuse(f"it takes {width} columns and is handed {self.columns}")
        if self.has("feature_names_in_"):
            self.array("feature_names_in_", width, kinds="OU")
        return width

    def classes(self, name: str = "classes_") -> int:
        """How many classes it knows; they are in order and each comes once, as scikit-learn writes them."""
        values = self.array(name, None, kinds=VALUES)
        self.need(len(values), f"{name} is empty")
        try:
            in_order = bool(np.all(values[:-1] < values[1:]))
        except TypeError:
            in_order = False
        self.need(in_order, f"{name} is not in order, or has a class twice")
        return len(values)

    def one_process(self) -> None:
        """Refuse `n_jobs` of what works in processes, and not in threads."""
        jobs = self.get("n_jobs")
        self.need(
            jobs in (None, 1), f"n_jobs is {jobs!r:.50}: it would start processes for every batch. Set it to None"
        )

    def child(self, thing: Any, name: str, columns: int | None) -> int | None:
        """Check an object inside.

        Returns
        -------
        int or None
            How many columns it makes, which for a classifier is how many classes it knows; None if nobody knows.
        """
        if self._visitor is None:
            self.refuse(f"{name} is an object")
        return self._visitor.visit(thing, f"{self.where}.{name}", columns)

    def may_call(self, function: Any) -> bool:
        """Whether the configuration trusts a function."""
        return self._visitor is not None and self._visitor.may_call(function)


Rule = Callable[[Part], int | None]
"""Looks at an object of one type; returns what `Part.child` does."""

Rules = Mapping[str, Rule]


def path_of(kind: type) -> str:
    """The import path of a class, as skops writes it."""
    return f"{kind.__module__}.{kind.__qualname__}"


def scores(classes: int) -> int:
    """How many columns of scores a classifier has for so many classes: one tells two classes apart."""
    return 1 if classes == 2 else classes


def passes(part: Part) -> int | None:
    """The rule of what holds nothing that compiled code follows: that its values are plain is enough."""
    del part
    return None


def rules(module: str, rule: Rule, *names: str) -> dict[str, Rule]:
    """One rule for classes of one module."""
    return {f"{module}.{name}": rule for name in names}


def total(widths: Sequence[int | None]) -> int | None:
    """The sum; None if one is not known."""
    known = [width for width in widths if width is not None]
    return sum(known) if len(known) == len(widths) else None


def _fits(value: Any, shape: tuple[int | None, ...]) -> bool:
    """Whether an array has a shape; None stands for any length."""
    return len(shape) == len(value.shape) and all(
        asked is None or asked == length for asked, length in zip(shape, value.shape, strict=True)
    )
