"""What Redshift does with a COPY of Parquet files by a manifest, done for a PostgreSQL that does all the rest.

By its documentation: exactly the files of the manifest, each there and of its size; columns by their place and as many
as the table has; no value converted; no text longer than its column, counted in bytes.
"""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from mlops_assets.storage.places import parse_place

COPY = re.compile(r"COPY (\"\w+\") FROM '(s3://[^']+)' IAM_ROLE (default|'arn:[^']+') FORMAT AS PARQUET MANIFEST")

TYPES = {
    "boolean": pa.bool_(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "date": pa.date32(),
    "timestamp without time zone": pa.timestamp("us"),
    "character varying": pa.string(),
}


class Refused(AssertionError):
    """What Redshift would not do."""


def copy(cursor: Any, statement: str) -> None:
    """Load the files of a manifest into the stage, as Redshift's COPY does."""
    found = COPY.fullmatch(statement)
    if found is None:
        raise Refused(statement)
    table, manifest, _ = found.groups()
    columns = _columns(cursor, table.strip('"'))
    for entry in json.loads(parse_place(manifest).read_bytes())["entries"]:
        if entry.keys() != {"url", "mandatory", "meta"} or entry["mandatory"] is not True:
            raise Refused(entry)
        data = parse_place(entry["url"]).read_bytes()
        if len(data) != entry["meta"]["content_length"]:
            raise Refused(f"{entry} has {len(data)} bytes")
        rows = pq.read_table(pa.BufferReader(data))
        if [field.type for field in rows.schema] != [kind for kind, _ in columns]:
            raise Refused(f"{rows.schema} is not {columns}")
        for (_, most), column in zip(columns, rows.columns, strict=True):
            longest = max((len(text.encode()) for text in column.to_pylist() if most and text), default=0)
            if most and longest > most:
                raise Refused(f"a text of {longest} bytes for {most}")
        buffer = io.BytesIO()
        pacsv.write_csv(rows, buffer, pacsv.WriteOptions(include_header=False))
        buffer.seek(0)
        cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT csv, ENCODING 'UTF8')", buffer)


def _columns(cursor: Any, table: str) -> list[tuple[pa.DataType, int | None]]:
    cursor.execute(
        "SELECT data_type, character_maximum_length FROM information_schema.columns WHERE table_name = %s "
        "ORDER BY ordinal_position",
        (table,),
    )
    return [(TYPES[kind], most) for kind, most in cursor.fetchall()]
