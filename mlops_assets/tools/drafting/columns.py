"""In: the text of each column of a table. Out: how the contract reads it, and what a model can make of it."""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.read.contract import Checked, check_column
from mlops_assets.use_case import Column, FileFormat
from mlops_assets.use_case.files import DATES as SENSIBLE
from mlops_assets.use_case.files import Negative

MISSING = frozenset(
    {"na", "n/a", "#n/a", "nan", "null", "none", "nil", "missing", "unknown", "-", "--", ".", "?", "inf", "-inf"}
)
"""Texts, in small letters, that stand for 'no value' where all others are numbers or dates."""

MISSING_IN_TEXT = frozenset({"na", "n/a", "#n/a", "nan", "null", "?"})
"""Those of them that stand for it in any column."""

NUMBERS: tuple[tuple[Literal[".", ","], Literal["", ".", ",", " "]], ...] = (
    (".", ""),
    (",", ""),
    (",", "."),
    (".", ","),
    (",", " "),
    (".", " "),
)
"""Decimal sign and sign between thousands, the likelier first."""

DATES = (
    *("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
)
MOMENTS = tuple(
    f"{day}{between}{time}"
    for day in ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d")
    for between in (" ", "T")
    for time in ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%H:%M:%SZ", "%H:%M:%S.%fZ")
)
"""Formats of dates and timestamps, the likelier first."""

WORDS = ({"yes", "no"}, {"y", "n"}, {"true", "false"}, {"t", "f"})
_SIGN = r"(?:[^\W\d_]{0,3}[^\w\s.,+()-]|[A-Z]{3})"
AMOUNT = re.compile(rf"[+-]?{_SIGN}\s*[+-]?[\d.,]+|[+-]?[\d.,]+\s*{_SIGN}")
"""A number with a sign before or behind it: percent, a currency."""

CODE = re.compile(r"[+-]?0\d+")
DIGITS = re.compile(r"[+-]?\d{16,}")
"""Digits that are no number: that begin with 0, and so many that a float64 may lose some."""

NEGATIVE: dict[Negative, str] = {"minus behind": r"^\s*\d.*-\s*$", "parentheses": r"^\s*\(.*\d.*\)\s*$"}
"""What shows that negative numbers may be written so."""

WHO = frozenset({"account", "customer", "client", "user", "member", "patient", "person", "card", "konto", "kunde"})
KEYS = frozenset({"id", "uuid", "guid", "key", "index", "idx", "no", "nr", "number", "code"})
"""Words in the name of a column that says whom a row is about, and at the end of the name of a key."""

MOST_CATEGORIES = 0.5
"""Most distinct values a row that a text column may have to be a category."""

MOST_READ = 300
"""Columns by which it is guessed how a table writes numbers."""

PROSE, MOST_PHRASES = 4, 0.2
"""Words from which on average texts are read word by word, and most distinct ones a row that are categories still."""

RUNNING = "Numbers the rows."
LEAST_RUNNING, LEAST_WITH_GAPS = 10, 100
"""Rows from which on numbers without a gap are those of the rows, and no quantity; and whole numbers of which each is
there once and half of those between them, too: some rows were taken out. No quantity of so many rows is so by chance.
"""

RESERVED = frozenset({"day", "file", "line"})
"""Names of columns that the platform has itself."""

Role = Literal[
    "number", "amount", "category", "boolean", "date", "timestamp", "id", "prose", "text", "constant", "empty"
]


def names_who(name: str) -> bool:
    """Whether a name is that of whom a row is about: `customer` or `card_number`, but not `customer_age`."""
    words = name.split("_")
    return words[-1] in WHO or (bool(WHO & set(words)) and names_key(name))


def names_key(name: str) -> bool:
    """Whether a name is that of a key: `id`, `order_number`."""
    words = name.split("_")
    return words[-1] in KEYS or words[0] == "id"


@dataclass
class Guess:
    """What a column is taken for.

    Attributes
    ----------
    name
        Its name in the contract and in SQL.
    source
        Its name in the header; None where the first line is no header.
    role
        What a model can make of it.
    settings
        What the contract says of it.
    distinct, rows
        Number of its values, and of rows that have one.
    empty
        Share of rows that have none.
    about
        What was seen, without a value that may be somebody's.
    check
        What to look at by hand.
    """

    name: str
    source: str | None
    role: Role
    settings: dict[str, Any]
    distinct: int
    rows: int
    empty: float
    about: str
    check: list[str] = field(default_factory=list)


def sql_names(names: Sequence[str]) -> list[str]:
    """A name for each column that SQL takes unquoted and the platform leaves free, each once."""
    taken = set(RESERVED)
    return [unique(_sql_name(name, number), taken) for number, name in enumerate(names, 1)]


def _sql_name(name: str, number: int) -> str:
    """A name in small ASCII letters, digits and `_` that is no word of SQL's own."""
    # NFKD parts no ß, which would then be dropped
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain)  # camelCase
    clean = re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")
    if not clean:
        clean = f"column_{number}" if name else "row_id"  # pandas writes its index without a name
    if clean[0].isdigit():
        clean = f"column_{clean}"
    return f"{clean}_value" if clean in RESERVED | _keywords() else clean


