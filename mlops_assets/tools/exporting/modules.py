"""What a version by itself needs of Python: modules of the use case's own, and packages with their versions."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from mlops_assets.work.code import Code, code_of
from mlops_assets.work.syntax import PACKAGE, find, is_installed, top_name

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
"""An import path."""

ROOTS = (
    *("click", "pyyaml", "pydantic", "numpy", "scipy", "pandas", "pyarrow", "duckdb", "scikit-learn", "skops"),
    *("joblib", "threadpoolctl", "deltalake", "obstore", "pillow", "requests", "urllib3"),
    *("fastapi", "starlette", "fastapi-swagger", "uvicorn[standard]", "python-multipart", "orjson"),
    *("prometheus-client", "jinja2", "markupsafe"),
)
"""What the API imports; Dagster, MLflow and PostgreSQL's driver are not among it."""


def own_modules(configuration: Any) -> dict[str, Path]:
    """The modules that a configuration reaches and no package brings: file or folder, by the name of the top.

    Parameters
    ----------
    configuration
        What is written in a `defs.yaml`.
    """
    tops = {top_name(module) for module in _own(configuration).modules} - {PACKAGE}
    return {top: place for top in sorted(tops) if (place := _place(top)) is not None}


def _own(configuration: Any) -> Code:
    """The code of one's own that a configuration names, with what it imports."""
    paths = sorted(set(_paths(configuration)))
    return code_of(*(path for path in paths if not _is_brought(top_name(path))))


def _is_brought(top: str) -> bool:
    return top in sys.stdlib_module_names or top == PACKAGE or is_installed(top)


def _paths(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _paths(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _paths(one)
    elif isinstance(value, str) and DOTTED.fullmatch(value):
        yield value


def _place(top: str) -> Path | None:
    """Where a module of somebody's own lies; None of what is installed, or is none."""
    spec = None if _is_brought(top) else find(top)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.origin else None


def pins(configuration: Any, further: Collection[str] = ()) -> list[str]:
    """The packages that serving needs, each with the version that is installed here, `name==version`.

    What it says is known to answer with the same bits: those of here.

    Parameters
    ----------
    configuration
        What is written in a `defs.yaml`: packages that it names, or that modules of one's own import, are needed, too.
    further
        Packages that its model needs, whatever the configuration names; see `Version.libraries`.
    """
    found: dict[str, str] = {}
    brings = packages_distributions()
    named = {name for path in _paths(configuration) for name in brings.get(top_name(path), ())}
    left = [Requirement(root) for root in (*ROOTS, *sorted({*named, *further}), *sorted(_own(configuration).libraries))]
    while left:
        requirement = left.pop()
        try:
            package = distribution(requirement.name)
        except PackageNotFoundError:  # of another system, or an extra that is not installed
            continue
        seen = found.get(package.name.lower())
        found[package.name.lower()] = f"{package.name}=={package.version}"
        if seen and not requirement.extras:
            continue
        for line in package.requires or ():
            one = Requirement(line)
            extras = requirement.extras or {""}
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras):
                left.append(one)
    return sorted(found.values(), key=str.lower)
