"""What Redshift is told, statement by statement, and what its columns are.

All statements but `copy` are PostgreSQL's as well. No advisory lock, no ON CONFLICT, no arrays: Redshift has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from mlops_assets.journey.deliver.targets.columns import quoted
from mlops_assets.journey.deliver.targets.days import is_hour, of_hours
from mlops_assets.use_case.targets import LEDGER, STAGE

LONGEST_TEXT = 65_535
"""Bytes, not signs, of a VARCHAR at most."""

LONGEST_NAME = 127
"""Bytes that Redshift keeps of a name."""

TEXT = "character varying"

TAKEN_BY = {
    "boolean": ("boolean",),
    "integer": ("integer", "bigint", "numeric"),
    "bigint": ("bigint", "numeric"),
    "real": ("real", "double precision", "numeric"),
    "double precision": ("double precision", "numeric"),
    "numeric": ("numeric",),
    "date": ("date",),
    "timestamp without time zone": ("timestamp without time zone", "timestamp with time zone"),
    TEXT: (TEXT, "text", "character"),
}
"""Types as we write them, each with those of an existing column that take its values; as `information_schema` names
them."""

LEDGER_COLUMNS = {
    "table_name": f"{TEXT}(127)",
    "day": "date",
    "use_case": f"{TEXT}(256)",
    "publication": f"{TEXT}(256)",
    "published": "bigint",
    "model_version": "integer",
    "rows": "bigint",
    "delivered": "timestamp without time zone",
}


@dataclass(frozen=True)
class Present:
    """A column of a table that is there.

    Attributes
    ----------
    kind
        Its type.
    longest
        Bytes that its texts may have; None where nobody limits them.
    needed
        Whether it must be given.
    """

    kind: str
    longest: int | None
    needed: bool


def name(text: str) -> str:
    """An identifier as it stands in a statement: Redshift folds it to small letters, quoted or not."""
    return quoted(text.lower())


def literal(text: str) -> str:
    """A text as it stands in a statement that takes no parameters."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def arrow_type(kind: pa.DataType) -> pa.DataType:
    """The type in which a column is written to Parquet, so that COPY takes it: it converts nothing."""
    types = pa.types
    if types.is_integer(kind):
        return pa.int32() if kind.bit_width < 32 or kind == pa.int32() else pa.int64()
    if types.is_floating(kind):
        return pa.float64() if kind == pa.float64() else pa.float32()
    if types.is_timestamp(kind):
        return pa.timestamp("us")
    if types.is_date(kind):
        return pa.date32()
    return kind if types.is_boolean(kind) or types.is_decimal(kind) else pa.string()


def type_of(kind: pa.DataType, text_bytes: int) -> str:
    """The type of Redshift's that takes a type of Arrow's, as it stands in a statement that makes a table."""
    kind = arrow_type(kind)
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})"
    named = {
        pa.bool_(): "boolean",
        pa.int32(): "integer",
        pa.int64(): "bigint",
        pa.float32(): "real",
        pa.float64(): "double precision",
        pa.date32(): "date",
        pa.timestamp("us"): "timestamp without time zone",
    }
    return named.get(kind, f"{TEXT}({text_bytes})")


def day_type(day: str) -> str:
    """The type of a column of such days."""
    return f"{TEXT}(32)" if is_hour(day) else "date"


