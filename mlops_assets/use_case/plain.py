"""In: the files of a use case, perhaps a stranger's. Out: their text, and YAML that is not more than it looks."""

from __future__ import annotations

import io
import os
from pathlib import Path

import yaml

from mlops_assets.errors import ConfigError
from mlops_assets.storage.inside import NoFile, open_regular

LARGEST = 1 << 20
"""Bytes that `defs.yaml` and `features.sql` may each have; a stored model's SQL may have as many."""

MOST = 100_000
"""Values that a YAML file may stand for. Nine lines of aliases to aliases stand for a thousand million."""

DEEPEST = 50
"""Values within values; what walks through a configuration takes several steps into each."""

LONGEST_NUMBER = 100
"""Signs of a number. Of thousands of digits, or of a long `1:1:1`, Python makes none, or takes minutes for it."""

NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


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
    try:
        with open_regular(path) as file, io.TextIOWrapper(file, encoding="utf-8") as text:
            size = os.fstat(file.fileno()).st_size
            if size > LARGEST:
                raise ConfigError(f"{path}: it has {size:,} bytes, allowed are {LARGEST:,}.")
            return text.read()
    except NoFile:
        raise ConfigError(f"{path}: it is no plain file; a use case needs one.") from None


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
        If its aliases contain themselves or stand for too much, it is nested too deeply, or a number is too long.
    yaml.YAMLError
        If it is no YAML.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values, _ = _measure(path, root, {}) if root else (0, 0)
    except RecursionError:
        raise ConfigError(f"{path}: it is nested too deeply.") from None
    if values > MOST:
        raise ConfigError(f"{path}: with its aliases it stands for {values:,} values, allowed are {MOST:,}.")
    return root


def _measure(path: Path, node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """How many values a node stands for, and how deep they lie; `known` has None for those that are being counted."""
    where = f"{path}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.ScalarNode):
        if node.tag in NUMBERS and len(node.value) > LONGEST_NUMBER:
            raise ConfigError(f"{where}: a number of {len(node.value):,} signs; allowed are {LONGEST_NUMBER}.")
        return 1, 1
    if id(node) not in known:
        known[id(node)] = None
        pairs = node.value if isinstance(node, yaml.SequenceNode) else [one for pair in node.value for one in pair]
        measured = [_measure(path, one, known) for one in pairs]
        known[id(node)] = 1 + sum(values for values, _ in measured), 1 + max((deep for _, deep in measured), default=0)
    found = known[id(node)]
    if found is None:
        raise ConfigError(f"{where}: an alias stands within what it stands for.")
    if found[1] > DEEPEST:
        raise ConfigError(f"{where}: it is nested too deeply.")
    return found
