"""A backfill, as Dagster's daemon does it, never trains and never changes the champion."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from mlops_assets_tests.helpers.backfills import backfill, daemon
from mlops_assets_tests.helpers.stage import Stage, small

DAY = "2026-01-01"
TRAINING = {"training_set", "candidates", "evaluation", "model_version", "champion"}

pytestmark = [
    # Dagster uses what it calls deprecated itself when it loads a code location and reads a backfill
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    # and ends an event loop of its own without waiting for it
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_no_backfill_trains_neither_of_the_group_of_days_nor_of_a_selection_that_has_the_training_in_it(
    tmp_path: Path,
) -> None:
    with Stage.of(small(), tmp_path / "home") as stage:
        stage.sample(DAY, files=1, rows=5)
        graph = stage.definitions.resolve_asset_graph()
        of_days = [key for key in graph.executable_asset_keys if graph.get(key).group_name == "transactions"]
        training = [dg.AssetKey(["transactions", name]) for name in sorted(TRAINING)]
        rows = dg.AssetKey(["transactions", "raw_files"])
        with daemon(stage, tmp_path / "dagster") as (instance, workspace):
            # *Materialize all* of the group
            _, runs = backfill(instance, workspace, "days", of_days, [DAY])
            made = {key.path[-1] for run in runs for key in run.asset_selection or ()}
            assert {"rows", "predictions"} <= made
            assert not made & TRAINING
            assert instance.get_materialized_partitions(dg.AssetKey(["transactions", "rows"])) == {DAY}
            # both groups marked by hand: Dagster launches what has no days besides
            ended, runs = backfill(instance, workspace, "both", [rows, *training], [DAY])
            assert ended == "COMPLETED_FAILED"
            (trained,) = [run for run in runs if (run.asset_selection or set()) & set(training)]
            failed = instance.all_logs(trained.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
            said = [entry.get_dagster_event().step_failure_data.user_failure_data.description for entry in failed]
            assert len(said) == 1
            assert said[0].startswith("transactions: a run over days or a backfill trains nothing")
            assert not instance.get_materialized_partitions(training[0])
        with stage.stores() as stores:
            assert stores.history.changes() == []
