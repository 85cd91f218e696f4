"""The list of known weaknesses of the locked packages, `advisories.json`, and the lock files that it is about."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from scans.accepted import ROOT, Unusable

LIST = Path(__file__).with_name("advisories.json")
LOCKS = ("requirements.lock", "requirements-dev.lock", "deploy/requirements.lock")


@dataclass(frozen=True)
class Advisory:
    """A known weakness of a package.

    Attributes
    ----------
    id, aliases
        Its number in the database, and its names elsewhere.
    package
        The package, as lock files spell it.
    affected
        Ranges of versions, such as `>=1.0,<1.2.3` (PEP 440); a version is affected if it lies in one of them.
    summary
        What it is, in one line.
    link
        A page on it.
    """

    id: str
    aliases: tuple[str, ...]
    package: str
    affected: tuple[str, ...]
    summary: str
    link: str

    @property
    def names(self) -> frozenset[str]:
        """Its number and its other names."""
        return frozenset((self.id, *self.aliases))


@dataclass(frozen=True)
class Advisories:
    """The list.

    Attributes
    ----------
    source
        Where it comes from.
    date
        The day of the newest record in the source, of any package: what was found since is not in it.
    packages
        The packages that were looked for.
    entries
        Their known weaknesses.
    """

    source: str
    date: dt.date
    packages: frozenset[str]
    entries: tuple[Advisory, ...]


def locked(root: Path = ROOT) -> dict[str, dict[str, list[str]]]:
    """The packages of the lock files.

    Parameters
    ----------
    root
        The checkout.

    Returns
    -------
    dict
        By package, the versions, each with the lock files that name it; a package may have a version for each Python.

    Raises
    ------
    Unusable
        If a lock file has no packages.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for name in LOCKS:
        text = (root / name).read_text(encoding="utf-8")
        pins = re.findall(r"^([A-Za-z0-9][\w.-]*)(?:\[[\w,.-]+\])?==([^\s;\\]+)", text, re.M)
        if not pins:
            raise Unusable(f"{name} names no packages; `make lock` makes it anew.")
        for package, version in pins:
            lines = found.setdefault(canonicalize_name(package), {}).setdefault(version, [])
            if name not in lines:
                lines.append(name)
    return found


def read(path: Path = LIST) -> Advisories:
    """The list as it is stored.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Advisories
        What it says.

    Raises
    ------
    Unusable
        If it cannot be read.
    """
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        entries = tuple(
            Advisory(**{**one, "aliases": tuple(one["aliases"]), "affected": tuple(one["affected"])})
            for one in said["advisories"]
        )
        return Advisories(said["source"], dt.date.fromisoformat(said["date"]), frozenset(said["packages"]), entries)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unusable(f"{path.name} cannot be read ({error!r}); `make advisories` makes it anew.") from None


def write(found: Advisories, path: Path = LIST) -> None:
    """Store the list, an entry a line, so that changes can be read.

    Parameters
    ----------
    found
        The list.
    path
        The file; it is replaced at once or not at all.
    """
    head = {
        "about": "Known weaknesses of the locked packages, written by `make advisories`. Records: CC BY 4.0.",
        "source": found.source,
        "date": found.date.isoformat(),
    }
    said = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    said.append(f'  "packages": {json.dumps(sorted(found.packages))}')
    lines = ",\n".join(f"    {json.dumps(vars(one))}" for one in found.entries)
    said.append(f'  "advisories": [\n{lines}\n  ]')
    new = path.with_suffix(".new")
    new.write_text("{\n" + ",\n".join(said) + "\n}\n", encoding="utf-8")
    new.replace(path)


def lies_in(version: str, text: str) -> bool:
    """Whether a version lies in a range.

    A `SpecifierSet` would say that 2.0rc1 is not in `<2.0`; for a weakness that 2.0 mends, it is.

    Parameters
    ----------
    version
        The version.
    text
        The range.

    Returns
    -------
    bool
        Whether it does.

    Examples
    --------
    >>> lies_in("2.0rc1", ">=1.0,<2.0")
    True
    >>> lies_in("2.0", ">=1.0,<2.0")
    False
    """
    ours = Version(version)
    for part in text.split(","):
        sign, end = parts(part)
        if not {"<": ours < end, "<=": ours <= end, ">=": ours >= end, "==": ours == end}[sign]:
            return False
    return True


def parts(text: str) -> tuple[str, Version]:
    """Sign and version of one end of a range.

    Parameters
    ----------
    text
        Such as `>=1.0`.

    Returns
    -------
    tuple
        The sign and the version.

    Raises
    ------
    Unusable
        If it is none.
    """
    found = re.fullmatch(r"(<=?|>=|==)(.+)", text)
    if not found:
        raise Unusable(f"{text!r} is no end of a range of versions.")
    return found[1], Version(found[2])
