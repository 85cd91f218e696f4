"""A day in a table of Amazon Redshift: files on S3, a COPY of them into a stage, one transaction that replaces the day.

What serialises two deliveries is a lock of the table that notes them, taken for that short transaction.
"""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlops_assets.errors import S3Error
from mlops_assets.journey.deliver.targets import redshift_sql as sql
from mlops_assets.journey.deliver.targets.columns import as_columns_of_sql, place_of
from mlops_assets.journey.deliver.targets.days import is_hour
from mlops_assets.journey.deliver.targets.redshift_sql import Present, Statements, arrow_type, day_type, type_of
from mlops_assets.plugins.targets import Delivery, Guarantee, TargetDown, TargetError
from mlops_assets.storage.database import CONNECT_SECONDS, DatabaseDown, DatabaseError, database_url, tell
from mlops_assets.storage.places import Place, below, parse_place, remove, write_whole
from mlops_assets.use_case.targets import RedshiftTarget as Parameters

ROWS_A_FILE = 500_000
BYTES_A_FILE = 64 << 20
"""Where a file ends; Redshift likes them between 1 MB and 1 GB."""

MANIFEST = "manifest"


def run_copy(cursor: Any, statement: str) -> None:
    """Have the cluster load the files of a manifest."""
    cursor.execute(statement)


