"""In: a publication of a day from before. Out: the same predictions once more, with what was made with them."""

from __future__ import annotations

from mlops_assets.journey.score.vectors import stored_schema
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import PROFILES, REJECTS, Lake
from mlops_assets.storage.places import sizes
from mlops_assets.storage.tables import Published


def restore_day(lake: Lake, day: str, predictions: Published[PredictionsAccounting], run: str) -> bool:
    """Publish a day as it was published once: its predictions, the rows that have none, and its profiles.

    Parameters
    ----------
    lake
        The tables of a use case.
    day
        The day.
    predictions
        One of the publications of its predictions.
    run
        Who restores it.

    Returns
    -------
    bool
        Whether other predictions are published than before.

    Raises
    ------
    LakeError
        If their files were cleaned up since.
    """
    names = [part.path for part in lake.predictions.parts_at(day, predictions)]
    # before the predictions, as when a day is scored; those who read these by the names of the parts of the
    # predictions see the right ones all the time
    for table, schema in ((lake.unpredicted, REJECTS), (lake.profiles, PROFILES)):
        before, written, there = table.parts(day), table.written(day), sizes(table.folder / f"day={day}")
        # not every shard has a part of each
        parts = [written[name] for name in names if name in written and name.rpartition("/")[2] in there]
        if parts or before:
            table.publish(day, parts, schema, predictions.accounting, before, run)
    return lake.predictions.restore(day, predictions, stored_schema(lake.predictions), run)
