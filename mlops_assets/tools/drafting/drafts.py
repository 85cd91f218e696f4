"""In: a table and the name of its label. Out: the folder of a use case that reads it, written whole or not at all."""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlops_assets.errors import UsageError
from mlops_assets.journey.features.sql import describe
from mlops_assets.journey.read.readers.pack import Pack
from mlops_assets.journey.train.columns import check_columns
from mlops_assets.journey.train.training_set import LEAST_ROWS
from mlops_assets.tools.drafting.columns import Guess
from mlops_assets.tools.drafting.dialect import Asked
from mlops_assets.tools.drafting.planning import make_plan
from mlops_assets.tools.drafting.reading import read_table, take_rows
from mlops_assets.tools.drafting.row_numbers import RUNNING
from mlops_assets.tools.drafting.told import tell_of_label
from mlops_assets.tools.drafting.writing import Plan, write_sql, write_yaml
from mlops_assets.tools.tables.samples import Sample, take_sample
from mlops_assets.use_case import UseCase, load_use_case

REFERENCE = re.compile(r"\{[{%](?:.{0,80}?[%}]\})?")
"""What is a reference in a configuration, or begins like one: a table must not name a variable, and get its value."""


@dataclass(frozen=True)
class Draft:
    """The folder of a new use case, and what was guessed for it.

    Attributes
    ----------
    folder
        Where `defs.yaml` and `features.sql` lie.
    use_case
        The use case, as it was loaded again.
    decided
        What was decided of the first line, and which column is the label.
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
    tables
        What was looked at.
    """

    folder: Path
    use_case: UseCase
    decided: str
    columns: list[Guess]
    checks: list[str]
    lines: int
    rows: int
    rejects: dict[str, int]
    whole: bool
    tables: tuple[Path, ...]


def draft_use_case(
    name: str,
    table: Path | Sequence[Path] | Sample,
    label: str,
    into: Path,
    account: str | None,
    today: dt.date,
    header: Asked = "auto",
    source: Callable[[Plan], dict[str, Any]] | None = None,
) -> Draft:
    """Look at a table and write the folder of a use case for it.

    Parameters
    ----------
    name
        Name of the use case.
    table
        A table, several ones or a folder of them; or what was looked at of them.
    label
        The column to predict: its name in the header, or its number where the table has no header.
    into
        Folder of use cases; made if it is missing.
    account
        The column that says whom a row is about; guessed if it is None.
    today
        From this day's year on there are days to predict, unless the table has dates.
    header
        Whether the first line names the columns; looked at if it is not said.
    source
        Makes what `source` of the use case says, where its rows come from a database.

    Raises
    ------
    UsageError
        If the name cannot be used or is taken, the table cannot be read, or the label cannot be learned.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UsageError(f"{name!r} is no name for a use case: small letters, digits and _, with a letter first.")
    folder = into / name
    if folder.exists():
        raise UsageError(f"{folder}: it is there already and stays as it is; choose another name.")
    sample = table if isinstance(table, Sample) else take_sample([table] if isinstance(table, Path) else table)
    read = read_table(sample, label, account, header)
    plan = make_plan(name, read.table, read.account, today, from_database=source is not None)
    if source is not None:
        plan = replace(plan, source=source(plan))
    checks = [
        *sample.remarks,
        *read.remarks,
        *_checks(plan, read.table.pack, whole=sample.whole, given=account is not None),
    ]
    into.mkdir(parents=True, exist_ok=True)
    # written beside its place and moved there once it loads: nobody meets half a use case
    with tempfile.TemporaryDirectory(dir=into, prefix=".new-") as temporary:
        made = Path(temporary) / name
        made.mkdir()
        use_case = _write(made, plan, checks, sample.path)
        check_columns(use_case, describe(use_case).model)
        # read back by the contract that was written, for what that refuses is told, and what it takes is looked at
        rows, rejects = take_rows(use_case, read)
        checks += tell_of_label(use_case, rows)
        use_case = _write(made, plan, checks, sample.path)
        made.rename(folder)  # another one of that name, made meanwhile, is not replaced
    lines = rows.num_rows + sum(rejects.values())
    columns = list(plan.columns.values())
    return Draft(
        folder, use_case, read.decided, columns, checks, lines, rows.num_rows, rejects, sample.whole, (*sample.paths,)
    )


def _write(folder: Path, plan: Plan, checks: list[str], table: Path) -> UseCase:
    """Write the two files, and load what was written."""
    (folder / "defs.yaml").write_text(_without_references(write_yaml(plan, checks), table), encoding="utf-8")
    (folder / "features.sql").write_text(write_sql(plan), encoding="utf-8")
    return load_use_case(folder)


def _without_references(text: str, table: Path) -> str:
    """The text of a `defs.yaml`, unless it has something of the table that would be replaced when it is loaded."""
    found = REFERENCE.search(text)
    if found is None:
        return text
    raise UsageError(
        f"{table}: it has {found[0]!r}, which a configuration takes for a reference to a variable. Write it in another "
        "way in the table, or take that column out."
    )


def _checks(plan: Plan, pack: Pack, *, whole: bool, given: bool) -> list[str]:
    """What a person should look at."""
    dialect, unlabelled, rows = plan.dialect, plan.columns[plan.label].empty, len(pack.file)
    less = "" if plan.columns[plan.account].role == "id" else ", though it does not look like a key"
    remarks = (
        (
            dialect.header != "names",
            f"{dialect.why}: columns are taken by their place, so files must have the same ones in the same order; "
            "give them better names",
        ),
        (dialect.encoding != "utf-8", f"the encoding {dialect.encoding} is a guess: look at the letters with accents"),
        (not whole, "only the beginning of the file was looked at; later lines may hold something else"),
        (
            not given,
            f"{plan.account} was taken for the account, whom a row is about{less}; --account names another one",
        ),
        (plan.date, f"rows are held out by time, the latest by {plan.date}: is that known when a row is scored?"),
        (not plan.classes, _why_regression(plan)),
        *((True, remark) for guess in plan.columns.values() for remark in _remarks(guess)),
        (unlabelled, f"{unlabelled:.1%} of the rows have no label and are not learned from"),
        (
            rows < 2 * LEAST_ROWS,
            f"{rows} rows are few: training needs {LEAST_ROWS} with a label, and trusts hundreds",
        ),
        (True, "could a column be known only after the label is? Then take it out of features.sql"),
    )
    return [remark for holds, remark in remarks if holds]


def _why_regression(plan: Plan) -> str:
    label = plan.columns[plan.label]
    return (
        f"{plan.label} is a number with {label.distinct:,} values in {label.rows:,} rows, too many for classes: a "
        "model estimates it (training.task: regression); for classes, make a column of some of it, such as low and high"
    )


def _remarks(guess: Guess) -> list[str]:
    remarks = [f"{guess.name} {check}" for check in guess.check]
    if guess.role == "text":
        remarks.append(f"{guess.name} has another text in almost every row and is left out of features.sql")
    if guess.role == "prose":
        remarks.append(f"{guess.name} is read word by word (training.texts)")
    if guess.role == "id" and guess.about == RUNNING:
        remarks.append(f"{guess.name} numbers the rows and is left out of features.sql")
    return remarks
