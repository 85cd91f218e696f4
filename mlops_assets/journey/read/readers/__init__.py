"""From the bytes of raw files to columns of text, each row with its file and line."""

from __future__ import annotations

from collections.abc import Callable

from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.read.readers.fixed import FixedWidth
from mlops_assets.journey.read.readers.formats import Format, FormatReader
from mlops_assets.journey.read.readers.jsonl import JsonLines
from mlops_assets.journey.read.readers.pack import Pack, Reader, Refusal
from mlops_assets.journey.read.readers.packing import Unpacking
from mlops_assets.journey.read.readers.parquet import ParquetFiles
from mlops_assets.journey.read.readers.records import RecordsReader
from mlops_assets.journey.read.readers.xml import XmlRecords
from mlops_assets.plugins import NotAttached
from mlops_assets.use_case import UseCase

__all__ = ["Format", "Pack", "Reader", "Refusal", "open_format", "open_reader"]

FORMATS: dict[str, Callable[[UseCase], Format]] = {
    "jsonl": JsonLines,
    "parquet": ParquetFiles,
    "xml": XmlRecords,
    "fixed": FixedWidth,
}
"""The formats that are no CSV."""


def _none_attached(_: int, path: str) -> bytes:
    raise NotAttached(f"there is no {path!r}")


def open_reader(use_case: UseCase, attached: Callable[[int, str], bytes] = _none_attached) -> Reader:
    """The reader of a use case: of its own where `files.reader` names one, else that of its format.

    Parameters
    ----------
    use_case
        Its `files` say how files are written.
    attached
        Reads an attachment by the number of the file that refers to it, and its path; see `RecordsReader`.
    """
    reader = _unpacked(use_case, attached)
    return reader if use_case.files.compression == "none" else Unpacking(reader, use_case.files)


def _unpacked(use_case: UseCase, attached: Callable[[int, str], bytes]) -> Reader:
    if use_case.files.reader:
        return RecordsReader(use_case, attached)
    form = open_format(use_case)
    return CsvReader(use_case) if form is None else FormatReader(use_case, form)


def open_format(use_case: UseCase) -> Format | None:
    """The format of a use case; None for CSV, and where it has a reader of its own."""
    make = FORMATS.get(use_case.files.format)
    return make(use_case) if make and not use_case.files.reader else None
