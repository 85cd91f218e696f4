"""The command `drift`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_assets.cli.common import Days, asked_days, day_options, find, published_days
from mlops_assets.cli.outputs import output_options
from mlops_assets.errors import UsageError

if TYPE_CHECKING:
    from mlops_assets.monitoring.verdicts import Explained, Watcher
    from mlops_assets.workspace import Stores


@click.command()
@click.argument("use_case")
@day_options
@click.option("--against", help="training, trailing, last-week or a day. [default: drift.against of the use case]")
@click.option("--check", is_flag=True, help="Exit with 1 where a lamp is red.")
@output_options("table", "json")
def drift(
    use_case: str,
    day: str | None,
    first: str | None,
    last: str | None,
    against: str | None,
    check: bool,
    form: str,
    output: Path | None,
) -> None:
    """Show how published days differ from what their model learned from: what is red, its rows, and what to do.

    The first line says what is red. Without a day, the newest published one is shown.

    \b
    Examples:
      mlops-assets drift transactions
      mlops-assets drift transactions --day 2026-01-05 --against last-week
      mlops-assets drift transactions --from 2026-01-01 --to 2026-01-07 --format json --check
    """
    from mlops_assets.monitoring.verdicts import Watcher
    from mlops_assets.views import drift as views
    from mlops_assets.views import output as writing

    stores = find(use_case)
    asked = asked_days(stores.use_case, day, first, last)
    watcher = Watcher(stores)
    found = _explain(stores, watcher, asked, _comparison(against))
    text = views.text(found) if form == "table" else writing.to_json(views.as_json(use_case, found), indent=2)
    if output is None:
        click.echo(text)
    else:
        writing.write_text(output, text + "\n")
        click.echo(f"Wrote {output}: {views.first_line(found)}", err=True)
    if check and any(one.red for one in found):
        sys.exit(1)


def _comparison(against: str | None) -> str | None:
    """What days are compared with."""
    from mlops_assets.use_case.drift import AGAINST, read_against

    try:
        return None if against is None else read_against(against)
    except ValueError:
        raise UsageError(f"--against {against}: say {', '.join(AGAINST)}, or a day like 2026-01-31.") from None


def _explain(
    stores: Stores,
    watcher: Watcher,
    asked: Days,
    against: str | None,
) -> list[Explained]:
    """The days that were asked for; one that was kept back is shown as it was kept back."""
    name, table, day = stores.use_case.name, stores.lake.predictions, asked[0]
    if day and (kept := watcher.kept_back(str(day))) is not None:
        return [kept]
    days = published_days(table, name, asked)
    if asked == (None, None, None):
        days = days[-1:]
    if against and days == [watcher.compared_with(against)]:
        raise UsageError(f"--against {against}: that is the day itself.")
    return watcher.explain_all(days, against)
