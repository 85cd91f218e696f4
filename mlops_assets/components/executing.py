"""How runs are executed: all steps in one process, which is seen for as long as it is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.components.private import IN_PROC_CONFIG, InProcessExecutor
from mlops_assets.work.presence import present

AT_WORK = "at_work"
"""Folder of Dagster's home: a file for each run that is at work, held by its process; see `work.presence`."""


def at_work(instance: dg.DagsterInstance) -> Path:
    """Where the files of runs at work lie."""
    return Path(instance.root_directory) / AT_WORK


class SeenExecutor(InProcessExecutor):
    """Dagster's in-process executor; the process of the run holds its file.

    A process a step costs two to three seconds; the work itself is spread over processes by `engines`.
    """

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Execute all steps of a run; Dagster says what is given."""
        with ExitStack() as held:
            try:
                held.enter_context(present(at_work(plan_context.instance), plan_context.run_id))
            except OSError as error:  # a home where nobody may write keeps no run from its work
                plan_context.log.debug(f"the run is not seen by its file: {error}")
            yield from super().execute(plan_context, execution_plan)


@dg.executor(name="in_process", config_schema=IN_PROC_CONFIG)
def in_process(context: dg.InitExecutorContext) -> SeenExecutor:
    """All steps in one process, one after the other."""
    made: Any = dg.in_process_executor.executor_creation_fn
    plain = made(context)
    return SeenExecutor(plain.retries, plain.step_dependency_config, plain.marker_to_close)
