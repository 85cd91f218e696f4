"""With which day the pages of Dagster begin: the first one that has anything, not the first one that might.

A use case may predict from `start` on. Drawn from there, four days of files would be lost among years of grey.
"""

import datetime as dt
import logging
from collections.abc import Iterator
from urllib.parse import unquote

import dagster as dg

from mlops_assets.components.days import key
from mlops_assets.errors import MlopsError
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase, find_use_case, list_use_cases
from mlops_assets.use_case.partitions import is_key
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.home")


def with_beginning(use_case: UseCase, settings: Settings) -> UseCase:
    """The use case, with the first period that is drawn; from `start` on where nobody can tell what lies there.

    Parameters
    ----------
    use_case
        The use case.
    settings
        Where its files and tables lie.
    """
    try:
        first = beginning(Workspace(settings).of(use_case))
    except (MlopsError, OSError) as error:
        log.warning("%s: drawn from its start, %s, on: %s", use_case.name, use_case.first_day, error)
        first = use_case.first_day
    return use_case.model_copy(update={"drawn_from": first})


def beginning(stores: Stores) -> str:
    """The first period that has raw files or had some, or the one that is over if all are later.

    Raises
    ------
    MlopsError
        If the places cannot be listed.
    """
    use_case = stores.use_case
    found = [day for day in _days(stores) if day >= use_case.first_day]
    # what is over and what has begun are drawn in any case
    return max(use_case.first_day, min([use_case.partitions.over(dt.datetime.now(dt.UTC)), *found]))


def _days(stores: Stores) -> Iterator[str]:
    """The periods that have anything, by names of folders alone: neither a table nor a database is opened."""
    # a source of one's own may take long to say what it has, and loading waits for nobody
    if stores.use_case.source is None or stores.use_case.source.own is None:
        yield from stores.source.days()
    raw_files, partitions = stores.lake.raw_files.folder, stores.use_case.partitions
    if raw_files.exists():
        # Delta percent-encodes what a URL may not have, such as the offset of an hour that comes again
        names = (unquote(one.name.removeprefix("day=")) for one in raw_files.iterdir())
        # a table that another rhythm has made is drawn by this one
        yield from (partitions.key(partitions.start(name)) for name in names if is_key(name))


def beginning_sensor() -> dg.SensorDefinition:
    """The sensor that notices days from before those that are drawn, such as of an import."""

    @dg.sensor(
        name="earlier_days",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Notices days with files that lie before the first one that is drawn, and has `make dev` load the "
        "code location again, so that they are drawn, too. Elsewhere press *Reload* on the page Deployment.",
    )
    def earlier_days(context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]) -> dg.SkipReason:
        assert context.repository_def is not None, "Dagster gives it"  # noqa: S101 - with every tick
        graph, settings, said = context.repository_def.asset_graph, workspace.settings, list[str]()
        for name in list_use_cases(settings.use_cases):
            stores = workspace.of(find_use_case(settings.use_cases, name))
            raw_files = key(stores.use_case, Lake.raw_files.name)
            days = graph.get(raw_files).partitions_def if graph.has(raw_files) else None
            drawn, first = days and days.get_first_partition_key(), beginning(stores)
            if drawn and first < drawn:
                said.append(f"{name} begins with {first}")
        if not said:
            return dg.SkipReason("every day that has files is drawn")
        settings.wanted_reload.touch()
        return dg.SkipReason(f"{', '.join(said)}: to be drawn from there on, the code location is loaded again")

    return earlier_days
