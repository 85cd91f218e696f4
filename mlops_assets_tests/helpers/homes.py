"""Homes of the tests, and stores to begin with: what takes seconds to make is made once a process, and copied."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from mlops_assets import running
from mlops_assets.journey.model.registry import Registry
from mlops_assets.settings import Settings
from mlops_assets.storage.modes import private
from mlops_assets.use_case import Origin, UseCase


@contextmanager
def state_in(home: Path) -> Iterator[None]:
    """An environment that names a home and nothing else."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(("MLOPS_", "MLFLOW_", "DAGSTER_"))]:
            environment.delenv(name)
        environment.setenv("MLOPS_HOME", str(home))
        environment.setenv("MLOPS_WORKERS", "1")
        yield


@cache
def _first_home() -> Path:
    """A home of which nothing is known but that MLflow and Dagster have made their tables."""
    home = Path(tempfile.mkdtemp(prefix="home-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    with private(), state_in(home), pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_HOME", "")  # the instance sets it: so it is forgotten afterwards
        settings = Settings.from_environment()
        Registry(settings).client()
        with running.dagster_instance(settings) as instance:
            instance.get_runs()
            instance.all_instigator_state()
    return home


def give_stores(home: Path, *names: str) -> None:
    """Lay the empty stores `mlflow` or `dagster` into a home that has none, as its first training would make them."""
    for name in names:
        if not (home / name).exists():
            shutil.copytree(_first_home() / name, home / name)


@contextmanager
def measured_briefly() -> Iterator[None]:
    """The speed of a model is measured once, on few rows: what such a measurement is worth, `train/test_speed` asks."""
    from mlops_assets.journey.train import speed

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"TRIES": 1, "LEAST": 0.0, "BATCH": speed.PROBE}.items():
            patch.setattr(speed, name, value)
        yield


def copy_home(home: Path, to: Path) -> None:
    """A copy of a home whose raw files are links to the first ones: a copied file is another one to a listing.

    Its use cases must follow links; see `following_links`.
    """

    def copy(source: str, target: str) -> None:
        (os.symlink if Path(source).is_relative_to(home / "raw") else shutil.copy2)(source, target)

    shutil.copytree(home, to, copy_function=copy, symlinks=True)


def following_links(use_case: UseCase) -> UseCase:
    """The use case for homes that are copies."""
    return use_case if use_case.source else use_case.model_copy(update={"source": Origin(follow_links=True)})
