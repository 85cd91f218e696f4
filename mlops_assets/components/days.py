"""What all daily assets share: their partitions, the loop over the days of a run, and how they tell what was done."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.components.private import DATA_VERSION_TAG, SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from mlops_assets.errors import MlopsError
from mlops_assets.storage.tables import Table
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.partitions import FORMATS
from mlops_assets.views.made import Made, Skipped

log = logging.getLogger("mlops_assets.daily")

T = TypeVar("T")


def daily_partitions(use_case: UseCase) -> dg.TimeWindowPartitionsDefinition:
    """One partition a day, hour or week, from the use case's start or beginning on; that of now may be run already."""
    # never a partition a file: Dagster's pages slow down long before 100,000 of them
    partitions, first = use_case.partitions, use_case.drawn_from or use_case.first_day
    if partitions.every == "day":
        return dg.DailyPartitionsDefinition(start_date=first, timezone=partitions.timezone, end_offset=1)
    cron = {"hour": "0 * * * *", "week": "0 0 * * 1"}[partitions.every]
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule=cron, start=first, fmt=FORMATS[partitions.every], timezone=partitions.timezone, end_offset=1
    )


def daily(use_case: UseCase) -> dict[str, Any]:
    """What daily assets are given: a range of days is one run, or few, which have every asset of a job in common."""
    # with one asset of the job that lacks the policy, a range of eight days would be eight runs
    most = use_case.scale.days_a_run
    policy = dg.BackfillPolicy.multi_run(most) if most else dg.BackfillPolicy.single_run()
    return {"partitions_def": daily_partitions(use_case), "backfill_policy": policy}


def key(use_case: UseCase, name: str) -> dg.AssetKey:
    """The key of an asset of a use case."""
    return dg.AssetKey([use_case.name, name])


def materialize_all(use_case: UseCase, group: str, does: str) -> str:
    """What *Materialize all* of a group does, for the description of its first asset: Dagster's groups have none.

    Parameters
    ----------
    use_case
        The use case.
    group
        Name of the group.
    does
        What is done, as a sentence goes on.
    """
    name = use_case.name
    others = {name: "days", f"{name}_training": "training", f"{name}_monitoring": "feedback and live metrics"}
    named = " and ".join(f"`{other}` ({what})" for other, what in others.items() if other != group)
    return f"*Materialize all* of the group `{group}` {does}. Other groups: {named}."


def tell_day(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, day: str, metadata: Mapping[str, Any], version: str = ""
) -> None:
    """Tell a day that was made, by an event of its own and at once: what a step returns would speak of all its days.

    Parameters
    ----------
    context
        Of the step.
    asset, day, metadata
        What was made, and what the UI shows of it.
    version
        Fingerprint of the day's data, if it has one.
    """
    tags = {DATA_VERSION_TAG: version} if version else {}
    context.log_event(dg.AssetMaterialization(asset, partition=day, metadata=metadata, tags=tags))


def show_made(context: dg.AssetExecutionContext, use_case: UseCase, day: str, made: Made | Skipped) -> None:
    """Tell a table of a day that was made, or not: in the log, and to Dagster.

    Parameters
    ----------
    context
        Of the step.
    use_case, day
        Whose day it is.
    made
        What `views.made` says of it.
    """
    if isinstance(made, Skipped):
        log.warning("%s %s %s: %s", use_case.name, made.asset, day, made.why)
        show_skipped(context, use_case, day, made)
        return
    if made.said:
        log.info("%s %s %s: %s", use_case.name, made.asset, day, made.said)
    tell_day(context, key(use_case, made.asset), day, showing.metadata(made.shown), made.version)


def show_skipped(context: dg.AssetExecutionContext, use_case: UseCase, day: str, skipped: Skipped) -> None:
    """Tell Dagster alone that a table of a day was not made, and why."""
    shown = dict(skipped.shown or {"skipped": skipped.why})
    context.log_event(dg.AssetObservation(key(use_case, skipped.asset), partition=day, metadata=shown))


def days_told(asset: dg.AssetKey) -> dg.MaterializeResult[None]:
    """What a step returns that told its days one by one: what is downstream may begin, and no other day is made."""
    return dg.MaterializeResult(asset_key=asset, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def spans(use_case: UseCase, days: Sequence[str]) -> list[str]:
    """Days in words, in order: those that follow each other as one span."""
    ends: list[tuple[str, str]] = []
    for day in sorted(days):
        follows = bool(ends) and use_case.partitions.after(ends[-1][1]) == day
        first = ends.pop()[0] if follows else day
        ends.append((first, day))
    return [f"{first} to {last}" if first < last else first for first, last in ends]


def each_day(
    days: Sequence[str],
    work: Callable[[str], T],
    tell: Callable[[str, T], None],
    failed: Callable[[str, MlopsError], None],
) -> dict[str, T]:
    """Do the work of every day; one that fails with an error for people does not keep the others from being done.

    Parameters
    ----------
    days
        The days, in order.
    work
        Does the work of a day.
    tell
        Shows what came of it at once, so that the good days stand even when the run ends red.
    failed
        Is told of a day that failed, and why.

    Returns
    -------
    dict
        What came of each day that did not fail.
    """
    done: dict[str, T] = {}
    for day in days:
        try:
            done[day] = work(day)
        except MlopsError as error:  # any other is a mistake of ours, and ends the step with its traceback
            failed(day, error)
        else:
            # outside of the `try`: a day that was done must not count as failed because it cannot be shown
            tell(day, done[day])
    return done


def days_in(table: Table[Any], days: Collection[str]) -> list[str]:
    """Those of some days that a table has."""
    published = table.days()
    return [day for day in days if day in published]
