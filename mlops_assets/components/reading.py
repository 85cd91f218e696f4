"""The daily assets that read: raw files become a manifest, and then rows and rejects."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.components.days import daily, days_told, each_day, key, spans, tell_day
from mlops_assets.components.watching import watch_step
from mlops_assets.errors import MlopsError
from mlops_assets.journey.read.listing import Manifest, find_manifest, list_day
from mlops_assets.journey.read.rows import read_day
from mlops_assets.journey.read.sources import Source
from mlops_assets.journey.score.checks import DayCheck, check_rows_of_day
from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.verification import check_intact
from mlops_assets.use_case import UseCase
from mlops_assets.views import markdown
from mlops_assets.views.status import forgotten, noticed_records
from mlops_assets.work.engines import Engines
from mlops_assets.work.progress import Listing, Progress
from mlops_assets.work.shards import DayDone
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.daily")

EMPTY = "day_is_not_empty"
ROW_CHECKS = ("accounting_adds_up", EMPTY, "reject_rate", "quarantine_rate", "noticed")
EVERY_DAY_DELIVERED = "every_day_delivered"
"""The check of `raw_files`: whether each day of a run has a folder."""

DELIVER = "nothing to do if none was due; else have the files delivered, and run the day again"
MOST_TOLD = 20
"""Spans of days that a line of the log tells one by one."""


def raw_files_asset(use_case: UseCase) -> dg.AssetsDefinition:
    """The manifest of each day."""

    @dg.asset(
        key=[use_case.name, "raw_files"],
        owners=[use_case.owner],
        group_name=use_case.name,
        kinds={"file", "deltalake"},
        description=f"The manifest of a day: every file with size and time.\n\n{markdown.text(use_case.description)}",
        check_specs=[dg.AssetCheckSpec(EVERY_DAY_DELIVERED, asset=key(use_case, "raw_files"))],
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
    use_case, source, table = stores.use_case, stores.source, stores.lake.raw_files
    listed_before = table.days()
    # a day that was delivered once and has no folder now is listed as empty; one that never came is passed over
    days = [day for day in context.partition_keys if day in listed_before or source.delivered(day)]
    missing = spans([day for day in context.partition_keys if day not in days])
    checks = {day: [DayCheck(EVERY_DAY_DELIVERED, True, "delivered", "")] for day in days}
    # beside days that came, one that did not may not have been due
    absent = DayCheck(EVERY_DAY_DELIVERED, False, "no folder", DELIVER, warns=bool(days))
    checks |= {span: [absent] for span in missing}
    yield from showing.check_results(key(use_case, "raw_files"), [EVERY_DAY_DELIVERED], checks, {})
    if not days:
        raise dg.Failure(not_delivered(source, context.partition_keys), allow_retries=False)
    for day in days:
        _list_one(context, stores, engines, day)
    # files may come once a month: a backfill over a year does not fail for all other days, it leaves them missing
    if missing:
        number = len(context.partition_keys) - len(days)
        told = [*missing[:MOST_TOLD], *([f"and {len(missing) - MOST_TOLD} more spans"] if missing[MOST_TOLD:] else [])]
        log.warning("%s raw_files: %d days never delivered, and left out: %s", use_case.name, number, ", ".join(told))
    yield days_told(key(use_case, "raw_files"))


def _list_one(context: dg.AssetExecutionContext, stores: Stores, engines: Engines, day: str) -> None:
    """Store the manifest of a day, and show it."""
    use_case, table = stores.use_case, stores.lake.raw_files
    listing = Listing(f"{use_case.name} raw_files {day}")

    def tell(files: int) -> None:
        listing(files)
        if files > use_case.scale.files_a_shard:  # several shards: their processes can start meanwhile
            engines.start(use_case)

    def losing(files: int) -> None:
        check_intact(stores.lake, day, f"{files} of its raw files are gone from {stores.source.place(day)}")

    manifest = list_day(use_case, stores.source, table, day, tell, losing)
    log.info("%s raw_files %s: %d files", use_case.name, day, manifest.files)
    removed = forgotten(stores, day)
    if removed:
        log.warning("%s raw_files %s: %s", use_case.name, day, removed)
    metadata = {
        **({"requests": removed} if removed else {}),
        "files": manifest.files,
        "attachments": manifest.attachments,
        "bytes": manifest.size,
        "shards": manifest.shards,
        "fingerprint": manifest.fingerprint,
        "folder": dg.MetadataValue.path(stores.source.place(day)),
        "first_files": showing.first_rows(table, day, ["path", "size", "problem"]),
        "dagster/row_count": manifest.files,
    }
    tell_day(context, key(use_case, "raw_files"), day, metadata, manifest.fingerprint)


def not_delivered(source: Source, days: Sequence[str]) -> str:
    """Why there is nothing to do for some days, and what to do."""
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return (
        f"No raw files of {span}: there is no folder {source.place(days[0])}. Have the files delivered, then run again."
    )


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
        check_specs=[dg.AssetCheckSpec(name, asset=rows_key) for name in ROW_CHECKS],
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
        return read_day(use_case, source, lake, manifests[day], engines.of(use_case, day), watch)

    def failed(day: str, error: MlopsError) -> None:
        broken[day] = str(error)
        log.error("%s rows %s: %s", use_case.name, day, error)

    def tell(day: str, reading: DayDone[ReadingAccounting]) -> None:
        _show_rows(context, stores, day, reading, watch)

    done = each_day(list(manifests), read, tell, failed)
    if not done:
        broken = broken or dict.fromkeys(context.partition_keys, "not listed yet: materialise raw_files first")
        raise showing.failure("no rows were read", broken)
    # a red check stops nothing here: in a range of days the good ones go on, and `predictions` publishes no bad one
    checks: dict[str, list[DayCheck]] = {
        day: check_rows_of_day(use_case.checks, reading.accounting, source.place(day)) for day, reading in done.items()
    }
    others = [name for name in ROW_CHECKS if name != EMPTY]
    yield from showing.check_results(key(use_case, "rows"), others, checks, broken)
    missing = spans([day for day in context.partition_keys if day not in manifests])
    absent = DayCheck(EMPTY, False, "no folder, or never listed", DELIVER, warns=True)
    by_day = checks | {span: [absent] for span in missing}
    yield from showing.check_results(key(use_case, "rows"), [EMPTY], by_day, broken)
    yield days_told(key(use_case, "rows"))
    yield days_told(key(use_case, "rejects"))


def _listed(lake: Lake, days: Sequence[str]) -> Iterator[Manifest]:
    """The manifests of those days that were listed."""
    for day in days:
        manifest = find_manifest(lake.raw_files, day)
        if manifest is not None:
            yield manifest


def _show_rows(
    context: dg.AssetExecutionContext, stores: Stores, day: str, reading: DayDone[ReadingAccounting], watch: Progress
) -> None:
    """Put a day's numbers where a person looks for them."""
    use_case, accounting = stores.use_case, reading.accounting
    good, rejected, refused = accounting.rows, accounting.rejected, accounting.files_refused
    summary = f"{good} rows, {rejected} lines rejected, {refused} files refused, {reading}"
    log.info("%s rows %s: %s", use_case.name, day, summary)
    by_rule = [{"rule": rule, "number": number} for rule, number in accounting.rules.items()]
    shown: dict[str, dict[str, Any]] = {
        "rows": {
            **reading.numbers(),
            **watch.numbers(),
            "noticed": showing.table(noticed_records(accounting)),
            "dagster/row_count": good,
        },
        "rejects": {"by_rule": showing.table(by_rule), "dagster/row_count": rejected + refused},
    }
    for name, metadata in shown.items():
        metadata["first_rows"] = showing.first_rows(stores.lake.table(name), day)
        tell_day(context, key(use_case, name), day, metadata)
