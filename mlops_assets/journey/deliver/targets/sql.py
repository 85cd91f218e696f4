"""A day in a table of a database: it is replaced, and its delivery noted, in one transaction."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pacsv

from mlops_assets.journey.deliver.targets.columns import as_columns_of_sql, place_of, quoted, takes, type_of
from mlops_assets.journey.deliver.targets.days import kind_of, of_hours, value_of
from mlops_assets.plugins.targets import Delivery, Guarantee, TargetDown, TargetError
from mlops_assets.storage.database import DatabaseDown, DatabaseError, open_database
from mlops_assets.use_case.targets import LEDGER, LONGEST, STAGE
from mlops_assets.use_case.targets import SqlTarget as Parameters

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Inspector, Table

BATCH = 10_000
BACKENDS = ("postgresql", "sqlite")


class SqlTarget:
    """Keeps a table: what was published of every delivered day.

    Parameters
    ----------
    parameters
        What the configuration says.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters

    def guarantee(self) -> Guarantee:
        """The rows of a day and the note of its delivery come with one commit, or not at all."""
        return "exactly once"

    def deliver(self, delivery: Delivery) -> Mapping[str, Any]:
        """Replace the day in the table, unless the table says that it holds this publication or a newer one."""
        with connected(self.parameters.url_variable) as engine:
            return self._deliver(engine, delivery)

    def _deliver(self, engine: Engine, delivery: Delivery) -> dict[str, Any]:
        table, ledger = self._tables(delivery)
        # a transaction of its own: two days may be delivered at once, and only one of them makes the tables
        with transaction(engine, f"{table.fullname}") as connection:
            prepare(connection, table, ledger)
        report = {"table": table.fullname, "rows": delivery.rows}
        # a lock for each day: two days go side by side, two deliveries of one wait for each other
        with transaction(engine, f"{table.fullname} {delivery.day}") as connection:
            if self._has(connection, table, ledger, delivery):
                return {**report, "changed": 0}
            if self.parameters.mode == "replace":
                connection.execute(table.delete().where(table.c.day == _day(delivery)))
                changed = _insert(connection, table, delivery)
            else:
                changed = _merge(connection, table, delivery)
            self._note(connection, table, ledger, delivery)
        return {**report, "changed": changed}

    def _tables(self, delivery: Delivery) -> tuple[Table, Table]:
        """The table of the rows and that of the deliveries, as they must be."""
        import sqlalchemy as sa

        metadata = sa.MetaData(schema=self.parameters.db_schema)
        name, key = self.parameters.table_of(delivery.use_case, delivery.table), delivery.key
        columns = [
            sa.Column(one.name, type_of(one, delivery.day), primary_key=one.name in key, nullable=one.name not in key)
            for one in delivery.schema
        ]
        ledger = sa.Table(
            of_hours(LEDGER, delivery.day),
            metadata,
            sa.Column("table_name", sa.Text, primary_key=True),
            sa.Column("day", kind_of(delivery.day), primary_key=True),
            sa.Column("use_case", sa.Text, nullable=False),
            sa.Column("publication", sa.Text, nullable=False),
            sa.Column("published", sa.BigInteger, nullable=False),
            sa.Column("model_version", sa.Integer, nullable=False),
            sa.Column("rows", sa.BigInteger, nullable=False),
            sa.Column("delivered", sa.DateTime(timezone=True), nullable=False),
        )
        return sa.Table(name, metadata, *columns), ledger

    def _has(self, connection: Connection, table: Table, ledger: Table, delivery: Delivery) -> bool:
        """Whether the table holds this very publication.

        Raises
        ------
        TargetError
            If it holds a newer one, or days of another use case.
        """
        from sqlalchemy import select

        others = select(ledger.c.use_case).where(ledger.c.table_name == table.name).distinct()
        owners = {*connection.scalars(others)} - {delivery.use_case}
        # else each use case would delete the days of the other
        if owners:
            raise TargetError(f"{table.fullname} holds days of {owners.pop()}; name another table.")
        this_day = (ledger.c.table_name == table.name) & (ledger.c.day == _day(delivery))
        held = connection.execute(select(ledger.c.publication, ledger.c.published).where(this_day)).one_or_none()
        if held is None:
            return False
        if held.publication == delivery.publication:
            return not delivery.again
        if held.published > delivery.published:
            raise TargetDown(f"{table.fullname} holds a newer publication of {delivery.day}; this one is not delivered")
        return False

    def _note(self, connection: Connection, table: Table, ledger: Table, delivery: Delivery) -> None:
        this_day = (ledger.c.table_name == table.name) & (ledger.c.day == _day(delivery))
        connection.execute(ledger.delete().where(this_day))
        names = ("use_case", "publication", "published", "model_version", "rows")
        values = {name: getattr(delivery, name) for name in names}
        now = dt.datetime.now(dt.UTC)
        connection.execute(ledger.insert().values(table_name=table.name, day=_day(delivery), delivered=now, **values))


