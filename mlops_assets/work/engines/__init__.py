"""What runs shards: a pool of processes on this machine, a Spark cluster, or runs of Dagster."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from mlops_assets.settings import Settings
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.engines.runs import RunsEngine

if TYPE_CHECKING:
    from mlops_assets.use_case import UseCase
    from mlops_assets.work.engines.ranges import Asking
    from mlops_assets.work.shards import Engine


def engine_name(settings: Settings, use_case: UseCase) -> str:
    """The name of the engine that a use case asks for; one of `settings.ENGINES`."""
    return settings.engine or use_case.scale.engine


def processes(settings: Settings, use_case: UseCase) -> int:
    """How many processes work on the shards of a use case at once, wherever they are."""
    ranges = use_case.scale.ranges if engine_name(settings, use_case) == "runs" else 1
    return settings.workers * ranges


class Engines:
    """The engines of one run: each is opened when it is first asked for, and closed with the run.

    Parameters
    ----------
    settings
        Number of processes, and the engine that overrules the use cases, if one is set.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: dict[str, Engine] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Engines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.clear()
        self._stack.__exit__(kind, error, trace)

    def of(self, use_case: UseCase, asking: Asking | None = None) -> Engine:
        """The engine that a use case asks for.

        Parameters
        ----------
        use_case
            The use case.
        asking
            Asks Dagster for a run that does a range of shards, where this process is a run itself.
        """
        name = engine_name(self._settings, use_case)
        if name == "pipes":  # who asks is the job, or does what no job is started for
            name = use_case.scale.client.engine
        if name == "runs":  # which holds nothing open: a step has one of its own
            return RunsEngine(self._of("local"), use_case.scale.ranges, asking)
        return self._of(name)

    def _of(self, name: str) -> Engine:
        if name not in self._opened:
            self._opened[name] = self._open(name)
        return self._opened[name]

    def _open(self, name: str) -> Engine:
        # imported where it is asked for: pyspark comes with an extra
        if name == "spark":
            from mlops_assets.work.engines.spark import SparkEngine

            return self._stack.enter_context(SparkEngine(self._settings.spark_master, self._settings.workers))
        return self._stack.enter_context(LocalEngine(self._settings.workers))
