"""What is shown of a table that a step of a day has made, on Dagster's pages, wherever the step was done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.model.version import Version
from mlops_assets.journey.read.listing import Manifest
from mlops_assets.journey.score.checks import check_answered
from mlops_assets.journey.score.day import CHALLENGER, ScoredDay, Scorers
from mlops_assets.journey.score.vectors import stored_schema
from mlops_assets.storage.accounting import EnrichmentAccounting, FeaturesAccounting, ReadingAccounting
from mlops_assets.storage.catalog import Lake, enrichment_table
from mlops_assets.storage.tables import Table
from mlops_assets.views import markdown
from mlops_assets.views.numbers import plain
from mlops_assets.views.status import forgotten, noticed_records, too_large_records
from mlops_assets.work.progress import Progress
from mlops_assets.work.shards import DayDone
from mlops_assets.workspace import Stores

SPREAD = {"least": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "largest": 1.0}
"""Quantiles that are told of numbers."""

FIRST = 10
"""Rows of a table that are shown."""


@dataclass(frozen=True)
class Text:
    """A text that is more than one line of plain words.

    Attributes
    ----------
    text
        What it says.
    kind
        `md` is Markdown, `path` a place.
    """

    text: str
    kind: Literal["md", "path"] = "md"


@dataclass(frozen=True)
class Made:
    """A table of a day.

    Attributes
    ----------
    asset
        Its name.
    shown
        Numbers, words and texts by name.
    said
        One line for the log; empty where another table of the step has it.
    version
        Fingerprint of the day's data, if it has one.
    """

    asset: str
    shown: Mapping[str, Any]
    said: str = ""
    version: str = ""


@dataclass(frozen=True)
class Skipped:
    """A table of a day that was not made, and why.

    Attributes
    ----------
    asset, why
        Its name, and the reason.
    """

    asset: str
    why: str
    shown: Mapping[str, str] = field(default_factory=dict)


def table(records: Sequence[Mapping[str, Any]]) -> Text:
    """Records with the same keys as a table."""
    return Text(markdown.table(records))


def first_rows(source: Table[Any], day: str, columns: Sequence[str] | None = None) -> Text:
    """The first rows of a published day."""
    return table(source.head(day, FIRST, columns).to_pylist() if source.open() is not None else [])


def counts(source: Table[Any], day: str, column: str) -> Text:
    """How often each value of a column stands in a published day, the most frequent first."""
    # a batch at a time: a day may be larger than the memory
    total: dict[str, int] = {}
    for batch in source.read([day], [column]):
        for item in pc.value_counts(batch.column(0)).to_pylist():
            total[item["values"]] = total.get(item["values"], 0) + item["counts"]
    ranked = sorted(total.items(), key=lambda item: -item[1])
    return table([{column: value, "rows": number} for value, number in ranked])


def spread_of(source: Table[Any], day: str, column: str) -> Text:
    """Sum, mean and quantiles of a column of numbers of a published day."""
    values = source.read([day], [column]).read_all()[column].drop_null().to_numpy()
    if not len(values):
        return table([])
    quantiles = zip(SPREAD, np.quantile(values, [*SPREAD.values()]), strict=True)
    told = {"rows": len(values), "sum": values.sum(), "mean": values.mean(), **dict(quantiles)}
    return table([{name: plain(float(value)) for name, value in told.items()}])


def raw_files(stores: Stores, day: str, manifest: Manifest) -> Made:
    """The manifest of a day."""
    removed = forgotten(stores, day)
    shown: dict[str, Any] = {
        **({"requests": removed} if removed else {}),
        "files": manifest.files,
        "attachments": manifest.attachments,
        "bytes": manifest.size,
        "shards": manifest.shards,
        "fingerprint": manifest.fingerprint,
        "folder": Text(stores.source.place(day), "path"),
        "first_files": first_rows(stores.lake.raw_files, day, ["path", "size", "problem"]),
        "dagster/row_count": manifest.files,
    }
    return Made(Lake.raw_files.name, shown, f"{manifest.files} files", manifest.fingerprint)


def rows(stores: Stores, day: str, reading: DayDone[ReadingAccounting], watch: Progress) -> list[Made]:
    """Rows and rejects of a day."""
    accounting, lake = reading.accounting, stores.lake
    good, rejected, refused = accounting.rows, accounting.rejected, accounting.files_refused
    by_rule = [{"rule": rule, "number": number} for rule, number in accounting.rules.items()]
    of_rows = {
        **reading.numbers(),
        **watch.numbers(),
        "noticed": table(noticed_records(accounting)),
        "dagster/row_count": good,
        "first_rows": first_rows(lake.rows, day),
    }
    of_rejects = {
        "by_rule": table(by_rule),
        "dagster/row_count": rejected + refused,
        "first_rows": first_rows(lake.rejects, day),
    }
    said = f"{good} rows, {rejected} lines rejected, {refused} files refused, {reading}"
    return [Made(Lake.rows.name, of_rows, said), Made(Lake.rejects.name, of_rejects)]


def enrichment(stores: Stores, name: str, day: str, accounting: EnrichmentAccounting) -> Made:
    """The answers of an enrichment for a day."""
    problems = [{"problem": problem, "times": times} for problem, times in accounting.problems.items()]
    shown = {
        **accounting.numbers(),
        "problems": table(problems),
        "first_rows": first_rows(stores.lake.enrichment(name), day),
        "dagster/row_count": accounting.keys,
    }
    return Made(enrichment_table(name), shown, check_answered(accounting).found)


def features(stores: Stores, day: str, done: DayDone[FeaturesAccounting], watch: Progress) -> Made:
    """The features of a day's files."""
    shown = {
        **done.numbers(),
        **watch.numbers(),
        "first_rows": first_rows(stores.lake.features, day),
        "dagster/row_count": done.accounting.files,
    }
    return Made(Lake.features.name, shown, f"{done.accounting.files} files, {done}")


