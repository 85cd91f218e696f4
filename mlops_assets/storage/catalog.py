"""The catalogue of a use case's lake: every table and every document, what it is called, where it lies, what is in it.

Nobody else spells the name of a table or the path of a document.
"""

from __future__ import annotations

from typing import Any, Generic, overload

import pyarrow as pa

from mlops_assets.storage import places
from mlops_assets.storage.accounting import (
    Accounting,
    ChallengerAccounting,
    EnrichmentAccounting,
    FeaturesAccounting,
    KeepingAccounting,
    ListingAccounting,
    PredictionsAccounting,
    ReadingAccounting,
)
from mlops_assets.storage.kept import KEPT
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import A, Table

DAY_SECONDS = 86_400
ENRICHMENT = "enrichment_"
"""What the name of a table of answers begins with."""

MANIFEST = pa.schema(
    {
        "path": pa.string(),
        "size": pa.int64(),
        "modified": pa.int64(),
        "problem": pa.string(),
        "etag": pa.string(),
        "shard": pa.int32(),
    }
)
"""A manifest: path in the day's folder, bytes, nanoseconds since 1970, why it is no file (or empty),
ETag (or empty), shard."""

REJECTS = pa.schema(
    {
        "file": pa.string(),
        "line": pa.int32(),
        "rule": pa.string(),
        "message": pa.string(),
        "raw": pa.string(),
    }
)
"""The dead-letter queue: file, data line (null for a whole file), broken rule, what is wrong, the line as it stood."""

UNPREDICTED = ("sql", "model")
"""Rules of rows without a prediction: the SQL or the model fails on them. Their raw text is not kept."""

PREDICTIONS = pa.schema(
    {
        "file": pa.dictionary(pa.int32(), pa.string()),
        "line": pa.int32(),
        "account_id": pa.dictionary(pa.int32(), pa.string()),
        "prediction": pa.dictionary(pa.int32(), pa.string()),
        "probability": pa.float32(),
        "model_version": pa.int32(),
    }
)
"""One prediction a row; `probability` is that of the predicted class. Numbers have `task.NUMBERS`."""

PROBABILITIES = pa.field("probabilities", pa.list_(pa.float32()))
"""A further column of predictions, where the use case keeps the probabilities of every class: in the order of `classes`
in the accounting."""

PROFILES = pa.schema(
    {
        "source": pa.string(),
        "column": pa.string(),
        "what": pa.string(),
        "key": pa.string(),
        "number": pa.int64(),
        "value": pa.float64(),
    }
)
"""A number of a profile: whose (`rows`, `model_input`, `predictions`, `files`); the column; what is counted; the bin,
the value or the cell; how many, or for smallest and largest values which."""

AUDIT = pa.schema(
    {
        "day": pa.string(),
        "file": pa.string(),
        "line": pa.int32(),
        "account_id": pa.string(),
        "prediction": pa.string(),
        "probability": pa.float32(),
        "model_version": pa.int32(),
    }
)
"""Predictions that were drawn for people to label, as they were published then; a number is a text here."""

ACCEPTED = pa.schema(
    {
        "day": pa.string(),
        "file": pa.string(),
        "line": pa.int32(),
        "label": pa.string(),
        "who": pa.string(),
        "when": pa.string(),
        "source_file": pa.string(),
        "source_line": pa.int32(),
        "audited": pa.bool_(),
    }
)
"""Corrections that count: what somebody says of which row, and where it was written."""

REJECTED = pa.schema(
    {
        "source_file": pa.string(),
        "source_line": pa.int32(),
        "rule": pa.string(),
        "message": pa.string(),
        "raw": pa.string(),
        "day": pa.string(),
        "file": pa.string(),
        "line": pa.int32(),
        "label": pa.string(),
        "who": pa.string(),
        "when": pa.string(),
    }
)
"""Corrections that do not count, each with its reason; what they say is null where they cannot be read."""

REQUESTS = pa.schema(
    {
        "request": pa.string(),
        "when": pa.string(),
        "caller": pa.string(),
        "version": pa.int32(),
        "file": pa.string(),
        "name": pa.string(),
        "line": pa.int32(),
        "prediction": pa.string(),
        "probability": pa.float32(),
        "rule": pa.string(),
        "message": pa.string(),
    }
)
"""A line of what was answered to a kept request: its file as it lies in the day's folder, and as it was named; either a
prediction, or the rule by which it was refused. A number is a text here."""


