"""Reads use cases from their folders; a mistake is told with file, line and key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mlops_assets.errors import ConfigError, UsageError
from mlops_assets.use_case.attributes import Attributes, UseCase

VARIABLE = re.compile(r"\{\{\s*env\.([A-Za-z_]\w*)\s*\}\}")
"""How a text refers to an environment variable."""


class _Loader(yaml.SafeLoader):
    """Leaves a day that no calendar has a text, so that it is told by its key."""

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> Any:
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError:
            return node.value


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_yaml_timestamp)


def load_use_case(folder: Path) -> UseCase:
    """Read the use case in a folder.

    Parameters
    ----------
    folder
        Folder with `defs.yaml` and `features.sql`; its name is the use case's name.

    Raises
    ------
    ConfigError
        If a file is missing, is no YAML, or says something the model does not know; with file, line and key.
    """
    path = folder / "defs.yaml"
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))  # parsed once, for the values and for their lines
        root = loader.get_single_node()
        attributes = loader.construct_document(root).get("attributes")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; a use case needs one.") from None
    except (yaml.YAMLError, AttributeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this is not a YAML mapping with `type` and `attributes`: {error}") from None
    if not isinstance(attributes, dict):
        raise ConfigError(f"{path}: expected the key `attributes` with the settings of the use case.")
    try:
        return build_use_case(fill_environment(attributes), folder)
    except UnsetVariable as error:
        raise ConfigError(f"{path}:{_line_of(root, ('attributes', *error.keys))}: {error}") from None
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(path, root, problem) for problem in error.errors())) from None


class UnsetVariable(ConfigError):
    """A text refers to an environment variable that is not set.

    Attributes
    ----------
    keys
        Where the text stands.
    """

    def __init__(self, name: str, keys: tuple[str | int, ...]) -> None:
        super().__init__(f"{'.'.join(map(str, keys))}: the environment variable {name} is not set")
        self.keys = keys


def fill_environment(value: Any, keys: tuple[str | int, ...] = ()) -> Any:
    """The same attributes, with `{{ env.NAME }}` in texts replaced by what the environment says.

    Raises
    ------
    UnsetVariable
        If it says nothing.
    """
    if isinstance(value, Mapping):
        return {key: fill_environment(item, (*keys, key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill_environment(item, (*keys, place)) for place, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def said(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise UnsetVariable(found[1], keys)
        return os.environ[found[1]]

    return VARIABLE.sub(said, value)


def build_use_case(attributes: dict[str, Any], folder: Path) -> UseCase:
    """Make a use case of its attributes and of the folder it lies in.

    Raises
    ------
    ConfigError
        If the folder has no `features.sql`.
    pydantic.ValidationError
        If an attribute is wrong.
    """
    sql = folder / "features.sql"
    if not sql.is_file():
        raise ConfigError(f"{sql}: there is no such file; it must create the view `model_input`.")
    try:
        text = sql.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{sql}: this is not UTF-8: {error}") from None
    strange = {
        str(key): "" for key in attributes if key in ("name", "features_sql", "folder") or not isinstance(key, str)
    }
    if strange:
        Attributes.model_validate({**{k: v for k, v in attributes.items() if isinstance(k, str)}, **strange})
    return UseCase(**{**attributes, "name": folder.name, "features_sql": text, "folder": folder})


def list_use_cases(folders: Sequence[Path]) -> dict[str, Path]:
    """The use cases in some folders: name and folder, sorted by name.

    Raises
    ------
    UsageError
        If a folder does not exist.
    ConfigError
        If two use cases have the same name.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"There is no folder {folder}; MLOPS_USE_CASES must name one that holds use cases.")
        for path in sorted(folder.glob("*/defs.yaml")):
            name = path.parent.name
            if name in found:
                raise ConfigError(f"{path}: there is another use case {name!r} in {found[name]}; rename this folder.")
            found[name] = path.parent
    return dict(sorted(found.items()))


def find_use_case(folders: Sequence[Path], name: str) -> UseCase:
    """Read the use case of that name.

    Raises
    ------
    UsageError
        If there is none; the message lists those that exist.
    """
    known = list_use_cases(folders)
    if name not in known:
        raise UsageError(f"There is no use case {name!r}; there are: {', '.join(known) or 'none'}.")
    return load_use_case(known[name])


def _explain(path: Path, root: yaml.Node | None, problem: Any) -> str:
    keys = tuple(
        key for key in problem["loc"] if not isinstance(key, str) or not key.startswith(("function-", "[key]"))
    )
    line = _line_of(root, ("attributes", *keys))
    where = ".".join(str(key) for key in keys) or "attributes"
    given = "" if problem["type"] in ("missing", "value_error") else f" (given: {problem['input']!r})"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "this key is not known here; is it misspelt?"
    return f"{path}:{line}: {where}: {message}{given}"


def _line_of(node: yaml.Node | None, keys: tuple[Any, ...]) -> int:
    """Line of the deepest node that the keys reach, counted from 1."""
    line = node.start_mark.line + 1 if node else 1
    for key in keys:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key_node, value in node.value:
                if key_node.value == str(key):
                    line, child = key_node.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            child = node.value[key]
            line = child.start_mark.line + 1
        if child is None:
            break
        node = child
    return line
