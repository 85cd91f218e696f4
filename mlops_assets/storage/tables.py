"""Tables of the lake: each a Delta table partitioned by day; a day is replaced in one commit."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.errors import LakeError, PublishConflict
from mlops_assets.storage import places, s3
from mlops_assets.storage.files import FOOTER, write_parquet
from mlops_assets.storage.places import Place, S3Path

if TYPE_CHECKING:
    from deltalake import DeltaTable

ATTEMPTS = 20
"""How often a commit is tried again while other days are being published beside it."""


@dataclass(frozen=True)
class Part:
    """One Parquet file of a table, written but not necessarily published.

    Attributes
    ----------
    table
        Name of the table.
    path
        Path relative to the table's folder, in Delta's form `day=.../name.parquet`.
    size
        Bytes.
    rows
        Number of rows.
    """

    table: str
    path: str
    size: int
    rows: int


@dataclass(frozen=True)
class Published:
    """The state of one day of a table.

    Attributes
    ----------
    version
        Version of the table at which the day was last replaced.
    time
        When, in milliseconds since 1970.
    accounting
        What the run that published it wrote beside it.
    run
        The run that published it.
    """

    version: int
    time: int
    accounting: dict[str, Any]
    run: str = ""


class Table:
    """One table of a use case, at `<lake>/<use case>/<name>`.

    It remembers the commits that it has seen, so that asking again costs only what was committed since.
    """

    def __init__(self, lake: Place, use_case: str, name: str) -> None:
        self.name = name
        self.folder = lake / use_case / name
        self._options = s3.storage_options() if isinstance(lake, S3Path) else None
        self._table: DeltaTable | None = None
        self._seen = -1
        self._publications: dict[str, list[Published]] = {}

    def place(self, day: str, stem: str) -> Place:
        """Where a worker writes the part `stem` of a day."""
        return self.folder / f"day={day}" / f"{stem}.parquet"

    def open(self) -> DeltaTable | None:
        """The Delta table as it is now, or None where nothing was published yet."""
        from deltalake import DeltaTable

        with self._telling():
            if self._table is not None:
                self._table.update_incremental()
            elif DeltaTable.is_deltatable(str(self.folder), self._options):
                self._table = self._load()
        return self._table

    def _load(self, version: int | None = None) -> DeltaTable:
        from deltalake import DeltaTable

        return DeltaTable(str(self.folder), version=version, storage_options=self._options)

    def _telling(self) -> AbstractContextManager[None]:
        """What goes wrong with requests to S3 becomes an error for people."""
        return s3.telling(str(self.folder)) if isinstance(self.folder, S3Path) else nullcontext()

    def parts(self, day: str) -> set[str]:
        """Paths of the published parts of a day."""
        table = self.open()
        return _parts(table, day) if table else set()

    def days(self) -> dict[str, Published]:
        """Every published day as it is now, in order."""
        return {day: every[-1] for day, every in self.publications().items()}

    def publications(self) -> dict[str, list[Published]]:
        """Every published day, in order, with all its publications, the oldest first."""
        while (table := self.open()) is not None and (version := table.version()) > self._seen:
            with self._telling():
                commits = table.history(version - self._seen)
                table.update_incremental()
            if table.version() != version:
                continue  # history() counts back from the newest commit: one came in between, so some are missing
            for commit in reversed(commits):  # they come newest first
                if "accounting" in commit:
                    accounting, run = json.loads(commit["accounting"]), commit.get("run", "")
                    published = Published(commit["version"], commit["timestamp"], accounting, run)
                    self._publications.setdefault(commit["day"], []).append(published)
            self._seen = version
            self._publications = dict(sorted(self._publications.items()))
        return dict(self._publications)

    def publish(
        self,
        day: str,
        parts: Iterable[Part],
        schema: pa.Schema,
        accounting: dict[str, Any],
        replaces: set[str],
        run: str = "",
    ) -> bool:
        """Make exactly these parts the content of the day, in one commit.

        Parameters
        ----------
        day
            The day, `YYYY-MM-DD`.
        parts
            The day's parts; those that are published already stay as they are.
        schema
            Schema of the parts, without `day`.
        accounting
            Numbers and versions to keep in the commit.
        replaces
            What `parts(day)` said when the work on the day began.
        run
            The run that publishes; the same content from another run is not published again.

        Returns
        -------
        bool
            Whether anything was committed: False if the day already is exactly this.

        Raises
        ------
        PublishConflict
            If another run published this day in the meantime.
        """
        from deltalake.exceptions import CommitFailedError
        from deltalake.transaction import AddAction, CommitProperties, RemoveAction

        wanted = {part.path: part for part in parts}
        full = delta_schema(schema)
        metadata = {"day": day, "accounting": json.dumps(accounting, sort_keys=True), "run": run}
        for attempt in range(ATTEMPTS):
            known = self.days().get(day)
            # from here to the commit the table must not be refreshed: the commit is tied to the version looked at
            table = self._open_or_create(full)
            present = _parts(table, day)
            if present != replaces and present != wanted.keys():
                raise PublishConflict(
                    f"{self.name} of {day}: another run published this day while this one was working on it. "
                    "That version stands, nothing of this run was published; run the day again if it should win."
                )
            if present == wanted.keys() and known is not None and known.accounting == accounting:
                return False
            now = int(time.time() * 1000)
            partition = {"day": day}
            actions: list[Any] = [
                AddAction(p.path, p.size, partition, now, True, json.dumps({"numRecords": p.rows}))
                for path, p in wanted.items()
                if path not in present
            ]
            actions += [
                RemoveAction(path, True, now, None, dict(partition)) for path in sorted(present - wanted.keys())
            ]
            try:
                # no retries by the library: a retry would not look again at what the day holds
                with self._telling():
                    table.create_write_transaction(
                        actions,
                        "append",
                        full,
                        ["day"],
                        commit_properties=CommitProperties(metadata, max_commit_retries=0),
                    )
            except CommitFailedError:
                time.sleep(0.01 * (attempt + 1))
                continue
            return True
        raise LakeError(f"{self.name} of {day}: the table was too busy to publish {ATTEMPTS} times; run the day again.")

    def restore(self, day: str, published: Published, schema: pa.Schema, run: str = "") -> bool:
        """Publish a day again as it once was, file by file; its accounting tells from which publication.

        Parameters
        ----------
        day
            The day.
        published
            One of its `publications`.
        schema
            Schema of its parts, without `day`.
        run
            Who restores it.

        Returns
        -------
        bool
            Whether anything was committed; see `publish`.

        Raises
        ------
        LakeError
            If its files were cleaned up since.
        """
        replaces = self.parts(day)
        parts = self.parts_at(day, published)
        accounting = {**published.accounting, "restored_from": published.version}
        return self.publish(day, parts, schema, accounting, replaces, run)

    def parts_at(self, day: str, published: Published) -> list[Part]:
        """The parts of a day as it was published once; errors as `restore`."""
        with self._telling():
            actions = self._load(published.version).get_add_actions(flatten=True)
        listed = pa.table(actions).select(["path", "size_bytes", "num_records", "partition.day"]).to_pylist()
        parts = [
            Part(self.name, one["path"].replace("%3D", "="), one["size_bytes"], one["num_records"])
            for one in listed
            if one["partition.day"] == day
        ]
        gone = [part.path for part in parts if not (self.folder / part.path).exists()]
        if gone:
            when = dt.datetime.fromtimestamp(published.time / 1000, dt.UTC).isoformat(timespec="seconds")
            raise LakeError(
                f"{self.name} of {day} as published on {when}: {len(gone)} of its {len(parts)} files were cleaned up, "
                "for they were replaced too long ago (`keep_days`). Run the day again with the model of that time."
            )
        return parts

    def read_publication(
        self, day: str, published: Published, columns: Sequence[str] | None = None
    ) -> pa.RecordBatchReader:
        """Read a day as it was published once, a batch at a time; errors as `restore`."""
        return self._reader([part.path for part in self.parts_at(day, published)], columns)

    def read_parts(self, parts: Sequence[Part], columns: Sequence[str] | None = None) -> pa.RecordBatchReader:
        """Read some parts of the table, one after the other, a batch at a time."""
        return self._reader([part.path for part in parts], columns)

    def read(self, days: Sequence[str] | None = None, columns: Sequence[str] | None = None) -> pa.RecordBatchReader:
        """Read published days, a batch at a time.

        Parameters
        ----------
        days
            The days to read, all by default.
        columns
            The columns to read, all by default.

        Raises
        ------
        LakeError
            If the table does not exist yet.
        """
        return self._reader(self._paths(days), columns)

    def head(self, day: str, rows: int, columns: Sequence[str] | None = None) -> pa.Table:
        """The first rows of a published day, without reading more than they need."""
        reader = self._reader(self._paths([day]), columns, batch_rows=1024)
        found: list[pa.RecordBatch] = []
        for batch in reader:
            found.append(batch)
            if sum(map(len, found)) >= rows:
                break
        return pa.Table.from_batches(found, reader.schema).slice(0, rows)

    def _paths(self, days: Sequence[str] | None) -> list[str]:
        """The published parts of some days, or of all, in the order of days and shards."""
        table = self.open()
        if table is None:
            raise LakeError(f"{self.folder}: nothing was published there yet.")
        return sorted(path for day in (self.days() if days is None else days) for path in _parts(table, day))

    def _reader(
        self, paths: Sequence[str], columns: Sequence[str] | None, batch_rows: int = 65_536
    ) -> pa.RecordBatchReader:
        """The rows of some parts, one after the other.

        Not by Arrow's dataset scanner: that of 25.0.1 hung in a lock of its own in one of some thousand reads.
        """
        table = self.open()
        assert table is not None, "parts are of a table"  # noqa: S101 - the callers have found them there
        whole = pa.schema(table.schema().to_arrow())
        schema = pa.schema([whole.field(name) for name in columns]) if columns else whole

        def batches() -> Iterator[pa.RecordBatch]:
            for path in paths:
                day = path.partition("/")[0].removeprefix("day=")
                with pq.ParquetFile(places.readable(self.folder / path)) as file:
                    stored = [name for name in schema.names if name in file.schema_arrow.names]
                    for batch in file.iter_batches(batch_rows, columns=stored):
                        yield _complete(batch, schema, day)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def read_all(self, days: Sequence[str] | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Read published days into memory; see `read`."""
        return self.read(days, columns).read_all()

    def clean(self, hours: int) -> int:
        """Delete files that no version of the last `hours` uses; the number of files deleted."""
        table = self.open()
        if table is None:
            return 0
        with self._telling():
            return len(table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True))

    def _open_or_create(self, schema: pa.Schema) -> DeltaTable:
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError

        table = self.open()
        if table is not None:
            return table
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = {"delta.logRetentionDuration": "interval 3650 days"}  # the commits carry the accounting
        # somebody else may make it at the same moment
        with self._telling(), suppress(CommitFailedError):
            DeltaTable.create(
                str(self.folder),
                schema,
                mode="ignore",
                partition_by=["day"],
                configuration=configuration,
                storage_options=self._options,
            )
        with self._telling():
            self._table = self._load()
        return self._table


