"""What is shown of a table that a step of a day has made, on Dagster's pages, wherever the step was done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from mlops_assets.journey.features.day import sql_fingerprint
from mlops_assets.journey.features.sql import MODEL_INPUT
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.read.listing import Manifest
from mlops_assets.journey.score.checks import check_answered
from mlops_assets.journey.score.day import CHALLENGER, ScoredDay, Scorers
from mlops_assets.journey.score.vectors import stored_schema
from mlops_assets.storage.accounting import UNSEEN, EnrichmentAccounting, FeaturesAccounting, ReadingAccounting
from mlops_assets.storage.catalog import Lake, enrichment_table
from mlops_assets.storage.tables import Table
from mlops_assets.views import markdown
from mlops_assets.views.answers_of_day import classes_of, numbers_of
from mlops_assets.views.numbers import size
from mlops_assets.views.status import forgotten, noticed_records, too_large_records
from mlops_assets.work.progress import Progress
from mlops_assets.work.shards import DayDone
from mlops_assets.workspace import Stores

FIRST = 10
"""Rows of a table that are shown."""

OF_THE_WORK = (
    "rows_version",
    "shards",
    "reused",
    "files_a_second",
    "rows_a_second",
    "expected_minutes",
    "deadline_minutes",
    "deadline_held",
    "fingerprint",
)
"""Numbers that say how the work went and not what came of it."""


@dataclass(frozen=True)
class Text:
    """A text that is more than one line of plain words.

    Attributes
    ----------
    text
        What it says.
    kind
        `md` is Markdown, `path` a place, `url` an address.
    """

    text: str
    kind: Literal["md", "path", "url"] = "md"


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


NONE = Text("none")
"""A table without a line."""


def table(records: Sequence[Mapping[str, Any]]) -> Text:
    """Records with the same keys as a table."""
    return Text(markdown.table(records))


def first_rows(source: Table[Any], day: str, columns: Sequence[str] | None = None) -> Text:
    """The first rows of a published day."""
    return table(source.head(day, FIRST, columns).to_pylist() if source.open() is not None else [])


def read_first(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """What is shown of a table in the order that a person reads: zeros and empty tables say nothing, and are left out.

    Parameters
    ----------
    parts
        What came out, how sure it is, what is odd, rows, and at the end the numbers of the work.
    """
    shown: dict[str, Any] = {}
    for part in parts:
        shown |= {name: value for name, value in part.items() if name not in shown and not _says_nothing(value)}
    # numbers of the work are for those who tune it
    last = {name: shown.pop(name) for name in OF_THE_WORK if name in shown}
    return shown | last


def _says_nothing(value: Any) -> bool:
    return value is None or value == NONE or (value in ("", 0) and not isinstance(value, bool))


def raw_files(stores: Stores, day: str, manifest: Manifest) -> Made:
    """The manifest of a day."""
    removed = forgotten(stores, day)
    shown = read_first(
        {"came": f"{manifest.files:,} files, {size(manifest.size)}", "requests": removed},
        {"folder": Text(stores.source.place(day), "path")},
        {"first_files": first_rows(stores.lake.raw_files, day, ["path", "size", "problem"])},
        {"files": manifest.files, "attachments": manifest.attachments, "bytes": manifest.size},
        {"shards": manifest.shards, "fingerprint": manifest.fingerprint},
    )
    shown["dagster/row_count"] = manifest.files
    return Made(Lake.raw_files.name, shown, f"{manifest.files} files", manifest.fingerprint)


def rows(stores: Stores, day: str, reading: DayDone[ReadingAccounting], watch: Progress) -> list[Made]:
    """Rows and rejects of a day."""
    accounting, lake = reading.accounting, stores.lake
    good, rejected, refused = accounting.rows, accounting.rejected, accounting.files_refused
    by_rule = [{"rule": rule, "number": number} for rule, number in accounting.rules.items()]
    sums = f"{accounting.lines:,} lines = {good:,} rows + {rejected:,} rejected; "
    sums += f"{accounting.files:,} files = {accounting.files_read:,} read + {refused:,} refused"
    see = f"`mlops-assets rejects {stores.use_case.name} --from {day} --to {day}`"
    of_rows = read_first(
        {"came_out": sums},
        {"noticed": table(noticed_records(accounting)), "rejected_by_rule": table(by_rule)},
        {"first_rows": first_rows(lake.rows, day)},
        {**reading.numbers(), **watch.numbers()},
    )
    of_rejects = read_first(
        {"came_out": f"{rejected:,} lines rejected, {refused:,} files refused" if by_rule else "nothing was refused"},
        {"by_rule": table(by_rule), "first_rows": first_rows(lake.rejects, day)},
        {"see": Text(see) if by_rule else "", "lines": rejected, "files": refused},
    )
    # a day without rows, or without rejects, is a row count of its own
    of_rows["dagster/row_count"], of_rejects["dagster/row_count"] = good, rejected + refused
    said = f"{good} rows, {rejected} lines rejected, {refused} files refused, {reading}"
    return [Made(Lake.rows.name, of_rows, said), Made(Lake.rejects.name, of_rejects)]


def enrichment(stores: Stores, name: str, day: str, accounting: EnrichmentAccounting) -> Made:
    """The answers of an enrichment for a day."""
    problems = [{"problem": problem, "times": times} for problem, times in accounting.problems.items()]
    found = check_answered(accounting).found
    shown = read_first(
        {"came_out": found, "problems": table(problems)},
        {"first_rows": first_rows(stores.lake.enrichment(name), day)},
        accounting.numbers(),
    )
    shown["dagster/row_count"] = accounting.keys
    return Made(enrichment_table(name), shown, found)


def features(stores: Stores, day: str, done: DayDone[FeaturesAccounting], watch: Progress) -> Made:
    """The features of a day's files."""
    shown = read_first(
        {"came_out": f"{done.accounting.files:,} files, one row each"},
        {"first_rows": first_rows(stores.lake.features, day)},
        {**done.numbers(), **watch.numbers()},
    )
    shown["dagster/row_count"] = done.accounting.files
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
    # before the predictions, which are made of it
    yield _model_input(stores, scorers.version, done)
    yield _predictions(stores, day, scorers.version, done, watch)
    if scorers.challenger is not None:
        yield _challenger(stores, day, done)
    if drawn is not None:
        yield _audit_sample(stores, day, drawn)