@contextmanager
def connected(variable: str) -> Iterator[Engine]:
    """The database of a target; what goes wrong with it becomes an error of the delivery.

    Parameters
    ----------
    variable
        The environment variable with its address.

    Raises
    ------
    TargetDown
        If it does not answer.
    TargetError
        If it refuses what it is asked, or is of a kind that is not known.
    """
    try:
        with open_database(variable) as engine:
            _speak(engine, variable)
            yield engine
    except DatabaseDown as error:
        raise TargetDown(str(error)) from None
    except DatabaseError as error:
        raise TargetError(str(error)) from None


def prepare(connection: Connection, *tables: Table) -> None:
    """Make tables of one schema, or see that they are as they must be."""
    from sqlalchemy import inspect

    present = set(inspect(connection).get_table_names(schema=tables[0].schema))
    for needed in tables:
        if needed.name not in present:
            _see_names(connection, needed.columns.keys())
            needed.create(connection)
        else:
            _check_table(connection, needed)


def _speak(engine: Engine, variable: str) -> None:
    """See that the database is of a kind we know; have SQLite begin transactions when we say so."""
    from sqlalchemy import event

    if engine.dialect.name not in BACKENDS:
        raise TargetError(f"{variable}: {engine.dialect.name} is none of {', '.join(BACKENDS)}.")
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def no_implicit_begin(connection: Any, _: Any) -> None:
            connection.isolation_level = None  # else Python's driver begins when it likes

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def transaction(engine: Engine, lock: str) -> Iterator[Connection]:
    """A transaction that only one process at a time can be in for the same lock; SQLite has one writer at all."""
    from sqlalchemy import text

    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            name = f"mlops_assets {lock}"
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})
        yield connection


def _check_table(connection: Connection, table: Table) -> None:
    """See that a table has the columns we write, of a type that takes them, and a key that `upsert` can go by."""
    from sqlalchemy import inspect

    inspector = inspect(connection)
    present = {column["name"]: column for column in inspector.get_columns(table.name, schema=table.schema)}
    # a cut name is found by nobody: it would be told to be missing
    _see_names(connection, [name for name in map(str, table.columns.keys()) if name not in present])
    wrong = [*_wrong_columns(table, present), *_wrong_key(table, inspector)]
    if wrong:
        columns = ", ".join(f"{column.name} {column.type}" for column in table.columns)
        key = ", ".join(column.name for column in table.primary_key)
        raise TargetError(
            f"The table {table.fullname} is not as it must be: {'; '.join(wrong)}. "
            f"Mend it{_adding(connection, table, present)}, or name another one; "
            f"it needs: {columns}, PRIMARY KEY ({key})"
        )


def _see_names(connection: Connection, names: Iterable[str]) -> None:
    """See that a database keeps names whole: PostgreSQL cuts longer ones off in silence, and finds them no more.

    Raises
    ------
    TargetError
        If it would cut one off.
    """
    long = next((name for name in names if len(name.encode()) > LONGEST), None)
    if long is not None and connection.dialect.name == "postgresql":
        raise TargetError(
            f"The column {long!r} has {len(long.encode())} bytes, and PostgreSQL keeps {LONGEST} of a name: "
            "give it a shorter one in the contract; `from` says how the files call it."
        )


def _adding(connection: Connection, table: Table, present: Mapping[str, Any]) -> str:
    """How to give a table the columns that it lacks, such as those that the contract got since."""
    name = ".".join(quoted(part) for part in (table.schema, table.name) if part)
    added = [
        f"ALTER TABLE {name} ADD COLUMN {quoted(column.name)} {column.type.compile(connection.dialect)}"
        for column in table.columns
        if column.name not in present and not column.primary_key
    ]
    return f" ({'; '.join(added)})" if added else ""