class RedshiftTarget:
    """Keeps a table: what was published of every delivered day.

    Parameters
    ----------
    parameters
        What the configuration says.
    copy
        Runs the one statement that no other database knows.
    """

    rows_a_file = ROWS_A_FILE

    def __init__(self, parameters: Parameters, copy: Callable[[Any, str], None] = run_copy) -> None:
        self.parameters = parameters
        self._copy = copy

    def guarantee(self) -> Guarantee:
        """The rows of a day and the note of its delivery come with one commit, or not at all."""
        return "exactly once"

    def deliver(self, delivery: Delivery) -> Mapping[str, Any]:
        """Replace the day in the table, unless the table says that it holds this publication or a newer one."""
        statements = self._statements(delivery)
        # by publication: what a delivery that was killed left there, the next one writes again, and removes
        folder = parse_place(self.parameters.place) / delivery.use_case / delivery.table / f"day={delivery.day}"
        folder = folder / delivery.publication
        try:
            with _connected(self.parameters.url_variable) as connection:
                return self._deliver(connection, statements, delivery, folder)
        except DatabaseDown as error:
            raise TargetDown(str(error)) from None
        except DatabaseError as error:
            raise TargetError(str(error)) from None
        except S3Error as error:
            raise TargetDown(str(error)) from None

    def _statements(self, delivery: Delivery) -> Statements:
        """What the cluster is told.

        Raises
        ------
        TargetError
            If it could not tell two names apart, or would cut one off.
        """
        table = self.parameters.table_of(delivery.use_case, delivery.table)
        names = delivery.schema.names
        twice = next((one for one in names if [other.lower() for other in names].count(one.lower()) > 1), None)
        if twice is not None:
            raise TargetError(
                f"Redshift knows no capital letters in names: there would be two columns {twice.lower()!r}."
            )
        long = next((one for one in (table, *names) if len(one.encode()) > sql.LONGEST_NAME), None)
        if long is not None:
            raise TargetError(f"{long!r} has more than the {sql.LONGEST_NAME} bytes that Redshift keeps of a name.")
        columns = {
            one.name: day_type(delivery.day) if one.name == "day" else type_of(one.type, self.parameters.text_bytes)
            for one in delivery.schema
        }
        return Statements(table, self.parameters.db_schema, columns, delivery.key, delivery.day)

    def _deliver(self, connection: Any, statements: Statements, delivery: Delivery, folder: Place) -> dict[str, Any]:
        report = {"table": statements.table.replace('"', ""), "rows": delivery.rows}
        with connection, connection.cursor() as cursor:
            limits = self._prepare(cursor, statements, delivery)
            # asked before anything is loaded, and again behind the lock
            if self._has(cursor, statements, delivery):
                _clear(folder)  # one that was killed behind its commit left its files
                return {**report, "changed": 0}
        try:
            files = list(_write(folder, delivery, limits, self.rows_a_file)) if delivery.rows else []
            with connection, connection.cursor() as cursor:
                cursor.execute(statements.make_stage())
                self._load(cursor, statements, folder, files)
                _check_count(cursor, statements, delivery)
            with connection, connection.cursor() as cursor:
                cursor.execute(statements.lock())
                if self._has(cursor, statements, delivery):
                    return {**report, "changed": 0}
                self._replace(cursor, statements, delivery)
        finally:
            _clear(folder)
        return {**report, "changed": delivery.rows, "files": len(files)}

    def _prepare(self, cursor: Any, statements: Statements, delivery: Delivery) -> dict[str, int]:
        """Make the tables, or see that they are as they must be; how many bytes each column of texts takes."""
        import psycopg2

        try:
            for statement in (statements.make_ledger(), statements.make_table()):
                cursor.execute(statement)
        except (psycopg2.errors.UniqueViolation, psycopg2.errors.DuplicateTable):
            raise TargetDown("another delivery made the tables at the same moment") from None
        table = self.parameters.table_of(delivery.use_case, delivery.table)
        cursor.execute(statements.look(), (table.lower(), self.parameters.db_schema))
        present = {
            column: Present(kind, longest, nullable == "NO" and default is None)
            for column, kind, longest, nullable, default in cursor.fetchall()
        }
        wrong = sql.wrong_columns(statements, present)
        if wrong:
            added = [statements.add(one) for one in statements.columns if one.lower() not in present]
            mend = f"Mend it ({'; '.join(added)})" if added else "Mend it"
            raise TargetError(
                f"The table {statements.table} is not as it must be: {'; '.join(wrong)}. {mend}, or name another one."
            )
        return {column: present[column.lower()].longest or sql.LONGEST_TEXT for column in statements.columns}

    def _has(self, cursor: Any, statements: Statements, delivery: Delivery) -> bool:
        """Whether the table holds this very publication.

        Raises
        ------
        TargetError
            If it holds a newer one, or days of another use case.
        """
        table = self._named(delivery)
        cursor.execute(statements.owners(), (table,))
        owners = {owner for (owner,) in cursor.fetchall()} - {delivery.use_case}
        # else each use case would delete the days of the other
        if owners:
            raise TargetError(f"{statements.table} holds days of {owners.pop()}; name another table.")
        cursor.execute(statements.held(), (table, delivery.day))
        held = cursor.fetchone()
        if held is None:
            return False
        if held[0] == delivery.publication:
            return not delivery.again
        if held[1] > delivery.published:
            raise TargetDown(f"{statements.table} holds a newer publication of {delivery.day}; this is not delivered")
        return False

    def _named(self, delivery: Delivery) -> str:
        return self.parameters.table_of(delivery.use_case, delivery.table).lower()

    def _load(self, cursor: Any, statements: Statements, folder: Place, files: list[tuple[str, int]]) -> None:
        """Have the cluster read the files: exactly these, each of exactly its size."""
        if not files:  # a COPY of no file is an error
            return
        entries = [
            {"url": str(folder / name), "mandatory": True, "meta": {"content_length": size}} for name, size in files
        ]
        write_whole(folder / MANIFEST, json.dumps({"entries": entries}).encode())
        self._copy(cursor, statements.copy(str(folder / MANIFEST), self.parameters.iam_role))

    def _replace(self, cursor: Any, statements: Statements, delivery: Delivery) -> None:
        """Put the stage in the place of the day, and note it; the caller commits."""
        table = self._named(delivery)
        cursor.execute(statements.delete(), (delivery.day,))
        cursor.execute(statements.insert())
        cursor.execute(statements.forget(), (table, delivery.day))
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        said = delivery.use_case, delivery.publication, delivery.published, delivery.model_version, delivery.rows
        cursor.execute(statements.note(), (table, delivery.day, *said, now))


