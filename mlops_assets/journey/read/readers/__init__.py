"""From the bytes of raw files to columns of text, each row with its file and line."""

from __future__ import annotations

from collections.abc import Callable

from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.read.readers.pack import Pack, Reader, Refusal
from mlops_assets.journey.read.readers.records import RecordsReader
from mlops_assets.use_case import UseCase

__all__ = ["Pack", "Reader", "Refusal", "open_reader"]


def open_reader(use_case: UseCase, attached: Callable[[int, str], bytes]) -> Reader:
    """The reader of a use case: of its own where `files.reader` names one, else that of CSV files.

    Parameters
    ----------
    use_case
        Its `files` say how files are written.
    attached
        Reads an attachment by the number of the file that refers to it, and its path; see `RecordsReader`.
    """
    return RecordsReader(use_case, attached) if use_case.files.reader else CsvReader(use_case)
