"""What is kept beside published days, as JSON in the commit: typed, and read whatever version of the package wrote it.

A key that was not written yet has its default, which is told with each class. A key that is not known any more, or not
yet, is kept under `further` and written again: restoring a day must not lose what another version said of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

SQL_REJECTED = "sql_rejected"
"""Name of the count of rows on which SQL or model fail."""

TOO_LARGE = "too_large_"
"""What the count of numbers beyond float32 in a column begins with, in reports and in the accounting."""

UNSEEN = "unseen_"
"""What the count of unseen values of a category begins with, in reports and in the accounting."""

NOTICED = "noticed_"
"""What the count of something noticed begins with, in reports and in the accounting."""


def named(counts: Mapping[str, Any], prefix: str) -> dict[str, int]:
    """The counts whose names begin with a prefix, by what follows it."""
    return {name.removeprefix(prefix): number for name, number in counts.items() if name.startswith(prefix)}


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A small document that is stored as JSON.

    Attributes
    ----------
    PREFIXES
        Attributes that are counts by name, and what the name of each count begins with where it is written: flat, so
        that every number has a name of its own on a page.
    further
        What the document says beyond the attributes of its class, as it was read.
    """

    PREFIXES: ClassVar[Mapping[str, str]] = {}
    further: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what some version of the package wrote."""
        counts = {name: named(written, prefix) for name, prefix in cls.PREFIXES.items()}
        left = {name: value for name, value in written.items() if not name.startswith(tuple(cls.PREFIXES.values()))}
        # the first release wrote some of the counts as one number under that name: it stays what else was said
        names = {attribute.name for attribute in fields(cls)} - {"further", *cls.PREFIXES}
        own = {name: value for name, value in left.items() if name in names}
        further = {name: value for name, value in left.items() if name not in names}
        return cls(**own, **counts, further=further)

    def to_json(self) -> dict[str, Any]:
        """What is written; an attribute that is None is left out."""
        own = {
            attribute.name: getattr(self, attribute.name) for attribute in fields(self) if attribute.name != "further"
        }
        for name, prefix in self.PREFIXES.items():
            own |= {prefix + counted: number for counted, number in own.pop(name).items()}
        return {**self.further, **{name: value for name, value in own.items() if value is not None}}


@dataclass(frozen=True, kw_only=True)
class Accounting(Stored):
    """What is told of one publication of a day, of whatever table.

    Attributes
    ----------
    restored_from
        The version of the table that had published exactly this before; None where nothing was restored.
    """

    restored_from: int | None = None

    def numbers(self) -> dict[str, int]:
        """Its whole numbers under the names by which they are written, for a page."""
        return {name: value for name, value in self.to_json().items() if isinstance(value, int)}


@dataclass(frozen=True, kw_only=True)
class ListingAccounting(Accounting):
    """Of `raw_files`: what lay in the day's folder.

    Attributes
    ----------
    files, attachments
        Number of files with rows, and of those that records refer to; 0 where it was not counted yet.
    bytes
        Size of all of them.
    shards
        Number of shards; 0 if it is not known.
    fingerprint
        Hash of the manifest, and part of its name.
    content
        Hash of the entries in any order, by which a sensor sees a change; empty before there were sensors, which is
        taken for a change.
    """

    files: int = 0
    attachments: int = 0
    bytes: int = 0
    shards: int = 0
    fingerprint: str = ""
    content: str = ""


@dataclass(frozen=True, kw_only=True)
class ReadingAccounting(Accounting):
    """Of `rows` and `rejects`: what became of every file and line.

    Attributes
    ----------
    files, files_read, files_refused
        The files that were listed; those that were read; those refused as a whole.
    lines, rows, rejected
        Data lines of the files that were read; the good ones; the others.
    bytes
        Bytes that were read.
    rules
        Number of refusals by rule.
    labelled
        The rows that have a label; None where it was not counted yet.
    labels
        The labels that they have, in order; none where there are too many to be kept.
    noticed
        How often something was noticed that refuses nothing, by the names of `use_case.notices`; written as
        `noticed_NAME`.
    examples
        Where, by the same names: a few texts for people.
    manifest
        Fingerprint of the listing that was read; empty if it is not known.
    """

    PREFIXES: ClassVar[Mapping[str, str]] = {"noticed": NOTICED}
    files: int = 0
    files_read: int = 0
    files_refused: int = 0
    lines: int = 0
    rows: int = 0
    rejected: int = 0
    bytes: int = 0
    rules: Mapping[str, int] = field(default_factory=dict)
    labelled: int | None = None
    labels: Sequence[str] = ()
    noticed: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)
    manifest: str = ""

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what some version of the package wrote."""
        left = dict(written)
        # tuples, for what was written is compared with what is to be
        labels = tuple(left.pop("labels", ()))
        examples = {name: tuple(texts) for name, texts in left.pop("examples", {}).items()}
        return super().from_json({**left, "labels": labels, "examples": examples})

    def to_json(self) -> dict[str, Any]:
        """What is written."""
        written = super().to_json()
        # a day without any writes what was written before there were some
        for name in ("labels", "examples"):
            if not written[name]:
                del written[name]
        return written

    @property
    def files_add_up(self) -> bool:
        """Whether every file was read or refused."""
        return self.files == self.files_read + self.files_refused

    @property
    def lines_add_up(self) -> bool:
        """Whether every line became a row or a reject, or belongs to a field of one."""
        return self.lines == self.rows + self.rejected + self.noticed.get("swallowed_lines", 0)


