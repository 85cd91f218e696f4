"""In: the path of a table, and what a person says of it. Out: its columns, each guessed, the label and the account."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa

from mlops_assets.errors import UsageError
from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.read.readers.pack import Pack, Refusal
from mlops_assets.journey.read.readers.text import UTF8_BOM
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.tools.drafting.columns import guess_column, guess_numbers, sql_names
from mlops_assets.tools.drafting.dialect import Asked, Dialect, guess_dialect, guess_encoding
from mlops_assets.tools.drafting.planning import Table, guess_account, settle_columns, settle_label
from mlops_assets.tools.tables.files import MOST_UNPACKED, sentence
from mlops_assets.tools.tables.samples import Sample
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
    sample
        What was looked at.
    decided
        What was decided of the first line, and which column is the label.
    remarks
        What to tell of how the files differ.
    """

    table: Table
    account: str
    sample: Sample
    decided: str
    remarks: list[str] = field(default_factory=list)


def read_table(sample: Sample, label: str | None, account: str | None, header: Asked = "auto") -> Read:
    """Look at a table.

    Parameters
    ----------
    sample
        Its first records.
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
    path = sample.path
    if sample.names is None:
        dialect = guess_dialect(sample.contents[0], label or "", path, header)
        # the first of several may have no letter by which to tell
        dialect = replace(dialect, encoding=guess_encoding(sample.contents))
    elif header != "auto":
        raise UsageError(f"--header {header}: records of {sample.files['format']} have names, and no first line.")
    else:
        dialect = Dialect("utf-8", ",", quotes=True, header="names", names=sample.names)
    names = sql_names(dialect.names)
    place = None if label is None else _column_number(dialect, label, path, "label")
    table = _read(dialect, names, "" if place is None else names[place], sample)
    if place is not None:
        settle_label(table, whole=sample.whole)
    chosen = names[_column_number(dialect, account, path, "account")] if account else guess_account(table)
    decided = _decided(dialect, place, header, records=sample.names is not None)
    return Read(table, chosen, sample, decided, _further(dialect, sample) if sample.names is None else [])


def _further(dialect: Dialect, sample: Sample) -> list[str]:
    """The columns that other files have and the first one has not: they are left out, which is told."""
    found: dict[str, list[str]] = {}
    for path, data in zip(sample.paths[1:], sample.contents[1:], strict=False):
        if dialect.header == "names":
            line = data.removeprefix(UTF8_BOM).decode(dialect.encoding, "replace")
            quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if dialect.quotes else csv.QUOTE_NONE
            cells = next(csv.reader(io.StringIO(line), delimiter=dialect.delimiter, quoting=quoting), [])
            for cell in {cell.strip() for cell in cells} - {*dialect.names, ""}:
                found.setdefault(cell, []).append(path.name)
    first = sample.paths[0].name
    return [
        f"{name!r} of {files[0]}{f' and {len(files) - 1} more' if len(files) > 1 else ''} is left out, for {first} has "
        "no such column: name a file with it first, and only files that have it"
        for name, files in sorted(found.items())[:5]
    ]


def take_rows(use_case: UseCase, read: Read) -> tuple[pa.Table, dict[str, int]]:
    """The rows of a table that a contract takes, and how many lines it does not take, by rule."""
    names = [path.name for path in read.sample.paths]
    pack = open_reader(unpacked(use_case)).read(read.sample.contents, names)
    rows, refusals = check_rows(use_case, names, pack)
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


def unpacked(use_case: UseCase) -> UseCase:
    """A use case as it reads what was unpacked, or is a part of a file."""
    files = use_case.files.model_copy(update={"compression": "none", "largest": MOST_UNPACKED})
    return use_case.model_copy(update={"files": files})


def _decided(dialect: Dialect, label: int | None, asked: Asked, *, records: bool) -> str:
    """What was decided of the first line, and which column is the label."""
    columns, named = len(dialect.names), dialect.header == "names"
    said = f"there are {columns} columns"
    if label is not None:
        name = f" {dialect.names[label]!r}" if named else ""
        said = f"the label{name} is column {label + 1} of {columns}"
    otherwise = {"none": "yes", "names": "no"}.get(dialect.header)
    if records:
        return f"Records have names; {said}."
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


def _read(dialect: Dialect, names: list[str], label: str, sample: Sample) -> Table:
    """The table with the text of every column, as the daily run will read it, and a first guess of each."""
    path = sample.path
    lines = {
        "delimiter": dialect.delimiter, "encoding": dialect.encoding, "quotes": dialect.quotes, "header": dialect.header
    }  # fmt: skip
    form = FileFormat.model_validate({**(lines if sample.names is None else {}), **sample.files})
    sources = dict(zip(names, dialect.names, strict=True))
    pack, whole = _try(form, sources, label, sample)
    if whole and whole[0].rule == "quote":
        form = form.model_copy(update={"line_breaks_in_fields": True})
        pack, whole = _try(form, sources, label, sample)
    if whole:
        raise UsageError(_differing(sample, whole))
    numbers = guess_numbers(pack.columns.values())
    largest = form.largest
    while largest < sample.size:  # as a whole it may become one raw file
        largest *= 2
    written = {key: getattr(numbers, key) for key in ("decimal", "thousands", "negative")}
    form = form.model_copy(update={**written, "largest": largest})
    columns = {name: guess_column(name, source, pack.columns[name], form) for name, source in sources.items()}
    return Table(path, dialect, form, pack, columns, label)


def _differing(sample: Sample, whole: list[Refusal]) -> str:
    """Which tables are not like the first one, or what is wrong with the only one."""
    told = [f"{sample.paths[refusal.file]}: {sentence(refusal.message)}" for refusal in whole]
    if len(sample.paths) == 1 or whole[0].file == 0:
        return told[0]
    more = f"\n  and {len(told) - 10} more" if len(told) > 10 else ""
    listed = "\n  ".join(told[:10])
    return f"{len(told)} of {len(sample.paths)} files are not like {sample.paths[0]}; leave them out:\n  {listed}{more}"


def _try(form: FileFormat, sources: dict[str, str], label: str, sample: Sample) -> tuple[Pack, list[Refusal]]:
    """The text of a table, and why it, or which of several, is refused as a whole."""
    text = {name: Column.model_validate({"type": "string", "from": source}) for name, source in sources.items()}
    first = next(iter(text))
    use_case = unpacked(_reading(form, text, label or first, first))
    pack = open_reader(use_case).read(sample.contents, [path.name for path in sample.paths])
    whole = [refusal for refusal in pack.refusals if refusal.line is None]
    return pack, sorted(whole, key=lambda refusal: refusal.file)


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
