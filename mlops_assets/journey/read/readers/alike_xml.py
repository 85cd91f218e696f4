"""XML records that are alike. In: a file. Out: its records, one a line, their form, and what stands around them.

What is around the records is parsed once, with an empty record between, as a file of its own; so is one record. Others
are proven to have its elements, in its order and spacing; so the whole is what a parser would have found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from xml.sax.saxutils import unescape

from mlops_assets.journey.read.readers.alike import Part

SIGN = "<"
"""What lines are cut at: within a text it is written `&lt;`."""

NEWLINE = b"\x1e"
"""What stands for a line feed within a record; no XML has it."""

EMPTY = re.compile(rb"<([^\s<>/!?'\"=&]++)\s*+/>")
UNLIKE = re.compile(r"[\s:=\"'!?&]")
"""What is in a tag with attributes or a prefix, in a comment, and in all else that is no plain tag."""

VALUE = re.compile("(?:[^&<>\\x00-\\x08\\x0b-\\x1f\\ufffe\\uffff]|&(?:amp|lt|gt|quot|apos);)*+")
"""A text in one line, of which a parser makes nothing else."""

ENTITIES = {"&quot;": '"', "&apos;": "'"}
DEEPEST = 16
"""Elements around records, and within them, that are looked at here."""


class Split(NamedTuple):
    """A file: what is around its records, with an empty record between, and its records, one a line."""

    around: bytes
    body: bytes


def split(data: bytes, record: str) -> Split | None:
    """A file in parts; None if its records are not written plainly.

    Parameters
    ----------
    data
        Its bytes, in UTF-8.
    record
        The element that is a record.
    """
    if b"\r" in data or NEWLINE in data:
        return None
    if b"/>" in data:
        data = EMPTY.sub(rb"<\1></\1>", data)
    start, end = f"<{record}>".encode(), f"</{record}>".encode()
    first, last = data.find(start), data.rfind(end) + len(end)
    if not 0 <= first < last:
        return None
    head, tail = data[:first], data[last:]
    # blanks before the first record are like those before the others
    bare = head.rstrip(b" \t\n")
    if head.count(b"<") > DEEPEST:
        return None
    body = data[len(bare) : last].replace(b"\n", NEWLINE).replace(end, end + b"\n")
    return Split(head + start + end + tail, body)


def parts_of(line: str, columns: Mapping[str, str]) -> tuple[Part, ...] | None:
    """The places of a record of plain elements; None if it is another one.

    Parameters
    ----------
    line
        A record, as `split` writes it.
    columns
        Columns of the contract by the path of their element.
    """
    blanks, *pieces = line.split(SIGN)
    parts, path = [Part(blanks)], list[str]()
    for piece, behind in zip(pieces, [*pieces[1:], ""], strict=True):
        name, _, text = piece.partition(">")
        if UNLIKE.search(name) or len(path) > DEEPEST:
            return None
        if name.startswith("/"):
            path = path[:-1]
            parts.append(Part(piece))
            continue
        path.append(name)
        if behind.startswith("/"):
            parts.append(Part(f"{name}>", "", _text, columns.get("/".join(path[1:]))))
        elif text.strip(" \t\x1e"):
            return None
        else:
            parts.append(Part(piece))
    return tuple(parts)


def _text(spelt: str) -> str | None:
    if not VALUE.fullmatch(spelt):
        return None
    return unescape(spelt, ENTITIES) if "&" in spelt else spelt
