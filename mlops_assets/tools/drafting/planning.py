"""In: what was guessed of each column of a table. Out: what each column is for, and how a model is to be trained."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import UsageError
from mlops_assets.journey.features.matrix import LARGEST
from mlops_assets.journey.read.contract import Checked, check_column
from mlops_assets.journey.read.readers.pack import Pack
from mlops_assets.tools.drafting.columns import Guess, as_text, guess_numbers, markers_of, names_key, names_who
from mlops_assets.tools.drafting.dates import BIRTH
from mlops_assets.tools.drafting.dialect import Dialect
from mlops_assets.tools.drafting.writing import HELD_OUT, Plan
from mlops_assets.use_case import Column, FileFormat
from mlops_assets.use_case.attributes import NUMBERS

LISTED_CLASSES = 20
"""Most classes that the contract lists as the only ones."""

MOST_CLASSES = 100
"""A label with more values than this is refused."""

ABOUT = "What is predicted; empty in files to be scored."

IDS = frozenset({"id", "uuid", "guid"})
WHEN = re.compile("date|day|data|datum|fecha")
"""Words in the name of a date that says when a row came to be."""


@dataclass(frozen=True)
class Table:
    """A table as it was read, with what its columns are taken for so far.

    Attributes
    ----------
    path
        The file.
    dialect, files
        How it is written.
    pack
        The text of its columns.
    columns
        The columns in their order; they are settled step by step.
    label
        Name of the column to predict.
    """

    path: Path
    dialect: Dialect
    files: FileFormat
    pack: Pack
    columns: dict[str, Guess]
    label: str

    def values(self, name: str) -> pa.Array:
        """The values of a column as the contract reads it."""
        return check_column(self.pack.columns[name], Column(**self.columns[name].settings), self.files).values

    def read_as_text(self, name: str) -> Guess:
        """Take a column for a text from now on."""
        self.columns[name] = guess = as_text(self.columns[name], self.pack.columns[name])
        return guess


def settle_label(table: Table, *, whole: bool) -> None:
    """See that the label can be learned: name its classes, or leave it a number.

    Parameters
    ----------
    table
        The table.
    whole
        Whether all of it was read, so that all classes were seen.

    Raises
    ------
    UsageError
        If it has one value, so many texts that they are no classes, or larger numbers than a model takes.
    """
    guess = table.columns[table.label]
    label = table.read_as_text(table.label)
    shown = f"{table.path}: the label {label.source or label.name!r}"
    if label.distinct < 2:
        raise UsageError(f"{shown} has {label.distinct} values in {label.rows} rows; there must be two to tell apart.")
    text = table.pack.columns[table.label]
    many = label.distinct > min(MOST_CLASSES, max(2, label.rows / 5))
    if _is_measured(label, text, many=many):
        if guess.settings["type"] not in NUMBERS:
            raise UsageError(
                f"{shown} is a number with {label.distinct:,} values, but not written as the other numbers of the "
                "table are: write it so, without signs around it."
            )
        table.columns[table.label] = replace(guess, role="number", about=f"{ABOUT} {guess.about}")
        most = pc.max(pc.abs(table.values(table.label))).as_py()
        if most > LARGEST:
            raise UsageError(f"{shown} goes up to {most:g}, and models reckon up to {LARGEST:.1g}: use a larger unit.")
        return
    if many:
        raise UsageError(
            f"{shown} has {label.distinct:,} values in {label.rows:,} rows: too many to learn as classes, and as a "
            f"number it cannot be learned, for {_no_number(guess, text)}. Is it the right one?"
        )
    # lines that were not looked at may have further classes
    if whole and label.distinct <= LISTED_CLASSES:
        label.settings["allowed"] = _classes(label, text)
    label.about = ABOUT
    label.role = "category"


def _is_measured(label: Guess, text: pa.DictionaryArray, *, many: bool) -> bool:
    """Whether a label is a quantity: numbers, and more of them, or finer ones, than classes would have."""
    checked = _as_numbers(text)
    if checked.broken is not None:
        return False
    values = checked.values.drop_null()
    fractions = not pc.all(pc.equal(pc.floor(values), values)).as_py()
    return many or label.distinct > (10 if fractions else 50)


def _as_numbers(text: pa.DictionaryArray) -> Checked:
    """Texts as numbers: what stands for no value among numbers, such as `-` and `inf`, is none here."""
    return check_column(text, Column(type="number", missing=tuple(markers_of(text))), guess_numbers([text]))


def _no_number(guess: Guess, text: pa.DictionaryArray) -> str:
    """Why a label is no number, in words."""
    if guess.role in ("date", "timestamp"):
        return "it is a date: make a column of how many days it is from another one"
    checked = _as_numbers(text)
    wrong = np.flatnonzero(checked.broken) if checked.broken is not None else np.zeros(0, np.int64)
    if not len(wrong):
        return "it is none"
    return f"{len(wrong):,} rows are none, the first of them {text[int(wrong[0])].as_py()!r:.60}"


def _classes(label: Guess, text: pa.DictionaryArray) -> list[str]:
    missing = {"", *label.settings.get("missing", ())}
    values = pc.utf8_trim_whitespace(text.dictionary).unique().to_pylist()
    return sorted(value for value in values if value not in missing)


def guess_account(table: Table) -> str:
    """The column that most looks like whom a row is about: a customer with several rows, a key, or any other one.

    Raises
    ------
    UsageError
        If there is no column with values beside the label.
    """
    others = [guess for name, guess in table.columns.items() if name != table.label and guess.role != "empty"]
    if not others:
        raise UsageError("There is no column beside the label that has a value; a model needs some.")
    # the same in all rows, it says of none whom it is about
    return max([guess for guess in others if guess.role != "constant"] or others, key=_likeness).name


def _likeness(guess: Guess) -> tuple[bool, ...]:
    """The signs that a column says whom a row is about, the surest first."""
    is_id = "id" in guess.name.split("_")
    possible = is_id or guess.settings["type"] in ("string", "integer")  # a spreadsheet makes numbers of long ids
    who, key = possible and names_who(guess.name), possible and names_key(guess.name)
    repeats, once = guess.distinct < guess.rows / 2, guess.distinct == guess.rows
    signs = (
        (who, key, repeats),
        (key, is_id, repeats),
        (who, repeats),
        (who, once),
        (key, once),
        (guess.source == "",),  # pandas writes its index without a name
        (once, guess.role in ("text", "id")),
    )
    return tuple(map(all, signs))


def make_plan(name: str, table: Table, account: str, today: dt.date, *, from_database: bool = False) -> Plan:
    """Settle what each column is for, how rows are held out, and whether files are worth aggregating.

    Parameters
    ----------
    name
        Name of the use case.
    table
        The table, its label settled.
    account
        The column that says whom a row is about.
    today
        From this day's year on there are days to predict, unless files are cut by month; of a database, from this day.
    from_database
        Whether files will be landed of each day, and nothing is cut.

    Raises
    ------
    UsageError
        If the account is the label.
    """
    keyed = settle_columns(table, account)
    who = table.columns[account]
    date = _find_date(table)
    span = pc.min_max(table.values(date)).as_py() if date else None
    # a file of each account and month is made only where accounts come back often enough to have habits
    aggregates = span is not None and keyed and who.distinct * 5 <= who.rows and not from_database
    return Plan(
        name=name,
        table=table.path.name,
        columns=table.columns,
        label=table.label,
        account=account,
        rows=len(table.pack.file) - table.values(table.label).null_count,
        **_spread(table),
        dialect=table.dialect,
        files=table.files,
        date=date,
        split=_choose_split(date, accounts=keyed and who.distinct * 2 <= who.rows),
        days=(span["max"] - span["min"]).days if span else 0,
        aggregates=aggregates,
        moving=_moving(table, account) if aggregates else [],
        start=_start(span, today, cut=aggregates, from_database=from_database),
    )


def _start(span: dict[str, dt.date] | None, today: dt.date, *, cut: bool, from_database: bool) -> dt.date:
    """The first day that may be predicted: of files that are cut by month, of a database, or of this year."""
    if from_database:
        return today
    return _next_month(span["min"]) if span and cut else dt.date(today.year, 1, 1)


def _spread(table: Table) -> dict[str, Any]:
    """How the label is spread: rows of each class, or what its median misses."""
    if table.columns[table.label].settings["type"] not in NUMBERS:
        return {"classes": tuple(pc.value_counts(_labels(table).drop_null()).field("counts").to_pylist())}
    values = table.values(table.label).drop_null().cast(pa.float64()).to_numpy()
    missed = np.abs(values - np.median(values))
    return {"classes": (), "missed": (float(missed.mean()), float(missed.std()))}


def settle_columns(table: Table, account: str) -> bool:
    """Read the account and further ids as text, where they are keys; whether the account is one.

    Raises
    ------
    UsageError
        If the account is the label.
    """
    if account == table.label:
        raise UsageError("The label cannot be the account, too; name another column with --account.")
    keyed = _is_key(table.columns[account])
    _settle_account(table, account, keyed=keyed)
    _settle_ids(table, account)
    return keyed


def _is_key(guess: Guess) -> bool:
    named = names_who(guess.name) or names_key(guess.name) or guess.source == ""
    return named or (guess.role in ("text", "id") and guess.distinct == guess.rows)


def _settle_account(table: Table, account: str, *, keyed: bool) -> None:
    """Make an id of the account where it looks like one, and require it where no row lacks it."""
    who = table.columns[account]
    if keyed or who.role == "text":
        who = table.read_as_text(account)
        who.role = "id"
    if who.empty == 0:
        who.settings["required"] = True


def _settle_ids(table: Table, account: str) -> None:
    """Read other columns that are called ids as text: what counts is which one, not how large."""
    for name in table.columns:
        empty = table.columns[name].role == "empty"
        if name not in (table.label, account) and not empty and IDS & set(name.split("_")):
            guess = table.read_as_text(name)
            guess.role = "id" if guess.distinct > max(20, guess.rows / 5) else "category"


def _choose_split(date: str | None, *, accounts: bool) -> str:
    if date:
        return "time"
    return "account" if accounts else "random"


def _next_month(date: dt.date) -> dt.date:
    return (date.replace(day=1) + dt.timedelta(days=32)).replace(day=1)


def _moving(table: Table, account: str) -> list[str]:
    """The number columns whose values differ within an account."""
    numbers = [name for name, guess in table.columns.items() if guess.role == "number" and name != table.label]
    return [name for name in numbers if _moves(table.pack, account, name)]


def _moves(pack: Pack, account: str, column: str) -> bool:
    # dictionary indices instead of values: pairs of them fit into one integer, and are counted without a sort of texts
    who, what = (pack.columns[name].indices.to_numpy().astype(np.int64) for name in (account, column))
    return len(np.unique(who << 32 | what)) >= 2 * len(np.unique(who))


def _find_date(table: Table) -> str | None:
    """The date by which rows can be parted into earlier ones to learn from and later ones to be judged by."""
    dates = [guess for guess in table.columns.values() if guess.settings["type"] == "date" and guess.distinct >= 5]
    names = [guess.name for guess in dates if guess.empty < 0.1 and not BIRTH.search(guess.name)]
    # Python's sort keeps the order of equals: dates that are called so come first
    names.sort(key=lambda name: not WHEN.search(name))
    labels = _labels(table)
    return next((name for name in names if _parts_rows(table.values(name), labels)), None)


def _parts_rows(dates: pa.Array, labels: pa.Array) -> bool:
    """Whether there are rows enough, of two classes at least, before the date from which rows are held out."""
    when = dates.cast(pa.int32()).fill_null(0).to_numpy()
    boundary = np.sort(when)[int(len(when) * (1 - HELD_OUT))]
    earlier = labels.filter(pa.array(when < boundary))
    return len(earlier.drop_null().unique()) >= 2 and len(earlier) >= len(when) / 2


def _labels(table: Table) -> pa.Array:
    return table.values(table.label).cast(pa.string())
