"""Answers from the records of a CSV or Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from mlops_assets.errors import MlopsError
from mlops_assets.journey.enrich.lookups import EnrichmentError
from mlops_assets.journey.enrich.lookups.records import look_up, record_schema, typed_records
from mlops_assets.storage.inside import read_regular
from mlops_assets.storage.places import Place, parse_place
from mlops_assets.use_case import TableParameters

LARGEST = 1 << 30
"""Largest file in bytes: it is held in memory."""


class TableLookup:
    """A file of records, read when it is first asked.

    Parameters
    ----------
    place
        Where it is, and when its records hold.
    keys
        Names of the keys.
    schema
        Keys and columns of an answer.
    folder
        Where a relative path begins.
    """

    def __init__(
        self, parameters: TableParameters, keys: Sequence[str], schema: pa.Schema, folder: Path | None
    ) -> None:
        self._parameters = parameters
        self._keys = keys
        self._schema = schema
        self._folder = folder
        self._records: pa.Table | None = None
        self._read_of: tuple[int, float] | None = None

    def is_stale(self) -> bool:
        """Whether the file is another one than was read."""
        try:
            return self._read_of is not None and self._read_of != _content(self._path())
        except (MlopsError, OSError):  # between two files: what is known of the old one holds
            return False

    def fetch(self, keys: pa.Table, day: str) -> pa.Table:
        """The records of some keys that held on a day; see `records.look_up`."""
        try:
            self._records = self._read() if self._records is None else self._records
            return look_up(keys, day, self._records, self._keys, self._schema, self._parameters)
        except (MlopsError, pa.ArrowException, OSError) as error:
            raise EnrichmentError(f"{self._parameters.file}: {error}") from None

    def _read(self) -> pa.Table:
        schema = record_schema(self._schema, self._parameters)
        content = pa.BufferReader(self._bytes())
        if self._parameters.file.endswith(".parquet"):
            return _read_parquet(content, schema, self._parameters.file)
        try:
            return _read_csv(content, schema)
        except pa.ArrowInvalid:
            # as texts: a record with a value of another type costs its own key alone
            content.seek(0)
            texts = _read_csv(content, pa.schema([(name, pa.string()) for name in schema.names]))
            return typed_records([column.to_pylist() for column in texts.columns], schema, self._parameters.file)

    def _path(self) -> Place:
        file = self._parameters.file
        return parse_place(file if self._folder is None or "://" in file else str(self._folder / file))

    def _bytes(self) -> bytes:
        path = self._path()
        self._read_of = _content(path)  # before it is read: if it changes meanwhile, it is read again
        if path.stat().st_size > LARGEST:
            raise EnrichmentError(f"it is larger than {LARGEST:,} bytes; put it into a database and use `sql`")
        # whoever writes the configuration may name any file; a pipe would keep all waiting
        return read_regular(path, None, LARGEST) if isinstance(path, Path) else path.read_bytes()


def _content(path: Place) -> tuple[int, float]:
    status = path.stat()
    return status.st_size, status.st_mtime


def _read_csv(content: pa.BufferReader, schema: pa.Schema) -> pa.Table:
    options = pa.csv.ConvertOptions(
        # an empty field is no value, an empty text in quotes is one
        column_types={field.name: field.type for field in schema},
        include_columns=schema.names,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return pa.csv.read_csv(content, convert_options=options)


def _read_parquet(content: pa.BufferReader, schema: pa.Schema, source: str) -> pa.Table:
    table = pq.read_table(content)
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise EnrichmentError(f"it has no column {missing[0]!r}; there are: {', '.join(table.column_names)}")
    columns = table.select(schema.names)
    try:
        typed = columns.cast(schema)
        typed.validate(full=True)  # whoever wrote the file may have called any bytes a text
    except pa.ArrowInvalid:
        return typed_records([_values(column) for column in columns.columns], schema, source)
    return typed


def _values(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column, texts as bytes."""
    return list((column.cast(pa.binary()) if pa.types.is_string(column.type) else column).to_pylist())
