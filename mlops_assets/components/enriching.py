"""The daily assets of enrichments: what is known elsewhere of a day's rows, one asset an enrichment."""

import logging
from collections.abc import Iterator
from typing import Any

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.components.asked import ENRICHING, asked, schema
from mlops_assets.components.conditions import check_specs
from mlops_assets.components.days import daily, days_in, days_told, each_day, key, show_made
from mlops_assets.components.red import failure, tell_red
from mlops_assets.errors import MlopsError
from mlops_assets.journey.enrich.day import enrich_day
from mlops_assets.journey.score.checks import EVERY_KEY_ANSWERED, check_answered
from mlops_assets.storage.accounting import EnrichmentAccounting
from mlops_assets.storage.catalog import enrichment_table
from mlops_assets.use_case import UseCase
from mlops_assets.views import made
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.enrichment")


def enrichment_keys(use_case: UseCase) -> list[dg.AssetKey]:
    """The assets of all enrichments."""
    return [key(use_case, enrichment_table(name)) for name in use_case.enrichments]


def enrichment_assets(use_case: UseCase) -> list[dg.AssetsDefinition]:
    """One asset an enrichment; none where nothing is configured."""
    return [_enrichment(use_case, name) for name in use_case.enrichments]


def _enrichment(use_case: UseCase, name: str) -> dg.AssetsDefinition:
    answers = key(use_case, enrichment_table(name))
    enrichment = use_case.enrichments[name]
    columns = ", ".join(f"`{column}`" for column in enrichment.columns)

    @dg.asset(
        key=answers,
        deps=[key(use_case, "rows")],
        owners=[use_case.owner],
        group_name=use_case.name,
        kinds={enrichment.use if enrichment.use in ("table", "sql", "http") else "python", "deltalake"},
        description=(
            f"{columns} by `{'`, `'.join(enrichment.keys)}`, asked for once a day for the keys of its rows and kept as "
            f"it was known then. Without an answer: {enrichment.missing.replace('_', ' ')}."
        ),
        check_specs=check_specs(use_case, answers, [EVERY_KEY_ANSWERED]),
        config_schema=schema(ENRICHING),
        **daily(use_case),
    )
    def asset(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Iterator[Any]:
        yield from _enrich_days(context, workspace.of(use_case), name)

    return asset


def _enrich_days(context: dg.AssetExecutionContext, stores: Stores, name: str) -> Iterator[Any]:
    use_case, lake = stores.use_case, stores.lake
    answers = key(use_case, enrichment_table(name))
    refetch = asked(context, ENRICHING)["again"]
    broken: dict[str, str] = {}

    def enrich(day: str) -> EnrichmentAccounting:
        return enrich_day(use_case, lake, name, day, refetch=refetch, run=context.run.run_id)

    def failed(day: str, error: MlopsError) -> None:  # `predictions` names the day, too
        broken[day] = str(error)
        log.error("%s %s %s: %s", use_case.name, enrichment_table(name), day, error)

    def tell(day: str, accounting: EnrichmentAccounting) -> None:
        show_made(context, use_case, day, made.enrichment(stores, name, day, accounting))

    done = each_day(days_in(lake.rows, context.partition_keys), enrich, tell, failed)
    tell_red(context, stores, enrichment_table(name), broken)
    # where some days are done the run goes on, and `predictions` names the others
    if broken and not done:
        raise failure(f"not enriched: {', '.join(sorted(broken))}", broken, stores)
    checks = {day: [check_answered(accounting)] for day, accounting in done.items()}
    yield from showing.check_results(answers, [EVERY_KEY_ANSWERED], checks, broken, context=context)
    yield days_told(answers)
