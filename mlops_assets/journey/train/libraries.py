"""The libraries that decide the bits of a model: those of all models, and those that one needs beside."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mlops_assets.journey.model.files import MEANING_FILE, parts_of
from mlops_assets.journey.model.flavours import releases_of

LIBRARIES = ("scikit-learn", "numpy", "scipy", "duckdb", "pyarrow", "skops")


def libraries_of_model(folder: Path) -> dict[str, str]:
    """The releases that a model on this machine was made by, just now.

    Parameters
    ----------
    folder
        Where it is stored.
    """
    now = {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}
    return {**now, **releases_of(parts_of((folder / MEANING_FILE).read_bytes()))}


def other_releases(then: Mapping[str, str]) -> Iterator[str]:
    """How the releases of today differ from those of a card."""
    for name, release in then.items():
        now = platform.python_version() if name == "python" else _installed(name)
        if release != now:
            yield f"{name} {release}, now {now}"


def _installed(name: str) -> str | None:
    """The release of a package; None where it is not installed, as one that only some models need."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
