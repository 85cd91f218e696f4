"""Tables of the lake: each a Delta table partitioned by day; a day is replaced in one commit."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pyarrow as pa

from mlops_assets.errors import LakeError, PublishConflict
from mlops_assets.storage import s3
from mlops_assets.storage.accounting import Accounting
from mlops_assets.storage.parts import Part, first_rows, part_path, read_parts, write_part_file
from mlops_assets.storage.places import Place, S3Path

if TYPE_CHECKING:
    from deltalake import DeltaTable

A = TypeVar("A", bound=Accounting)

ATTEMPTS = 20
"""How often a commit is tried again while other days are being published beside it."""


@dataclass(frozen=True)
class Published(Generic[A]):
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
    accounting: A
    run: str = ""


class Table(Generic[A]):
    """One table of a use case; `Lake` has them all.

    It remembers the commits that it has seen, so that asking again costs only what was committed since.

    Parameters
    ----------
    folder
        Where it lies.
    name
        Its name.
    reads
        What is told of its days.
    """

    def __init__(self, folder: Place, name: str, reads: type[A]) -> None:
        self.name = name
        self.folder = folder
        self.reads = reads
        self._options = s3.storage_options() if isinstance(folder, S3Path) else None
        self._table: DeltaTable | None = None
        self._seen = -1
        self._publications: dict[str, list[Published[A]]] = {}

    def place(self, day: str, stem: str) -> Place:
        """Where a worker writes the part `stem` of a day."""
        return part_path(self.folder, day, stem)

    def open(self) -> DeltaTable | None:
        """The Delta table as it is now, or None where nothing was published yet."""
        from deltalake import DeltaTable

        with self._telling():
            # a long-lived process asks often: what was committed since is a few files, the whole log is thousands
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

    def days(self) -> dict[str, Published[A]]:
        """Every published day as it is now, in order."""
        return {day: every[-1] for day, every in self.publications().items()}

    def publications(self) -> dict[str, list[Published[A]]]:
        """Every published day, in order, with all its publications, the oldest first."""
        while (table := self.open()) is not None and (version := table.version()) > self._seen:
            with self._telling():
                commits = table.history(version - self._seen)
                table.update_incremental()
            if table.version() != version:
                continue  # history() counts back from the newest commit: one came in between, so some are missing
            for commit in reversed(commits):  # they come newest first
                if "accounting" in commit:  # the commit that made the table has none
                    self._publications.setdefault(commit["day"], []).append(self._published(commit))
            self._seen = version
            self._publications = dict(sorted(self._publications.items()))
        return dict(self._publications)

    def _published(self, commit: Mapping[str, Any]) -> Published[A]:
        accounting = self.reads.from_json(json.loads(commit["accounting"]))
        return Published(commit["version"], commit["timestamp"], accounting, commit.get("run", ""))

    def publish(
        self,
        day: str,
        parts: Iterable[Part],
        schema: pa.Schema,
        accounting: A,
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
        wanted = {part.path: part for part in parts}
        full = delta_schema(schema)
        # in the commit itself: content and accounting come together, or not at all
        metadata = {"day": day, "accounting": json.dumps(accounting.to_json(), sort_keys=True), "run": run}
        for attempt in range(ATTEMPTS):
            before = self.days().get(day)
            # from here to the commit the table must not be refreshed: the commit is tied to the version looked at
            table = self._open_or_create(full)
            present = _parts(table, day)
            # as it was when the work began, or as this run wants it; anything else is another run's
            if present not in (replaces, wanted.keys()):
                raise PublishConflict(
                    f"{self.name} of {day}: another run published this day while this one was working on it. "
                    "That version stands, nothing of this run was published; run the day again if it should win."
                )
            # run again, a day must not look as if it had changed: targets and sensors go by publications
            if present == wanted.keys() and before is not None and before.accounting == accounting:
                return False
            added = [part for path, part in wanted.items() if path not in present]
            if self._commit(table, day, full, added, sorted(present - wanted.keys()), metadata):
                return True
            # others are publishing their days: the longer it goes on, the longer we wait
            time.sleep(0.01 * (attempt + 1))
        raise LakeError(f"{self.name} of {day}: the table was too busy to publish {ATTEMPTS} times; run the day again.")

    def _commit(
        self,
        table: DeltaTable,
        day: str,
        schema: pa.Schema,
        added: Iterable[Part],
        removed: Iterable[str],
        metadata: dict[str, str],
    ) -> bool:
        """Add and remove parts of a day in one commit; False if others committed since the table was looked at."""
        from deltalake.exceptions import CommitFailedError
        from deltalake.transaction import AddAction, CommitProperties, RemoveAction

        now, partition = int(time.time() * 1000), {"day": day}
        # what differs, not an overwrite: that would remove and add the same path in one commit, which Delta forbids
        actions: list[Any] = [
            AddAction(p.path, p.size, partition, now, True, json.dumps({"numRecords": p.rows})) for p in added
        ]
        actions += [RemoveAction(path, True, now, None, dict(partition)) for path in removed]
        # no retries by the library: a retry would not look again at what the day holds
        properties = CommitProperties(metadata, max_commit_retries=0)
        try:
            with self._telling():
                table.create_write_transaction(actions, "append", schema, ["day"], commit_properties=properties)
        except CommitFailedError:
            return False
        return True

    def restore(self, day: str, published: Published[A], schema: pa.Schema, run: str = "") -> bool:
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
        if {part.path for part in parts} == set(replaces):
            return False
        accounting = replace(published.accounting, restored_from=published.version)
        return self.publish(day, parts, schema, accounting, replaces, run)

    def parts_at(self, day: str, published: Published[A]) -> list[Part]:
        """The parts of a day as it was published once; errors as `restore`."""
        with self._telling():
            actions = self._load(published.version).get_add_actions(flatten=True)
        listed = pa.table(actions).select(["path", "size_bytes", "num_records", "partition.day"]).to_pylist()
        parts = [
            # Delta's log spells paths as a URL does
            Part(self.name, file["path"].replace("%3D", "="), file["size_bytes"], file["num_records"])
            for file in listed
            if file["partition.day"] == day
        ]
        # the log outlives the files, which `clean` deletes
        gone = [part.path for part in parts if not (self.folder / part.path).exists()]
        if gone:
            when = dt.datetime.fromtimestamp(published.time / 1000, dt.UTC).isoformat(timespec="seconds")
            raise LakeError(
                f"{self.name} of {day} as published on {when}: {len(gone)} of its {len(parts)} files were cleaned up, "
                "for they were replaced too long ago (`keep_days`). Run the day again with the model of that time."
            )
        return parts

    def read_publication(
        self, day: str, published: Published[A], columns: Sequence[str] | None = None
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
        # in small batches: ten rows must not cost 65,536
        return first_rows(self._reader(self._paths([day]), columns, batch_rows=1024), rows)

    def _paths(self, days: Sequence[str] | None) -> list[str]:
        """The published parts of some days, or of all, in the order of days and shards."""
        table = self.open()
        if table is None:
            raise LakeError(f"{self.folder}: nothing was published there yet.")
        # by Delta's log, never by a glob: beside the published files lie older ones, and those of runs under way
        return sorted(path for day in (self.days() if days is None else days) for path in _parts(table, day))

    def _reader(
        self, paths: Sequence[str], columns: Sequence[str] | None, batch_rows: int = 65_536
    ) -> pa.RecordBatchReader:
        table = self.open()
        assert table is not None, "parts are of a table"  # noqa: S101 - the callers have found them there
        return read_parts(self.folder, paths, pa.schema(table.schema().to_arrow()), columns, batch_rows)

    def read_all(self, days: Sequence[str] | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Read published days into memory; see `read`."""
        return self.read(days, columns).read_all()

    def clean(self, hours: int) -> int:
        """Delete files that no version of the last `hours` uses; the number of files deleted."""
        table = self.open()
        if table is None:
            return 0
        with self._telling():
            # Delta would refuse less than a week; `full` takes the files that no commit ever named, which killed runs
            # leave
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


def delta_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of a published table: plain strings instead of dictionaries, and the partition column `day`."""
    fields = [
        pa.field(field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
        for field in schema
    ]
    return pa.schema([*fields, pa.field("day", pa.string())])


def write_part(
    table: Table[Any],
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
    size = write_part_file(path, data, report, rows_a_group)
    return Part(table.name, f"day={day}/{path.name}", size, data.num_rows)


def _parts(table: DeltaTable, day: str) -> set[str]:
    uris = table.file_uris(file_pruning_predicate=[("day", "=", day)])
    return {match.group() for uri in uris if (match := re.search(r"day=[^/]*/[^/]*$", uri))}
