"""In: the name of a folder. Out: a repository with a use case, tests and what runs it, written whole or not at all."""

from __future__ import annotations

import errno
import keyword
import os
import re
import tempfile
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from mlops_assets import __version__
from mlops_assets.errors import UsageError, cannot_be_used
from mlops_assets.journey.features.sql import describe
from mlops_assets.settings import OWN_USE_CASES, PACKAGE
from mlops_assets.use_case import list_use_cases, load_use_case
from mlops_assets.work.printable import printable

FILES = Path(__file__).parent / "files"
"""What a repository is made of; where it says `%{name}`, something is filled in."""

ENDING = ".template"
PLACE = "__use_case__"
"""The folder among them that gets the name of the use case."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
IMAGE = re.compile(r"[a-z0-9][\w.:/@-]{0,254}", re.ASCII)
FIRST, SECOND, THIRD = "2026-01-01", "2026-01-02", "2026-01-03"
"""Since when its use case has days, and those of the tests: the same command writes the same bytes on any day."""

DAGSTER = """\
# Dagster's instance: SQLite, two runs at a time. Commands copy this file into .mlops/dagster: change it here.
# `dagster dev -w workspace.yaml`, started here without DAGSTER_HOME, reads it as it is and has the same home."""
"""What `dagster.yaml` begins with."""

ACTIONS = {
    "checkout": "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1  # v7.0.1",
    "setup_python": "actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97  # v7.0.0",
}
"""Those of our own workflows."""


class _Filled(Template):
    """`%{name}`: dollars belong to shells, compose files and workflows."""

    delimiter = "%"


@dataclass(frozen=True)
class Repository:
    """A repository that was made.

    Attributes
    ----------
    folder
        Where it lies.
    use_case
        The name of its use case.
    files
        Its files, seen from the folder.
    """

    folder: Path
    use_case: str
    files: tuple[str, ...]


def make_repository(folder: Path, use_case: str, image: str) -> Repository:
    """Write a repository.

    Parameters
    ----------
    folder
        Where it shall lie: nothing is there yet, or an empty folder.
    use_case
        Name of its use case.
    image
        The image of the platform for its `compose.yaml`; empty for that of this version, as its repository builds it.

    Raises
    ------
    UsageError
        If the folder has something in it or cannot be written, or a name cannot be used.
    """
    folder = Path(os.path.abspath(folder.expanduser()))  # noqa: PTH100 - a name with `..` has none for a title
    _check_name(use_case)
    image = image or f"mlops-assets:{__version__}"
    if not IMAGE.fullmatch(image):
        raise UsageError(f"--image {printable(image)}: this is no name of an image, such as registry/mlops-assets:1.0.")
    _check_free(folder)
    told = {
        "project": project_name(folder.name),
        "title": printable(folder.name).replace("`", "'") or "Predictions",
        "use_case": use_case,
        "label": "left",
        "version": __version__,
        "image": image,
        "first": FIRST,
        "second": SECOND,
        "third": THIRD,
        **ACTIONS,
    }
    above = folder.parent
    try:
        above.mkdir(parents=True, exist_ok=True)
        # written beside its place and moved there once its use case loads: nobody meets half a repository
        with tempfile.TemporaryDirectory(dir=above, prefix=".init-") as temporary:
            made = Path(temporary) / "repository"
            files = _write(made, told)
            describe(load_use_case(made / "use_cases" / use_case))
            _move(made, folder)
    except OSError as error:
        if folder.is_dir() and any(folder.iterdir()):  # somebody made it meanwhile
            _check_free(folder)
        raise UsageError(cannot_be_used(error.filename or above, error.strerror)) from None
    return Repository(folder, use_case, files)


def _move(made: Path, folder: Path) -> None:
    """Move a repository to its place; a folder that is there stays the same one, for a shell may stand in it."""
    if not folder.exists():
        made.rename(folder)  # takes the place of nothing but an empty folder
        return
    moved: list[Path] = []
    try:
        # what makes it a repository comes last
        for source in sorted(made.iterdir(), key=lambda path: path.name == "pyproject.toml"):
            place = folder / source.name
            if place.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
            source.rename(place)
            moved.append(place)
    except BaseException:
        for place in moved:
            place.rename(made / place.name)
        raise


def project_name(folder: str) -> str:
    """A name for the package of a repository, made of that of its folder: small letters, digits, hyphens.

    Parameters
    ----------
    folder
        Any name of a folder.
    """
    plain = unicodedata.normalize("NFKD", folder.replace("ß", "ss")).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain)[:60].strip("-") or "use-cases"
    # a package that asked for itself, or for one that it stands in the place of, could not be installed
    return f"{name}-use-cases" if name in ("mlops-assets", "pytest") else name


def _check_name(use_case: str) -> None:
    if not NAME.fullmatch(use_case) or keyword.iskeyword(use_case):
        raise UsageError(
            f"--use-case {printable(use_case)}: this is no name for a use case: small letters, digits and _, with a "
            "letter first, at most 50, and no word of Python."
        )
    if use_case in list_use_cases([OWN_USE_CASES]):
        raise UsageError(f"--use-case {use_case}: there is one of that name in mlops-assets; choose another name.")


def _check_free(folder: Path) -> None:
    try:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise UsageError(f"{folder}: this is no folder; name one that is empty, or that is not there yet.")
        found = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise UsageError(cannot_be_used(folder, error.strerror)) from None
    if found:
        more = f" and {len(found) - 3:,} more" if found[3:] else ""
        shown = ", ".join(map(printable, found[:3]))
        raise UsageError(
            f"{folder} has {shown}{more} in it, and stays as it is; name a folder that is empty or not there yet."
        )


def _write(made: Path, told: Mapping[str, str]) -> tuple[str, ...]:
    """Fill in all files; their names."""
    names = []
    for template in sorted(FILES.rglob(f"*{ENDING}")):
        name = template.relative_to(FILES).as_posix().removesuffix(ENDING).replace(PLACE, told["use_case"])
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_Filled(template.read_text(encoding="utf-8")).substitute(told), encoding="utf-8")
        names.append(name)
    # of the comments before it, what holds in a repository
    _, begins, keys = (PACKAGE / "dagster.yaml").read_text(encoding="utf-8").partition("\ninstance_class:")
    (made / "dagster.yaml").write_text(DAGSTER + begins + keys, encoding="utf-8")
    return tuple(sorted([*names, "dagster.yaml"]))
