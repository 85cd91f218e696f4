"""What Dagster's catalogue says of the assets of a use case: columns, their origins, table, place, owner, files, links.

All of it is known before anything has run. It is added to the specs at once, whatever drew them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from mlops_assets.components.days import key
from mlops_assets.components.lineage import kept_lineage
from mlops_assets.journey.enrich.answers import stored_schema
from mlops_assets.journey.features.sql import MODEL_INPUT, FeatureColumns
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.journey.score.day import CHALLENGER
from mlops_assets.journey.score.vectors import schema_of
from mlops_assets.settings import PACKAGE, Settings
from mlops_assets.storage.catalog import ACCEPTED, AUDIT, Lake, enrichment_table
from mlops_assets.use_case import UseCase

USE_CASE_TAG, LAYER_TAG = "mlops_assets/use_case", "mlops_assets/layer"
"""Tags by which the catalogue is filtered: of which use case, and which part of it."""

LAYERS: Mapping[str, Sequence[str]] = {
    "raw": ("raw_files",),
    "rows": ("rows", "rejects"),
    "features": ("features", MODEL_INPUT),
    "predictions": ("predictions", CHALLENGER, "audit_sample"),
    "training": ("training_set", "candidates", "evaluation", "model_version", "champion"),
    "monitoring": ("drift", "feedback", "live_metrics", "scored_days", "challenger_comparison"),
}
"""By layer, its assets; enrichments and deliveries have names of their own."""

MEANINGS = {
    "file": "Path of the file in the day's folder.",
    "line": "Data line in the file, from 1.",
    "day": "The day, hour or week.",
    "path": "Path of the file in the day's folder.",
    "size": "Bytes.",
    "modified": "When it was written, in nanoseconds since 1970.",
    "problem": "Why it is no file that can be read; empty if it can.",
    "etag": "What the store of objects says of its content.",
    "shard": "The unit of work that reads it.",
    "rule": "The rule that it breaks.",
    "message": "What is wrong with it.",
    "raw": "The line as it stood.",
    "account_id": "Whom the row is about.",
    "prediction": "What the model says.",
    "probability": "Of the class that it says.",
    "probabilities": "Of every class, in the order of `classes`.",
    "low": "Lower end of the interval in which the number lies.",
    "high": "Upper end of that interval.",
    "model_version": "The version that says it.",
    "label": "What somebody says that it is.",
    "who": "Who says so.",
    "when": "When they said so.",
    "audited": "Whether it was drawn for people to label.",
}
"""What the columns mean that the platform has of its own."""

LATE = dt.timedelta(hours=2)
"""How long after its schedule a day may be published, before its asset counts as overdue."""


def catalogued(
    use_case: UseCase, columns: FeatureColumns, settings: Settings, assets: Iterable[Any], *, with_yaml: bool
) -> list[Any]:
    """Assets and specs with all that the catalogue says of them.

    Parameters
    ----------
    use_case
        The use case.
    columns
        What its SQL makes.
    settings
        Where things are.
    assets
        As they were drawn.
    with_yaml
        Whether its `defs.yaml` is to be referred to; Dagster's own loader of folders does so itself.
    """
    about = _About(use_case, columns, settings, with_yaml=with_yaml)
    return [*dg.map_asset_specs(about.of, assets)]


class _About:
    """What is said of each asset of a use case."""

    def __init__(self, use_case: UseCase, columns: FeatureColumns, settings: Settings, *, with_yaml: bool) -> None:
        self._use_case, self._settings = use_case, settings
        self._with_yaml = with_yaml
        self._schemas = _schemas(use_case, columns)
        self._lineage = kept_lineage(use_case, columns, settings)

    def of(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """A spec with what the catalogue says of it, beside what it says itself."""
        use_case, name = self._use_case, str(spec.key.path[-1])
        said = {**self._table(name), **self._origins(name), **self._files(name), **self._links()}
        tags = {USE_CASE_TAG: use_case.name, LAYER_TAG: layer_of(name)}
        return spec.replace_attributes(
            metadata={**said, **spec.metadata},
            tags={**tags, **spec.tags},
            owners=[*spec.owners] or [use_case.owner],
            freshness_policy=spec.freshness_policy or self._freshness(name),
        )

    def _table(self, name: str) -> dict[str, Any]:
        """Its name as a table, where it lies, and its columns."""
        schema = self._schemas.get(name)
        if schema is None:
            return {}
        place = {"dagster/uri": str(self._settings.lake / self._use_case.name / name)} if _is_table(name) else {}
        return {
            "dagster/column_schema": self._columns(name, schema),
            "dagster/table_name": f"{self._use_case.name}.{name}",
            **place,
        }

    def _columns(self, name: str, schema: pa.Schema) -> dg.TableSchema:
        contract = self._use_case.columns if name == Lake.rows.name else {}
        made = self._lineage.of({"features": "file_features"}.get(name, name))
        return dg.TableSchema(
            [
                dg.TableColumn(
                    field.name,
                    _type(field.type),
                    description=_meaning(use_case=self._use_case, name=field.name, contract=contract, made=made),
                )
                for field in schema
            ]
        )

    def _origins(self, name: str) -> dict[str, Any]:
        """Where its columns come from; a sentence where that is not known."""
        use_case = self._use_case
        if name in ("features", MODEL_INPUT):
            if self._lineage.why_not:
                return {"column lineage": self._lineage.why_not}
            made = self._lineage.of("file_features" if name == "features" else MODEL_INPUT)
            found = {column: [_dep(use_case, *source) for source in sources] for column, sources in made.items()}
        else:
            found = _known_origins(use_case, name, self._schemas)
        lineage = {column: deps for column, deps in found.items() if deps}
        return {"dagster/column_lineage": dg.TableColumnLineage(lineage)} if lineage else {}

    def _files(self, name: str) -> dict[str, Any]:
        """The files that say how it is made."""
        folder, names = self._use_case.folder, []
        if layer_of(name) in ("features", "predictions"):
            names.append("features.sql")
        if self._with_yaml:
            names.append("defs.yaml")
        found = [_reference(folder / one, one) for one in names if folder and (folder / one).exists()]
        page = PACKAGE.parent / "docs" / f"{self._use_case.name}.md"
        if page.exists():  # in a checkout
            found.append(_reference(page, f"docs/{page.name}"))
        return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=found)} if found else {}

    def _links(self) -> dict[str, Any]:
        """Where people read on."""
        api = self._settings.api_pages
        return {
            "pages": dg.MetadataValue.url(f"{api}/pages/{self._use_case.name}/days"),
            "API": dg.MetadataValue.url(f"{api}/docs"),
        }

    def _freshness(self, name: str) -> dg.FreshnessPolicy | None:
        """When the day that is over is to be there; of predictions, for which people wait."""
        if name != Lake.predictions.name:
            return None
        partitions = self._use_case.partitions
        span = {"hour": dt.timedelta(hours=1), "day": dt.timedelta(days=1), "week": dt.timedelta(days=7)}
        return dg.FreshnessPolicy.time_window(fail_window=span[partitions.every] * 2 + LATE)


def _reference(file: Path, label: str) -> dg.LocalFileCodeReference:
    return dg.LocalFileCodeReference(file_path=str(file), line_number=1, label=label)


def layer_of(name: str) -> str:
    """The layer of an asset, by its name."""
    if name.startswith(("enrichment_", "delivery_")):
        return name.partition("_")[0]
    return next((layer for layer, names in LAYERS.items() if name in names), "other")


def _is_table(name: str) -> bool:
    return name not in (MODEL_INPUT, "audit_sample", "feedback")


def _schemas(use_case: UseCase, columns: FeatureColumns) -> dict[str, pa.Schema]:
    """The columns of every asset that is a table."""
    predicted = schema_of(use_case)
    found = {
        Lake.raw_files.name: Lake.raw_files.schema,
        Lake.rows.name: rows_schema(use_case),
        Lake.rejects.name: Lake.rejects.schema,
        Lake.predictions.name: predicted,
        CHALLENGER: predicted,
        MODEL_INPUT: pa.schema(dict(columns.views[MODEL_INPUT])),
        "audit_sample": AUDIT,
        "feedback": ACCEPTED,
        **{enrichment_table(name): stored_schema(use_case, name) for name in use_case.enrichments},
    }
    if columns.file:
        found[Lake.features.name] = pa.schema({"file": pa.string(), **columns.file})
    return {name: schema for name, schema in found.items() if schema is not None}


def _type(kind: pa.DataType) -> str:
    """A type as people call it."""
    return str(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _meaning(use_case: UseCase, name: str, contract: Mapping[str, Any], made: Mapping[str, Any]) -> str:
    """What a column means: as the contract says, or of what it is made."""
    if name in contract:
        return str(contract[name].about)
    if name in MEANINGS:
        return MEANINGS[name]
    sources = made.get(name, ())
    if [column for _, column in sources] == [name] and name in use_case.columns:
        return use_case.columns[name].about
    return f"Of {', '.join(f'{table}.{column}' for table, column in sources)}." if sources else ""


def _dep(use_case: UseCase, table: str, column: str) -> dg.TableColumnDep:
    """A column that SQL sees as one of an asset."""
    name = {"rows": Lake.rows.name, "file_features": Lake.features.name}.get(table, enrichment_table(table))
    return dg.TableColumnDep(key(use_case, name), column)


def _known_origins(
    use_case: UseCase, name: str, schemas: Mapping[str, pa.Schema]
) -> dict[str, list[dg.TableColumnDep]]:
    """Where the columns of a table come from that no SQL makes."""
    rows, columns = Lake.rows.name, schemas.get(name)
    if columns is None:
        return {}
    same = {column: _of(use_case, rows, column) for column in ("file", "line") if column in columns.names}
    if name in (rows, Lake.rejects.name):
        return {"file": _of(use_case, Lake.raw_files.name, "path")}
    if name in (Lake.predictions.name, CHALLENGER):
        seen = [column for column in schemas[MODEL_INPUT].names if column not in ("file", "line")]
        said = [one for column in seen for one in _of(use_case, MODEL_INPUT, column)]
        answers = {c: said for c in columns.names if c not in ("file", "line", "account_id", "model_version")}
        return {**same, "account_id": _of(use_case, rows, use_case.account), **answers}
    if name == "audit_sample":
        return {column: _of(use_case, Lake.predictions.name, column) for column in columns.names if column != "day"}
    for enrichment, given in use_case.enrichments.items():
        if name == enrichment_table(enrichment):
            return {column: _of(use_case, rows, column) for column in given.keys}
    return {}


def _of(use_case: UseCase, asset: str, column: str) -> list[dg.TableColumnDep]:
    return [dg.TableColumnDep(key(use_case, asset), column)]
