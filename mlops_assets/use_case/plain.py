"""In: the files of a use case, perhaps a stranger's. Out: their text, and YAML that is not more than it looks."""

from __future__ import annotations

import stat
from pathlib import Path

import yaml

from mlops_assets.errors import ConfigError

LARGEST = 1 << 20
"""Bytes that `defs.yaml` and `features.sql` may each have; a stored model's SQL may have as many."""

MOST = 100_000
"""Values that a YAML file may stand for. Nine lines of aliases to aliases stand for a thousand million."""


def read_plain(path: Path) -> str:
    """The text of a file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    str
        What it says.

    Raises
    ------
    ConfigError
        If it is no plain file, such as a pipe, which could be waited for without end, or too large.
    FileNotFoundError, UnicodeDecodeError
        If it is not there, or no UTF-8.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path}: it is no plain file; a use case needs one.")
    if status.st_size > LARGEST:
        raise ConfigError(f"{path}: it has {status.st_size:,} bytes, allowed are {LARGEST:,}.")
    return path.read_text(encoding="utf-8")


def compose(path: Path, text: str) -> yaml.Node | None:
    """The nodes of a YAML file, seen to stand for a number of values that can be held.

    Parameters
    ----------
    path
        The file, for what is told.
    text
        What it says.

    Returns
    -------
    yaml.Node or None
        The root; None if it says nothing.

    Raises
    ------
    ConfigError
        If its aliases contain themselves or stand for too much, or it is nested too deeply.
    yaml.YAMLError
        If it is no YAML.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = _values(path, root, {}) if root else 0
    except RecursionError:
        raise ConfigError(f"{path}: it is nested too deeply.") from None
    if values > MOST:
        raise ConfigError(f"{path}: with its aliases it stands for {values:,} values, allowed are {MOST:,}.")
    return root


def _values(path: Path, node: yaml.Node, known: dict[int, int | None]) -> int:
    """How many values a node stands for; `known` has None for those that are being counted."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = None
        pairs = node.value if isinstance(node, yaml.SequenceNode) else [one for pair in node.value for one in pair]
        known[id(node)] = 1 + sum(_values(path, one, known) for one in pairs)
    found = known[id(node)]
    if found is None:
        line = node.start_mark.line + 1
        raise ConfigError(f"{path}:{line}: an alias stands within what it stands for.")
    return found
