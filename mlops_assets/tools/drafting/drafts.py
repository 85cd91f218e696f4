"""In: a table and the name of its label. Out: the folder of a use case that reads it, written whole or not at all."""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import UsageError
from mlops_assets.journey.features.sql import describe
from mlops_assets.journey.read.contract import check_column
from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.read.readers.pack import Pack
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.journey.train.candidates import check_columns
from mlops_assets.journey.train.training_set import LEAST_ROWS
from mlops_assets.tools.drafting.columns import (
    Guess,
    as_text,
    guess_column,
    guess_numbers,
    names_key,
    names_who,
    sql_names,
)
from mlops_assets.tools.drafting.dialect import Dialect, guess_dialect, read_sample
from mlops_assets.tools.drafting.writing import HELD_OUT, Plan, write_sql, write_yaml
from mlops_assets.use_case import Candidate, Column, FileFormat, Training, UseCase, load_use_case

LISTED_CLASSES = 20
"""Most classes that the contract lists as the only ones."""

MOST_CLASSES = 100
"""A label with more values than this is refused."""


@dataclass(frozen=True)
class Draft:
    """The folder of a new use case, and what was guessed for it.

    Attributes
    ----------
    folder
        Where `defs.yaml` and `features.sql` lie.
    use_case
        The use case, as it was loaded again.
    columns
        The columns in their order.
    checks
        What to look at by hand.
    lines, rows
        Lines of the table that were looked at, and those of them that the contract takes.
    rejects
        Lines that it does not take, by rule.
    whole
        Whether the whole table was looked at.
    """

    folder: Path
    use_case: UseCase
    columns: list[Guess]
    checks: list[str]
    lines: int
    rows: int
    rejects: dict[str, int]
    whole: bool


