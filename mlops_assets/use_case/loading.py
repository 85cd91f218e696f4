"""Reads use cases from their folders; a mistake is told with file, line and key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from yaml.constructor import ConstructorError

from mlops_assets.errors import ConfigError, UsageError
from mlops_assets.use_case.attributes import Attributes, UseCase
from mlops_assets.use_case.plain import compose, read_plain
from mlops_assets.use_case.references import WrongReference, as_written, fill_environment

OURS = ("name", "features_sql", "folder", "written")
"""What a use case has of its folder: no attribute may say it."""

NAME = re.compile(r"[A-Za-z0-9_]+")
"""Names of use cases, which are names of folders, jobs and experiments, too."""

PYDANTICS = ("function-", "[key]")
"""How steps begin that pydantic puts between the keys that lead to a problem."""


class _Loader(yaml.SafeLoader):
    """Leaves a day that no calendar has a text, so that it is told by its key."""

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> Any:
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError:
            return node.value

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # a tag such as `!!int` before what is none
            raise ConstructorError(None, None, f"this is no {node.tag}: {error}", node.start_mark) from None


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
    root, attributes = _read_yaml(path)
    if not isinstance(attributes, dict):
        raise ConfigError(f"{path}: expected the key `attributes` with the settings of the use case.")
    try:
        return build_use_case(attributes, folder)
    except WrongReference as error:
        raise ConfigError(f"{path}:{_line_of(root, ('attributes', *error.keys))}: {error}") from None
    except ValidationError as error:
        raise explained(error, attributes, folder) from None


def explained(error: ValidationError, attributes: Any, folder: Path) -> ConfigError:
    """What is wrong with a use case, each with file, line and key.

    Parameters
    ----------
    error
        What `build_use_case` raised.
    attributes, folder
        What it was given.
    """
    path = folder / "defs.yaml"
    root, _ = _read_yaml(path)
    return ConfigError("\n".join(_explain(path, root, attributes, problem) for problem in error.errors()))


def _read_yaml(path: Path) -> tuple[yaml.Node | None, Any]:
    """The nodes, which know their lines, and the value of `attributes`."""
    try:
        text = read_plain(path)
        # kept both, for the nodes know their lines and not their values, and the values not their lines
        root = compose(path, text)
        return root, _Loader("").construct_document(root).get("attributes")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; a use case needs one.") from None
    except (yaml.YAMLError, AttributeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this is not a YAML mapping with `type` and `attributes`: {error}") from None


def build_use_case(attributes: dict[str, Any], folder: Path) -> UseCase:
    """Make a use case of its attributes and of the folder it lies in.

    Parameters
    ----------
    attributes
        As they are written: `{{ env.NAME }}` is filled in here.
    folder
        The folder.

    Raises
    ------
    ConfigError
        If the folder has no `features.sql`, an environment variable is not set, or its value would be shown.
    pydantic.ValidationError
        If an attribute is wrong.
    """
    text = _read_sql(folder / "features.sql")
    strange = [key for key in attributes if key in OURS or not isinstance(key, str)]
    if strange:
        # told as keys that are not known: the use case itself would take the first, and fail on the others as arguments
        named = {key: value for key, value in attributes.items() if isinstance(key, str)}
        Attributes.model_validate({**named, **dict.fromkeys(map(str, strange), "")})
    ours = {"name": folder.name, "features_sql": text, "folder": folder, "written": attributes}
    return UseCase(**{**fill_environment(attributes), **ours})


def _read_sql(path: Path) -> str:
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file; it must create the view `model_input`.")
    try:
        return read_plain(path)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: this is not UTF-8: {error}") from None


def list_use_cases(folders: Sequence[Path]) -> dict[str, Path]:
    """The use cases in some folders: name and folder, sorted by name.

    Raises
    ------
    UsageError
        If a folder does not exist.
    ConfigError
        If two use cases have the same name, or one has no plain one.
    """
    use_cases: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(
                f"There is no folder {folder}; MLOPS_USE_CASES, or `use_cases` of [tool.mlops-assets] in a "
                "pyproject.toml, must name one that holds use cases."
            )
        for path in sorted(folder.glob("*/defs.yaml")):
            name = path.parent.name
            if not NAME.fullmatch(name):
                raise ConfigError(
                    f"{folder}: {name!r} is no name of a use case: letters, digits and _ alone; rename that folder."
                )
            if name in use_cases:
                raise ConfigError(
                    f"{path}: there is another use case {name!r} in {use_cases[name]}; rename this folder."
                )
            use_cases[name] = path.parent
    return dict(sorted(use_cases.items()))


def find_use_case(folders: Sequence[Path], name: str) -> UseCase:
    """Read the use case of that name.

    Raises
    ------
    UsageError
        If there is none; the message lists those that exist.
    """
    use_cases = list_use_cases(folders)
    if name not in use_cases:
        raise UsageError(f"There is no use case {name!r}; there are: {', '.join(use_cases) or 'none'}.")
    return load_use_case(use_cases[name])


def _explain(path: Path, root: yaml.Node | None, attributes: Any, problem: Any) -> str:
    keys = _keys(problem["loc"], attributes)
    line = _line_of(root, ("attributes", *keys))
    where = ".".join(map(str, keys)) or "attributes"
    # as it is written: what it was filled in with may be a secret
    said = as_written(problem["input"], _at(attributes, keys))
    given = "" if problem["type"] in ("missing", "value_error") else f" (given: {said!r})"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "this key is not known here; is it misspelt?"
    if problem["type"].startswith("union_tag"):
        message = f"there is no such `kind`; known: {problem['ctx'].get('expected_tags', 'see docs/configuration.md')}"
    return f"{path}:{line}: {where}: {message}{given}"


def _keys(steps: Sequence[Any], attributes: Any) -> tuple[Any, ...]:
    """The keys among the steps by which pydantic came to a problem: of several forms, it names that of the `kind`."""
    keys: list[Any] = []
    for step in steps:
        here = _at(attributes, keys)
        is_form = isinstance(here, dict) and step not in here and here.get("kind") == step
        if not is_form and not str(step).startswith(PYDANTICS):
            keys.append(step)
    return tuple(keys)


def _at(attributes: Any, keys: Sequence[Any]) -> Any:
    """What is written at some keys; None where it is nothing."""
    for key in keys:
        try:
            attributes = attributes[key]
        except (LookupError, TypeError):
            return None
    return attributes


def _line_of(node: yaml.Node | None, keys: tuple[Any, ...]) -> int:
    """Line of the deepest node that the keys reach, counted from 1."""
    line = node.start_mark.line + 1 if node else 1
    for key in keys:
        reached = _child(node, key)
        # a key that is missing is told by the line of its parent
        if reached is None:
            break
        mark, node = reached
        line = mark.line + 1
    return line


def _child(node: yaml.Node | None, key: Any) -> tuple[yaml.Mark, yaml.Node] | None:
    """Where a key stands, and what stands under it; None where there is nothing."""
    if isinstance(node, yaml.MappingNode):
        pairs = [(name.start_mark, value) for name, value in node.value if name.value == str(key)]
        return pairs[-1] if pairs else None  # of two keys alike, YAML takes the last one
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key].start_mark, node.value[key]
    return None