class Lake:
    """The tables of one use case.

    Parameters
    ----------
    root
        Place of the lake.
    use_case
        Name of the use case.
    """

    def __init__(self, root: Place, use_case: str) -> None:
        self.root = root
        self.use_case = use_case
        self._tables: dict[str, Table] = {}

    def table(self, name: str) -> Table:
        """The table of that name."""
        return self._tables.setdefault(name, Table(self.root, self.use_case, name))

    def clean(self, keep_days: int = 30) -> int:
        """Delete files that no version of any table of the last days uses; the number of files deleted.

        What a killed comparison left is older than a day when nobody needs it.
        """
        places.remove_older(self.root / self.use_case / "diffs", 86_400)
        names = [path.name for path in (self.root / self.use_case).glob("*") if (path / "_delta_log").exists()]
        return sum(self.table(name).clean(24 * keep_days) for name in names)


def _complete(batch: pa.RecordBatch, schema: pa.Schema, day: str) -> pa.RecordBatch:
    """A batch of a part in the schema of its table: with its day, and without values where the part is older."""
    columns = []
    for field in schema:
        if field.name == "day":
            columns.append(pa.repeat(pa.scalar(day, field.type), len(batch)))
        elif field.name in batch.schema.names:
            columns.append(batch.column(field.name).cast(field.type))
        else:
            columns.append(pa.nulls(len(batch), field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def delta_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of a published table: plain strings instead of dictionaries, and the partition column `day`."""
    fields = [
        pa.field(field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
        for field in schema
    ]
    return pa.schema([*fields, pa.field("day", pa.string())])


def write_part(
    table: Table,
    day: str,
    stem: str,
    data: pa.Table,
    report: dict[str, Any] | None = None,
    rows_a_group: int | None = None,
) -> Part:
    """Write one part so that it is either whole or absent.

    Parameters
    ----------
    table
        Its table.
    day
        Its day.
    stem
        Name of the file without ending; the same content must get the same name.
    data
        Its rows.
    report
        What to keep in the file's footer for `read_report`.
    rows_a_group
        Rows in one row group: what a reader who wants few rows reads at least.
    """
    path = table.place(day, stem)
    footer = {FOOTER.decode(): json.dumps(report)} if report is not None else {}
    try:
        size = write_parquet(path, data, footer, rows_a_group, store_schema=False, write_statistics=["shard"])
    except OSError as error:
        why = error.strerror or error
        raise LakeError(f"{path}: cannot be written: {why}. Make room or give access, run again.") from error
    return Part(table.name, f"day={day}/{path.name}", size, data.num_rows)


def _parts(table: DeltaTable, day: str) -> set[str]:
    uris = table.file_uris(file_pruning_predicate=[("day", "=", day)])
    return {match.group() for uri in uris if (match := re.search(r"day=[^/]*/[^/]*$", uri))}
