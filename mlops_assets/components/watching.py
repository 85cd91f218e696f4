"""How a step of the daily job is watched: its progress, and whether the run will make its deadline."""

import time
from collections.abc import Sequence

import dagster as dg

from mlops_assets.journey.features.sql import describe
from mlops_assets.storage.catalog import Lake
from mlops_assets.work import forecast
from mlops_assets.work.engines import processes
from mlops_assets.work.progress import Deadline, Progress
from mlops_assets.workspace import Stores


def watch_step(context: dg.AssetExecutionContext, stores: Stores, step: str, days: Sequence[str]) -> Progress:
    """Progress of one step over all days of a run.

    Parameters
    ----------
    context
        Knows when the run began and which assets it makes.
    stores
        The use case says how many minutes a day may take, and a run may take as many for each of its days; the lake has
        the numbers of the days, and what earlier days cost.
    step
        One of `forecast.STEPS`.
    days
        The days that the step works on.
    """
    use_case, workers = stores.use_case, processes(stores.settings, stores.use_case)
    paces = forecast.measured(stores.lake)
    files, rows = _volume(stores.lake, step, days, paces)
    later = forecast.expect(paces, _steps_after(context, stores, step), rows, workers)
    record = context.instance.get_run_record_by_id(context.run.run_id)
    # since the run began, not the step: the steps before took of its minutes, too
    began = record.start_time if record and record.start_time else time.time()
    # a run of several days may take the minutes of each
    deadline = Deadline(use_case.scale.minutes * max(1, len(days)), began, later)
    # each process has finished two shards before anybody is warned
    return Progress(f"{use_case.name} {step}", files, deadline, early=2 * workers)


def _steps_after(context: dg.AssetExecutionContext, stores: Stores, step: str) -> list[str]:
    """The steps that this run takes afterwards."""
    # a whole job has no selection
    made = {key.path[-1] for key in context.run.asset_selection or ()} or set(forecast.STEPS)
    if not describe(stores.use_case).file:
        made.discard(Lake.features.name)
    return [name for name in forecast.STEPS[forecast.STEPS.index(step) + 1 :] if name in made]


def _volume(lake: Lake, step: str, days: Sequence[str], paces: dict[str, forecast.Pace]) -> tuple[int, float]:
    """Files that the step works on, and their rows; these are an estimate before they were read."""
    if step != Lake.rows.name:
        published = lake.rows.days()
        read = [published[day].accounting for day in days if day in published]
        return sum(reading.files for reading in read), sum(reading.rows for reading in read)
    manifests = lake.raw_files.days()
    listed = [manifests[day].accounting for day in days if day in manifests]
    rows_a_byte = paces[step].rows_a_byte if step in paces else 0.0
    return sum(listing.files for listing in listed), sum(listing.bytes for listing in listed) * rows_a_byte
