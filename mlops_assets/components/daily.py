"""The daily assets of a use case: raw files, rows and rejects, features, predictions; one partition a day."""

import datetime as dt
import logging
from collections.abc import Mapping

import dagster as dg

from mlops_assets.components.days import daily, days_in, days_told, each_day, key, show_made
from mlops_assets.components.enriching import enrichment_assets, enrichment_keys
from mlops_assets.components.private import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from mlops_assets.components.ranges import engine_of
from mlops_assets.components.reading import raw_files_asset, rows_asset
from mlops_assets.components.red import failure, tell_red
from mlops_assets.components.scoring import predictions_asset
from mlops_assets.components.watching import watch_step
from mlops_assets.errors import MlopsError
from mlops_assets.journey.enrich.answers import NotEnriched
from mlops_assets.journey.features.day import aggregate_day
from mlops_assets.storage.accounting import FeaturesAccounting
from mlops_assets.use_case import UseCase
from mlops_assets.views import made, markdown
from mlops_assets.work.engines import Engines
from mlops_assets.work.shards import DayDone
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.daily")


def daily_assets(use_case: UseCase, *, has_file_features: bool) -> list[dg.AssetsDefinition]:
    """The daily assets in the order of the data; `features` only where the SQL aggregates over files."""
    assets = [raw_files_asset(use_case), rows_asset(use_case), *enrichment_assets(use_case)]
    if has_file_features:
        return [*assets, _features(use_case), predictions_asset(use_case, after="features")]
    return [*assets, predictions_asset(use_case, after="rows")]


def _features(use_case: UseCase) -> dg.AssetsDefinition:
    @dg.asset(
        key=[use_case.name, "features"],
        deps=[key(use_case, "rows"), *enrichment_keys(use_case)],
        owners=[use_case.owner],
        group_name=use_case.name,
        kinds={"duckdb", "sql", "deltalake"},
        description="File-level aggregates, one row a file, by DuckDB.\n\n"
        + markdown.code(use_case.features_sql, "sql"),
        **daily(use_case),
    )
    # annotated so: else a ranged run would hand the result to the default IO manager, and fail
    def features(
        context: dg.AssetExecutionContext,
        workspace: dg.ResourceParam[Workspace],
        engines: dg.ResourceParam[Engines],
    ) -> dg.MaterializeResult[None]:
        stores = workspace.of(use_case)
        broken = _aggregate_days(context, stores, engines)
        if broken:
            tell_red(context, stores, "features", broken)
            raise failure(f"not aggregated: {', '.join(sorted(broken))}", broken, stores)
        return days_told(key(use_case, "features"))

    return features


def _aggregate_days(context: dg.AssetExecutionContext, stores: Stores, engines: Engines) -> dict[str, str]:
    """Aggregate and show each day that has rows; the days that failed, and why."""
    use_case, lake = stores.use_case, stores.lake
    days = days_in(lake.rows, context.partition_keys)
    watch = watch_step(context, stores, "features", days)
    broken: dict[str, str] = {}

    def aggregate(day: str) -> DayDone[FeaturesAccounting]:
        return aggregate_day(use_case, lake, day, engine_of(context, engines, use_case, day), watch)

    def failed(day: str, error: MlopsError) -> None:
        if isinstance(error, NotEnriched):  # `predictions` fails for it, and names the day
            log.error("%s features %s: %s", use_case.name, day, error)
        else:
            broken[day] = str(error)

    def tell(day: str, done: DayDone[FeaturesAccounting]) -> None:
        show_made(context, use_case, day, made.features(stores, day, done, watch))

    each_day(days, aggregate, tell, failed)
    return broken


def yesterday_check(use_case: UseCase) -> dg.AssetChecksDefinition:
    """The check that yesterday's predictions are there; it looks at the storage, not at Dagster's memory."""

    @dg.asset_check(
        asset=key(use_case, "predictions"),
        name=f"{use_case.name}_yesterday_is_not_missing",
        description=f"Whether the predictions of the {use_case.partitions.every} that is over are published.",
    )
    def yesterday_is_not_missing(
        context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.AssetCheckResult:
        stores = workspace.of(use_case)
        day = use_case.partitions.over(dt.datetime.now(dt.UTC))
        present = day in stores.lake.predictions.days()
        if not present and stores.champion() is None:
            return dg.AssetCheckResult(passed=True, description=stores.why_no_champion())
        message = f"The predictions of {day} are published."
        if not present:
            message = f"The predictions of {day} are missing. "
            message += f"Run `mlops-assets run {use_case.name} --from {day} --to {day}`."
        severity = dg.AssetCheckSeverity.ERROR
        if _is_of_others(context.run.tags, day):  # *Materialize all* of last year asks this, too
            severity = dg.AssetCheckSeverity.WARN
        return dg.AssetCheckResult(passed=present, description=message, metadata={"day": day}, severity=severity)

    return yesterday_is_not_missing


def _is_of_others(tags: Mapping[str, str], day: str) -> bool:
    """Whether a run makes days, and not this one: its days are what it is judged by."""
    first = tags.get(ASSET_PARTITION_RANGE_START_TAG, tags.get(PARTITION_NAME_TAG))
    last = tags.get(ASSET_PARTITION_RANGE_END_TAG, tags.get(PARTITION_NAME_TAG))
    return first is not None and last is not None and not first <= day <= last