def _wrong_columns(table: Table, present: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{column.name} is missing" for column in table.columns if column.name not in present)
    for column in [column for column in table.columns if column.name in present]:
        kind = present[column.name]["type"]
        if not takes(kind, column.type):
            yield f"{column.name} is {kind}, expected {column.type}"
    for name, column in present.items():
        if name not in table.columns and not column["nullable"] and column["default"] is None:
            yield f"{name} is not ours and must not be empty"


def _wrong_key(table: Table, inspector: Inspector) -> Iterator[str]:
    constraints = inspector.get_unique_constraints(table.name, schema=table.schema)
    keys = [set(constraint["column_names"]) for constraint in constraints]
    keys.append(set(inspector.get_pk_constraint(table.name, schema=table.schema)["constrained_columns"]))
    wanted = {column.name for column in table.primary_key}
    if wanted not in keys:
        yield f"there is no primary key ({', '.join(sorted(wanted))})"


def _day(delivery: Delivery) -> dt.date | str:
    return value_of(delivery.day)


def _insert(connection: Connection, table: Table, delivery: Delivery) -> int:
    """Write all rows of a day into a table, a batch at a time; their number."""
    rows = 0
    for batch in map(as_columns_of_sql, delivery.batches()):
        if connection.dialect.name == "postgresql":
            _copy(connection, table, batch)
        else:
            _insert_records(connection, table, batch, _day(delivery))
        rows += len(batch)
        delivery.tell(rows)
    return rows


def _insert_records(connection: Connection, table: Table, batch: pa.RecordBatch, day: dt.date | str) -> None:
    for start in range(0, len(batch), BATCH):
        records = batch.slice(start, BATCH).to_pylist()
        connection.execute(table.insert(), [{**record, "day": day} for record in records])


def _copy(connection: Connection, table: Table, batch: pa.RecordBatch) -> None:
    """PostgreSQL's own way in: as CSV, where a field without quotes is NULL and an empty text has quotes.

    Raises
    ------
    TargetError
        If the database cannot hold a text; the message names it.
    """
    import psycopg2
    from psycopg2 import sql

    buffer = io.BytesIO()
    pacsv.write_csv(batch, buffer, pacsv.WriteOptions(include_header=False))
    buffer.seek(0)
    # by the driver: SQLAlchemy doubles each % of a name, which is right only for a statement with parameters
    into = sql.Identifier(*(part for part in (table.schema, table.name) if part))
    columns = sql.SQL(", ").join(map(sql.Identifier, batch.schema.names))
    # Arrow writes UTF-8; unsaid, the bytes would be taken for what the connection speaks
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')").format(into, columns)
    driver: Any = connection.connection.dbapi_connection
    with driver.cursor() as cursor:
        try:
            cursor.copy_expert(statement, buffer)
        except (psycopg2.errors.UntranslatableCharacter, psycopg2.errors.CharacterNotInRepertoire):
            encoding = driver.info.parameter_status("server_encoding")
            # SQL_ASCII takes any bytes but NUL
            codec = "utf-8" if encoding == "SQL_ASCII" else psycopg2.extensions.encodings.get(encoding, "utf-8")
            if (where := _unfit(batch, codec)) is None:
                raise
            raise TargetError(f"the database is written in {encoding} and cannot hold {where}.") from None


def _unfit(batch: pa.RecordBatch, codec: str) -> str | None:
    """The first value that an encoding has no bytes for, and where it stands; no PostgreSQL holds a NUL."""
    texts = [name for name in batch.schema.names if pa.types.is_string(batch.schema.field(name).type)]
    for row in batch.to_pylist():
        for name in texts:
            text = row[name] or ""
            if "\0" in text or text.encode(codec, "ignore").decode(codec) != text:
                return f"{name} {text!r} of {place_of(row)}"
    return None


def _merge(connection: Connection, table: Table, delivery: Delivery) -> int:
    """Bring a day up to date: rows that are the same stay untouched; the number of those that changed."""
    import sqlalchemy as sa

    stage = sa.Table(
        STAGE,
        sa.MetaData(),
        *(sa.Column(column.name, column.type, primary_key=column.primary_key) for column in table.columns),
        # of this connection alone, and gone with it
        prefixes=["TEMPORARY"],
    )
    stage.create(connection)
    _insert(connection, stage, delivery)
    changed = connection.execute(_upsert(connection, table, stage, delivery.key))
    same = sa.and_(*(stage.c[name] == table.c[name] for name in delivery.key))
    gone = table.delete().where(table.c.day == _day(delivery), ~sa.exists().where(same))
    removed = connection.execute(gone)
    stage.drop(connection)
    return int(changed.rowcount + removed.rowcount)


def _upsert(connection: Connection, table: Table, stage: Table, key: Sequence[str]) -> Any:
    """Insert the rows of a stage, and update those that are there and differ."""
    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql, sqlite

    insert: Any = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
    # SQLite takes ON CONFLICT behind a SELECT for part of a join, unless there is a WHERE
    insert = insert.from_select(list(stage.c.keys()), sa.select(stage).where(sa.true()))
    values = {name: insert.excluded[name] for name in list(table.c.keys()) if name not in key}
    differs = sa.or_(*(table.c[name].is_distinct_from(value) for name, value in values.items()))
    return insert.on_conflict_do_update(index_elements=list(key), set_=values, where=differs)
