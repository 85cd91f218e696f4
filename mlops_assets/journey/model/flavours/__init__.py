"""Flavours: models of libraries beside scikit-learn, each stored in a form of its own that holds no code.

The archive of skops stays the home of the pipeline. Where a flavour owns an estimator in it, the archive has a
placeholder (`flavoured.Flavoured`) that names a file beside it; `parts` takes these out and puts them back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mlops_assets.journey.model.flavours.catboost import CatBoost
from mlops_assets.journey.model.flavours.flavour import Flavour
from mlops_assets.journey.model.flavours.lightgbm import LightGBM
from mlops_assets.journey.model.flavours.onnx import Onnx
from mlops_assets.journey.model.flavours.torch import Torch
from mlops_assets.journey.model.flavours.xgboost import XGBoost

FLAVOURS: Mapping[str, Flavour] = {
    flavour.name: flavour for flavour in (XGBoost(), LightGBM(), CatBoost(), Onnx(), Torch())
}
"""All flavours, by name."""

_OWNERS = {path: flavour for flavour in FLAVOURS.values() for path in flavour.owns}


def flavour_of(kind: type) -> Flavour | None:
    """The flavour that stores estimators of a class; None if skops does."""
    for base in kind.__mro__:
        if (owner := _OWNERS.get(f"{base.__module__}.{base.__qualname__}")) is not None:
            return owner
    return None


def made_of(path: str) -> tuple[str, Mapping[str, Any]]:
    """What is made of an import path in a configuration.

    Returns
    -------
    tuple
        The import path of the class that is made, and the arguments that it gets unless the configuration says other.
    """
    for flavour in FLAVOURS.values():
        if path in flavour.defaults or path in flavour.instead:
            return flavour.instead.get(path, path), flavour.defaults.get(path, {})
    return path, {}


def libraries_of(parts: Mapping[str, str]) -> list[str]:
    """The modules that the parts of a model need, by the flavour of each."""
    return sorted({FLAVOURS[flavour].module for flavour in parts.values() if flavour in FLAVOURS})


def releases_of(parts: Mapping[str, str]) -> dict[str, str]:
    """The packages that the parts of a model need, each with the release that is installed here; empty where none is.

    Parameters
    ----------
    parts
        The flavour of each; see `files.parts_of`.
    """
    needed = [FLAVOURS[flavour].distributions for flavour in sorted({*parts.values()}) if flavour in FLAVOURS]
    return {name: release for names in needed for name, release in [_installed(names)]}


def _installed(distributions: Sequence[str]) -> tuple[str, str]:
    for name in distributions:
        with suppress(PackageNotFoundError):
            return name, version(name)
    return distributions[0], ""
