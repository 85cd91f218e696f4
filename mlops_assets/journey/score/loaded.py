"""The models that score in this process, each loaded once."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.version import Version
from mlops_assets.use_case import UseCase


def load_cached(version: Version, use_case: UseCase) -> Model:
    """The model of a version, loaded once a process.

    Raises
    ------
    ModelRefused
        If it is not the one that was registered, or nobody has seen it answer a trial.
    """
    if not version.proven:
        raise ModelRefused(f"version {version.version} of {version.use_case} was not tried before it shall score.")
    return _load(version.folder / "serving", version.serving_sha256, use_case.training.trusted)


@lru_cache(maxsize=3)
def _load(folder: Path, sha256: str, trusted: tuple[str, ...]) -> Model:
    return Model.load(folder, sha256, trusted)
