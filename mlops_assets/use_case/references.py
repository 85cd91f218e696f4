"""What a use case says of the environment: `{{ env.NAME }}` is filled in for work, and stays as it is in all else.

What is stored or shown of a use case takes the texts as they were written. So no value of the environment lies in a
card, a log or MLflow, and a new password makes no other version, shard or delivery.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlops_assets.errors import ConfigError
from mlops_assets.errors.redaction import remember

Keys = tuple[str | int, ...]

VARIABLE = re.compile(r"\{\{\s*env\.([A-Za-z_]\w*)\s*\}\}")
"""How a text refers to an environment variable."""

SHOWN = ("description", "files", "columns", "account", "label", "value")
"""Keys under which a value comes into rejects, messages and pages, whatever is stored of the recipe."""


class WrongReference(ConfigError):
    """A text refers to the environment, and cannot.

    Attributes
    ----------
    keys
        Where the text stands.
    """

    def __init__(self, problem: str, keys: Keys) -> None:
        super().__init__(f"{'.'.join(map(str, keys))}: {problem}" if keys else problem)
        self.keys = keys


class UnsetVariable(WrongReference):
    """A text refers to an environment variable that is not set."""

    def __init__(self, name: str, keys: Keys) -> None:
        super().__init__(f"the environment variable {name} is not set", keys)


def fill_environment(value: Any, keys: Keys = ()) -> Any:
    """The same attributes, with `{{ env.NAME }}` in texts replaced by what the environment says.

    Raises
    ------
    UnsetVariable
        If it says nothing.
    WrongReference
        If a text refers to it where the value would be stored and shown, as in a bound of a column or a description.
    """
    if isinstance(value, Mapping):
        return {key: fill_environment(item, (*keys, key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill_environment(item, (*keys, number)) for number, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    found = VARIABLE.search(value)
    if found and _is_shown(keys):
        problem = f"{found[0]} stands where its value would be stored and shown; write the value itself"
        raise WrongReference(problem, keys)
    return VARIABLE.sub(lambda reference: _variable(reference[1], keys), value)


def _is_shown(keys: Keys) -> bool:
    """Whether what stands there is said of rows: what columns are called and may hold, and what people read."""
    match keys:
        case ("enrichments", _, part, *_):
            return part != "parameters"
        case (first, *_):
            return first in SHOWN
    return False


def _variable(name: str, keys: Keys) -> str:
    if name not in os.environ:
        raise UnsetVariable(name, keys)
    return os.environ[remember(name)]


def as_written(value: Any, written: Any) -> Any:
    """What was made of attributes, with the texts that refer to the environment as they were written.

    Parameters
    ----------
    value
        Mappings, lists and plain values, such as a model of pydantic gives by `model_dump`.
    written
        What they were made of, before `fill_environment`; it may say less.
    """
    if isinstance(written, str):
        return written if VARIABLE.search(written) else value
    if isinstance(written, Mapping) and isinstance(value, Mapping):
        return {key: as_written(item, written.get(key)) for key, item in value.items()}
    if isinstance(written, (list, tuple)) and isinstance(value, (list, tuple)) and len(written) == len(value):
        # of the same kind: a fingerprint tells a tuple from a list
        return type(value)(as_written(item, text) for item, text in zip(value, written, strict=True))
    return value


def variables(written: Any) -> set[str]:
    """The environment variables that texts refer to."""
    return {name for reference in references(written) for name in VARIABLE.findall(reference)}


def references(written: Any) -> Iterator[str]:
    """The texts that refer to the environment, as they were written."""
    if isinstance(written, Mapping):
        written = [*written.values()]
    if isinstance(written, (list, tuple)):
        for item in written:
            yield from references(item)
    elif isinstance(written, str) and VARIABLE.search(written):
        yield written
