"""Why a step or a day is red, what stands meanwhile and what to run: in the failed step and on the pages of the day."""

import datetime as dt
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

import dagster as dg

from mlops_assets.components.days import key
from mlops_assets.components.showing import table, tell_results
from mlops_assets.errors import MlopsError
from mlops_assets.errors.redaction import redacted
from mlops_assets.journey.read.day import not_delivered
from mlops_assets.monitoring.kept import read_verdict
from mlops_assets.storage.catalog import Lake
from mlops_assets.views.html.addresses import rejects_address
from mlops_assets.work.printable import cut
from mlops_assets.workspace import Stores

CAUSE = "cause"
"""The key that says why; an observation that has it is one of a red day."""

MOST_FAILED, LONGEST = 50, 2_000
"""Days of which an error says why, and signs of one that are shown besides."""

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
        story = _story({day: why}, stores)  # once for both pages: it looks into two tables
        for page in pages:
            since = _since(context.instance, page, day, context.run.run_id)
            told = {CAUSE: story[CAUSE], "since": since, **story}  # in the order in which a person asks
            if page.path[-1] != asset:
                told["failed at"] = dg.MetadataValue.asset(key(use_case, asset))
            context.log_event(dg.AssetObservation(page, partition=day, metadata=told))
    _tell_not_run(context, asset, days)


def _tell_not_run(context: dg.AssetExecutionContext, asset: str, days: Mapping[str, str]) -> None:
    """Tell of checks that the run has not come to on red days: Dagster would show each as one that broke.

    One that is run later all the same, for another step goes on, says then what it found.
    """
    kinds, by_asset = dg.DagsterEventType, dict[dg.AssetKey, list[tuple[str, dg.AssetCheckResult]]]()
    events = context.instance.all_logs(
        context.run.run_id, {kinds.ASSET_CHECK_EVALUATION_PLANNED, kinds.ASSET_CHECK_EVALUATION}
    )
    told = [one.dagster_event for one in events if one.dagster_event is not None]
    done = {
        (found.asset_check_key, found.partition)
        for found in (one.asset_check_evaluation_data for one in told if one.event_type == kinds.ASSET_CHECK_EVALUATION)
    }
    for one in told:
        if one.event_type == kinds.ASSET_CHECK_EVALUATION:
            continue
        planned = one.asset_check_planned_data
        of_days = set(planned.partitions_subset.get_partition_keys()) if planned.partitions_subset else set[str]()
        for day in sorted(of_days.intersection(days)):
            if (planned.asset_check_key, day) not in done:
                said = f"{day}: not run, for the day failed at {asset}: {_words(days[day])}"
                not_run = dg.AssetCheckResult(
                    asset_key=planned.asset_key,
                    check_name=planned.check_name,
                    passed=False,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=said,
                )
                by_asset.setdefault(planned.asset_key, []).append((day, not_run))
    for checked, results in by_asset.items():
        tell_results(context, checked, results)


def not_there(context: dg.AssetExecutionContext, stores: Stores, asset: str) -> dg.Failure:
    """The end of a step for whose days nothing was delivered; it is told on their pages, too.

    Parameters
    ----------
    context, stores, asset
        See `tell_red`.
    """
    said = not_delivered(stores.source, context.partition_keys)
    days = dict.fromkeys(context.partition_keys, said)
    if len(days) <= MOST_DAYS:  # of years without files, the run alone tells
        tell_red(context, stores, asset, days)
    folder = dg.MetadataValue.path(str(stores.source.place(min(days))))
    return dg.Failure(said, metadata=_story(days, stores) | {"folder": folder}, allow_retries=False)


def failure(what: str, days: Mapping[str, str], stores: Stores | None = None) -> dg.Failure:
    """The end of a step that could not do some days: what it could not, why, what to do, and where to look.

    Parameters
    ----------
    what
        What it could not, as a sentence.
    days
        By day, why.
    stores
        Of the use case, for its command and its pages.
    """
    ordered = sorted(days.items())
    listed = [f"{day}: {why}" for day, why in ordered[:MOST_FAILED]]
    if ordered[MOST_FAILED:]:
        listed.append(f"and {len(ordered) - MOST_FAILED} more days")
    shown = _story(days, stores)
    if len(ordered) > 1:
        shown["days"] = table([{"day": day, "why": why} for day, why in ordered])
    # a reason that people are told stays until one of them acts
    return dg.Failure("\n".join([what, *listed]), metadata=shown, allow_retries=False)


def stopped(error: MlopsError | str, use_case: str, command: str = "") -> dg.Failure:
    """The end of a step for a reason that a person can act on; tried again, it would fail for the same.

    Parameters
    ----------
    error
        The reason.
    use_case
        Name of the use case.
    command
        What to give again once it is mended; by default a look at how the use case stands.
    """
    shown = {CAUSE: _words(str(error)), "then": command or f"mlops-assets status {use_case}"}
    return dg.Failure(str(error), metadata=shown, allow_retries=False)


def _story(days: Mapping[str, str], stores: Stores | None) -> dict[str, Any]:
    """What is told of days that are red, wherever it is told; of several that have not the same cause, of the first."""
    first, last = min(days), max(days)
    told: dict[str, Any] = {CAUSE: _words(days[first] if len({*days.values()}) == 1 else f"{first}: {days[first]}")}
    if stores is None:
        return told
    name, pages, span = stores.use_case.name, stores.settings.api_pages, f"--from {first} --to {last}"
    told["published"] = _standing(stores, first)
    if rejected := sorted(days.keys() & stores.lake.rejects.days().keys()):
        told["look"] = f"mlops-assets rejects {name} {span}"
        told["rejects"] = dg.MetadataValue.url(f"{pages}{rejects_address(name, rejected[0])}")
    told["then"] = f"mlops-assets run {name} {span}"
    told["page of the day"] = dg.MetadataValue.url(f"{pages}/pages/{name}/days/{first}")
    return told


def _words(said: str) -> str:
    """A text of an error as it was said, as plain text: that is shown without a click, whatever stands in it."""
    return cut(redacted(said), LONGEST)


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
        if told is not None and CAUSE in told.metadata:
            yield record.timestamp, record.run_id


def _standing(stores: Stores, day: str) -> str:
    """What of a day people read meanwhile."""
    published = stores.lake.predictions.days().get(day)
    if published is None:
        return f"no predictions of {day}"
    told = published.accounting
    return f"the predictions of {day} stay: {told.predictions:,} rows by version {told.model_version}"


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
