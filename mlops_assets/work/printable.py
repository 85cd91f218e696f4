r"""In: text that came from somebody's file. Out: the same as it may be shown, and still told from any other text.

A terminal obeys what it is sent: ESC clears it or names its window, a line end makes two lines of one, and signs of
direction turn `exe.txt` round. What cannot be seen is written as JSON writes it: ESC as `\u001b`, a line end as `\n`.
"""

from __future__ import annotations

import re
import unicodedata

MARKS = 4
"""Signs over or under one letter that are shown; more of them would be drawn over other lines."""

LONGEST = 60
"""Signs of a cell of a table that are shown."""

SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | frozenset(
    map(chr, [*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
)
"""Letters and marks that are drawn as nothing, though Unicode has them among those that are seen."""

AMBIGUOUS = re.compile(r"\\+(?=[nrt]|u[0-9a-f]{4}|[^ -~])")
"""Backslashes of a text that could be taken for one of ours."""


def printable(text: str) -> str:
    r"""A text as one line of which every sign can be seen; two texts that differ are shown differently.

    Parameters
    ----------
    text
        A name, a label, a line of a file.

    Examples
    --------
    >>> print(printable("a\x1b[31m\u202etxt.exe"), printable("two\nlines"), printable("a\\name"), printable("C:\\temp"))
    a\u001b[31m\u202etxt.exe two\nlines a\\name C:\\temp
    """
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return _visible(AMBIGUOUS.sub(r"\g<0>\g<0>", text))


def printable_lines(text: str) -> str:
    """A text of ours, of several lines, into which something may have come that cannot be seen.

    The last line of defence behind `printable`: it leaves the ends of lines and every backslash as they are.

    Parameters
    ----------
    text
        What is to be printed.
    """
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "\n".join(map(_visible, text.split("\n")))


def cut(text: str, longest: int = LONGEST) -> str:
    """The beginning of a text that is too long to be shown.

    Parameters
    ----------
    text
        The text.
    longest
        How long is not too long.
    """
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def width(text: str) -> int:
    """Columns of a terminal that a printable text takes: a letter of East Asia takes two, a sign above another none."""
    if text.isascii():
        return len(text)
    return sum(0 if _is_mark(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _visible(text: str) -> str:
    shown = []
    marks = 0
    for sign in text:
        marks = marks + 1 if _is_mark(sign) else 0
        seen = sign.isprintable() and sign not in BLANK and marks <= MARKS
        shown.append(sign if seen else _escaped(sign))
    return "".join(shown)


def _is_mark(sign: str) -> bool:
    return unicodedata.category(sign) in ("Mn", "Me")


def _escaped(sign: str) -> str:
    if sign in SHORT:
        return SHORT[sign]
    # as in JSON, where a sign beyond 16 bits is a pair
    code = ord(sign)
    pair = (code,) if code < 0x10000 else (0xD7C0 + (code >> 10), 0xDC00 + (code & 0x3FF))
    return "".join(f"\\u{half:04x}" for half in pair)
