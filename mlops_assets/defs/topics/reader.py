"""Reads one text file as one record, in whatever encoding it came; docs/topics.md has the decisions."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from mlops_assets.plugins import FileRefused, RawFile, Record

MOST = 20_000
"""Characters of a text that are kept: the beginning of a news text tells its topic."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like the next one
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""What a file begins with that names its encoding."""
SPACES = "\t\n\r\f\v"
CONTROLS = 0.01
"""Share of control characters above which something is no text."""
SHOWN = 500


class TextReader:
    """One record a file: its text, and the first folder that it lies in as its topic."""

    def read(self, file: RawFile) -> Iterator[Record]:
        """The record of a file.

        Raises
        ------
        FileRefused
            If it is empty, binary, or not in the encoding that its first bytes name.
        """
        text = decode(file.data).strip()
        if not text:
            raise FileRefused("empty_file", "the file holds blanks alone")
        folder, _, _ = file.path.partition("/")
        yield Record(
            {
                "document": file.path.rpartition("/")[2],
                "text": text[:MOST],
                "characters": str(len(text)),
                "topic": folder if "/" in file.path else None,
            },
            raw=text[:SHOWN],
        )


def decode(data: bytes) -> str:
    """The text of a file: by its mark, else UTF-8, else Windows-1252, of which Latin-1 is a part.

    Raises
    ------
    FileRefused
        If it is binary, or not in the encoding that its mark names.
    """
    mark, encoding = next(((mark, name) for mark, name in MARKS if data.startswith(mark)), (b"", ""))
    text = _decode_marked(data, mark, encoding) if encoding else _decode_unmarked(data)
    odd = sum(ord(sign) < 32 and sign not in SPACES for sign in text[:MOST])
    if odd > CONTROLS * len(text[:MOST]):
        raise FileRefused("binary", f"{odd} of the first {len(text[:MOST])} characters are controls: this is no text")
    return text.replace("\0", " ")


def _decode_marked(data: bytes, mark: bytes, encoding: str) -> str:
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        message = f"it begins like {encoding}, but byte {len(mark) + error.start} is not: cut off?"
        raise FileRefused("encoding", message) from None


def _decode_unmarked(data: bytes) -> str:
    if b"\0" in data:
        raise FileRefused("nul_bytes", "the file holds NUL bytes: it is binary, or UTF-16 without its mark")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
