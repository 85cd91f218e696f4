"""The daily assets of enrichments: what is known elsewhere of a day's rows, one asset an enrichment."""

import logging
from collections.abc import Iterator
from typing import Any

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.errors import MlopsError
from mlops_assets.journey.enrich.day import enrich_day
from mlops_assets.journey.score.checks import DayCheck
from mlops_assets.settings import Settings
from mlops_assets.storage.accounting import EnrichmentAccounting
from mlops_assets.storage.catalog import Lake, enrichment_table
from mlops_assets.use_case import UseCase

log = logging.getLogger("mlops_assets.enrichment")

ENRICHMENT_CHECKS = ("enrichments_are_current", "enrichment_missing")
"""Conditions of a day that use cases with enrichments have besides."""

REFETCH_TAG = "mlops_assets/refetch"
"""Tag of a run that asks again for what was answered before, if it is `true`."""


def enrichment_keys(use_case: UseCase) -> list[dg.AssetKey]:
    """The assets of all enrichments."""
    return [dg.AssetKey([use_case.name, enrichment_table(name)]) for name in use_case.enrichments]


def enrichment_assets(use_case: UseCase, common: dict[str, Any]) -> list[dg.AssetsDefinition]:
    """One asset an enrichment; none where nothing is configured."""
    return [_enrichment(use_case, name, common) for name in use_case.enrichments]


def _enrichment(use_case: UseCase, name: str, common: dict[str, Any]) -> dg.AssetsDefinition:
    key = dg.AssetKey([use_case.name, enrichment_table(name)])
    enrichment = use_case.enrichments[name]
    columns = ", ".join(f"`{column}`" for column in enrichment.columns)

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([use_case.name, "rows"])],
        owners=[use_case.owner],
        kinds={enrichment.use if enrichment.use in ("table", "sql", "http") else "python", "deltalake"},
        description=(
            f"{columns} by `{'`, `'.join(enrichment.keys)}`, asked for once a day for the keys of its rows and kept as "
            f"it was known then. Without an answer: {enrichment.missing.replace('_', ' ')}."
        ),
        check_specs=[dg.AssetCheckSpec("every_key_answered", asset=key)],
        **common,
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[Any]:
        lake = Lake(Settings.from_environment().lake, use_case.name)
        table, known = lake.enrichment(name), lake.rows.days()
        refetch = context.run.tags.get(REFETCH_TAG) == "true"
        found: dict[str, DayCheck] = {}
        broken: dict[str, str] = {}
        for day in (one for one in context.partition_keys if one in known):
            try:
                told = enrich_day(use_case, lake, name, day, refetch=refetch, run=context.run.run_id)
            except MlopsError as error:  # the other days go on; `predictions` names this one, too
                broken[day] = str(error)
                log.error("%s %s %s: %s", use_case.name, enrichment_table(name), day, error)
                context.add_asset_metadata({"failed": str(error)}, partition_key=day)
                continue
            found[day] = _check(told)
            log.info("%s %s %s: %s", use_case.name, enrichment_table(name), day, found[day].found)
            shown = {
                **told.numbers(),
                "problems": showing.table([{"problem": p, "times": n} for p, n in told.problems.items()]),
                "first_rows": showing.first_rows(table, day),
                "dagster/row_count": told.keys,
            }
            context.add_asset_metadata(shown, partition_key=day)
        if broken and not found:
            raise showing.failure(f"not enriched: {', '.join(sorted(broken))}", broken)
        yield from showing.check_results(key, ["every_key_answered"], {d: [c] for d, c in found.items()}, broken)
        yield dg.MaterializeResult()

    return asset


def _check(told: EnrichmentAccounting) -> DayCheck:
    answered = f"{told.fetched} of {told.keys} keys answered ({told.cached} of them before)"
    found = f"{answered}, {told.last_known} last known, {told.missing} missing; "
    found += f"{told.missing_share:.2%} of {told.rows} rows without an answer"
    fine = not told.missing and not told.last_known
    return DayCheck(
        "every_key_answered", fine, found, "look at the problems; run the day again when the source answers"
    )
