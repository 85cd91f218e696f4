"""Files of the lake: Parquet files and small documents, each whole or absent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.errors import LakeError
from mlops_assets.storage import places
from mlops_assets.storage.integrity import BLANK, KEY, document, read_stored, seal, sha256, telling
from mlops_assets.storage.places import Place

FOOTER = b"mlops_assets"
"""Key under which a Parquet file carries the report of the shard that wrote it."""


class Written(NamedTuple):
    """A file that was written: its size in bytes, and the SHA-256 of them."""

    size: int
    sha256: str


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

    Raises
    ------
    Damaged
        If it is not as it was written, or gone.
    """
    with open_part(path, texts_as_codes=texts_as_codes) as file:
        return file.read(columns=list(columns) if columns else None)


@contextmanager
def open_part(path: Place, most: int | None = None, *, texts_as_codes: bool = False) -> Iterator[pq.ParquetFile]:
    """One Parquet file, for those who want some of its row groups, or what its footer says; errors as `read_part`.

    Parameters
    ----------
    path
        The file.
    most
        The size from which on only what is asked for is read, whose pages alone are verified then: of a file that is
        read by many, each for a little, and that one of them has looked at whole. By default it is read whole.
    texts_as_codes
        Whether text columns are read as dictionaries.
    """
    with telling(path):
        if most is not None and path.stat().st_size > most:
            source = places.readable(path, places.FOOTER)
        else:
            # what is parsed are the bytes that were looked at
            source = pa.BufferReader(read_stored(path))
        schema = pq.read_schema(source) if texts_as_codes else ()
        texts = [field.name for field in schema if pa.types.is_string(field.type)] or None
        with pq.ParquetFile(source, read_dictionary=texts, page_checksum_verification=True) as file:
            yield file


def read_report(path: Place) -> dict[str, Any] | None:
    """The report in the footer of a part, or None where the part does not exist or its footer is damaged.

    Its rows are not looked at; see `read_finished`.
    """
    try:
        return _report(pq.read_metadata(places.readable(path, places.FOOTER)))
    except (OSError, ValueError, KeyError):
        return None


def read_finished(path: Place) -> tuple[dict[str, Any], Written]:
    """The report in the footer of a part that is as it was written, and what it is.

    Raises
    ------
    Damaged
        If it is not, or gone.
    """
    data = read_stored(path, sealed=True)
    with telling(path):
        return _report(pq.read_metadata(pa.BufferReader(data))), Written(len(data), sha256(data))


def _report(metadata: pq.FileMetaData) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((metadata.metadata or {})[FOOTER])
    return report


def write_json(path: Place, content: Mapping[str, Any]) -> None:
    """Write a small document so that a reader sees the old one or the new one.

    Raises
    ------
    LakeError
        If it cannot be written.
    """
    with told_of_room(path):
        places.write_whole(path, document(content))


def write_table(path: Place, data: pa.Table) -> None:
    """Write a small table into one file so that a reader sees the old one or the new one.

    Raises
    ------
    LakeError
        If it cannot be written.
    """
    with told_of_room(path):
        write_parquet(path, data)


@contextmanager
def told_of_room(path: Place) -> Iterator[None]:
    """What keeps a file from being written becomes an error for people.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    LakeError
        If it cannot be written.
    """
    try:
        yield
    except FileExistsError:  # told to those who wanted to be the first
        raise
    except OSError as error:
        raise LakeError(f"{path}: cannot be written: {error.strerror or error}. Make room or give access.") from error


def write_parquet(
    path: Place, data: pa.Table, footer: Mapping[str, str] | None = None, rows_a_group: int | None = None, **form: Any
) -> Written:
    """Write rows so that the file is whole or absent, with checksums of its pages and a seal; see `integrity`."""
    # in memory first: to be sealed, and because a multipart upload to S3 that is killed leaves parts that nobody sees
    buffer = BytesIO()
    with pq.ParquetWriter(buffer, data.schema, compression="zstd", write_page_checksum=True, **form) as writer:
        writer.write_table(data, rows_a_group)
        writer.add_key_value_metadata({**(footer or {}), KEY: BLANK})
    seal(path, buffer)
    content = buffer.getbuffer()
    return Written(places.write_whole(path, content), sha256(content))
