"""What runs shards: a pool of processes on this machine, a Spark cluster, or runs of Dagster."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from mlops_assets.settings import Settings
from mlops_assets.work.engines.choosing import plan_listed_day
from mlops_assets.work.engines.kinds import AUTO, KINDS, LOCAL, PIPES, RUNS, engine_name
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.engines.runs import RunsEngine

if TYPE_CHECKING:
    from mlops_assets.use_case import UseCase
    from mlops_assets.work.engines.ranges import Asking
    from mlops_assets.work.shards import Engine, Spread

log = logging.getLogger("mlops_assets.daily")


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
        self._chosen: dict[tuple[str, str], tuple[str, int]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Engines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.clear()
        self._stack.__exit__(kind, error, trace)

    def start(self, use_case: UseCase) -> None:
        """Let the engine get ready, if it is known before the day is listed; work for several shards is about to come.

        Parameters
        ----------
        use_case
            Whose work it is.
        """
        if engine_name(self._settings, use_case) != AUTO:
            self.of(use_case).start()

    def spread(self, use_case: UseCase) -> Spread | None:
        """How processes of this machine share work that is no shard; None where shards are no work of theirs."""
        if engine_name(self._settings, use_case) != LOCAL:
            return None
        engine = self._opened_as(LOCAL, self._settings.workers)
        return engine.spread if isinstance(engine, LocalEngine) else None

    def of(self, use_case: UseCase, day: str | None = None, asking: Asking | None = None) -> Engine:
        """The engine that a use case asks for.

        Parameters
        ----------
        use_case
            The use case.
        day
            The day that is done, which was listed. By it `auto` chooses, once: every step of the day has the same
            engine. What is done beside days, such as comparing versions, stays on this machine then.
        asking
            Asks Dagster for a run that does a range of shards, where this process is a run itself.
        """
        name, workers = engine_name(self._settings, use_case), self._settings.workers
        if name == RUNS:  # which holds nothing open: a step has one of its own
            return RunsEngine(self._opened_as(LOCAL, workers), use_case.scale.ranges, asking)
        if name == PIPES:  # who asks is the job, or does what no job is started for
            name = use_case.scale.client.engine
        if name == AUTO:
            name, workers = self._choose(use_case, day) if day else (LOCAL, workers)
        return self._opened_as(name, workers)

    def _opened_as(self, name: str, workers: int) -> Engine:
        if name not in self._opened:
            self._opened[name] = self._stack.enter_context(KINDS[name].open(self._settings, workers))
        return self._opened[name]

    def _choose(self, use_case: UseCase, day: str) -> tuple[str, int]:
        key = use_case.name, day
        if key not in self._chosen:
            plan = plan_listed_day(self._settings, use_case, day)
            why = plan.why if plan else f"{LOCAL}, for no other day was measured yet"
            log.info("%s %s: engine %s", *key, why)
            self._chosen[key] = (plan.engine, plan.workers) if plan else (LOCAL, self._settings.workers)
        return self._chosen[key]
