"""The command `new`: from a table to the folder of a use case."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from mlops_assets.cli.common import shell_word
from mlops_assets.errors import UsageError
from mlops_assets.storage.modes import for_others

if TYPE_CHECKING:
    from mlops_assets.tools.drafting import Draft


@click.command()
@click.argument("name")
@click.option("--from", "table", type=click.Path(path_type=Path), required=True, help="A CSV file with real rows.")
@click.option("--label", required=True, help="Column to predict: its name, or its number if there is no header.")
@click.option(
    "--header",
    type=click.Choice(["auto", "yes", "no"]),
    default="auto",
    show_default=True,
    help="Whether the first line names the columns; `auto` looks whether it has the form of the rows below.",
)
@click.option("--account", help="Column that says whom a row is about. [default: guessed]")
@click.option(
    "--into", type=click.Path(path_type=Path), help="Folder of use cases. [default: MLOPS_USE_CASES, or ./use_cases]"
)
def new(
    name: str,
    table: Path,
    label: str,
    header: Literal["auto", "yes", "no"],
    account: str | None,
    into: Path | None,
) -> None:
    """Write the folder of a new use case for a table: contract, features, candidates and gate are guessed and shown.

    \b
    Examples:
      mlops-assets new churn --from customers.csv --label left
      mlops-assets new churn --from rows.csv --label 3 --header no
      mlops-assets new churn --from customers.csv --label left --account customer_id --into use_cases
    """
    from mlops_assets.settings import Settings
    from mlops_assets.tools.drafting import draft_use_case
    from mlops_assets.use_case import list_use_cases

    settings = Settings.from_environment()
    root = (into or Path(os.environ.get("MLOPS_USE_CASES") or "use_cases")).expanduser().absolute()
    use_cases = list_use_cases([folder for folder in {*settings.use_cases, root} if folder.is_dir()])
    if name in use_cases:
        raise UsageError(f"There is a use case {name!r} already, in {use_cases[name]}; choose another name.")
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    with for_others():
        draft = draft_use_case(name, table, label, root, account, yesterday, header)
    click.echo(_shown(draft, table))
    cut = "" if draft.use_case.imports else f" --day {yesterday}"
    click.echo("\nNext:")
    if root not in settings.use_cases:
        click.echo(f"  export MLOPS_USE_CASES={shell_word(root)}")
    click.echo(f"  mlops-assets import {name} {shell_word(table)}{cut}")
    click.echo(f"  mlops-assets run {name} --train")


def _shown(draft: Draft, table: Path) -> str:
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
    source = printable(str(table))
    looked = "the file" if draft.whole else "the beginning of the file"
    checks = "\n".join(f"  - {printable(check)}" for check in draft.checks)
    return (
        f"{printable(draft.decided)}\nWrote {draft.folder}: defs.yaml and features.sql, guessed from {source}\n\n"
        f"{describe(draft.use_case.files)}\n\n{text_table(lines, LONGEST).rstrip()}\n\n"
        f"This contract takes {draft.rows:,} of {draft.lines:,} lines of {looked}.{rejects}\n\nCheck by hand:\n{checks}"
    )
