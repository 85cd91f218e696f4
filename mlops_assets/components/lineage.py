"""The lineage of a use case's columns, found once for a text of SQL and kept: each run loads the code location anew."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops_assets.journey.enrich.answers import stored_schema
from mlops_assets.journey.features import lineage
from mlops_assets.journey.features.lineage import Lineage, Source
from mlops_assets.journey.features.sql import FeatureColumns
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.settings import Settings
from mlops_assets.storage.places import unfinished
from mlops_assets.use_case import UseCase

FORM = 1
"""What is kept and how it is found; another number, and it is found anew."""

MOST = 4_000_000
"""Bytes of a file that is read; what is kept of thousands of columns is less."""


def kept_lineage(use_case: UseCase, columns: FeatureColumns, settings: Settings) -> Lineage:
    """Where the columns of `features.sql` come from: as it was found before, or found now.

    Parameters
    ----------
    use_case, columns
        The use case, and what its SQL makes.
    settings
        Where it is kept: `lineage` in the home.
    """
    tables = tables_of(use_case)
    views = {view: [*types] for view, types in columns.views.items()}
    asked = json.dumps([FORM, use_case.features_sql, tables, views])
    file = settings.home / "lineage" / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.json"
    found = _read(file)
    if found is None:
        found = lineage.trace(use_case.features_sql, tables, views)
        _keep(file, found)
    return found


def tables_of(use_case: UseCase) -> dict[str, list[str]]:
    """The columns that SQL sees, by table; the label is not among them."""
    rows = [name for name in rows_schema(use_case).names if name != use_case.label]
    return {"rows": ["day", *rows], **{name: stored_schema(use_case, name).names for name in use_case.enrichments}}


def _read(file: Path) -> Lineage | None:
    """What was kept; None where there is nothing, or nothing of ours."""
    try:
        if file.stat().st_size > MOST:
            return None
        return _parsed(json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _parsed(kept: Mapping[str, Any]) -> Lineage:
    views = {
        view: {
            column: tuple(Source(str(table), str(name)) for table, name in sources)
            for column, sources in columns.items()
        }
        for view, columns in kept["views"].items()
    }
    return Lineage(views, str(kept["why_not"]))


def _keep(file: Path, found: Lineage) -> None:
    if not file.parent.parent.is_dir():  # to load definitions makes no home
        return
    try:
        with unfinished(file) as started:
            started.write_text(json.dumps({"views": found.views, "why_not": found.why_not}), encoding="utf-8")
    except OSError:  # a home that cannot be written to: it is found anew each time
        return
