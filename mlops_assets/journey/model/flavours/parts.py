"""In: an estimator. Out: the same with placeholders where a flavour owns a part of it, and the files of those; back.

A flavour's estimator may be anywhere: the last step of a pipeline, a member of an ensemble, a template in it. Where
there is none, the estimator itself comes back, so that it is stored as it always was.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.errors import ConfigError, MlopsError
from mlops_assets.journey.model.flavours import FLAVOURS, flavour_of
from mlops_assets.journey.model.flavours.flavour import FILE, LARGEST_PART

if TYPE_CHECKING:
    from mlops_assets.journey.model.flavours.flavoured import Flavoured

MOST_PARTS = 100
"""Most files that a model may have beside its archive."""


@dataclass(frozen=True)
class Parts:
    """An estimator without what flavours own.

    Attributes
    ----------
    estimator
        The estimator, with a `Flavoured` in each of these places.
    files
        Their files, by name.
    named
        The flavour of each file.
    """

    estimator: Any
    files: Mapping[str, bytes]
    named: Mapping[str, str]


def taken_out(estimator: Any) -> Parts:
    """Take out of an estimator what flavours own; it is not changed itself.

    Raises
    ------
    ValueError
        If there is a part that its flavour cannot store, or more of them than a model may have.
    """
    from mlops_assets.journey.model.flavours.flavoured import Flavoured

    files: dict[str, bytes] = {}
    named: dict[str, str] = {}

    def placeholder(thing: Any) -> Any:
        flavour = FLAVOURS[thing.flavour] if isinstance(thing, Flavoured) else flavour_of(type(thing))
        if flavour is None:
            return None
        if not isinstance(thing, Flavoured):
            if not _is_fitted(thing):
                return Flavoured(flavour.name)
            content, shape = flavour.save(thing)
            thing = Flavoured.of(flavour.name, shape, content)
        if not thing.is_fitted:
            return thing
        stored = copy.copy(thing)
        stored.file = f"part-{len(files)}.{flavour.suffix}"
        files[stored.file], named[stored.file] = thing.content, flavour.name
        if len(files) > MOST_PARTS:
            raise ValueError(f"it has more than {MOST_PARTS} parts of other libraries")
        if len(thing.content) > flavour.largest:
            size = f"{len(thing.content):,} bytes, allowed are {flavour.largest:,}"
            raise ValueError(f"a part of it, of {flavour.name}, takes {size}")
        return stored

    return Parts(_Exchange(placeholder).of(estimator), files, named)


def put_back(
    estimator: Any, files: Mapping[str, bytes], named: Mapping[str, str], trusted: Collection[str] = ()
) -> None:
    """Load the files of an estimator whose structure was checked, each after it was checked itself.

    Parameters
    ----------
    estimator
        Has a `Flavoured` wherever a part is.
    files, named
        As in `Parts`.
    trusted
        Import paths of somebody's code that may be called.

    Raises
    ------
    ValueError
        If a file is not as its flavour writes it, is missing, or nothing asks for it.
    ConfigError
        If the library of a flavour is not installed, or a file needs code that is not trusted.
    """
    if unknown := {*named.values()} - {*FLAVOURS}:
        raise ValueError(f"it has a part of the flavour {min(unknown)!a}; known are {', '.join(FLAVOURS)}")
    stored = _flavoured(estimator)
    if odd := {*named} ^ {one.file for one in stored}:
        raise ValueError(f"{min(odd)}: it is a part that nothing asks for, or one that is missing")
    for one in stored:
        flavour = FLAVOURS[one.flavour]
        if one.flavour != named[one.file] or not one.file.endswith(f".{flavour.suffix}"):
            raise ValueError(f"{one.file}: it is said to be of {named[one.file]}, and of {one.flavour}")
        if unknown := {*flavour.imports(one.shape)} - {*trusted}:
            raise ConfigError(
                f"{one.file}: it needs the code {min(unknown)!a}, which is not trusted. If it is yours, name it in "
                "`training.trusted`; nothing of it was imported."
            )
        content = files[one.file]
        try:
            flavour.check(content, one.shape)
            asked = flavour.load(content, one.shape)
        except MlopsError:  # its library is not installed, or says itself what is wrong
            raise
        except Exception as error:  # of a library, of which the first line says what it is about
            raise ValueError(f"{one.file}: {_first_line(error)}") from None
        one.filled(content, asked)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:500]


def is_file(name: str) -> bool:
    """Whether a file of a model may have this name."""
    return FILE.fullmatch(name) is not None


def largest(flavour: str) -> int:
    """Bytes that a file of a flavour may have, be it one of a later release."""
    return FLAVOURS[flavour].largest if flavour in FLAVOURS else LARGEST_PART


def _flavoured(estimator: Any) -> list[Flavoured]:
    """The parts of an estimator that stand for fitted ones, each once."""
    from mlops_assets.journey.model.flavours.flavoured import Flavoured

    found: list[Flavoured] = []

    def look(thing: Any) -> Any:
        if isinstance(thing, Flavoured):
            found.extend([thing] if thing.is_fitted else [])
            return thing
        return None

    _Exchange(look).of(estimator)
    return found


def _is_fitted(thing: Any) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(thing)
    except NotFittedError:
        return False
    return True


class _Exchange:
    """The way through the objects of an estimator: what is to be another one is, and so is what holds it."""

    def __init__(self, other: Callable[[Any], Any]) -> None:
        self._other = other
        self._made: dict[int, Any] = {}
        self._alive: list[Any] = []  # else another object could get the number of one that is gone

    def of(self, thing: Any) -> Any:
        """The thing, or what stands for it."""
        if isinstance(thing, (type, ModuleType, FunctionType, str, bytes, int, float)) or thing is None:
            return thing
        if id(thing) not in self._made:
            self._alive.append(thing)
            self._made[id(thing)] = thing  # of a ring
            other = self._other(thing)
            self._made[id(thing)] = self._inside(thing) if other is None else other
        return self._made[id(thing)]

    def _inside(self, thing: Any) -> Any:
        if isinstance(thing, (list, tuple)):
            return self._sequence(thing)
        if isinstance(thing, dict):
            return self._table(thing)
        if isinstance(thing, np.ndarray):
            return self._array(thing) if thing.dtype == object else thing
        values = getattr(thing, "__dict__", None)
        return self._object(thing, values) if isinstance(values, dict) else thing

    def _sequence(self, thing: Any) -> Any:
        made = [self.of(one) for one in thing]
        if all(one is before for one, before in zip(made, thing, strict=True)):
            return thing
        return type(thing)(*made) if hasattr(thing, "_fields") else type(thing)(made)

    def _table(self, thing: dict[Any, Any]) -> Any:
        changed = {key: made for key, value in thing.items() if (made := self.of(value)) is not value}
        if not changed:
            return thing
        other = copy.copy(thing)
        other.update(changed)
        return other

    def _array(self, thing: np.ndarray) -> np.ndarray:
        made = [self.of(one) for one in thing.ravel()]
        if all(one is before for one, before in zip(made, thing.ravel(), strict=True)):
            return thing
        other = np.empty(thing.size, object)
        for number, one in enumerate(made):
            other[number] = one
        return other.reshape(thing.shape)

    def _object(self, thing: Any, values: dict[str, Any]) -> Any:
        changed = {name: made for name, value in values.items() if (made := self.of(value)) is not value}
        if not changed:
            return thing
        other = copy.copy(thing)
        vars(other).update(changed)
        return other