def published(
    stores: Stores, day: str, scorers: Scorers, done: ScoredDay, watch: Progress, drawn: pa.Table | None
) -> Iterator[Made | Skipped]:
    """The predictions of a day, and what their step made besides.

    Parameters
    ----------
    stores, day, scorers, done, watch
        Of the step.
    drawn
        What was drawn of them for people to label; None if it could not be.
    """
    yield _predictions(stores, day, scorers.version, done, watch)
    if scorers.challenger is not None:
        yield _challenger(stores, day, done)
    if drawn is not None:
        yield _audit_sample(stores, day, drawn)


def _predictions(stores: Stores, day: str, version: Version, done: ScoredDay, watch: Progress) -> Made:
    """The predictions of a day that was published."""
    published, number = stores.lake.predictions, done.accounting.predictions
    spread = spread_of if stores.use_case.training.says_numbers else counts
    # lists of probabilities are for readers
    columns = [*stored_schema(published).names, "day"]
    shown: dict[str, Any] = {
        **done.numbers(),
        "model": version.about.candidate,
        "by_prediction": spread(published, day, "prediction"),
        "first_rows": first_rows(published, day, columns),
        "dagster/row_count": number,
        **watch.numbers(),
    }
    if done.accounting.sql_rejected:
        columns = ["file", "line", "rule", "message"]
        shown["without_prediction"] = first_rows(stores.lake.unpredicted, day, columns)
    if done.accounting.too_large:
        shown["too_large"] = table(too_large_records(done.accounting))
    return Made(Lake.predictions.name, shown, f"{number} rows by version {version.version}, {done}")


def _challenger(stores: Stores, day: str, done: ScoredDay) -> Made | Skipped:
    """What a challenger said of a day, or that it could not."""
    if done.challenger_version is None:
        why = "the challenger failed on rows of this day; see a diff"
        return Skipped(CHALLENGER, why, {"failed": "see `mlops-assets diff`"})
    published = stores.lake.challenger_predictions
    spread = spread_of if stores.use_case.training.says_numbers else counts
    shown = {
        "model_version": done.challenger_version,
        "by_prediction": spread(published, day, "prediction"),
        "first_rows": first_rows(published, day, [*stored_schema(published).names, "day"]),
        "dagster/row_count": done.accounting.predictions,
    }
    return Made(CHALLENGER, shown)


def _audit_sample(stores: Stores, day: str, drawn: pa.Table) -> Made:
    """The predictions of a day that people shall label."""
    shown = {
        "drawn": len(drawn),
        "first_rows": table(drawn.slice(0, FIRST).to_pylist()),
        "label them": f"`mlops-assets audit {stores.use_case.name} --day {day} -o FILE`",
        "dagster/row_count": len(drawn),
    }
    return Made("audit_sample", shown)
