"""In: a configuration as somebody stored it, such as in a model card. Out: every class that it names was looked at.

A configuration of this machine is code: whoever may write it may run whatever they like. One that comes out of a store
names classes of scikit-learn and of this package that are parts of models, and what today's configuration names; it is
refused for anything else before something is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlops_assets.errors import ModelRefused
from mlops_assets.plugins.estimators import see_estimator
from mlops_assets.plugins.loading import PluginError

DEEPEST = 50
"""How many mappings and lists may lie within one another; those that this package writes have about ten."""

OPENING = {"memory": None, "input": "content"}
"""Arguments of scikit-learn's classes that make them open files: a pickle from a cache, or what a text names."""

Keys = tuple[str | int, ...]


def see_depth(written: Any) -> None:
    """See that values that somebody wrote are not nested deeper than any that this package writes.

    Raises
    ------
    ValueError
        If they are: whatever goes through them would end at Python's own limit.
    """
    for keys, _ in _walk(written):
        if len(keys) > DEEPEST:
            raise ValueError(f"its values are nested more than {DEEPEST} deep")


def named_paths(configured: Any) -> Iterator[tuple[Keys, str]]:
    """The import paths that a configuration names, each by its keys; words of ours, such as `sql`, are none."""
    for keys, value in _walk(configured):
        if isinstance(value, str) and "." in value and _hold_a_path(keys):
            yield keys, value


def see_named(stored: Any, today: Any, what: str) -> None:
    """See that a stored configuration names nothing that may not be imported, and opens no file.

    Parameters
    ----------
    stored
        What was stored, as plain values.
    today
        The configuration of this machine, as plain values.
    what
        What was stored, for the message.

    Raises
    ------
    ModelRefused
        If it is not so; the message has the key and the path.
    """
    ours = {path for _, path in named_paths(today)}
    for keys, path in named_paths(stored):
        if path not in ours:
            _see_path(keys, path, what)
    opened = {(argument, str(value)) for _, argument, value in _openings(today)}
    for keys, argument, value in _openings(stored):
        if (argument, str(value)) not in opened:
            raise ModelRefused(
                f"{what}: {_shown(keys)}: {str(value)[:100]!a} would have files opened, and the configuration of the "
                "use case does not say so. Nothing was opened. Somebody changed what was stored: bring it back from a "
                "backup."
            )


def _openings(configured: Any) -> Iterator[tuple[Keys, str, Any]]:
    """The arguments of models that make them open files."""
    for keys, value in _walk(configured):
        # `a__b` is the argument b of what the argument a holds
        argument = str(keys[-1]).rpartition("__")[2] if keys[:1] == ("training",) else ""
        if argument in OPENING and value not in (None, OPENING[argument]):
            yield keys, argument, value


def _see_path(keys: Keys, path: str, what: str) -> None:
    try:
        see_estimator(path)
    except PluginError:
        # `!a`, for letters that look alike are what some attackers hope for
        raise ModelRefused(
            f"{what}: {_shown(keys)}: {path[:100]!a} is no model or transformer of scikit-learn or of this package, "
            "and the configuration of the use case does not name it. Nothing of it was imported. If it is a class of "
            "yours, name it in defs.yaml; if not, somebody changed what was stored: bring it back from a backup."
        ) from None


def _shown(keys: Keys) -> str:
    return ascii(".".join(map(str, keys)))[1:-1]


def _hold_a_path(keys: Keys) -> bool:
    """Whether there is an import path under some keys."""
    # `module` is an argument of estimators that make a network by a class of somebody's
    named = str(keys[-1]).rpartition("__")[2] if keys else ""
    return (
        keys[-1:] == ("use",)
        or named == "module"
        or "module" in keys[-2:-1]
        or keys in (("files", "reader"), ("sample",))
        or keys[:-1] in _LISTS
    )


_LISTS = (("training", "metrics"), ("training", "trusted"))


def _walk(value: Any) -> Iterator[tuple[Keys, Any]]:
    """Every value within a value, with the keys that lead to it."""
    yield (), value
    # no recursion: what is nested too deep shall be told, not end the process; nor is all that is wide kept at once
    within = [_inside((), value)]
    while within:
        if (found := next(within[-1], None)) is None:
            within.pop()
            continue
        yield found
        within.append(_inside(*found))


def _inside(keys: Keys, value: Any) -> Iterator[tuple[Keys, Any]]:
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = enumerate(value)
    return (((*keys, name), item) for name, item in items)