@dataclass(frozen=True, kw_only=True)
class KeepingAccounting(Accounting):
    """Of `kept_files`: files of a listing and their bytes, the parts that have them and theirs, the listing's mark."""

    files: int = 0
    bytes: int = 0
    packs: int = 0
    stored: int = 0
    manifest: str = ""


@dataclass(frozen=True, kw_only=True)
class FeaturesAccounting(Accounting):
    """Of `features`: files that were aggregated, and those on which the SQL fails; rows, and the SQL's fingerprint."""

    files: int = 0
    failed: int | None = None
    rows: int = 0
    sql: str = ""


@dataclass(frozen=True, kw_only=True)
class EnrichmentAccounting(Accounting):
    """Of `enrichment_NAME`: how the keys of a day were answered, and how the asking went; counts are 0 by default.

    Attributes
    ----------
    keys, fetched, last_known, missing
        Distinct keys, and how they were answered.
    rows, rows_fetched, rows_last_known, rows_missing, rows_without_key
        The same, in rows; a row without a key was not asked for.
    asked, cached, not_asked
        Keys that were asked for; that were answered before; that were left out because the source failed.
    requests, retries, failed, refused
        How the asking went.
    problems
        The most frequent problems, each with its number.
    rows_version
        The version of `rows` whose keys were asked for; None fits no rows, so they are asked for again.
    shape
        Hash of what decides what an answer is; empty fits no source.
    """

    keys: int = 0
    fetched: int = 0
    last_known: int = 0
    missing: int = 0
    rows: int = 0
    rows_fetched: int = 0
    rows_last_known: int = 0
    rows_missing: int = 0
    rows_without_key: int = 0
    asked: int = 0
    cached: int = 0
    not_asked: int = 0
    requests: int = 0
    retries: int = 0
    failed: int = 0
    refused: int = 0
    problems: Mapping[str, int] = field(default_factory=dict)
    rows_version: int | None = None
    shape: str = ""

    @property
    def unanswered(self) -> Unanswered:
        """The rows without a fresh answer, as the predictions tell of them."""
        return Unanswered(self.rows_last_known, self.rows_missing + self.rows_without_key)

    @property
    def missing_share(self) -> float:
        """Share of the rows that have no answer."""
        return self.unanswered.missing / max(1, self.rows)


@dataclass(frozen=True)
class Unanswered:
    """Rows of a scored day without a fresh answer of one enrichment: those with the last known one, and with none."""

    last_known: int
    missing: int


