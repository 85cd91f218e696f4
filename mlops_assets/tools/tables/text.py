"""In: the first bytes of a table of text. Out: its first records, or why it is no text that a raw file may hold."""

from __future__ import annotations

from pathlib import Path

from mlops_assets.errors import UsageError

SAMPLE = 8 << 20
"""Bytes of a table that are looked at."""


def cut_sample(path: Path, data: bytes, most: int = SAMPLE) -> tuple[bytes, bool]:
    """The first records of a table, at most so many bytes of them; and whether that is the whole table.

    Parameters
    ----------
    path
        The table, for messages.
    data
        Its first bytes, one more than `most` if there are more.
    most
        Bytes that are looked at.

    Raises
    ------
    UsageError
        If it is empty, or is no text that a raw file may hold.
    """
    if problem := _not_text(data, path.name):
        raise UsageError(f"{path}: {problem}")
    if len(data) <= most:
        return data, True
    end = len(data)
    while (end := data.rfind(b"\n", 0, end)) >= 0 and data.count(b'"', 0, end) % 2:
        pass  # this line end stands within quotes
    if end < 0:
        raise UsageError(f"{path}: its first {most:,} bytes hold no end of a record; this is no table.")
    return data[: end + 1], False


def _not_text(data: bytes, name: str) -> str:
    """Why bytes are no text that a raw file may hold, and what to do; empty if they are."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return f"this is UTF-16, which raw files must not be. Convert it: iconv -f UTF-16 -t UTF-8 {name}"
    if b"\0" in data:
        return "it holds NUL bytes: this is no CSV file, or UTF-16. Save it as CSV in UTF-8."
    return "" if data.strip() else "the file is empty; a use case is made of a table with some rows."
