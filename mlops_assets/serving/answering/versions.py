"""In: a version of the registry. Out: a model that answers in this process, or why it may not.

Before it answers anybody its hash is checked, it has passed its trial (`Registry.prove`), and it has answered a row of
the contract as this process knows it: the SQL of a version may need a column that `defs.yaml` does not have.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import pyarrow as pa

from mlops_assets.errors import MlopsError, ModelRefused
from mlops_assets.journey.features.blame import RowsFailed
from mlops_assets.journey.model import fetching
from mlops_assets.journey.model.history import Hashes
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.journey.score.loaded import load_shared
from mlops_assets.journey.score.online import Loaded
from mlops_assets.journey.score.predict import answer
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.partitions import DAYS, Partitions
from mlops_assets.workspace import Workspace

if TYPE_CHECKING:
    from mlops_assets.journey.model.about import Summary
    from mlops_assets.journey.model.model import Model
    from mlops_assets.journey.model.version import Version
    from mlops_assets.settings import Settings


@dataclass(frozen=True)
class Wanted:
    """Which version is wanted.

    Attributes
    ----------
    number
        Its number.
    is_champion
        Whether it is the one that became champion: then its hash is that of the history, too.
    as_of
        The day at whose end it was; None for now.
    partitions
        Of which days that is one.
    """

    number: int
    is_champion: bool = False
    as_of: str | None = None
    partitions: Partitions = DAYS


@dataclass(frozen=True)
class Ready:
    """A version that may answer.

    Attributes
    ----------
    loaded
        What answers.
    sha256
        The hash of its model: the number alone could mean another one.
    """

    loaded: Loaded
    sha256: str


def read_version(workspace: Workspace, use_case: UseCase, wanted: Wanted) -> Ready:
    """Read a version, and see that it answers.

    Parameters
    ----------
    workspace
        The installation.
    use_case
        The use case, as this process knows it.
    wanted
        The version.

    Raises
    ------
    UsageError
        If there is none.
    ModelRefused
        If it is not the one that was registered, cannot be had, fails its trial, or does not go with the configuration.
    """
    registry, trusted = workspace.registry, use_case.training.trusted
    if is_here(workspace, use_case.name, wanted.number):
        version = find(workspace.settings, use_case.name, wanted)
    else:  # what asks MLflow does so elsewhere: its import takes seconds, and 100 MiB that this process would keep
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
            version = apart.submit(find, workspace.settings, use_case.name, wanted).result()
    proven = registry.prove(version, trusted)
    model = load_shared(proven.folder / "serving", proven.serving_sha256, trusted)
    see_answer(use_case, model, f"version {version.version} of {use_case.name}")
    return Ready(Loaded(use_case, version.version, model), version.serving_sha256)


def known_here(workspace: Workspace, use_case: str) -> dict[int, Summary]:
    """What the lake knows of the versions of a use case, by their numbers, the oldest first; MLflow is not asked."""
    return {one.version: one.summary(use_case) for one in workspace.registry.copies(use_case).here()}


def is_here(workspace: Workspace, use_case: str, number: int) -> bool:
    """Whether a version can be had without MLflow."""
    registered = workspace.registry.copies(use_case).get(number)
    if registered is None:
        return False
    hashes = [registered.tags.get(each.name, "") for each in fields(Hashes)]
    return fetching.is_here(registered.source, hashes, workspace.settings)


def find(settings: Settings, use_case: str, wanted: Wanted) -> Version:
    """A version with its files on this machine; errors as of `read_version`."""
    registry = Workspace(settings).registry
    version = registry.champion(use_case, wanted.as_of, wanted.partitions) if wanted.is_champion else None
    return version or registry.version(use_case, wanted.number)


def see_answer(use_case: UseCase, model: Model, name: str) -> None:
    """See that a model answers a row of the use case, with nothing in it.

    Parameters
    ----------
    use_case
        Says what a row has.
    model
        The model, whose SQL makes its input.
    name
        What it is called, for messages.

    Raises
    ------
    ModelRefused
        If its SQL cannot run over such rows at all.
    """
    schema = rows_schema(use_case)
    row = pa.RecordBatch.from_pylist([{"file": "none", "line": 1}], schema)
    today = use_case.partitions.key(dt.datetime.now(dt.UTC))
    try:
        answer([model], pa.Table.from_batches([row]), today, use_case)
    except RowsFailed:  # it runs; that a row is empty may be more than it takes, as on a day
        return
    except MlopsError as error:
        raise ModelRefused(
            f"{name} does not go with the configuration of this process: {error} If defs.yaml was changed since the "
            "API began, start it again."
        ) from None
