"""The delivery assets of a use case: what is published is brought to each target, one partition a day."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.components.asked import DELIVERING, asked, schema
from mlops_assets.components.days import daily, days_in, days_told, each_day, key, tell_day
from mlops_assets.errors import ConfigError, MlopsError
from mlops_assets.journey.deliver.contents import expected_rows
from mlops_assets.journey.deliver.delivery import Deliveries, deliver_day
from mlops_assets.journey.deliver.targets import open_target
from mlops_assets.journey.score.checks import DayCheck
from mlops_assets.plugins.targets import TargetDown
from mlops_assets.storage.accounting import DeliveryRecord
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.targets import NOTICE, Delivering
from mlops_assets.work.progress import Sending
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.delivery")

EVERY_ROW_DELIVERED = "every_row_delivered"


def delivery_assets(use_case: UseCase, *, has_file_features: bool) -> list[dg.AssetsDefinition]:
    """One asset a target, after the table that it gets; a notice that a day is done comes after all that bring rows.

    Raises
    ------
    ConfigError
        If a target wants a table that the use case has not.
    """
    for name, given in use_case.targets.items():
        if given.table == Lake.features.name and not has_file_features:
            raise ConfigError(
                f"{use_case.name}: targets.{name}.table: there are no features, for features.sql has no view "
                "`file_features`."
            )
    return [_delivery(use_case, name, given) for name, given in use_case.targets.items()]


def _delivery(use_case: UseCase, name: str, given: Delivering) -> dg.AssetsDefinition:
    asset = key(use_case, f"delivery_{name}")
    rows = [one for one, other in use_case.targets.items() if other.use != NOTICE]
    before = [f"delivery_{one}" for one in rows] if given.use == NOTICE else []

    @dg.asset(
        key=asset,
        deps=[key(use_case, one) for one in (given.table, *before)],
        owners=[use_case.owner],
        group_name=use_case.name,
        kinds={given.use} if "." not in given.use else {"python"},
        description=f"What is published of a day in `{given.table}`, at the target `{name}` ({given.use}). A target "
        "that is down leaves the published day as it is; materialise this asset alone once it is up again.",
        retry_policy=dg.RetryPolicy(
            max_retries=given.retries, delay=given.pause, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
        ),
        output_required=False,
        check_specs=[
            dg.AssetCheckSpec(
                EVERY_ROW_DELIVERED,
                asset=asset,
                description=f"Whether the target has as many rows of each day as `{given.table}` accounts for.",
            )
        ],
        config_schema=schema(DELIVERING),
        **daily(use_case),
    )
    def delivery(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Iterator[Any]:
        yield from _deliver_days(context, workspace.of(use_case), name)
        yield days_told(asset)  # lets the notices begin

    return delivery


def _deliver_days(context: dg.AssetExecutionContext, stores: Stores, name: str) -> Iterator[dg.AssetCheckResult]:
    use_case, lake, asset = stores.use_case, stores.lake, f"delivery_{name}"
    table = lake.table(use_case.targets[name].table)
    published = table.days()
    days = days_in(table, context.partition_keys)
    if not days:
        span = context.partition_keys[0] if len(context.partition_keys) == 1 else "these days"
        raise dg.Failure(f"No {table.name} of {span} are published: nothing to deliver.", allow_retries=False)
    again = asked(context, DELIVERING)["again"]
    broken: dict[str, MlopsError] = {}
    checks: dict[str, list[DayCheck]] = {}

    def deliver(day: str) -> DeliveryRecord | None:
        target = open_target(use_case, name, stores.settings)
        progress = Sending(f"{use_case.name} {asset} {day}", expected_rows(table.name, published[day].accounting))
        return deliver_day(use_case, lake, day, name, target, progress, context.run.run_id, again=again)

    def failed(day: str, error: MlopsError) -> None:
        broken[day] = error
        # the run fails, which alerts are sent for; and once more attempts are left, nobody need be woken
        checks[day] = [DayCheck(EVERY_ROW_DELIVERED, False, "not delivered", str(error), warns=True)]
        log.warning("%s %s %s: not delivered: %s", use_case.name, asset, day, error)

    def tell(day: str, record: DeliveryRecord | None) -> None:
        if record is None:
            log.info("%s %s %s: it is there already", use_case.name, asset, day)
            record = Deliveries(use_case, lake, name).read(day)
            assert record is not None, "the target has the day"  # noqa: S101 - it was seen a moment ago
        else:
            log.info("%s %s %s: %s rows", use_case.name, asset, day, f"{record.rows:,}")
        checks[day] = [_check(record, expected_rows(table.name, published[day].accounting))]
        tell_day(context, key(use_case, asset), day, _shown(record))

    each_day(days, deliver, tell, failed)
    yield from showing.check_results(key(use_case, asset), [EVERY_ROW_DELIVERED], checks, {})
    if broken:
        raise _failure(use_case, name, broken)


def _check(record: DeliveryRecord, expected: int) -> DayCheck:
    found = f"{record.rows:,} of {expected:,} rows, by the target's guarantee: {record.guarantee}"
    advice = "the day was published again meanwhile: materialise this asset once more"
    return DayCheck(EVERY_ROW_DELIVERED, record.rows == expected, found, advice)


def _shown(record: DeliveryRecord) -> dict[str, Any]:
    of_target = {name: value for name, value in record.told.items() if isinstance(value, (int, float, str))}
    names = ("publication", "model_version", "guarantee", "when", "run", "attempt")
    return {**of_target, **{name: getattr(record, name) for name in names}, "dagster/row_count": record.rows}


def _failure(use_case: UseCase, name: str, days: Mapping[str, MlopsError]) -> dg.Failure:
    listed = "\n".join(f"{day}: {why}" for day, why in sorted(days.items()))
    # notices wait for what brings the rows, and are brought with it
    waits = any(given.use == NOTICE for given in use_case.targets.values())
    only = "" if waits else f" --target {name}"
    return dg.Failure(
        f"not delivered to {name}: {', '.join(sorted(days))}\n{listed}\n"
        f"The {use_case.targets[name].table} are published all the same. Once the cause is mended: "
        f"mlops-assets deliver {use_case.name} --from {min(days)} --to {max(days)}{only}",
        metadata={"days": showing.table([{"day": day, "why": str(why)} for day, why in days.items()])},
        # a target that is down may be up again in a while; what it refused once, it will refuse again
        allow_retries=any(isinstance(why, TargetDown) for why in days.values()),
    )
