"""In: the path of a table, and what a person says of it. Out: its columns, each guessed, the label and the account."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mlops_assets.errors import UsageError
from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.read.readers.pack import Pack, Refusal
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.tools.drafting.columns import guess_column, guess_numbers, sql_names
from mlops_assets.tools.drafting.dialect import Asked, Dialect, guess_dialect, read_sample
from mlops_assets.tools.drafting.planning import Table, guess_account, settle_columns, settle_label
from mlops_assets.use_case import Candidate, Column, FileFormat, Training, UseCase
from mlops_assets.use_case.attributes import NUMBERS
from mlops_assets.use_case.strict import Task


@dataclass(frozen=True)
class Read:
    """A table whose label and account are found.

    Attributes
    ----------
    table
        The table; its label is empty where none was named.
    account
        Column that says whom a row is about.
    data
        The bytes that were looked at.
    whole
        Whether they are the whole table.
    decided
        What was decided of the first line, and which column is the label.
    """

    table: Table
    account: str
    data: bytes
    whole: bool
    decided: str


def read_table(path: Path, label: str | None, account: str | None, header: Asked = "auto") -> Read:
    """Look at a table.

    Parameters
    ----------
    path
        A CSV file.
    label
        The column to predict: its name in the header, or its number where the table has no header. Without one nothing
        is said of it.
    account
        The column that says whom a row is about; guessed if it is None.
    header
        Whether the first line names the columns; looked at if it is not said.

    Raises
    ------
    UsageError
        If the table cannot be read, or the label is no classification.
    """
    data, whole = read_sample(path)
    dialect = guess_dialect(data, label or "", path, header)
    names = sql_names(dialect.names)
    place = None if label is None else _column_number(dialect, label, path, "label")
    table = _read(dialect, names, "" if place is None else names[place], data, path)
    if place is not None:
        settle_label(table, whole=whole)
    chosen = names[_column_number(dialect, account, path, "account")] if account else guess_account(table)
    return Read(table, chosen, data, whole, _decided(dialect, place, header))


def take_rows(use_case: UseCase, read: Read) -> tuple[pa.Table, dict[str, int]]:
    """The rows of a table that a contract takes, and how many lines it does not take, by rule."""
    pack = CsvReader(use_case).read([read.data])
    rows, refusals = check_rows(use_case, [read.table.path.name], pack)
    return rows, dict(Counter(refusal.rule for refusal in (*pack.refusals, *refusals)))


def contract_of(read: Read) -> UseCase:
    """The contract that `new` would write for a table: a use case of which all but the contract says nothing."""
    table = read.table
    settle_columns(table, read.account)
    columns = {
        name: Column.model_validate({**guess.settings, "from": guess.source, "about": guess.about})
        for name, guess in table.columns.items()
    }
    return _reading(table.files, columns, table.label or read.account, read.account)


def _decided(dialect: Dialect, label: int | None, asked: Asked) -> str:
    """What was decided of the first line, and which column is the label."""
    columns, named = len(dialect.names), dialect.header == "names"
    said = f"there are {columns} columns"
    if label is not None:
        name = f" {dialect.names[label]!r}" if named else ""
        said = f"the label{name} is column {label + 1} of {columns}"
    otherwise = {"none": "yes", "names": "no"}.get(dialect.header)
    hint = f" (--header {otherwise} says otherwise)" if otherwise and asked == "auto" else ""
    if named:
        return f"The first line names the columns{hint}; {said}."
    what = {"none": "There is no header", "ignored": "The first line is passed over"}[dialect.header]
    return f"{what}: {dialect.why}{hint}; {said}."


def _column_number(dialect: Dialect, column: str, table: Path, option: str) -> int:
    """Which column was named or numbered, 0 for the first.

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
    raise _no_column(dialect, column, table, option)


def _no_column(dialect: Dialect, column: str, table: Path, option: str) -> UsageError:
    why = f"{dialect.why}, so columns are named by their place: " if dialect.why else "it has "
    shown = ", ".join(dialect.names[:40]) + (", ..." if len(dialect.names) > 40 else "")
    hint = " --header yes says that the first line names them." if dialect.header == "none" else ""
    return UsageError(f"--{option} {column}: {table} has no such column; {why}{shown}.{hint}")


def _read(dialect: Dialect, names: list[str], label: str, data: bytes, path: Path) -> Table:
    """The table with the text of every column, as the daily run will read it, and a first guess of each."""
    form = FileFormat(
        delimiter=dialect.delimiter, encoding=dialect.encoding, quotes=dialect.quotes, header=dialect.header,
        suffix=path.suffix or ".csv",
    )  # fmt: skip
    sources = dict(zip(names, dialect.names, strict=True))
    pack, whole = _try(form, sources, label, data)
    if whole and whole.rule == "quote":
        form = form.model_copy(update={"line_breaks_in_fields": True})
        pack, whole = _try(form, sources, label, data)
    if whole:
        raise UsageError(f"{path}: {whole.message}.")
    numbers = guess_numbers(pack.columns.values())
    largest = form.largest
    while largest < path.stat().st_size:  # as a whole it may become one raw file
        largest *= 2
    written = {key: getattr(numbers, key) for key in ("decimal", "thousands", "negative")}
    form = form.model_copy(update={**written, "largest": largest})
    columns = {name: guess_column(name, source, pack.columns[name], form) for name, source in sources.items()}
    return Table(path, dialect, form, pack, columns, label)


def _try(form: FileFormat, sources: dict[str, str], label: str, data: bytes) -> tuple[Pack, Refusal | None]:
    """The text of a table, and why it is refused as a whole."""
    text = {name: Column.model_validate({"type": "string", "from": source}) for name, source in sources.items()}
    first = next(iter(text))
    pack = CsvReader(_reading(form, text, label or first, first)).read([data])
    return pack, next((refusal for refusal in pack.refusals if refusal.line is None), None)


def _reading(form: FileFormat, columns: Mapping[str, Column], label: str, account: str) -> UseCase:
    """A use case that reads these columns; a reader wants one, and the rest of it is not looked at."""
    task: Task = "regression" if columns[label].type in NUMBERS else "classification"
    kind = "Regressor" if task == "regression" else "Classifier"
    nothing = Training(task=task, baseline="none", candidates={"none": Candidate(use=f"sklearn.dummy.Dummy{kind}")})
    return UseCase(
        name="draft",
        description="",
        start=dt.date.min,
        files=form,
        columns=dict(columns),
        account=account,
        label=label,
        training=nothing,
        features_sql="",
    )