def draft_use_case(name: str, table: Path, label: str, into: Path, account: str | None, today: dt.date) -> Draft:
    """Look at a table and write the folder of a use case for it.

    Parameters
    ----------
    name
        Name of the use case.
    table
        A CSV file.
    label
        The column to predict: its name in the header, or its number where the table has no header.
    into
        Folder of use cases; made if it is missing.
    account
        The column that says whom a row is about; guessed if it is None.
    today
        From this day's year on there are days to predict, unless the table has dates.

    Raises
    ------
    UsageError
        If the name cannot be used or is taken, the table cannot be read, or the label is no classification.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UsageError(f"{name!r} is no name for a use case: small letters, digits and _, with a letter first.")
    folder = into / name
    if folder.exists():
        raise UsageError(f"{folder}: it is there already and stays as it is; choose another name.")
    data, whole = read_sample(table)
    dialect = guess_dialect(data, label, table)
    names = sql_names(dialect.names)
    target = names[_place(dialect, label, table, "label")]
    pack, form = _read(dialect, names, target, data, table)
    guesses = {
        column: guess_column(column, source, pack.columns[column], form)
        for column, source in zip(names, dialect.names, strict=True)
    }
    guesses[target] = as_text(guesses[target], pack.columns[target])
    _judge_label(guesses[target], pack.columns[target], table, whole=whole)
    chosen = names[_place(dialect, account, table, "account")] if account else _account(guesses, target)
    plan = _plan(name, table, guesses, target, chosen, pack, dialect, form, today)
    checks = _checks(plan, guesses, dialect, pack, whole=whole, given=account is not None)
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into, prefix=".new-") as place:
        made = Path(place) / name
        made.mkdir()
        (made / "defs.yaml").write_text(write_yaml(plan, checks), encoding="utf-8")
        (made / "features.sql").write_text(write_sql(plan), encoding="utf-8")
        use_case = load_use_case(made)
        check_columns(use_case, describe(use_case).model)
        pack = CsvReader(use_case).read([data])
        rows, refusals = check_rows(use_case, [table.name], pack)
        made.rename(folder)  # another one of that name, made meanwhile, is not replaced
    rejects = Counter(refusal.rule for refusal in (*pack.refusals, *refusals))
    lines = rows.num_rows + sum(rejects.values())
    return Draft(folder, use_case, list(guesses.values()), checks, lines, rows.num_rows, dict(rejects), whole)


def _place(dialect: Dialect, column: str, table: Path, option: str) -> int:
    """The place of a column that was named or numbered.

    Raises
    ------
    UsageError
        If there is none.
    """
    if column.strip() in dialect.names:
        return dialect.names.index(column.strip())
    number = int(column) if column.isascii() and column.isdigit() else 0
    if dialect.header != "names" and 0 < number <= len(dialect.names):
        return number - 1
    why = f"{dialect.why}, so columns are named by their place: " if dialect.why else "it has "
    shown = ", ".join(dialect.names[:40]) + (", ..." if len(dialect.names) > 40 else "")
    raise UsageError(f"--{option} {column}: {table} has no such column; {why}{shown}.")


def _read(dialect: Dialect, names: list[str], label: str, data: bytes, table: Path) -> tuple[Pack, FileFormat]:
    """The text of every column, as the daily run will read it, and how the table is written."""
    form = FileFormat(
        delimiter=dialect.delimiter, encoding=dialect.encoding, quotes=dialect.quotes, header=dialect.header,
        suffix=table.suffix or ".csv",
    )  # fmt: skip
    text = {
        name: Column.model_validate({"type": "string", "from": source})
        for name, source in zip(names, dialect.names, strict=True)
    }
    nothing = Training(baseline="none", candidates={"none": Candidate(use="sklearn.dummy.DummyClassifier")})
    reading = UseCase(
        name="draft",
        description="",
        start=dt.date.min,
        files=form,
        columns=text,
        account=names[0],
        label=label,
        training=nothing,
        features_sql="",
    )
    pack = CsvReader(reading).read([data])
    whole = next((refusal for refusal in pack.refusals if refusal.line is None), None)
    if whole:
        raise UsageError(f"{table}: {whole.message}.")
    numbers = guess_numbers(pack.columns.values())
    largest = form.largest
    while largest < table.stat().st_size:
        largest *= 2
    return pack, form.model_copy(
        update={"decimal": numbers.decimal, "thousands": numbers.thousands, "largest": largest}
    )


def _judge_label(label: Guess, text: pa.DictionaryArray, table: Path, *, whole: bool) -> None:
    """See that the label can be classified, and name its classes.

    Raises
    ------
    UsageError
        If it has one value, or so many that it is a number to be estimated, or a text.
    """
    shown = f"{table}: the label {label.source or label.name!r}"
    if label.distinct < 2:
        raise UsageError(f"{shown} has {label.distinct} values in {label.rows} rows; there must be two to tell apart.")
    number = guess_numbers([text])
    numeric = check_column(text, Column(type="number", missing=tuple(label.settings.get("missing", ()))), number)
    many = label.distinct > MOST_CLASSES or label.distinct > max(2, label.rows / 5)
    values = numeric.values.drop_null()
    broken = not pc.all(pc.equal(pc.floor(values), values)).as_py() and label.distinct > 10
    if numeric.broken is None and (many or broken or label.distinct > 50):
        raise UsageError(
            f"{shown} is a number with {label.distinct:,} values in {label.rows:,} rows. To estimate a number is "
            "regression, and the platform predicts classes: make a column of classes of it, such as low, middle and "
            "high, or name another label."
        )
    if many:
        raise UsageError(
            f"{shown} has {label.distinct:,} values in {label.rows:,} rows: too many to learn. Is it the right one?"
        )
    if whole and label.distinct <= LISTED_CLASSES:
        values = pc.utf8_trim_whitespace(text.dictionary).unique()
        missing = {"", *label.settings.get("missing", ())}
        label.settings["allowed"] = sorted(value for value in values.to_pylist() if value not in missing)
    label.about = "What is predicted; empty in files to be scored."
    label.role = "category"


def _account(guesses: dict[str, Guess], label: str) -> str:
    """The column that most looks like whom a row is about: a customer with several rows, a key, or any other one."""
    others = [one for name, one in guesses.items() if name != label and one.role != "empty"]
    if not others:
        raise UsageError("There is no column beside the label that has a value; a model needs some.")

    def like(one: Guess) -> tuple[bool, ...]:
        # a spreadsheet makes numbers of long ids
        possible = one.settings["type"] in ("string", "integer") or "id" in one.name.split("_")
        who, key = names_who(one.name) and possible, names_key(one.name) and possible
        repeats, once = one.distinct < one.rows / 2, one.distinct == one.rows
        return (
            who and key and repeats,
            key and repeats and "id" in one.name.split("_"),
            who and repeats,
            who and once,
            key and once,
            one.source == "",
            once and one.role == "text",
        )

    return max(others, key=like).name


def _plan(
    name: str,
    table: Path,
    guesses: dict[str, Guess],
    label: str,
    account: str,
    pack: Pack,
    dialect: Dialect,
    form: FileFormat,
    today: dt.date,
) -> Plan:
    """Settle what each column is for, how rows are held out, and whether files are worth aggregating."""
    if account == label:
        raise UsageError("The label cannot be the account, too; name another column with --account.")
    who = guesses[account]
    keyed = (
        names_who(account)
        or names_key(account)
        or who.source == ""
        or (who.role == "text" and who.distinct == who.rows)
    )
    if keyed or who.role == "text":
        who = guesses[account] = as_text(who, pack.columns[account])
        who.role = "id"
    if who.empty == 0:
        who.settings["required"] = True
    for one in guesses.values():
        if one.name not in (label, account) and {"id", "uuid", "guid"} & set(one.name.split("_")):
            guesses[one.name] = again = as_text(one, pack.columns[one.name])
            again.role = "id" if again.distinct > max(20, again.rows / 5) else "category"
    date = _date(guesses, label, pack, form)
    grouped = who.distinct * 2 <= who.rows
    spans = pc.min_max(_dates_of(guesses[date], pack, form)).as_py() if date else None
    days = (spans["max"] - spans["min"]).days if spans else 0
    aggregates = bool(date and grouped and keyed and who.distinct * 5 <= who.rows)
    moving = [one for one in guesses if aggregates and guesses[one].role == "number" and _moves(pack, account, one)]
    start = dt.date(today.year, 1, 1)
    if aggregates and spans:
        start = (spans["min"].replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    split = "time" if date else "account" if grouped and keyed else "random"
    classes = tuple(Counter(one for one in _labels(guesses[label], pack).to_pylist() if one is not None).values())
    return Plan(
        name, table.name, guesses, label, account, classes, dialect, form, date, split, days, aggregates, moving, start
    )


def _moves(pack: Pack, account: str, column: str) -> bool:
    """Whether the values of a column differ within an account."""
    keys = [pack.columns[name].indices.to_numpy().astype(np.int64) for name in (account, column)]
    return len(np.unique(keys[0] << 32 | keys[1])) >= 2 * len(np.unique(keys[0]))


def _date(guesses: dict[str, Guess], label: str, pack: Pack, form: FileFormat) -> str | None:
    """The date by which rows can be parted into earlier ones to learn from and later ones to be judged by."""
    dates = [one.name for one in guesses.values() if one.settings["type"] == "date" and one.distinct >= 5]
    dates = [name for name in dates if not re.search("birth|born|dob|nasc|geb", name) and guesses[name].empty < 0.1]
    dates.sort(key=lambda name: not re.search("date|day|data|datum|fecha", name))
    truth = _labels(guesses[label], pack)
    for name in dates:
        when = _dates_of(guesses[name], pack, form).cast(pa.int32()).fill_null(0).to_numpy()
        boundary = np.sort(when)[int(len(when) * (1 - HELD_OUT))]
        earlier = truth.filter(pa.array(when < boundary))
        if len(earlier.drop_null().unique()) >= 2 and len(earlier) >= len(when) / 2:
            return name
    return None


def _labels(label: Guess, pack: Pack) -> pa.Array:
    return check_column(pack.columns[label.name], Column(**label.settings), FileFormat()).values.cast(pa.string())


def _dates_of(guess: Guess, pack: Pack, form: FileFormat) -> pa.Array:
    return check_column(pack.columns[guess.name], Column(**guess.settings), form).values


def _checks(
    plan: Plan, guesses: dict[str, Guess], dialect: Dialect, pack: Pack, *, whole: bool, given: bool
) -> list[str]:
    """What a person should look at."""
    found = []
    if dialect.header != "names":
        found.append(
            f"{dialect.why}: columns are taken by their place, so files must have the same ones in the same order; "
            "give them better names"
        )
    if dialect.encoding != "utf-8":
        found.append(f"the encoding {dialect.encoding} is a guess: look at the letters with accents")
    if not whole:
        found.append("only the beginning of the file was looked at; later lines may hold something else")
    who = guesses[plan.account]
    if not given:
        less = "" if who.role == "id" else ", though it does not look like a key"
        found.append(
            f"{plan.account} was taken for the account, whom a row is about{less}; --account names another one"
        )
    if plan.date:
        found.append(f"rows are held out by time, the latest by {plan.date}: is that known when a row is scored?")
    for one in guesses.values():
        found += [f"{one.name} {text}" for text in one.check]
        if one.role == "text":
            found.append(f"{one.name} has another text in almost every row and is left out of features.sql")
    if guesses[plan.label].empty:
        found.append(f"{guesses[plan.label].empty:.1%} of the rows have no label and are not learned from")
    if len(pack.file) < 2 * LEAST_ROWS:
        found.append(f"{len(pack.file)} rows are few: training needs {LEAST_ROWS} with a label, and trusts hundreds")
    found.append("could a column be known only after the label is? Then take it out of features.sql")
    return found
