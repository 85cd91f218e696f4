"""The command `new`: from a table to the folder of a use case."""

from __future__ import annotations

import datetime as dt
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from mlops_assets.cli.common import Day, shell_word
from mlops_assets.errors import UsageError
from mlops_assets.storage.modes import for_others

if TYPE_CHECKING:
    from mlops_assets.tools.drafting import Draft


@click.command()
@click.argument("name")
@click.option(
    "--from",
    "tables",
    type=click.Path(path_type=Path),
    required=True,
    multiple=True,
    help="A table with real rows (CSV, JSON lines, Parquet, XML, Excel; packed or not), several of one kind, a folder "
    "of them, or `postgres`.",
)
@click.option("--label", required=True, help="Column to predict: its name, or its number if there is no header.")
@click.option(
    "--header",
    type=click.Choice(["auto", "yes", "no"]),
    default="auto",
    show_default=True,
    help="Whether the first line names the columns; `auto` looks whether it has the form of the rows below.",
)
@click.option("--account", help="Column that says whom a row is about. [default: guessed]")
@click.option("--sheet", help="Sheet of a workbook of Excel. [default: the first]")
@click.option("--url-variable", metavar="NAME", help="Of postgres: environment variable that has the database's URL.")
@click.option("--table", metavar="NAME", help="Of postgres: a table or view, with --day-column.")
@click.option("--day-column", metavar="COLUMN", help="Of postgres: column of the table with the day of a row.")
@click.option("--query", metavar="SQL", help="Of postgres: the rows of the day `:day`, with --day.")
@click.option("--day", type=Day(), help="Of postgres: the day by whose rows the query is looked at.")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    help="Folder of use cases. [default: MLOPS_USE_CASES, the repository, or ./use_cases]",
)
def new(
    name: str,
    tables: tuple[Path, ...],
    label: str,
    header: Literal["auto", "yes", "no"],
    account: str | None,
    sheet: str | None,
    into: Path | None,
    **database: Any,
) -> None:
    """Write the folder of a new use case for a table: contract, features, candidates and gate are guessed and shown.

    \b
    Examples:
      mlops-assets new churn --from customers.csv --label left
      mlops-assets new churn --from rows.csv --label 3 --header no
      mlops-assets new churn --from customers.csv --label left --account customer_id --into use_cases
      mlops-assets new churn --from exports/ --label left
      mlops-assets new churn --from customers.xlsx --sheet 2026 --label left
      mlops-assets new churn --from postgres --url-variable SHOP_URL --table customers --day-column day --label left
    """
    from mlops_assets.settings import OWN_USE_CASES, Settings
    from mlops_assets.tools.drafting import draft_use_case
    from mlops_assets.tools.tables.samples import take_sample
    from mlops_assets.use_case import list_use_cases

    settings = Settings.from_environment()
    own = settings.use_cases[-1]
    root = (into or (Path("use_cases") if own == OWN_USE_CASES else own)).expanduser().absolute()
    use_cases = list_use_cases([folder for folder in {*settings.use_cases, root} if folder.is_dir()])
    if name in use_cases:
        raise UsageError(f"There is a use case {name!r} already, in {use_cases[name]}; choose another name.")
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    begin = [] if root in settings.use_cases else [f"  export MLOPS_USE_CASES={shell_word(root)}"]
    if [*map(str, tables)] == ["postgres"]:
        with for_others():
            draft, lines = _of_database(name, label, root, account, database, header)
    else:
        given = next((key for key, value in database.items() if value), None)
        if given:
            raise UsageError(f"--{given.replace('_', '-')}: this is for --from postgres.")
        with for_others():
            draft = draft_use_case(name, take_sample(tables, sheet), label, root, account, yesterday, header)
        cut = "" if draft.use_case.imports else f" --day {yesterday}"
        sheet_option = f" --sheet {shlex.quote(sheet)}" if sheet else ""
        named = " ".join(map(shell_word, draft.tables))
        lines = [f"  mlops-assets import {name} {named}{sheet_option}{cut}", f"  mlops-assets run {name} --train"]
    click.echo(_shown(draft, ", ".join(map(str, tables))))
    click.echo("\nNext:")
    for line in [*begin, *lines]:
        click.echo(line)


def _of_database(
    name: str,
    label: str,
    root: Path,
    account: str | None,
    said: dict[str, Any],
    header: Literal["auto", "yes", "no"],
) -> tuple[Draft, list[str]]:
    """The draft of a use case whose rows come from a database, and the command to go on with."""
    from mlops_assets.tools.drafting import draft_use_case
    from mlops_assets.tools.tables.database import Asked, look_at_database, source_of

    if not said["url_variable"]:
        raise UsageError("--from postgres: name with --url-variable the environment variable that has the URL.")
    if header != "auto":
        raise UsageError(f"--header {header}: columns of a database have names, and no first line.")
    day = dt.date.fromisoformat(said["day"]) if said["day"] else None
    asked = Asked(said["url_variable"], said["table"] or "", said["day_column"] or "", said["query"] or "", day)
    found = look_at_database(asked)
    draft = draft_use_case(
        name, found.sample, label, root, account, found.first, "yes", lambda plan: source_of(asked, found.broken, plan)
    )
    return draft, [f"  mlops-assets run {name} --from {found.first} --to {found.last} --train"]


def _shown(draft: Draft, table: str) -> str:
    """What was guessed, and what to check."""
    from mlops_assets.tools.drafting.looking import describe
    from mlops_assets.views.output import text_table
    from mlops_assets.work.printable import LONGEST, printable

    lines = [["column", "in the file", "type", "used as", "values", "empty", "range"]]
    for guess in draft.columns:
        column = draft.use_case.columns[guess.name]
        use = {draft.use_case.label: "label", draft.use_case.account: "account"}.get(guess.name, guess.role)
        numbers = isinstance(column.min, float) and isinstance(column.max, float)
        bounds = f"{column.min:,.15g} to {column.max:,.15g}" if numbers else ""
        kind = f"{column.type} {column.format}".strip()
        lines.append([guess.name, guess.source or "", kind, use, str(guess.distinct), f"{guess.empty:.0%}", bounds])
    rejects = "".join(f"\n  {count:,} lines rejected by the rule {rule!r}" for rule, count in draft.rejects.items())
    source = printable(table)
    looked = "the file" if draft.whole else "the beginning of the file"
    checks = "\n".join(f"  - {printable(check)}" for check in draft.checks)
    return (
        f"{printable(draft.decided)}\nWrote {draft.folder}: defs.yaml and features.sql, guessed from {source}\n\n"
        f"{describe(draft.use_case.files)}\n\n{text_table(lines, LONGEST).rstrip()}\n\n"
        f"This contract takes {draft.rows:,} of {draft.lines:,} lines of {looked}.{rejects}\n\nCheck by hand:\n{checks}"
    )
