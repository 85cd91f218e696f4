"""What the audits let pass, each entry with its reason: `accepted.toml`."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
"""The checkout."""

ACCEPTED = Path(__file__).with_name("accepted.toml")


class Unusable(Exception):
    """A file of the audits cannot be used as it is; the text says what to do."""


@dataclass(frozen=True)
class Exemption:
    """A known weakness of a package that is lived with until a day.

    Attributes
    ----------
    id
        Its number, or one of its other names.
    package
        The package, as the lock files spell it.
    reason
        Why it does no harm here, or what stands against an upgrade.
    until
        The last day on which it is let pass.
    """

    id: str
    package: str
    reason: str
    until: dt.date


EXEMPTION: Mapping[str, type] = {"id": str, "package": str, "until": dt.date}
"""The keys of an entry beside its reason."""


@dataclass(frozen=True)
class Harmless:
    """Text that looks like a secret and is none.

    Attributes
    ----------
    path
        How the paths of its files begin, from the root of the checkout.
    value
        A regular expression for the whole of the text.
    reason
        Why it is no secret.
    """

    path: str
    value: re.Pattern[str]
    reason: str


def read_exemptions(path: Path = ACCEPTED, table: str = "advisory") -> list[Exemption]:
    """The entries of a table of known weaknesses.

    Parameters
    ----------
    path
        The file.
    table
        `advisory`, of the locked packages, or `image`, of what a scanner finds in the image beside them.

    Returns
    -------
    list of Exemption
        In the order of the file.

    Raises
    ------
    Unusable
        If an entry lacks a key, has one that is not known, or one of another type.
    """
    return [Exemption(**one) for one in _entries(path, table, EXEMPTION)]


def read_harmless(path: Path = ACCEPTED) -> list[Harmless]:
    """The entries `[[secret]]`.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    list of Harmless
        In the order of the file.

    Raises
    ------
    Unusable
        If an entry lacks a key, has one that is not known, or is no regular expression.
    """
    found = []
    for one in _entries(path, "secret", {"path": str, "value": str}):
        try:
            found.append(Harmless(one["path"], re.compile(one["value"], re.DOTALL), one["reason"]))
        except re.error as error:
            raise Unusable(
                f"{path.name}: [[secret]] value {one['value']!r} is no regular expression: {error}"
            ) from None
    return found


def _entries(path: Path, kind: str, types: Mapping[str, type]) -> list[dict[str, Any]]:
    """The entries of a kind, whose keys are looked at; each has a reason."""
    try:
        entries: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8")).get(kind, [])
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Unusable(f"{path.name} cannot be read: {error}") from None
    wanted = {**types, "reason": str}
    for number, entry in enumerate(entries, 1):
        where = f"{path.name}: [[{kind}]] number {number}"
        if entry.keys() != wanted.keys():
            raise Unusable(f"{where} must have the keys {', '.join(sorted(wanted))} and no others.")
        for key, of in wanted.items():
            # a date with a time is a date to Python
            if type(entry[key]) is not of:
                raise Unusable(f"{where}: {key} must be a {of.__name__}, not {entry[key]!r}.")
        if not entry["reason"].strip():
            raise Unusable(f"{where} needs a reason.")
    return entries