@contextmanager
def _connected(variable: str) -> Iterator[Any]:
    """A connection to a cluster, whose errors are told without its password."""
    try:
        import psycopg2
    except ModuleNotFoundError:
        raise TargetError("psycopg2 is not installed: pip install 'mlops-assets[redshift]' brings it.") from None
    url = database_url(variable)
    parts = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}
    given: dict[str, Any] = {name: value for name, value in parts.items() if value is not None}
    # rows of customers cross a network: encrypted, unless the URL says otherwise
    given |= {"sslmode": "require", **url.query}
    patience = {"connect_timeout": CONNECT_SECONDS, "keepalives_idle": 30, "keepalives_interval": 10}
    with tell(variable, url), closing(psycopg2.connect(dbname=url.database, **given, **patience)) as connection:
        yield connection


def _clear(folder: Place) -> None:
    """Remove what was written for the cluster: by what lies there, for another may have written it and been killed."""
    remove(folder, [*below(folder)])


def _check_count(cursor: Any, statements: Statements, delivery: Delivery) -> None:
    cursor.execute(statements.count())
    (loaded,) = cursor.fetchone()
    if loaded != delivery.rows:
        raise TargetError(
            f"Redshift loaded {loaded:,} rows of {delivery.day}, sent were {delivery.rows:,}; the table is as it was."
        )


def _write(folder: Place, delivery: Delivery, limits: Mapping[str, int], rows_a_file: int) -> Iterator[tuple[str, int]]:
    """Write a day as Parquet files; name and bytes of each."""
    kept = pa.string() if is_hour(delivery.day) else pa.date32()
    schema = pa.schema([(one.name, kept if one.name == "day" else arrow_type(one.type)) for one in delivery.schema])
    rows, number = 0, 0
    buffer, writer, there = io.BytesIO(), None, 0
    for batch in map(as_columns_of_sql, delivery.batches()):
        _check_texts(batch, limits)
        if writer is None:
            writer = pq.ParquetWriter(buffer, schema, compression="zstd")
        writer.write_batch(batch.cast(schema))
        there += len(batch)
        rows += len(batch)
        if there >= rows_a_file or buffer.tell() >= BYTES_A_FILE:
            yield _put(folder, number, writer, buffer)
            buffer, writer, there, number = io.BytesIO(), None, 0, number + 1
        delivery.tell(rows)
    if writer is not None:
        yield _put(folder, number, writer, buffer)


def _put(folder: Place, number: int, writer: pq.ParquetWriter, buffer: io.BytesIO) -> tuple[str, int]:
    writer.close()
    name = f"part-{number:05d}.parquet"
    return name, write_whole(folder / name, buffer.getbuffer())


def _check_texts(batch: pa.RecordBatch, limits: Mapping[str, int]) -> None:
    """See that every text fits: COPY would refuse the day without a word of which row.

    Raises
    ------
    TargetError
        If one has too many bytes, or one that no VARCHAR holds; nothing is cut off.
    """
    for position, field in enumerate(batch.schema):
        if not pa.types.is_string(field.type) or field.name == "day":
            continue
        column, most = batch.column(position), limits[field.name]
        bad = pc.or_(pc.greater(pc.binary_length(column), most), pc.match_substring(column, "\0"))
        at = pc.index(pc.fill_null(bad, False), True).as_py()
        if at >= 0:
            row = {name: batch[name][at].as_py() for name in ("day", "file", "line") if name in batch.schema.names}
            size = pc.binary_length(column[at]).as_py()
            why = f"has {size:,} bytes, and the column takes {most:,}" if size > most else "holds a NUL"
            raise TargetError(f"{field.name} of {place_of(row)} {why}; nothing of the day is delivered.")
