"""Who is asked for further columns: a file, a query, a service, or a class of the user's; and how they are asked.

Nothing here stores anything: `journey/enrich/day.py` asks for a day and keeps the answers, and whoever has one row can
ask by the same functions.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from mlops_assets.plugins import load_plugin
from mlops_assets.plugins.enrichments import EnrichmentError, Fetcher, NoAnswer
from mlops_assets.use_case import Enrichment, HttpParameters, SqlParameters, TableParameters

__all__ = ["EnrichmentError", "Fetcher", "NoAnswer", "open_enrichment"]


def open_enrichment(enrichment: Enrichment, schema: pa.Schema, folder: Path | None) -> Fetcher:
    """Who answers for an enrichment.

    Parameters
    ----------
    enrichment
        Its configuration.
    schema
        Its keys and columns with their types.
    folder
        Folder of the use case, in which files are looked for.

    Raises
    ------
    PluginError
        If a class of the user's cannot be imported or made, or lacks what `Fetcher` asks.
    """
    # imported where they are asked: most use cases need neither SQLAlchemy nor requests
    if enrichment.use == "table":
        from mlops_assets.journey.enrich.lookups.table import TableLookup

        return TableLookup(TableParameters.model_validate(enrichment.parameters), enrichment.keys, schema, folder)
    if enrichment.use == "sql":
        from mlops_assets.journey.enrich.lookups.sql import SqlLookup

        return SqlLookup(SqlParameters.model_validate(enrichment.parameters), enrichment.keys, schema)
    if enrichment.use == "http":
        from mlops_assets.journey.enrich.lookups.http import HttpService

        return HttpService(HttpParameters.model_validate(enrichment.parameters))
    return load_plugin(enrichment.use, Fetcher, enrichment.parameters)
