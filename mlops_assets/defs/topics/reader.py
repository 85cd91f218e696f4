"""Reads one text file as one record, in whatever encoding it came; docs/topics.md has the decisions."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mlops_assets.plugins import FileRefused, Noticed, RawFile, Record

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
FILLERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and signs, by Unicode, at which nothing is seen."""
CONTROLS = 0.01
"""Share of control characters above which something is no text."""
SHOWN = 500
CHANCE = 10
"""Bytes that are not UTF-8 for each letter that is, from which on that letter is taken for chance."""


class TextReader:
    """One record a file: its text, and the first folder that it lies in as its topic."""

    records_by = "text"

    def count(self, file: RawFile) -> int:  # noqa: ARG002 - see RecordReader
        """A file is one record, whatever it holds."""
        return 1

    def write(self, rows: Sequence[Mapping[str, str]]) -> bytes:
        """The file of a row that has its text alone; all else is known from the file.

        Raises
        ------
        FileRefused
            If these are several texts, or more is said of one.
        """
        if len(rows) != 1:
            raise FileRefused("one_text", f"a file is one text, and here are {len(rows)}: send a file for each")
        if set(rows[0]) != {"text"}:
            raise FileRefused(
                "text_alone", "a row has its `text` alone; the name of the file says which document it is"
            )
        try:
            return rows[0]["text"].encode()
        except UnicodeEncodeError as error:
            raise FileRefused("encoding", f"character {error.start} of the text is half of one") from None

    def read(self, file: RawFile) -> Iterator[Record | Noticed]:
        """The record of a file, and in which encoding it was read.

        Raises
        ------
        FileRefused
            If it is empty, binary, or not in the encoding that its first bytes name.
        """
        text, encoding, whole = decode(file.data)
        text = text.strip()
        if not any(map(_is_seen, text)):
            raise FileRefused("empty_file", "the file holds blanks alone")
        yield Noticed(f"read_as_{encoding}")
        if not whole:
            yield Noticed("replaced_bytes")
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


def _is_seen(sign: str) -> bool:
    """Whether a sign can be seen by itself: no blank, no mark on another sign, and nothing that has no width."""
    return unicodedata.category(sign)[0] in "LNPS" and sign not in FILLERS


class Decoded(NamedTuple):
    """A text, the encoding that it was read by, and whether every byte of it was."""

    text: str
    encoding: str
    whole: bool = True


def decode(data: bytes) -> Decoded:
    """The text of a file: by its mark, else UTF-8, else Windows-1252, of which Latin-1 is a part.

    Raises
    ------
    FileRefused
        If it is binary, not in the encoding that its mark names, or nobody can tell which one it is in.
    """
    mark, encoding = next(((mark, name) for mark, name in MARKS if data.startswith(mark)), (b"", ""))
    found = _decode_marked(data, mark, encoding) if encoding else _decode_unmarked(data)
    start = found.text[:MOST]
    odd = sum(ord(sign) < 32 and sign not in SPACES for sign in start)
    if odd > CONTROLS * len(start):
        raise FileRefused("binary", f"{odd} of the first {len(start)} characters are controls: this is no text")
    return found._replace(text=found.text.replace("\0", " "))


def _decode_marked(data: bytes, mark: bytes, encoding: str) -> Decoded:
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        message = f"it begins like {encoding}, but byte {len(mark) + error.start} is not: cut off?"
        raise FileRefused("encoding", message) from None
    return Decoded(text, encoding.removesuffix("-le").removesuffix("-be").replace("-", "_"))


def _decode_unmarked(data: bytes) -> Decoded:
    if b"\0" in data:
        raise FileRefused("nul_bytes", "the file holds NUL bytes: it is binary, or UTF-16 without its mark")
    try:
        return Decoded(data.decode(), "utf_8")
    except UnicodeDecodeError as error:
        return _decode_damaged(data, error)


def _decode_damaged(data: bytes, first: UnicodeDecodeError) -> Decoded:
    """What is not UTF-8 throughout: damaged UTF-8 if most of its letters are whole, Windows-1252 if next to none is."""
    kept = data.decode(errors="ignore")
    letters, bad = sum(sign > "\x7f" for sign in kept), len(data) - len(kept.encode())
    if letters > bad:
        return Decoded(data.decode(errors="replace"), "utf_8", whole=False)
    # the only bad bytes are the last ones: the beginning of a letter, or a letter of Windows-1252
    if first.reason == "unexpected end of data" or letters * CHANCE > bad:
        message = f"byte {first.start} is not UTF-8, which the text may be or not: cut off, or Windows-1252?"
        raise FileRefused("encoding", message)
    try:
        return Decoded(data.decode("cp1252"), "windows_1252")
    except UnicodeDecodeError as error:
        message = f"byte {first.start} is not UTF-8, and byte {error.start} not Windows-1252: another encoding"
        raise FileRefused("encoding", message) from None
