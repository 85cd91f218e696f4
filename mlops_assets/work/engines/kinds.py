"""The engines by their names: how each is opened, and whether it is set up, so that `auto` may choose it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from mlops_assets.settings import Settings
from mlops_assets.work.engines.local import LocalEngine

if TYPE_CHECKING:
    from mlops_assets.use_case import UseCase
    from mlops_assets.work.shards import Engine

AUTO, LOCAL, RUNS, PIPES = "auto", "local", "runs", "pipes"


@dataclass(frozen=True)
class Kind:
    """An engine by its name.

    Attributes
    ----------
    open
        Makes one of the settings, with so many cores at work.
    is_set_up
        Whether these settings have all that it needs.
    """

    open: Callable[[Settings, int], AbstractContextManager[Engine]]
    is_set_up: Callable[[Settings], bool]


def _spark(settings: Settings, workers: int) -> AbstractContextManager[Engine]:
    # imported where it is asked for: pyspark comes with an extra
    from mlops_assets.work.engines.spark import SparkEngine

    return SparkEngine(settings.spark_master, workers)


def _has_cluster(settings: Settings) -> bool:
    """Whether there is a cluster: Spark on this machine alone is never faster than `local`."""
    return not settings.spark_master.startswith("local") and find_spec("pyspark") is not None


KINDS = {
    LOCAL: Kind(lambda _, workers: LocalEngine(workers), lambda _: True),
    "spark": Kind(_spark, _has_cluster),
}
"""Engines that a process can open by itself; `auto` takes one of those that are set up."""


def engine_name(settings: Settings, use_case: UseCase) -> str:
    """The engine that a use case asks for, or everybody's if one is set; one of `settings.ENGINES`."""
    return settings.engine or use_case.scale.engine


def processes(settings: Settings, use_case: UseCase) -> int:
    """How many processes work on the shards of a use case at once, wherever they are."""
    ranges = use_case.scale.ranges if engine_name(settings, use_case) == RUNS else 1
    return settings.workers * ranges


def set_up(settings: Settings) -> list[str]:
    """The engines that `auto` may choose from."""
    return [name for name, kind in KINDS.items() if kind.is_set_up(settings)]
