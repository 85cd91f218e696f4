"""The delivery assets of a use case: published predictions are brought to each target, one partition a day."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.components.daily import daily_partitions
from mlops_assets.errors import MlopsError
from mlops_assets.journey.deliver.delivery import AGAIN_TAG, Deliveries, deliver_day
from mlops_assets.journey.deliver.targets import open_target
from mlops_assets.plugins.targets import TargetDown
from mlops_assets.settings import Settings
from mlops_assets.storage.accounting import DeliveryRecord
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.targets import Delivering
from mlops_assets.work.progress import Sending

log = logging.getLogger("mlops_assets.delivery")


def delivery_assets(use_case: UseCase) -> list[dg.AssetsDefinition]:
    """One asset a target, after `predictions`."""
    return [_delivery(use_case, name, given) for name, given in use_case.targets.items()]


def _delivery(use_case: UseCase, name: str, given: Delivering) -> dg.AssetsDefinition:
    key = dg.AssetKey([use_case.name, f"delivery_{name}"])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([use_case.name, "predictions"])],
        owners=[use_case.owner],
        group_name=use_case.name,
        kinds={given.use} if "." not in given.use else {"python"},
        description=f"The published predictions of a day at the target `{name}` ({given.use}). A target that is down "
        "leaves the published day as it is; materialise this asset alone once it is up again.",
        partitions_def=daily_partitions(use_case),
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=dg.RetryPolicy(
            max_retries=given.retries, delay=given.pause, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
        ),
        output_required=False,
    )
    def delivery(context: dg.AssetExecutionContext) -> Iterator[Any]:
        settings = Settings.from_environment()
        lake = Lake(settings.lake, use_case.name)
        published = lake.predictions.days()
        days = [day for day in context.partition_keys if day in published]
        if not days:
            span = context.partition_keys[0] if len(context.partition_keys) == 1 else "these days"
            raise dg.Failure(f"No predictions of {span} are published: nothing to deliver.", allow_retries=False)
        broken: dict[str, str] = {}
        down = False
        for day in days:
            tell = Sending(f"{use_case.name} {key.path[-1]} {day}", published[day].accounting.predictions)
            again = AGAIN_TAG in context.run.tags
            try:
                target = open_target(use_case, name, settings)
                record = deliver_day(use_case, lake, day, name, target, tell, context.run.run_id, again=again)
            except MlopsError as error:
                broken[day] = str(error)
                down = down or isinstance(error, TargetDown)
                log.warning("%s %s %s: not delivered: %s", use_case.name, key.path[-1], day, error)
                continue
            if record is None:
                log.info("%s %s %s: it is there already", use_case.name, key.path[-1], day)
                record = Deliveries(use_case, lake, name).read(day)
                assert record is not None, "the target has the day"  # noqa: S101 - it was seen a moment ago
            else:
                log.info("%s %s %s: %s rows", use_case.name, key.path[-1], day, f"{record.rows:,}")
            context.log_event(dg.AssetMaterialization(key, partition=day, metadata=_shown(record)))
        if broken:
            raise _failure(use_case, name, broken, down=down)
        yield from ()  # the days were told one by one

    return delivery


def _shown(record: DeliveryRecord) -> dict[str, Any]:
    known = ("publication", "model_version", "guarantee", "when", "run")
    told = {name: value for name, value in record.told.items() if isinstance(value, (int, float, str))}
    return {**told, **{name: getattr(record, name) for name in known}, "dagster/row_count": record.rows}


def _failure(use_case: UseCase, name: str, days: Mapping[str, str], *, down: bool) -> dg.Failure:
    listed = "\n".join(f"{day}: {why}" for day, why in sorted(days.items()))
    return dg.Failure(
        f"not delivered to {name}: {', '.join(sorted(days))}\n{listed}\n"
        "The predictions are published all the same. Once the cause is mended: "
        f"mlops-assets deliver {use_case.name} --from {min(days)} --to {max(days)} --target {name}",
        metadata={"days": showing.table([{"day": day, "why": why} for day, why in days.items()])},
        allow_retries=down,
    )
