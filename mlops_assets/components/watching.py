"""How a step of the daily job is watched: what Dagster knows of the run that it belongs to."""

import time
from collections.abc import Sequence

import dagster as dg

from mlops_assets.monitoring.pace import watch_days
from mlops_assets.work import forecast
from mlops_assets.work.progress import Progress
from mlops_assets.workspace import Stores


def watch_step(context: dg.AssetExecutionContext, stores: Stores, step: str, days: Sequence[str]) -> Progress:
    """Progress of one step over all days of a run.

    Parameters
    ----------
    context
        Knows when the run began and which assets it makes.
    stores, step, days
        See `watch_days`.
    """
    record = context.instance.get_run_record_by_id(context.run.run_id)
    began = record.start_time if record and record.start_time else time.time()
    # a whole job has no selection
    made = {key.path[-1] for key in context.run.asset_selection or ()} or {*forecast.STEPS}
    return watch_days(stores, step, days, began, made)