class Statements:
    """The statements for a table.

    Parameters
    ----------
    table, schema
        Its name, and its schema or None.
    columns
        Its columns, each with its type.
    key
        Those that name a row; Redshift does not see to it that they do.
    day
        One of its days: those of hours are texts, and noted in a table of their own.
    """

    def __init__(
        self, table: str, schema: str | None, columns: Mapping[str, str], key: Sequence[str], day: str = "2026-01-01"
    ) -> None:
        self.table = self._in(schema, table)
        self.ledger = self._in(schema, of_hours(LEDGER, day))
        self._noted = {**LEDGER_COLUMNS, "day": day_type(day)}
        self.stage = name(STAGE)
        self.columns = columns
        self.key = key

    @staticmethod
    def _in(schema: str | None, table: str) -> str:
        return f"{name(schema)}.{name(table)}" if schema else name(table)

    def make_ledger(self) -> str:
        """Makes the table of the deliveries."""
        return self._make(self.ledger, self._noted, ("table_name", "day"), "TABLE IF NOT EXISTS")

    def make_table(self) -> str:
        """Makes the table."""
        return self._make(self.table, self.columns, self.key, "TABLE IF NOT EXISTS")

    def make_stage(self) -> str:
        """Makes the table of the session in which a day waits."""
        return self._make(self.stage, self.columns, (), "TEMPORARY TABLE")

    def _make(self, table: str, columns: Mapping[str, str], key: Sequence[str], what: str) -> str:
        # distribution and sort key are left to Redshift, which looks at the queries (AUTO)
        parts = [f"{name(one)} {kind}{' NOT NULL' if one in key else ''}" for one, kind in columns.items()]
        parts += [f"PRIMARY KEY ({', '.join(map(name, key))})"] if key else []
        return f"CREATE {what} {table} ({', '.join(parts)})"

    def copy(self, manifest: str, iam_role: str) -> str:
        """Fills the stage with the files of a manifest; the role is one of the cluster, and no secret stands here."""
        role = "default" if iam_role == "default" else literal(iam_role)
        return f"COPY {self.stage} FROM {literal(manifest)} IAM_ROLE {role} FORMAT AS PARQUET MANIFEST"

    def count(self) -> str:
        """How many rows the stage has."""
        return f"SELECT count(*) FROM {self.stage}"

    def lock(self) -> str:
        """Has other deliveries wait. It comes first: a transaction sees what is committed when it first reads."""
        return f"LOCK TABLE {self.ledger}"

    def owners(self) -> str:
        """Whose days a table holds, given its name."""
        return f'SELECT DISTINCT "use_case" FROM {self.ledger} WHERE "table_name" = %s'

    def held(self) -> str:
        """Which publication a table holds, given its name and the day."""
        return f'SELECT "publication", "published" FROM {self.ledger} WHERE "table_name" = %s AND "day" = %s'

    def delete(self) -> str:
        """Removes a day."""
        return f'DELETE FROM {self.table} WHERE "day" = %s'

    def insert(self) -> str:
        """Puts the stage into the table."""
        columns = ", ".join(map(name, self.columns))
        return f"INSERT INTO {self.table} ({columns}) SELECT {columns} FROM {self.stage}"

    def forget(self) -> str:
        """Removes the note of a day, given the table's name and the day."""
        return f'DELETE FROM {self.ledger} WHERE "table_name" = %s AND "day" = %s'

    def note(self) -> str:
        """Notes a delivery."""
        columns = ", ".join(map(name, LEDGER_COLUMNS))
        return f"INSERT INTO {self.ledger} ({columns}) VALUES ({', '.join(['%s'] * len(LEDGER_COLUMNS))})"

    def look(self) -> str:
        """The columns of a table, given its name and its schema or None."""
        return (
            "SELECT column_name, data_type, character_maximum_length, is_nullable, column_default "
            "FROM information_schema.columns WHERE table_name = %s AND table_schema = coalesce(%s, current_schema())"
        )

    def add(self, column: str) -> str:
        """Gives the table a column, for a person to run."""
        return f"ALTER TABLE {self.table} ADD COLUMN {name(column)} {self.columns[column]}"


def wrong_columns(statements: Statements, present: Mapping[str, Present]) -> list[str]:
    """What is not as it must be of a table that is there."""
    wrong = []
    for column, kind in statements.columns.items():
        there = present.get(column.lower())
        if there is None:
            wrong.append(f"{column} is missing")
        elif there.kind not in TAKEN_BY[kind.partition("(")[0]]:
            wrong.append(f"{column} is {there.kind}, expected {kind}")
    ours = {column.lower() for column in statements.columns}
    wrong += [f"{one} is not ours and must not be empty" for one in present if one not in ours and present[one].needed]
    return wrong
