"""In: the path of a table that may be packed. Out: its bytes, or some of the first."""

from __future__ import annotations

from pathlib import Path

from mlops_assets.errors import UsageError
from mlops_assets.journey.read.readers.packing import MAGIC, unpack
from mlops_assets.plugins import FileRefused
from mlops_assets.use_case import FileFormat

MOST_UNPACKED = 4 << 30
"""Bytes that a table may have that is imported or looked at as a whole."""

PACKED = {".gz": "gzip", ".zst": "zstd"}
"""Ends of names of packed files."""


def compression_of(data: bytes) -> str:
    """How bytes are packed, by how they begin; `none` if they are not."""
    return next((name for name, magic in MAGIC.items() if data.startswith(magic)), "none")


def bare_name(path: Path) -> str:
    """The name of a table without what says that it is packed."""
    return path.stem if path.suffix.lower() in PACKED else path.name


def read_unpacked(path: Path, largest: int = MOST_UNPACKED) -> bytes:
    """The bytes of a table, unpacked if need be.

    Parameters
    ----------
    path
        The file; how it is packed, its first bytes say.
    largest
        Bytes that it may become.

    Raises
    ------
    UsageError
        If it cannot be read or unpacked, or is too large.
    """
    try:
        if path.stat().st_size > largest:
            raise UsageError(f"{path}: {path.stat().st_size:,} bytes are more than {largest:,}; cut the table.")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}.") from None
    form = FileFormat.model_validate({"compression": compression_of(data), "largest": largest})
    try:
        return unpack(data, form)
    except FileRefused as error:
        raise UsageError(f"{path}: {sentence(error.message)}") from None


def sentence(message: str) -> str:
    """A message with a point at its end, unless it ends with a question."""
    return message if message.endswith(("?", ".")) else f"{message}."
