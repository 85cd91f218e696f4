"""The daily assets that read: raw files become a manifest, and then rows and rejects."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.components.asked import READING, asked, schema
from mlops_assets.components.conditions import check_specs
from mlops_assets.components.days import daily, days_told, each_day, key, materialize_all, show_made, spans
from mlops_assets.components.ranges import engine_of
from mlops_assets.components.red import failure, not_there, stopped, tell_red
from mlops_assets.components.watching import watch_step
from mlops_assets.errors import MlopsError
from mlops_assets.journey.read.day import list_raw_files
from mlops_assets.journey.read.listing import Manifest, find_manifest
from mlops_assets.journey.read.rhythm import OtherRhythm, check_rhythm
from mlops_assets.journey.read.rows import read_day
from mlops_assets.journey.score.checks import (
    DELIVER,
    EMPTY,
    EVERY_DAY_DELIVERED,
    ROW_CHECKS,
    DayCheck,
    check_delivered,
    check_rows_of_day,
    problems,
)
from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.views import made, markdown
from mlops_assets.work.engines import Engines
from mlops_assets.work.shards import DayDone
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.daily")

MOST_TOLD = 20
"""Spans of days that a line of the log tells one by one."""


def raw_files_asset(use_case: UseCase) -> dg.AssetsDefinition:
    """The manifest of each day."""

    @dg.asset(
        key=[use_case.name, "raw_files"],
        owners=[use_case.owner],
        group_name=use_case.name,
        kinds={"file", "deltalake"},
        description="The manifest of a day: every file with size and time.\n\n"
        f"{markdown.text(use_case.description)}\n\n"
        + materialize_all(
            use_case,
            use_case.name,
            f"asks for {use_case.partitions.every}s and does them in one run, from raw files to published predictions; "
            "what is done already and did not change is passed over. The champion predicts; nothing is trained",
        ),
        check_specs=check_specs(use_case, key(use_case, "raw_files"), [EVERY_DAY_DELIVERED]),
        config_schema=schema(READING),
        **daily(use_case),
    )
    def raw_files(
        context: dg.AssetExecutionContext,
        workspace: dg.ResourceParam[Workspace],
        engines: dg.ResourceParam[Engines],
    ) -> Iterator[Any]:
        yield from _list_days(context, workspace.of(use_case), engines)

    return raw_files


def _list_days(context: dg.AssetExecutionContext, stores: Stores, engines: Engines) -> Iterator[Any]:
    use_case = stores.use_case
    days = delivered_days(stores, context.partition_keys)
    yield from check_deliveries(context, use_case, days)
    if not days:
        raise not_there(context, stores, "raw_files")
    for day in days:
        _list_one(context, stores, engines, day)
    yield days_told(key(use_case, "raw_files"))


def delivered_days(stores: Stores, days: Sequence[str]) -> list[str]:
    """Those of some days that have a folder, or had one; the log names the others."""
    try:
        check_rhythm(stores.use_case, stores.lake)
    except OtherRhythm as error:
        raise stopped(error, stores.use_case.name) from None
    listed_before = stores.lake.raw_files.days()
    # a day that was delivered once and has no folder now is listed as empty; one that never came is passed over
    found = [day for day in days if day in listed_before or stores.source.delivered(day)]
    missing = spans(stores.use_case, [day for day in days if day not in found])
    # files may come once a month: a backfill over a year does not fail for all other days, it leaves them missing
    if missing and found:
        number = len(days) - len(found)
        told = [*missing[:MOST_TOLD], *([f"and {len(missing) - MOST_TOLD} more spans"] if missing[MOST_TOLD:] else [])]
        name = stores.use_case.name
        log.warning("%s raw_files: %d days never delivered, and left out: %s", name, number, ", ".join(told))
    return found


def check_deliveries(
    context: dg.AssetExecutionContext, use_case: UseCase, delivered: Sequence[str]
) -> Iterator[dg.AssetCheckResult]:
    """The check of `raw_files`: whether each day of a run came."""
    checks = {day: [check_delivered(True)] for day in delivered}
    missing = spans(use_case, [day for day in context.partition_keys if day not in checks])
    checks |= {span: [check_delivered(False, others=bool(delivered))] for span in missing}
    names = [EVERY_DAY_DELIVERED]
    yield from showing.check_results(key(use_case, "raw_files"), names, checks, {}, context=context)


def _list_one(context: dg.AssetExecutionContext, stores: Stores, engines: Engines, day: str) -> None:
    """Store the manifest of a day, and show it."""
    use_case = stores.use_case
    files_of = asked(context, READING)["files_as_published_on"]
    several, spread = lambda: engines.start(use_case), engines.spread(use_case)
    manifest = list_raw_files(use_case, stores.source, stores.lake, day, several, files_of, spread)
    listed = made.raw_files(stores, day, manifest)
    if removed := listed.shown.get("requests"):
        log.warning("%s raw_files %s: %s", use_case.name, day, removed)
    show_made(context, use_case, day, listed)


def rows_asset(use_case: UseCase) -> dg.AssetsDefinition:
    """Rows and rejects, made by one step: a line is either of them."""
    rows_key = key(use_case, "rows")
    shared: dict[str, Any] = {
        "deps": [key(use_case, "raw_files")],
        "owners": [use_case.owner],
        "group_name": use_case.name,
        "kinds": {"pyarrow", "deltalake"},
    }

    @dg.multi_asset(
        name=f"{use_case.name}__rows",
        specs=[
            dg.AssetSpec(
                rows_key,
                description="Every good row of a day's files, typed, with its file and line.",
                metadata={
                    "contract": showing.contract(use_case),
                    "dagster/column_schema": showing.column_schema(use_case),
                },
                **shared,
            ),
            dg.AssetSpec(
                key(use_case, "rejects"),
                description="Every line and file that was refused, with the rule it broke and its raw text.",
                **shared,
            ),
        ],
        # none is blocking: one that failed would stop all days of a range
        check_specs=check_specs(use_case, rows_key, ROW_CHECKS),
        **daily(use_case),
    )
    def rows(
        context: dg.AssetExecutionContext,
        workspace: dg.ResourceParam[Workspace],
        engines: dg.ResourceParam[Engines],
    ) -> Iterator[Any]:
        yield from _read_days(context, workspace.of(use_case), engines)

    return rows


def _read_days(context: dg.AssetExecutionContext, stores: Stores, engines: Engines) -> Iterator[Any]:
    use_case, source, lake = stores.use_case, stores.source, stores.lake
    manifests = {manifest.day: manifest for manifest in _listed(lake, context.partition_keys)}
    watch = watch_step(context, stores, "rows", list(manifests))
    broken: dict[str, str] = {}

    def read(day: str) -> DayDone[ReadingAccounting]:
        return read_day(use_case, source, lake, manifests[day], engine_of(context, engines, use_case, day), watch)

    def failed(day: str, error: MlopsError) -> None:
        broken[day] = str(error)
        log.error("%s rows %s: %s", use_case.name, day, error)

    def tell(day: str, reading: DayDone[ReadingAccounting]) -> None:
        for table in made.rows(stores, day, reading, watch):
            show_made(context, use_case, day, table)

    done = each_day(list(manifests), read, tell, failed)
    if not done:
        broken = broken or dict.fromkeys(context.partition_keys, "not listed yet: materialise raw_files first")
        tell_red(context, stores, "rows", broken)
        raise failure("no rows were read", broken, stores)
    # a red check stops nothing here: in a range of days the good ones go on, and `predictions` publishes no bad one
    checks: dict[str, list[DayCheck]] = {
        day: check_rows_of_day(use_case.checks, reading.accounting, source.place(day)) for day, reading in done.items()
    }
    others = [name for name in ROW_CHECKS if name != EMPTY]
    yield from showing.check_results(key(use_case, "rows"), others, checks, broken, context=context)
    missing = spans(use_case, [day for day in context.partition_keys if day not in manifests])
    absent = DayCheck(EMPTY, False, "no folder, or never listed", DELIVER, warns=True)
    by_day = checks | {span: [absent] for span in missing}
    yield from showing.check_results(key(use_case, "rows"), [EMPTY], by_day, broken, context=context)
    unfit = {day: told for day, found in checks.items() if (told := problems(found))}
    # nothing is left for the steps after this one, and it is this one that lacks something
    if unfit.keys() == done.keys():
        tell_red(context, stores, "rows", unfit)
        raise failure(f"the rows of {', '.join(spans(use_case, [*unfit]))} cannot be scored", unfit, stores)
    yield days_told(key(use_case, "rows"))
    yield days_told(key(use_case, "rejects"))


def _listed(lake: Lake, days: Sequence[str]) -> Iterator[Manifest]:
    """The manifests of those days that were listed."""
    for day in days:
        manifest = find_manifest(lake.raw_files, day)
        if manifest is not None:
            yield manifest