def _predictions(stores: Stores, day: str, version: Version, done: ScoredDay, watch: Progress) -> Made:
    """The predictions of a day that was published."""
    published, told = stores.lake.predictions, done.accounting
    # lists of probabilities are for readers
    columns = [*stored_schema(published).names, "day"]
    numbers = done.numbers()
    unseen = {name: numbers.pop(name) for name in [*numbers] if name.startswith(UNSEEN)}
    left_out = told.sql_rejected or 0
    odd: dict[str, Any] = {"left_out": left_out and f"{left_out:,} rows: SQL or model fail on them"}
    if left_out:
        odd["without_prediction"] = first_rows(stores.lake.unpredicted, day, ["file", "line", "rule", "message"])
    if told.too_large:
        odd["too_large"] = table(too_large_records(told))
    shown = read_first(
        {"came_out": f"{told.predictions:,} predictions by version {version.version}, {version.about.candidate}"},
        _answers(stores, published, day),
        odd,
        unseen,
        {"first_rows": first_rows(published, day, columns), "model": version.about.candidate},
        {**_links(stores, day, version.version), **numbers, **watch.numbers()},
    )
    shown["dagster/row_count"] = told.predictions
    return Made(Lake.predictions.name, shown, f"{told.predictions} rows by version {version.version}, {done}")


def _answers(stores: Stores, source: Table[Any], day: str) -> dict[str, Any]:
    """What the answers look like, and how sure they are."""
    found = (numbers_of if stores.use_case.training.says_numbers else classes_of)(source, day)
    return {
        **found.sure,
        "by_prediction": table(found.records),
        "picture": Text(found.picture(day)) if found.records else "",
    }


def _links(stores: Stores, day: str, version: int) -> dict[str, Text]:
    """Where people read on: the day and the version on the pages of the API."""
    pages = f"{stores.settings.api_pages}/pages/{stores.use_case.name}"
    return {
        "page of the day": Text(f"{pages}/days/{day}", "url"),
        "page of the version": Text(f"{pages}/models/{version}", "url"),
    }


def _model_input(stores: Stores, version: Version, done: ScoredDay) -> Made:
    """What the model saw of a day; it is not stored."""
    about, use_case, rows = version.about, stores.use_case, done.accounting.predictions
    own = about.sql != sql_fingerprint(use_case.features_sql)
    other = f"version {version.version} keeps SQL of its own: it is not features.sql as it is now"
    shown = read_first(
        {"came_out": f"{rows:,} rows, computed as the day was scored, and not stored"},
        {"other_sql": other if own else ""},
        {"model_version": version.version},
    )
    shown["dagster/row_count"] = rows
    return Made(MODEL_INPUT, shown)


def _challenger(stores: Stores, day: str, done: ScoredDay) -> Made | Skipped:
    """What a challenger said of a day, or that it could not."""
    if done.challenger_version is None:
        why = "the challenger failed on rows of this day; see a diff"
        return Skipped(CHALLENGER, why, {"failed": "see `mlops-assets diff`"})
    published = stores.lake.challenger_predictions
    shown = read_first(
        {"came_out": f"{done.accounting.predictions:,} predictions by version {done.challenger_version}"},
        _answers(stores, published, day),
        {"first_rows": first_rows(published, day, [*stored_schema(published).names, "day"])},
        {"model_version": done.challenger_version},
    )
    shown["dagster/row_count"] = done.accounting.predictions
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
