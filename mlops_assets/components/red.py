"""What a red day tells on the page of its asset: why, since when, what stands meanwhile, and what to run."""

import datetime as dt
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

import dagster as dg

from mlops_assets.components.days import key
from mlops_assets.components.showing import undelivered
from mlops_assets.errors import MlopsError
from mlops_assets.errors.redaction import redacted
from mlops_assets.journey.read.day import not_delivered
from mlops_assets.monitoring.kept import read_verdict
from mlops_assets.storage.catalog import Lake
from mlops_assets.views import markdown
from mlops_assets.workspace import Stores

RED = "red"
"""The key that says why; an observation that has it is one of a red day."""

MOST_DAYS = 60
"""Days before a red one of which is asked whether they were."""

MOST_TRIES = 50
"""Earlier observations of a day that are looked through."""


def tell_red(context: dg.AssetExecutionContext, stores: Stores, asset: str, days: Mapping[str, str]) -> None:
    """Tell of days that a step could not do: on the page of its asset, and on that of the predictions that they lack.

    Parameters
    ----------
    context
        Of the step.
    stores
        Of the use case.
    asset
        Name of the asset whose step failed.
    days
        By day, why.
    """
    use_case = stores.use_case
    selected = context.run.asset_selection
    pages = [key(use_case, asset)]
    predictions = key(use_case, Lake.predictions.name)
    if predictions not in pages and (selected is None or predictions in selected):
        pages.append(predictions)
    for day, why in sorted(days.items()):
        for page in pages:
            told = _story(context, stores, page, day, why, asset)
            context.log_event(dg.AssetObservation(page, partition=day, metadata=told))


def not_there(context: dg.AssetExecutionContext, stores: Stores, asset: str) -> dg.Failure:
    """The end of a step for whose days nothing was delivered; it is told on their pages, too.

    Parameters
    ----------
    context, stores, asset
        See `tell_red`.
    """
    said, days = not_delivered(stores.source, context.partition_keys), context.partition_keys
    if len(days) <= MOST_DAYS:  # of years without files, the run alone tells
        tell_red(context, stores, asset, dict.fromkeys(days, said))
    return undelivered(stores, days)


def _story(
    context: dg.AssetExecutionContext, stores: Stores, page: dg.AssetKey, day: str, why: str, asset: str
) -> dict[str, Any]:
    use_case, name = stores.use_case, stores.use_case.name
    told: dict[str, Any] = {RED: redacted(why), "since": _since(context.instance, page, day, context.run.run_id)}
    if asset != page.path[-1]:
        told["failed_at"] = dg.MetadataValue.asset(key(use_case, asset))
    run = f"mlops-assets run {name} --from {day} --to {day}"
    told["published"] = _standing(stores, day)
    if day in stores.lake.rejects.days():
        told["look"] = dg.MetadataValue.md(markdown.code(f"mlops-assets rejects {name} --day {day}", "sh"))
    told["then_run"] = dg.MetadataValue.md(markdown.code(run, "sh") + "\n\nor *Materialize* of this day.")
    return told


def _since(instance: dg.DagsterInstance, page: dg.AssetKey, day: str, run: str) -> str:
    """Since when a day is red, and how often it was tried: all that was told since it was last made."""
    made = instance.fetch_materializations(dg.AssetRecordsFilter(page, asset_partitions=[day]), limit=1).records
    last = made[0].timestamp if made else 0.0
    tries = {run_id: when for when, run_id in _red(instance, page, day, last) if run_id != run}
    if not tries:
        return "now: this was the first run that could not do it"
    first = dt.datetime.fromtimestamp(min(tries.values()), dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{first}: this was run number {len(tries) + 1} that could not do it"


def _red(instance: dg.DagsterInstance, page: dg.AssetKey, day: str, after: float) -> Iterator[tuple[float, str]]:
    """When it was told since a moment that a day is red, and by which run; the newest first."""
    wanted = dg.AssetRecordsFilter(page, asset_partitions=[day], after_timestamp=after)
    for record in instance.fetch_observations(wanted, limit=MOST_TRIES).records:
        told = record.asset_observation
        if told is not None and RED in told.metadata:
            yield record.timestamp, record.run_id


def _standing(stores: Stores, day: str) -> str:
    """What of a day people read meanwhile."""
    published = stores.lake.predictions.days().get(day)
    if published is None:
        return f"no predictions of {day}"
    told = published.accounting
    return f"the predictions of before stay: {told.predictions:,} rows by version {told.model_version}"


def red_since(stores: Stores, day: str) -> str:
    """Since which day a lamp is red without a break.

    Parameters
    ----------
    stores
        Of the use case.
    day
        A published day of which a lamp is red.
    """
    before = sorted((one for one in stores.lake.predictions.days() if one < day), reverse=True)
    red = [day, *takewhile(lambda one: _is_red(stores, one), before[:MOST_DAYS])]
    every, more = stores.use_case.partitions.every, " or more" if len(red) > MOST_DAYS else ""
    return f"{red[-1]}, {len(red)}{more} {every}s in a row" if red[1:] else f"{day}, the first {every}"


def _is_red(stores: Stores, day: str) -> bool:
    try:
        kept = read_verdict(stores.use_case, stores.lake, day)
    except MlopsError:  # nobody knows what was said of it
        return False
    return kept is not None and kept.verdict.red
