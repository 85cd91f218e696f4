"""In: the bytes of a CSV file. Out: what they are written in, and text whose lines end with a line feed."""

from __future__ import annotations

from functools import cache

from mlops_assets.plugins import FileRefused
from mlops_assets.use_case import FileFormat

UTF8_BOM = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
UTF8 = ("utf-8", "utf-8-sig")

Noticed = tuple[tuple[str, int], ...]
"""What was noticed of a file, each with how often."""


def decide_encoding(data: bytes, form: FileFormat) -> tuple[bytes, str, Noticed]:
    """The text without its mark, what it is written in, and whether that is another encoding than the contract's.

    Raises
    ------
    FileRefused
        If it is UTF-8, whole or damaged, and the contract says otherwise: most encodings have a meaning for every byte,
        and never fail.
    """
    if data.startswith(UTF8_BOM):
        return data[len(UTF8_BOM) :], "utf-8", () if form.encoding in UTF8 else (("read_as_utf_8", 1),)
    if form.encoding in UTF8 or data.isascii() or form.utf8 == "as_written" or not _is_utf8(data):
        return data, "utf-8" if form.encoding in UTF8 else form.encoding, ()
    if form.utf8 == "read":
        return data, "utf-8", (("read_as_utf_8", 1),)
    advice = "`files.utf8: read` in the contract reads such files, `as_written` takes them for what it says"
    raise FileRefused("encoding", f"the file is UTF-8, and by the contract {form.encoding}: {advice}")


def _is_utf8(data: bytes) -> bool:
    """Whether what is not ASCII is UTF-8, or is but for a few bytes, as in a file that was cut within a letter."""
    kept = data.decode(errors="ignore")
    # each file of a contract in another encoding comes here, and next to none has one letter of UTF-8 by chance
    if kept.isascii():
        return False
    letters = len(kept) - len(kept.encode("ascii", "ignore"))
    return letters > len(data) - len(kept.encode())


def line_feeds(data: bytes) -> tuple[bytes, int]:
    """Text whose lines end with a line feed, and how many carriage returns stood elsewhere and became blanks.

    Raises
    ------
    FileRefused
        If there is no text.
    """
    if not data or data.isspace():
        raise FileRefused("empty_file", "the file is empty")
    if b"\0" in data:
        raise FileRefused("nul_bytes", "the file holds NUL bytes: it is binary, damaged or UTF-16")
    if data.startswith(UTF16_MARKS):
        raise FileRefused("encoding", "the file begins like UTF-16; save it in the encoding of the contract")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
        if b"\r" in data:  # the old Mac line end, or a stray one inside a line
            if b"\n" in data:
                return data.replace(b"\r", b" "), data.count(b"\r")
            data = data.replace(b"\r", b"\n")
    return data, 0


@cache
def kept_in(encoding: str) -> str:
    """What the lines of files in an encoding are parsed in: as they are, where each byte is a letter; else UTF-8."""
    try:
        letters = bytes(range(256)).decode(encoding)
    except UnicodeDecodeError:
        return "utf-8"
    return encoding if len(letters) == 256 and letters[:128].isascii() else "utf-8"


def as_utf8(body: bytes, encoding: str) -> bytes:
    """The same text in UTF-8.

    Raises
    ------
    FileRefused
        If it is not in that encoding.
    """
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        line, byte = body.count(b"\n", 0, error.start) + 1, body[error.start]
        message = f"data line {line} has the byte 0x{byte:02x}, which is not {encoding}: another encoding, or damaged?"
        raise FileRefused("encoding", message) from None
    return body if encoding == "utf-8" else text.encode()
