"""A version by itself: a folder that is a home with one version in it and nothing else; see `tools.exporting`.

Its manifest says which version that is, and has the SHA-256 of every file.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mlops_assets.errors import MlopsError
from mlops_assets.storage.integrity import read_json

MANIFEST = "manifest.json"
"""Its name in the folder; a home that has one is a version by itself."""

CODE, USE_CASES = "code", "use_cases"
"""Folders of what is imported, and of the one use case."""

REQUIREMENTS = "requirements.txt"
"""The packages that it needs, each with the version that it was made with."""

FORM = 1
"""Form of the folder."""

STORE = "export:"
"""The address of the store that a version by itself knows of: there is none."""


@dataclass(frozen=True)
class Alone:
    """What a manifest says.

    Attributes
    ----------
    use_case, version
        What is served.
    files
        SHA-256 of every file, by its path.
    """

    use_case: str
    version: int
    files: dict[str, str]


def is_alone(home: Path) -> bool:
    """Whether a home is a version by itself."""
    try:
        return (home / MANIFEST).is_file()
    except OSError:
        return False


def hash_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_of(home: Path) -> Iterator[str]:
    """The files of an export, without the manifest."""
    for path in sorted(home.rglob("*")):
        if (path.is_file() or path.is_symlink()) and path != home / MANIFEST:
            yield str(path.relative_to(home))


def read_manifest(home: Path) -> Alone:
    """What the manifest of a home says.

    Raises
    ------
    MlopsError
        If it is not as it was written, or of a later form.
    """
    content = read_json(home / MANIFEST)
    if content.get("form") != FORM:
        raise MlopsError(f"{MANIFEST}: it is of form {content.get('form')}, and this version reads form {FORM}.")
    return Alone(content["use_case"], content["version"], content["files"])


def other_versions(home: Path) -> list[str]:
    """The packages, and the Python, that are here in another version than the export was made with, for people."""
    content = read_json(home / MANIFEST)
    wanted = {"python": content["python"]}
    wanted |= dict(line.split("==") for line in (home / REQUIREMENTS).read_text(encoding="utf-8").split())
    found = {name: _version(name) for name in wanted}
    return [f"{name} {found[name]} instead of {wanted[name]}" for name in wanted if found[name] != wanted[name]]


def _version(name: str) -> str:
    try:
        return platform.python_version() if name == "python" else version(name)
    except PackageNotFoundError:
        return "missing"


def see_whole(home: Path) -> Alone:
    """See that an export is as it was made: every file, and none beside.

    Raises
    ------
    MlopsError
        If it is not; with the first file that is wrong.
    """
    alone = read_manifest(home)
    found = set(files_of(home))
    for name in sorted(found | alone.files.keys()):
        if name not in alone.files:
            problem = "was not there when it was exported"
        elif name not in found:
            problem = "is missing"
        elif (home / name).is_symlink() or hash_file(home / name) != alone.files[name]:
            problem = "is not as it was exported"
        else:
            continue
        raise MlopsError(f"{json.dumps(name)} {problem}: copy the whole folder again, or export the version anew.")
    return alone
