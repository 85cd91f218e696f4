"""Tables of the lake: each a Delta table partitioned by day; a day is replaced in one commit."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pyarrow as pa

from mlops_assets.errors import LakeError, PublishConflict
from mlops_assets.storage import log, s3
from mlops_assets.storage.accounting import Accounting
from mlops_assets.storage.parts import (
    Part,
    check_kept,
    check_there,
    delta_actions,
    delta_schema,
    first_rows,
    part_path,
    parts_told,
    published_paths,
    read_parts,
    told_of_parts,
    widen,
    write_part_file,
)
from mlops_assets.storage.places import Place, S3Path
from mlops_assets.storage.spellings import delta_address

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
            elif DeltaTable.is_deltatable(self.folder.as_uri(), self._options):
                self._table = self._load()
        return self._table

    def _load(self, version: int | None = None) -> DeltaTable:
        from deltalake import DeltaTable

        return DeltaTable(delta_address(self.folder), version, self._options)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """What goes wrong with requests to S3, or is wrong with Delta's log, becomes an error for people."""
        with log.telling(self.folder), s3.telling(str(self.folder)) if self._options else nullcontext():
            yield

    def parts(self, day: str) -> set[str]:
        """Paths of the published parts of a day."""
        table = self.open()
        return published_paths(table, day) if table else set()

    def days(self) -> dict[str, Published[A]]:
        """Every published day as it is now, in order."""
        return {day: every[-1] for day, every in self.publications().items()}

    def publications(self) -> dict[str, list[Published[A]]]:
        """Every published day, in order, with all its publications, the oldest first."""
        table = self.open()
        version = -1 if table is None else table.version()
        if version > self._seen:
            for commit in log.commits(self.folder, self._seen + 1, version):
                if "accounting" in commit.info:  # the commit that made the table has none
                    self._publications.setdefault(commit.info["day"], []).append(self._published(commit))
            self._seen = version
            self._publications = dict(sorted(self._publications.items()))
        return dict(self._publications)

    def _published(self, commit: log.Commit) -> Published[A]:
        accounting = self.reads.from_json(json.loads(commit.info["accounting"]))
        return Published(commit.version, commit.info["timestamp"], accounting, commit.info.get("run", ""))

    def written(self, day: str) -> dict[str, Part]:
        """What the commits of a day say of the files that they published, by path; nothing before they had hashes."""
        every = [published.version for published in self.publications().get(day, [])]
        each = (commit for version in every for commit in log.commits(self.folder, version, version))
        return {part.path: part for commit in each for part in parts_told(self.name, commit.info, commit.added)}

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
        LakeError
            If a file was deleted or changed after it was written.
        """
        wanted = {part.path: part for part in parts}
        full = delta_schema(schema)
        # in the commit itself: content and accounting come together, or not at all
        metadata = {"day": day, "accounting": json.dumps(accounting.to_json(), sort_keys=True), "run": run}
        for attempt in range(ATTEMPTS):
            known, before = self.written(day), self.days().get(day)
            # from here to the commit the table must not be refreshed: the commit is tied to the version looked at
            table = self._open_or_create(full)
            with self._telling():
                if not widen(table, full):
                    continue
            present = published_paths(table, day)
            # as it was when the work began, or as this run wants it; anything else is another run's
            if present not in (replaces, wanted.keys()):
                raise PublishConflict(
                    f"{self.name} of {day}: another run published this day while this one was working on it. "
                    "That version stands, nothing of this run was published; run the day again if it should win."
                )
            # run again, restored or not, a day must not look as if it had changed: targets go by publications
            added = [
                part
                for path, part in wanted.items()
                if path not in present or (part.sha256 and part != known.get(path))
            ]
            check_there(self.folder, self.name, day, wanted)
            told = before and replace(accounting, restored_from=before.accounting.restored_from)
            if present == wanted.keys() and not added and before is not None and before.accounting == told:
                return False
            if self._commit(table, day, full, added, sorted(present - wanted.keys()), metadata):
                return True
            time.sleep(0.01 * (attempt + 1))  # others are publishing their days: the longer, the longer we wait
        raise LakeError(f"{self.name} of {day}: the table was too busy to publish {ATTEMPTS} times; run the day again.")

    def _commit(
        self,
        table: DeltaTable,
        day: str,
        schema: pa.Schema,
        added: Sequence[Part],
        removed: Sequence[str],
        metadata: dict[str, str],
    ) -> bool:
        """Add and remove parts of a day in one commit; False if others committed since the table was looked at."""
        from deltalake.exceptions import CommitFailedError
        from deltalake.transaction import CommitProperties

        metadata["parts"] = told_of_parts(added)
        metadata[log.SEAL] = log.seal_of(metadata, {part.path: part.size for part in added}, removed)
        actions = delta_actions(day, added, removed)
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
        known = self.written(day)
        parts = [known.get(part.path, part) for part in parts]
        check_kept(self.folder, self.name, day, published.time, parts)
        return parts

    def read_publication(
        self, day: str, published: Published[A], columns: Sequence[str] | None = None
    ) -> pa.RecordBatchReader:
        """Read a day as it was published once, a batch at a time; errors as `restore`."""
        return self._reader([part.path for part in self.parts_at(day, published)], columns)

    def read_parts(
        self, parts: Sequence[Part], columns: Sequence[str] | None = None, batch_rows: int = 65_536
    ) -> pa.RecordBatchReader:
        """Read some parts of the table, one after the other, a batch at a time."""
        return self._reader([part.path for part in parts], columns, batch_rows)

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
        wanted = sorted(self.days() if days is None else days)  # not by path, in which + comes before /
        return [path for day in wanted for path in sorted(published_paths(table, day))]

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
            # Delta would refuse less than a week; `full` takes what killed runs leave, which no commit ever named
            return len(table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True))

    def _open_or_create(self, schema: pa.Schema) -> DeltaTable:
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError

        table = self.open()
        if table is not None:
            return table
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = {"delta.logRetentionDuration": "interval 3650 days"}  # the commits carry the accounting
        address = delta_address(self.folder)
        with self._telling():
            with suppress(CommitFailedError):  # somebody else may make it at the same moment
                DeltaTable.create(
                    address, schema, "ignore", ["day"], configuration=configuration, storage_options=self._options
                )
            self._table = self._load()
        return self._table


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
    written = write_part_file(path, data, report, rows_a_group)
    return Part(table.name, f"day={day}/{path.name}", written.size, data.num_rows, written.sha256)
