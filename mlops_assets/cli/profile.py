"""The command `profile`: what the rows of a day look like, or of a table that is no use case yet."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from mlops_assets.cli.common import Day, asked_day, find, shell_word, show_progress
from mlops_assets.cli.outputs import output_options
from mlops_assets.errors import UsageError

if TYPE_CHECKING:
    from mlops_assets.views.profiles import Profiled


@click.command()
@click.argument("what", metavar="USE_CASE|FILE.csv")
@click.option("--day", type=Day(), help="A day whose rows are published. [default: the newest]")
@click.option("--label", help="Of a file: the column that shall be predicted, as for `new`.")
@click.option("--account", help="Of a file: the column that says whom a row is about. [default: guessed]")
@click.option("--header", type=click.Choice(["auto", "yes", "no"]), help="Of a file, as for `new`. [default: auto]")
@output_options("table", "json", "html", what=" the profile")
def profile(
    what: str,
    day: str | None,
    label: str | None,
    account: str | None,
    header: Literal["auto", "yes", "no"] | None,
    form: str,
    output: Path | None,
) -> None:
    """Show what the columns of a day's rows look like, what they tell of the label, what is odd; and what they mean.

    Before there is a use case, look at a CSV file: it is read by the contract that `new` would write for it.

    \b
    Examples:
      mlops-assets profile transactions --day 2026-01-03
      mlops-assets profile transactions -o transactions.html
      mlops-assets profile customers.csv --label left -o customers.html
    """
    from mlops_assets.views import output as writing
    from mlops_assets.views import profile_page, profiles

    show_progress()
    path = Path(what)
    if _is_file(path):
        if day is not None:
            raise UsageError(f"--day is for a use case, and {what} is a file.")
        found = _of_file(path, label, account, header)
    elif label or account or header:
        raise UsageError(f"--label, --account and --header are for a file, and {what} is none; a contract says them.")
    else:
        stores = find(what)
        found = profiles.profile_day(stores, day and asked_day(stores.use_case, day))
    text = {"table": profiles.text, "json": profiles.as_json, "html": profile_page.page}[form](found)
    if output is None:
        click.echo(text)
    else:
        writing.write_text(output, text)
        click.echo(f"Wrote {output}: {found.how}", err=True)


def _is_file(path: Path) -> bool:
    """Whether a file is meant: names of use cases have neither a point nor a folder."""
    return path.suffix != "" or path.is_file() or path.name != str(path)


def _of_file(
    path: Path, label: str | None, account: str | None, header: Literal["auto", "yes", "no"] | None
) -> Profiled:
    from mlops_assets.tools.drafting.looking import profile_table

    given = {"--account": account, "--header": header}
    options = "".join(f" {name} {shlex.quote(value)}" for name, value in given.items() if value)
    named = shlex.quote(label) if label else "COLUMN"
    command = f"  mlops-assets new NAME --from {shell_word(path)} --label {named}{options}"
    return profile_table(path, label, account, header or "auto", [f"Next:\n{command}"])
