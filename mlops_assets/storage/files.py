"""Files of the lake: Parquet files and small documents, each whole or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.errors import LakeError
from mlops_assets.storage import places
from mlops_assets.storage.places import Place, S3Path

FOOTER = b"mlops_assets"
"""Key under which a Parquet file carries the report of the shard that wrote it."""


def read_part(path: Place, columns: Sequence[str] | None = None, texts_as_codes: bool = False) -> pa.Table:
    """The rows of one Parquet file, without Arrow's dataset scanner; see `Table`.

    Parameters
    ----------
    path
        The file.
    columns
        The columns to read, all by default.
    texts_as_codes
        Whether text columns stay dictionaries.
    """
    source = places.readable(path)
    schema = pq.read_schema(source) if texts_as_codes else ()
    texts = [field.name for field in schema if pa.types.is_string(field.type)] or None
    with pq.ParquetFile(source, read_dictionary=texts) as file:
        return file.read(columns=list(columns) if columns else None)


def open_part(path: Place) -> pq.ParquetFile:
    """One Parquet file, for those who want some of its row groups, or what its footer says."""
    return pq.ParquetFile(places.readable(path, places.FOOTER))


def read_report(path: Place) -> dict[str, Any] | None:
    """The report in the footer of a part, or None where the part does not exist or is damaged: it is made again."""
    try:
        metadata = pq.read_metadata(places.readable(path, places.FOOTER)).metadata or {}
        report: dict[str, Any] = json.loads(metadata[FOOTER])
    except (FileNotFoundError, pa.ArrowInvalid, KeyError):
        return None
    return report


def write_json(path: Place, content: dict[str, Any]) -> None:
    """Write a small document so that a reader sees the old one or the new one."""
    # sorted, so that the same content is the same bytes
    places.write_whole(path, (json.dumps(content, indent=1, sort_keys=True, default=str) + "\n").encode())


def write_table(path: Place, data: pa.Table) -> None:
    """Write a small table into one file so that a reader sees the old one or the new one.

    Raises
    ------
    LakeError
        If it cannot be written.
    """
    try:
        write_parquet(path, data)
    except OSError as error:
        raise LakeError(f"{path}: cannot be written: {error.strerror or error}. Make room or give access.") from error


def write_parquet(
    path: Place, data: pa.Table, footer: Mapping[str, str] | None = None, rows_a_group: int | None = None, **form: Any
) -> int:
    """Write rows so that the file is whole or absent; its size. On the way to S3 it lies in memory."""

    def write(sink: Path | BytesIO) -> None:
        with pq.ParquetWriter(sink, data.schema, compression="zstd", **form) as writer:
            writer.write_table(data, rows_a_group)
            if footer:
                writer.add_key_value_metadata(dict(footer))

    # a PUT is whole or absent; a multipart upload that is killed leaves parts that cost money and nobody sees
    if isinstance(path, S3Path):
        buffer = BytesIO()
        write(buffer)
        return places.write_whole(path, buffer.getbuffer())
    with places.unfinished(path) as started:
        write(started)
    return path.stat().st_size
