"""Backfills as Dagster's daemon does them, over the definitions of a stage, with every run done in this process."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.load_target import WorkspaceLoadTarget
from dagster._daemon.backfill import execute_backfill_iteration

from mlops_assets_tests.helpers.homes import measured_briefly
from mlops_assets_tests.helpers.stage import Stage


class _Here(WorkspaceLoadTarget):
    """A workspace whose code location is loaded in this process."""

    def create_origins(self) -> Sequence[Any]:
        where = LoadableTargetOrigin(module_name=__name__, attribute="definitions", working_directory=str(Path.cwd()))
        return [InProcessCodeLocationOrigin(loadable_target_origin=where, location_name="mlops_assets")]


@contextmanager
def daemon(stage: Stage, folder: Path) -> Iterator[tuple[dg.DagsterInstance, Any]]:
    """An instance whose runs are done at once and in this process, and its workspace."""
    folder.mkdir()
    here = {
        "run_launcher": {
            "module": "dagster._core.launcher.sync_in_memory_run_launcher",
            "class": "SyncInMemoryRunLauncher",
        },
        "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
    }
    globals()["definitions"] = stage.definitions
    with (
        stage.settings(),
        measured_briefly(),
        dg.DagsterInstance.local_temp(str(folder), overrides=here) as instance,
        create_test_daemon_workspace_context(_Here(), instance) as workspace,
    ):
        yield instance, workspace


def backfill(
    instance: dg.DagsterInstance, workspace: Any, name: str, assets: Sequence[dg.AssetKey], days: Sequence[str]
) -> tuple[str, list[dg.DagsterRun]]:
    """Launch a backfill of some assets over days, as the UI does, and let the daemon take it to its end.

    How it ended, and its runs.
    """
    graph = workspace.create_request_context().asset_graph
    made = PartitionBackfill.from_asset_partitions(
        backfill_id=name,
        asset_graph=graph,
        partition_names=days,
        asset_selection=assets,
        backfill_timestamp=time.time(),
        tags={},
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
    instance.add_backfill(made)
    for _ in range(20):
        list(execute_backfill_iteration(workspace, logging.getLogger("backfill")))
        found = instance.get_backfill(name)
        assert found is not None
        if found.status.value not in ("REQUESTED", "FAILING", "CANCELING"):
            return found.status.value, [*instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": name}))]
    raise AssertionError("the backfill has no end")
