"""What the columns of a delivery are in a table of a database: their types there, and values that go into them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.deliver.targets.days import kind_of

WHOLE_FILE = 0
"""What stands for the line of a file that was refused as a whole: a key of a database has no nulls, and lines begin
with 1."""


def type_of(field: pa.Field, day: str) -> Any:
    """The type of SQLAlchemy's that a column has in a table that is made, of days like this one."""
    import sqlalchemy as sa

    # a text in the lake, where it is the partition
    if field.name == "day":
        return kind_of(day)
    kind = field.type
    kinds: tuple[tuple[Callable[[Any], bool], Any], ...] = (
        (pa.types.is_boolean, sa.Boolean()),
        (lambda one: pa.types.is_integer(one) and one.bit_width <= 32, sa.Integer()),
        (pa.types.is_integer, sa.BigInteger()),
        (pa.types.is_float64, sa.Double()),
        (pa.types.is_floating, sa.REAL()),
        (pa.types.is_decimal, sa.Numeric()),
        (pa.types.is_date, sa.Date()),
        (pa.types.is_timestamp, sa.DateTime(timezone=getattr(kind, "tz", None) is not None)),
    )
    return next((there for is_it, there in kinds if is_it(kind)), sa.Text())


def takes(there: Any, ours: Any) -> bool:
    """Whether a column of one type takes values of another."""
    import sqlalchemy as sa

    kinds = {
        sa.Boolean: (sa.Boolean,),
        sa.Date: (sa.Date,),
        sa.Integer: (sa.Integer, sa.Numeric),
        sa.Float: (sa.Float, sa.Numeric),
        sa.Numeric: (sa.Numeric,),
        sa.Text: (sa.String,),
        sa.DateTime: (sa.DateTime,),
    }
    wanted = next(kinds[kind] for kind in kinds if isinstance(ours, kind))
    small = sa.SmallInteger if isinstance(ours, sa.BigInteger) else ()
    return isinstance(there, wanted) and not isinstance(there, small)


def as_columns_of_sql(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch whose values are those of a database: maps and lists as JSON, and a line where there is none."""
    batch = nested_as_json(batch)
    position = batch.schema.get_field_index("line")
    if position < 0 or not batch.column(position).null_count:
        return batch
    return batch.set_column(position, "line", pc.fill_null(batch.column(position), WHOLE_FILE))


def has_nested(schema: pa.Schema) -> bool:
    """Whether some column holds maps, lists or structures."""
    return any(pa.types.is_nested(field.type) for field in schema)


def nested_as_json(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch whose maps, lists and structures are JSON in ASCII: classes may be others tomorrow, of any alphabet."""
    for position, field in enumerate(batch.schema):
        if pa.types.is_nested(field.type):
            shown = _shown_map if pa.types.is_map(field.type) else _shown
            texts = [None if row is None else shown(row) for row in batch.column(position).to_pylist()]
            batch = batch.set_column(position, field.name, pa.array(texts, pa.string()))
    return batch


def _shown_map(row: Any) -> str:
    return json.dumps({name: round(value, 6) for name, value in row})


def _shown(row: Any) -> str:
    return json.dumps(row, default=str)


def quoted(name: str) -> str:
    """A name as it stands in a statement, whatever signs it has."""
    return '"' + name.replace('"', '""') + '"'


def place_of(row: Mapping[str, Any]) -> str:
    """Where a row stands, for people."""
    line = f", line {row['line']}" if row.get("line") else ""
    return f"{row['day']}, file {row['file']!r}{line}"
