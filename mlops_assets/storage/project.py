"""The repository that commands are given in: a folder whose `pyproject.toml` has a table `tool.mlops-assets`."""

from __future__ import annotations

import os
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.errors import ConfigError, MlopsError, UsageError

FILE = "pyproject.toml"
TABLE = "mlops-assets"
"""The table of `tool` that makes a folder a repository of use cases."""

LARGEST = 1_000_000
"""Bytes of such a file that are looked at."""

PINNED = re.compile(r"mlops[-_.]assets\s*(?:\[[^\]]*\])?\s*==\s*([^\s;,]+)")
"""A dependency on one version."""

KEYS = {"use_cases": "use_cases", "home": ".mlops", "examples": False}
"""What the table may say, and what holds where it does not."""


@dataclass(frozen=True)
class Project:
    """A repository of use cases.

    Attributes
    ----------
    folder
        Where it lies.
    use_cases
        Folder of its use cases.
    home
        Folder of all state, unless `MLOPS_HOME` names another one.
    examples
        Whether the use cases that come with the package are there, too.
    """

    folder: Path
    use_cases: Path
    home: Path
    examples: bool


def find_project(named: str) -> Project | None:
    """The repository that is worked in; None where there is none.

    Parameters
    ----------
    named
        Its folder. If it is empty, the first that has such a table, of the current folder and those above it.

    Raises
    ------
    UsageError
        If the folder that is named is no repository, or the one that is found belongs to somebody else.
    ConfigError
        If the table has a mistake; with file and key.
    """
    if named:
        folder = Path(named).expanduser().absolute()
        table = _table(folder / FILE)
        if table is None:
            raise UsageError(f"MLOPS_PROJECT={named}: {folder / FILE} has no table [tool.{TABLE}].")
        return _project(folder, table)
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was removed meanwhile
        return None
    for folder in (here, *here.parents):
        table = _table(folder / FILE)
        if table is not None:
            _check_owner(folder / FILE)
            return _project(folder, table)
    return None


def other_version(installed: str) -> str:
    """What to tell of a repository that asks for another version than the one that works in it; mostly nothing.

    Parameters
    ----------
    installed
        The version of this package.
    """
    with suppress(MlopsError):  # whoever needs the repository is told what is wrong with it
        project = find_project(os.environ.get("MLOPS_PROJECT", ""))
        said = (_read(project.folder / FILE) if project else None) or {}
        asked = said.get("project", {}).get("dependencies", [])
        pinned = [found[1] for one in asked if (found := PINNED.fullmatch(str(one)))]
        if project and pinned and pinned[0] != installed:
            return (
                f"{project.folder / FILE} asks for mlops-assets {pinned[0]}, and this is {installed}: "
                "`pip install --editable .` there, or pin this one."
            )
    return ""


def _read(file: Path) -> dict[str, Any] | None:
    """A file that may have the table; files of others, which may be anything, are not parsed."""
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST)
    except OSError:
        return None
    if TABLE.encode() not in data:
        return None
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: this is no TOML: {error}") from None


def _table(file: Path) -> dict[str, Any] | None:
    """The table of a file; None where it has none."""
    table = (_read(file) or {}).get("tool", {}).get(TABLE)
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{file}: tool.{TABLE}: expected a table, [tool.{TABLE}].")
    return table


def _check_owner(file: Path) -> None:
    """Classes of use cases are run: what somebody put into a folder above must not be, such as into `/tmp`."""
    owner = file.stat().st_uid
    if owner not in (os.geteuid(), 0):
        raise UsageError(
            f"{file} belongs to another account (number {owner}), and its use cases may run code. "
            f"If you trust it, say so: MLOPS_PROJECT={file.parent}"
        )


def _project(folder: Path, table: dict[str, Any]) -> Project:
    where = f"{folder / FILE}: tool.{TABLE}"
    for key, value in table.items():
        if key not in KEYS:
            raise ConfigError(f"{where}.{key}: this key is not known here; known: {', '.join(KEYS)}.")
        kind = type(KEYS[key])
        if not isinstance(value, kind) or value == "":
            expected = "true or false" if kind is bool else "a folder, seen from that file"
            raise ConfigError(f"{where}.{key}: expected {expected} (given: {value!r}).")
    told: dict[str, Any] = {**KEYS, **table}
    return Project(folder, folder / told["use_cases"], folder / told["home"], told["examples"])