@dataclass(frozen=True, kw_only=True)
class PredictionsAccounting(ReadingAccounting):
    """Of `predictions`: what was told of the rows that were scored, and by what.

    Attributes
    ----------
    predictions
        Their number.
    sql_rejected
        Rows without one, because the SQL or the model fails on them; not written where there is none.
    model_version
        The version that scored.
    model_choice
        How it was chosen; empty before there was a choice.
    rows_version
        The version of `rows` that was scored; None if it is not known.
    unseen
        By category, rows with a value that training had not seen; written as `unseen_NAME`.
    too_large
        By column, numbers that were infinite or beyond float32, and missing for the model; written as `too_large_NAME`.
    enrichments
        By enrichment, the version of its table; not written where there is none.
    accepted_drift
        Why the day was to be published whatever lamp is red; not written where nobody said so.
    unanswered
        By enrichment, the rows without a fresh answer; written as `NAME_last_known` and `NAME_missing`.
    classes
        The classes in the order of `probabilities`; not written where these are not kept.
    """

    PREFIXES: ClassVar[Mapping[str, str]] = {**ReadingAccounting.PREFIXES, "unseen": UNSEEN, "too_large": TOO_LARGE}
    predictions: int = 0
    sql_rejected: int | None = None
    model_version: int = 0
    model_choice: str = ""
    rows_version: int | None = None
    unseen: Mapping[str, int] = field(default_factory=dict)
    too_large: Mapping[str, int] = field(default_factory=dict)
    enrichments: Mapping[str, int] = field(default_factory=dict)
    accepted_drift: str | None = None
    unanswered: Mapping[str, Unanswered] = field(default_factory=dict)
    classes: Sequence[str] = ()

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what some version of the package wrote."""
        left = dict(written)
        unanswered = {
            name: Unanswered(left.pop(f"{name}_last_known", 0), left.pop(f"{name}_missing", 0))
            for name in written.get("enrichments", {})
        }
        classes = tuple(left.pop("classes", ()))
        return super().from_json({**left, "unanswered": unanswered, "classes": classes})

    def to_json(self) -> dict[str, Any]:
        """What is written."""
        written = super().to_json()
        for name, rows in written.pop("unanswered").items():
            written |= {f"{name}_last_known": rows.last_known, f"{name}_missing": rows.missing}
        # a use case without any writes what was written before there were some
        for name in ("enrichments", "classes"):
            if not written[name]:
                del written[name]
        return written


@dataclass(frozen=True, kw_only=True)
class ChallengerAccounting(Accounting):
    """Of `challenger_predictions`: their number, the version that made them, and `classes` as of `predictions`."""

    predictions: int = 0
    model_version: int = 0
    classes: Sequence[str] = ()

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what some version of the package wrote."""
        return super().from_json({**written, "classes": tuple(written.get("classes", ()))})

    def to_json(self) -> dict[str, Any]:
        """What is written."""
        written = super().to_json()
        if not self.classes:
            del written["classes"]
        return written


@dataclass(frozen=True, kw_only=True)
class DeliveryRecord(Stored):
    """What is known of the delivery of a day to a target.

    Attributes
    ----------
    day, publication
        Which publication of which day; empty fits none, so the day is delivered again.
    configuration
        Fingerprint of what the configuration said of the target; empty fits none.
    done
        Whether it is there whole; else it was begun, and nobody knows how far it came.
    rows, model_version, guarantee
        What was delivered, and what is promised of it.
    when, run
        When (UTC), by which Dagster run.
    told
        What the target said of it.
    attempt
        1 for the first delivery of the publication, counted up whenever it was begun again.
    again
        Whether it was to be written though the target may have had it.
    """

    day: str = ""
    publication: str = ""
    configuration: str = ""
    done: bool = False
    rows: int = 0
    model_version: int = 0
    guarantee: str = ""
    when: str = ""
    run: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)
    attempt: int = 1
    again: bool = False

    def to_json(self) -> dict[str, Any]:
        """What is written."""
        written = super().to_json()
        # the usual delivery writes what was written before there were others
        for name, usual in (("attempt", 1), ("again", False)):
            if written[name] == usual:
                del written[name]
        return written
