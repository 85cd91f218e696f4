"""How a step of a day is watched while it works: its progress, and whether the run will make its deadline."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mlops_assets.journey.features.sql import describe
from mlops_assets.storage.catalog import Lake
from mlops_assets.work import forecast
from mlops_assets.work.engines.kinds import processes
from mlops_assets.work.progress import Deadline, Progress
from mlops_assets.workspace import Stores


def watch_days(stores: Stores, step: str, days: Sequence[str], began: float, made: Collection[str]) -> Progress:
    """Progress of one step over all days of a run.

    Parameters
    ----------
    stores
        The use case says how many minutes a day may take, and a run may take as many for each of its days; the lake has
        the numbers of the days, and what earlier days cost.
    step
        One of `forecast.STEPS`.
    days
        The days that the step works on.
    began
        When the run began, in seconds since 1970: the steps before took of its minutes, too.
    made
        The tables that the run makes.
    """
    use_case, workers = stores.use_case, processes(stores.settings, stores.use_case)
    paces = forecast.measured(stores.lake)
    files, rows = _volume(stores.lake, step, days, paces)
    later = forecast.expect(paces, _steps_after(stores, step, made), rows, workers)
    # a run of several days may take the minutes of each
    deadline = Deadline(use_case.scale.minutes * max(1, len(days)), began, later)
    # each process has finished two shards before anybody is warned
    return Progress(f"{use_case.name} {step}", files, deadline, early=2 * workers)


def _steps_after(stores: Stores, step: str, made: Collection[str]) -> list[str]:
    """The steps that the run takes afterwards."""
    left_out = set() if describe(stores.use_case).file else {Lake.features.name}
    return [name for name in forecast.STEPS[forecast.STEPS.index(step) + 1 :] if name in {*made} - left_out]


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