def unique(name: str, taken: set[str]) -> str:
    """The name, with a number behind it if it is taken; it is taken from now on."""
    chosen, number = name, 1
    while chosen in taken:
        number += 1
        chosen = f"{name}_{number}"
    taken.add(chosen)
    return chosen


@cache
def _keywords() -> frozenset[str]:
    with duckdb.connect(":memory:") as database:
        database.execute("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'")
        return frozenset(word for (word,) in database.fetchall())


def guess_numbers(texts: Iterable[pa.DictionaryArray]) -> FileFormat:
    """How the table writes numbers: the way in which most of its columns are some."""
    every = list(texts)
    # of thousands of columns some hundred say it: each is read in many ways here
    some = every[:: -(-len(every) // MOST_READ) or 1]
    signs: list[tuple[Negative, ...]] = [(), *((way,) for way, shows in NEGATIVE.items() if _occurs(shows, some))]
    forms = [
        FileFormat(decimal=decimal, thousands=thousands, negative=negative)
        for negative in signs
        for decimal, thousands in NUMBERS
    ]
    # with markers for `no value` taken as such: one `-` must not make a text of a column of numbers
    told = [(text, {"type": "number", "missing": markers_of(text)}) for text in some]
    return forms[int(np.argmax([sum(_fits(*one, form) for one in told) for form in forms]))]


def _occurs(pattern: str, texts: Sequence[pa.DictionaryArray]) -> bool:
    return any(pc.any(pc.match_substring_regex(text.dictionary, pattern)).as_py() for text in texts)


def guess_column(name: str, source: str | None, text: pa.DictionaryArray, form: FileFormat) -> Guess:
    """What one column is.

    Parameters
    ----------
    name, source
        See `Guess`.
    text
        Its text, a value a row.
    form
        How the table writes numbers.
    """
    values = pc.utf8_trim_whitespace(text.dictionary).take(text.indices).drop_null()
    given = values.filter(pc.not_equal(values, ""))
    kind = _type(text, given, markers_of(text), form)
    given = _without(given, kind.settings.get("missing", ()))
    distinct, rows = len(given.unique()), len(given)
    empty = 1 - rows / max(1, len(text))
    # by the contract's own check: what is guessed is what the daily run will read
    checked = check_column(text, Column(**kind.settings), form)
    if kind.role == "number" and rows == len(text) and _is_running(checked.values):
        return Guess(name, source, "id", {"type": "string"}, distinct, rows, empty, RUNNING)
    role = _role(kind.role, given, distinct, constant=distinct == 1 and 1 < len(text) == rows)
    about, bounds = _seen(checked, role, distinct)
    return Guess(name, source, role, {**kind.settings, **bounds}, distinct, rows, empty, about, list(kind.check))


def _is_running(numbers: pa.Array) -> bool:
    """Whether numbers are 1, 2, 3 and so on, from anywhere and in any order, each once; of many, some may be gone."""
    if len(numbers) < LEAST_RUNNING or numbers.null_count:
        return False
    ordered = np.sort(numbers.to_numpy())
    steps = np.diff(ordered)
    if ordered[0] != np.floor(ordered[0]) or np.any(steps < 1) or np.any(steps != np.floor(steps)):
        return False
    without_gap = bool(np.all(steps == 1))
    return without_gap or (len(ordered) >= LEAST_WITH_GAPS and ordered[-1] - ordered[0] < 2 * len(ordered))


def _role(role: Role, given: pa.Array, distinct: int, *, constant: bool) -> Role:
    """The role of a column of some type, once its values were counted."""
    rows = len(given)
    if not rows:
        return "empty"
    if constant:
        return "constant"
    if role != "category":
        return role
    if distinct > max(20, MOST_PHRASES * rows) and _is_prose(given):
        return "prose"
    return role if _is_category(distinct, rows) else "text"


def _is_prose(given: pa.Array) -> bool:
    words = pc.list_value_length(pc.utf8_split_whitespace(given.slice(0, 10_000)))
    return bool(pc.mean(words).as_py() >= PROSE)


def _is_category(distinct: int, rows: int) -> bool:
    return distinct <= max(20, MOST_CATEGORIES * rows)


def as_text(guess: Guess, text: pa.DictionaryArray) -> Guess:
    """The same column read as text: what a label, an account or a code is."""
    values = pc.utf8_trim_whitespace(text.dictionary).take(text.indices)
    # fewer signs than for numbers: `-` or `unknown` may be a class
    missing = [marker for marker in markers_of(text) if marker.lower() in MISSING_IN_TEXT]
    given = _without(values, ("", *missing))
    distinct, rows = len(given.unique()), len(given)
    settings = {"type": "string", **({"missing": missing} if missing else {})}
    role: Role = "category" if _is_category(distinct, rows) else "text"
    empty = 1 - rows / max(1, len(text))
    return Guess(guess.name, guess.source, role, settings, distinct, rows, empty, f"{distinct} values.")


def _without(values: pa.Array, unwanted: Sequence[str]) -> pa.Array:
    return values.filter(pc.invert(pc.is_in(values, value_set=pa.array(unwanted, pa.string()))))


def markers_of(text: pa.DictionaryArray) -> list[str]:
    """The texts of a column that may stand for 'no value' among numbers or dates."""
    distinct = pc.utf8_trim_whitespace(text.dictionary).unique()
    lower = pc.utf8_lower(distinct)
    return sorted(distinct.filter(pc.is_in(lower, value_set=pa.array(sorted(MISSING)))).to_pylist())


def _fits(text: pa.DictionaryArray, settings: dict[str, Any], form: FileFormat) -> bool:
    """Whether every text is of the type and some text is there."""
    checked = check_column(text, Column(**settings), form)
    return checked.broken is None and checked.values.null_count < len(checked.values)


class _Kind(NamedTuple):
    """What the values of a column are: what the contract says, the role, and what to check."""

    settings: dict[str, Any]
    role: Role
    check: Sequence[str] = ()


def _type(text: pa.DictionaryArray, given: pa.Array, markers: list[str], form: FileFormat) -> _Kind:
    """The first kind that all values are of."""
    missing = {"missing": markers} if markers else {}
    plain: dict[str, Any] = {"type": "string"}
    distinct = given.unique()
    if _small_letters(distinct) - {marker.lower() for marker in markers} in WORDS:
        return _Kind({"type": "boolean", **missing}, "boolean")
    rest = _without(distinct, markers)
    if not len(rest):
        return _Kind({**plain, **missing}, "empty")
    some = rest.slice(0, 10_000).to_pylist()
    if any(map(_is_code, some)):
        return _Kind(plain, "category", ["has numbers that begin with 0 or have too many digits, so it is a text"])
    if kind := _number(text, rest, missing, form) or _moment(text, rest, missing, form):
        return kind
    if all(map(AMOUNT.fullmatch, some)):
        sign = "is a text in the contract, for it has a percent or currency sign; features.sql cuts it off"
        return _Kind(plain, "amount", [sign])
    return _Kind(plain, "category")


def _is_code(text: str) -> bool:
    return bool(CODE.fullmatch(text) or (DIGITS.fullmatch(text) and abs(float(text)) >= 2.0**53))


def _small_letters(distinct: pa.Array) -> set[str]:
    """The values in small letters; none where there are more than two words and the signs for 'no value' can be."""
    return {value.lower() for value in distinct.to_pylist()} if len(distinct) <= 10 else set()


def _number(text: pa.DictionaryArray, rest: pa.Array, missing: dict[str, Any], form: FileFormat) -> _Kind | None:
    # before the numbers, for which such a date would be taken as well
    eight = {"type": "date", "format": "%Y%m%d", **missing}
    if pc.all(pc.match_substring_regex(rest, r"^(?:19|20)\d{6}$")).as_py() and _fits(text, eight, form):
        return _Kind(eight, "date", ["numbers of eight digits are read as dates"])
    whole = not pc.any(pc.match_substring(rest, form.decimal)).as_py()
    for kind in ("integer", "number") if whole else ("number",):
        if _fits(text, {"type": kind, **missing}, form):
            return _Kind({"type": kind, **missing}, "number")
    return None


def _moment(text: pa.DictionaryArray, rest: pa.Array, missing: dict[str, Any], form: FileFormat) -> _Kind | None:
    # every date has a day and a year: of thousands of columns most have not, and each way to write it would be tried
    if not pc.all(pc.match_substring_regex(rest, r"\d.*\d.*\d")).as_py():
        return None
    some = rest.slice(0, 50).dictionary_encode()
    wide = {"min": dt.date.min, "max": dt.date.max}
    kinds: tuple[tuple[Literal["date", "timestamp"], tuple[str, ...]], ...] = (("date", DATES), ("timestamp", MOMENTS))
    for kind, formats in kinds:
        # most formats fall away on fifty values, so that few are tried on all
        likely = [strptime for strptime in formats if _fits(some, {"type": kind, "format": strptime, **wide}, form)]
        fitting = [each for each in likely if _fits(text, {"type": kind, "format": each, **wide, **missing}, form)]
        if fitting:
            check = [f"fits {fitting[0]} and {fitting[1]}; the first was taken"] if len(fitting) > 1 else []
            settings = {"type": kind, "format": fitting[0], **missing}
            range_of, remarks = _range(rest, settings, form)
            return _Kind({**settings, **range_of}, kind, [*check, *remarks])
    return None


def _range(rest: pa.Array, settings: dict[str, Any], form: FileFormat) -> tuple[dict[str, Any], list[str]]:
    """What a contract says of dates beyond those that are taken for one: the first and last ones stand for no value."""
    dates = check_column(rest.dictionary_encode(), Column(**settings), form).values.cast(pa.date32(), safe=False)
    years = [date.year for date in dates.to_pylist()]
    never = [text for text, year in zip(rest.to_pylist(), years, strict=True) if year in (dt.MINYEAR, dt.MAXYEAR)]
    if len(never) < len(years):
        years = [year for year in years if year not in (dt.MINYEAR, dt.MAXYEAR)]
    else:
        never = []
    missing = sorted({*settings.get("missing", ()), *never})
    first, last = min(years), max(years)
    found = {
        **({"missing": missing} if missing else {}),
        **({"min": dt.date(max(1, first // 100 * 100), 1, 1)} if first < SENSIBLE[0].year else {}),
        **({"max": dt.date(min(dt.MAXYEAR, last // 100 * 100 + 99), 12, 31)} if last > SENSIBLE[1].year else {}),
    }
    return found, [f"has {', '.join(never[:3])}, which are taken for no value"] if never else []


def _seen(checked: Checked, role: Role, distinct: int) -> tuple[str, dict[str, Any]]:
    """What to say of the values, and bounds that leave room for tomorrow's."""
    if role not in ("number", "date", "timestamp") or checked.values.null_count == len(checked.values):
        return {"empty": "Always empty.", "constant": "Always the same."}.get(role, f"{distinct} values."), {}
    least, most = pc.min_max(checked.values).as_py().values()
    if role != "number":
        return f"From {least} to {most}.", {}
    return f"From {least:g} to {most:g}.", _bounds(least, most)


def _bounds(least: float, most: float) -> dict[str, float]:
    """Bounds ten times wider than what was seen; none where they would be no finite numbers."""
    span = most - least or abs(most) or 1
    low = 0.0 if least >= 0 else -_round_up(10 * span - least)
    high = _round_up(most + 10 * span)
    if not math.isfinite(low) or not math.isfinite(high):
        return {}
    return {"min": _whole(low), "max": _whole(high)}


def _whole(bound: float) -> float:
    # beyond these digits a float skips whole numbers, and its long form would promise too much
    return int(bound) if bound.is_integer() and abs(bound) < 1e15 else bound


def _round_up(number: float) -> float:
    """The next number of one digit that is not smaller."""
    if number <= 0 or not math.isfinite(number):
        return max(number, 0.0)
    size = 10.0 ** math.floor(math.log10(number))
    return float(f"{math.ceil(number / size) * size:.1g}")
