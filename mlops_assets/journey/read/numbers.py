"""In: texts of numbers. Out: the numbers, as the contract says that files write them."""

from __future__ import annotations

import re
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.use_case import FileFormat

GROUP = r"[1-9]\d{0,2}"
"""The first digits of a number whose thousands are parted; none begins with 0."""

MOST_DIGITS = 300
"""Digits before the decimal sign that a number may have."""

BLANKS = "\u00a0\u2009\u202f"
ALIKE = {" ": f"[{BLANKS}]", "'": "\u2019"}
"""Signs between thousands, and those that mean the same: blanks at which no line breaks, the apostrophe of printers."""


def read_numbers(text: pa.Array, files: FileFormat, *, whole: bool) -> pa.Array:
    """The numbers that texts are; null for any other text, so that `1.5` never becomes 15.

    Parameters
    ----------
    text
        The texts, null where there is none.
    files
        How numbers are written.
    whole
        Whether they are integers.
    """
    # the pattern comes before the cast: Arrow takes texts for numbers that no contract means, such as `nan` and `inf`
    longest = pc.max(pc.binary_length(text)).as_py() or 0
    pattern = _pattern(files, whole=whole, bounded=longest > MOST_DIGITS)
    good = pc.match_substring_regex(text, pattern)
    # nearly all numbers are written plainly
    if not pc.all(good).as_py():
        text = plain(text, files)
        good = pc.match_substring_regex(text, pattern)
    digits = pc.if_else(good, text, pa.scalar(None, pa.string()))
    if files.thousands:
        digits = pc.replace_substring(digits, files.thousands, "")
    if files.decimal != ".":
        digits = pc.replace_substring(digits, files.decimal, ".")
    # next to none has one of these, and to look costs a tenth of replacing
    if pc.any(pc.or_(pc.starts_with(digits, "+"), pc.ends_with(digits, "."))).as_py():
        digits = pc.replace_substring_regex(digits, r"^\+|\.$", "")
    values = digits.cast(pa.float64())
    # 1e999 is a number by the pattern, and infinite as a float
    values = pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))
    if not whole:
        return values
    # above, a float64 stands for several integers, and the wrong one could come back
    exact = pc.if_else(pc.less(pc.abs(values), 2.0**53), values, pa.scalar(None, pa.float64()))
    return exact.cast(pa.int64())


def _pattern(files: FileFormat, *, whole: bool, bounded: bool) -> str:
    # to compile the bounded one costs more than to read the numbers of a small file
    digits = rf"\d{{1,{MOST_DIGITS}}}" if bounded else r"\d+"
    decimal, thousands = re.escape(files.decimal), re.escape(files.thousands)
    grouped = rf"|{GROUP}(?:{thousands}\d{{3}})+" if files.thousands else ""
    fraction = rf"(?:{decimal}0*)?" if whole else rf"(?:{decimal}\d*)?(?:[eE][+-]?\d{{1,3}})?"
    return rf"^[+-]?(?:{digits}{grouped}){fraction}$"


def plain(text: pa.Array, files: FileFormat) -> pa.Array:
    """Texts of numbers with a minus before them, without currency, and with one sign between thousands.

    Parameters
    ----------
    text
        The texts.
    files
        Says what may stand there; a text with anything else stays as it is.
    """
    text = pc.replace_substring(text, "\N{MINUS SIGN}", "-")
    if files.thousands in ALIKE:
        text = pc.replace_substring_regex(text, ALIKE[files.thousands], files.thousands)
    if files.currency:
        sign = "(?:" + "|".join(map(re.escape, files.currency)) + ")"
        gap = rf"[\s{BLANKS}]*"
        before = pc.replace_substring_regex(text, rf"^([+-]|\()?{gap}{sign}{gap}", r"\1")
        behind = pc.replace_substring_regex(text, rf"{gap}{sign}{gap}(-|\))?$", r"\1")
        # once: what has a sign on both sides is no number
        text = pc.if_else(pc.equal(before, text), behind, before)
    if "parentheses" in files.negative:
        text = pc.replace_substring_regex(text, r"^\(\s*(\d[^-]*?)\s*\)$", r"-\1")
    if "minus behind" in files.negative:
        text = pc.replace_substring_regex(text, r"^(\d.*?)\s*-$", r"-\1")
    return text


class Doubt(NamedTuple):
    """What in a file shows that a sign is used in another way than the contract says, and what is then in doubt.

    Attributes
    ----------
    shows
        Pattern of texts that are no number by the contract, and one if the sign is used in the other way.
    doubtful
        Pattern of numbers that would be others then.
    types
        The types of columns in which both are looked for.
    sign, use
        The sign, and the other way.
    """

    shows: str
    doubtful: str
    types: tuple[str, ...]
    sign: str
    use: str


def doubts(files: FileFormat) -> list[Doubt]:
    """The ways in which numbers of this format can be taken for others by chance."""
    decimal, other = re.escape(files.decimal), re.escape("," if files.decimal == "." else ".")
    both, parts = ("number", "integer"), "parts thousands"
    found = [
        # with decimal `.`: 1.234,56 and 1.234.567 put 1.234 in doubt
        Doubt(
            rf"^[+-]?{GROUP}(?:(?:{decimal}\d{{3}})+{other}\d+|(?:{decimal}\d{{3}}){{2,}})$",
            rf"^[+-]?{GROUP}{decimal}\d{{3}}$",
            both,
            files.decimal,
            parts,
        ),
        # an integer is never 1.234, so 1.000 may be a thousand
        Doubt(
            rf"^[+-]?{GROUP}{decimal}\d{{3}}$", rf"^[+-]?{GROUP}{decimal}000$", ("integer",), files.decimal, parts
        ),
    ]  # fmt: skip
    if files.thousands in (".", ","):
        thousands = re.escape(files.thousands)
        # with thousands `.`: 1.5 and 0.123 put 1.234 in doubt
        shows = rf"^[+-]?(?:\d+|{GROUP}(?:{decimal}\d{{3}})+){thousands}\d+(?:[eE][+-]?\d+)?$"
        doubtful = rf"^[+-]?{GROUP}{thousands}\d{{3}}$"
        found.insert(0, Doubt(shows, doubtful, both, files.thousands, "is the decimal sign"))
    return found