class TableOf(Generic[A]):
    """A table of the catalogue; its name is that of the attribute of `Lake`, by which a lake gives the table itself.

    Parameters
    ----------
    accounting
        What is told of its days.
    holds
        What one row of it is.
    schema
        Its columns without `day`; None where they follow from the contract or the SQL of the use case, which those who
        publish it know.
    """

    def __init__(self, accounting: type[A], holds: str, schema: pa.Schema | None = None) -> None:
        self.accounting = accounting
        self.holds = holds
        self.schema = schema

    def __set_name__(self, owner: type[Lake], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, lake: None, owner: type[Lake]) -> TableOf[A]: ...

    @overload
    def __get__(self, lake: Lake, owner: type[Lake]) -> Table[A]: ...

    def __get__(self, lake: Lake | None, owner: type[Lake]) -> TableOf[A] | Table[A]:
        return self if lake is None else self.of(lake)

    def of(self, lake: Lake) -> Table[A]:
        """The table in a lake."""
        return lake._open(self.name, self.accounting)


class Lake:
    """The tables and documents of one use case, all of them below `<lake>/<use case>`.

    Parameters
    ----------
    root
        Place of the lake.
    use_case
        Name of the use case.
    """

    raw_files = TableOf(ListingAccounting, "a file of the day, as it was listed", MANIFEST)
    rows = TableOf(ReadingAccounting, "a good row of a file, typed by the contract")
    rejects = TableOf(ReadingAccounting, "a line or file that was refused, and why", REJECTS)
    kept_files = TableOf(KeepingAccounting, "a raw file as it was read, with its bytes once", KEPT)
    features = TableOf(FeaturesAccounting, "a file, with the aggregates of `features.sql`")
    predictions = TableOf(PredictionsAccounting, "what the champion says of a row", PREDICTIONS)
    unpredicted = TableOf(PredictionsAccounting, "a row on which SQL or model fail, and why", REJECTS)
    profiles = TableOf(
        PredictionsAccounting, "a number that tells how the rows and answers of a shard are spread", PROFILES
    )
    challenger_predictions = TableOf(ChallengerAccounting, "what the challenger says of a row", PREDICTIONS)

    def __init__(self, root: Place, use_case: str) -> None:
        self.root = root
        self.use_case = use_case
        self.folder = root / use_case
        self._tables: dict[str, Table[Any]] = {}

    def enrichment(self, name: str) -> Table[EnrichmentAccounting]:
        """The answers of an enrichment, one a key, for the days on which they were asked for."""
        return self._open(enrichment_table(name), EnrichmentAccounting)

    def differences(self, mark: str) -> Table[Accounting]:
        """The rows on which two versions differ: the parts of one comparison, never published, removed at its end."""
        return self._open(f"diffs/{mark}", Accounting)

    def table(self, name: str) -> Table[Any]:
        """A table whose name comes at run time: from the command, or from what lies in the lake."""
        entry = vars(Lake).get(name)
        if isinstance(entry, TableOf):
            return entry.of(self)
        return self._open(name, EnrichmentAccounting if name.startswith(ENRICHMENT) else Accounting)

    def _open(self, name: str, accounting: type[A]) -> Table[A]:
        """One object a table, for it remembers the commits that it has seen."""
        # making a table that is not needed costs nothing: it looks at no file until it is asked
        return self._tables.setdefault(name, Table(self.folder / name, name, accounting))

    @property
    def rhythm(self) -> Place:
        """Whether days of it are hours or weeks, and of which zone; days of UTC need no such document."""
        return self.folder / "partitions.json"

    @property
    def history(self) -> Place:
        """Folder of the changes of the champion."""
        return self.folder / "history"

    def change(self, number: int) -> Place:
        """One change of the champion: who is champion now, since when, and why."""
        return self.history / f"{number:06d}.json"

    def pin(self, number: int) -> Place:
        """The hashes with which a version was registered."""
        return self.history / "versions" / f"{number:06d}.json"

    def refusal(self, number: int) -> Place:
        """That somebody refused a version that might have become champion, who and why."""
        return self.history / "refusals" / f"{number:06d}.json"

    def retro_score(self, change: int, name: str) -> Place:
        """Of days scored again after a change of the champion: what became of one, which were asked for, a decision."""
        return self.folder / "retro_scores" / f"{change:06d}" / f"{name}.json"

    @property
    def versions(self) -> Place:
        """Folder of what MLflow knows of the versions."""
        return self.folder / "versions"

    def version(self, number: int) -> Place:
        """What MLflow knows of one version."""
        return self.versions / f"{number:06d}.json"

    def model(self, sha256: str) -> Place:
        """What scoring needs of a version, by the SHA-256 of its hashes, for workers with other disks."""
        return self.folder / "models" / sha256

    @property
    def training(self) -> Place:
        """Folder of the training runs, each with a folder of its own."""
        return self.folder / "training"

    def training_run(self, run: str) -> Place:
        """Folder of one training run: its records, its candidates, its version."""
        return self.training / run

    def training_record(self, run: str, step: str) -> Place:
        """What a step of a training run found."""
        return self.training_run(run) / f"{step}.json"

    def training_set(self, mark: str) -> Place:
        """The rows that were learned from and judged by, by their fingerprint."""
        return self.folder / "training_sets" / f"{mark}.parquet"

    def training_profile(self, mark: str) -> Place:
        """What was counted of the rows of a training set, by its fingerprint."""
        return self.folder / "training_profiles" / f"{mark}.parquet"

    @property
    def accepted(self) -> Place:
        """The corrections that count."""
        return self.folder / "feedback" / "accepted.parquet"

    @property
    def rejected(self) -> Place:
        """The corrections that do not count."""
        return self.folder / "feedback" / "rejected.parquet"

    def learned(self, mark: str) -> Place:
        """The corrections that a training learned from, by their fingerprint."""
        return self.folder / "feedback" / "learned" / f"{mark}.parquet"

    def audit(self, day: str) -> Place:
        """The predictions of a day that were drawn for people to label."""
        return self.folder / "audit" / f"day={day}.parquet"

    def challenge(self, day: str) -> Place:
        """How champion and challenger compare on a day."""
        return self.folder / "challenges" / f"day={day}.json"

    def verdict(self, day: str) -> Place:
        """What was said of a day beside what its model learned from: its lamps."""
        return self.folder / "verdicts" / f"day={day}.json"

    def profile(self, day: str) -> Place:
        """The sum of the profiles of the shards of a day."""
        return self.folder / "profiles_of_days" / f"day={day}.parquet"

    def delivery(self, target: str, day: str) -> Place:
        """What a target was brought of a day."""
        return self.folder / "deliveries" / target / f"day={day}.json"

    @property
    def answered_days(self) -> Place:
        """Folder of what was answered to kept requests."""
        return self.folder / "requests"

    @property
    def forgotten(self) -> Place:
        """Before which day the raw files of kept requests were removed."""
        return self.answered_days / "forgotten.json"

    def answered(self, day: str, mark: str) -> Place:
        """What was answered to requests whose rows are of a day, as one journal had it."""
        return self.answered_days / f"day={day}" / f"{mark}.parquet"

    @property
    def told(self) -> Place:
        """Folder of what people were told."""
        return self.folder / "told"

    def telling(self, number: int) -> Place:
        """What people were told of, and what is still to be told; the highest number is how it stands."""
        return self.told / f"{number:06d}.json"

    @property
    def behinds(self) -> Place:
        """Folder of what processes of the API say while they do not serve the champion."""
        return self.folder / "behind"

    def behind(self, process: str) -> Place:
        """What a process of the API says while it does not serve the champion, and which version answers meanwhile."""
        return self.behinds / f"{process}.json"

    @property
    def heard(self) -> Place:
        """Folder of what jobs elsewhere say while they run; it is removed when it was heard."""
        return self.folder / "heard"

    @property
    def replays(self) -> Place:
        """Folder of what is known of replayed lines."""
        return self.folder / "replays"

    def replay(self, day: str, mark: str) -> Place:
        """Where the lines of a raw file of mended rejects came from."""
        return self.replays / f"{day}-{mark}.json"

    def jobs(self, day: str) -> Place:
        """Folder of the jobs that did a day."""
        return self.folder / "jobs" / f"day={day}"

    def job(self, day: str, number: int) -> Place:
        """Which job does a day, where, since when, and its last sign of life; the highest number is the last one."""
        return self.jobs(day) / f"{number:06d}.json"

    def code(self, fingerprint: str) -> Place:
        """The modules and libraries that a fingerprint of code stands for."""
        return self.folder / "code" / f"{fingerprint}.json"

    def tables(self) -> list[str]:
        """The names of the tables that are there, also of enrichments that are not configured any more."""
        return sorted(path.name for path in self.folder.glob("*") if (path / "_delta_log").exists())

    def clean(self, keep_days: int = 30) -> int:
        """Delete files that no version of any table of the last days uses; the number of files deleted."""
        places.remove_older(self.folder / "diffs", DAY_SECONDS)  # what a killed comparison left
        return sum(self.table(name).clean(24 * keep_days) for name in self.tables())


def enrichment_table(name: str) -> str:
    """Name of the table, and of the asset, of an enrichment."""
    return ENRICHMENT + name
