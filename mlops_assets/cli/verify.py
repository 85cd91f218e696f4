"""The command `verify`."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from mlops_assets.cli.common import asked_days, day_options, find, show_progress


@click.command()
@click.argument("use_case")
@day_options
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Format."
)
def verify(use_case: str, day: str | None, first: str | None, last: str | None, form: str) -> None:
    """Read everything that is stored of a use case, and say what is not as it was written.

    Without days: all tables, documents and models. The exit code is 1 where a file is damaged or gone. Of days with
    requests that the API kept, it is said whether the day has what was answered: a later version may say otherwise.

    \b
    Examples:
      mlops-assets verify transactions
      mlops-assets verify transactions --from 2026-01-01 --to 2026-01-07 --format json
    """
    stores = find(use_case)
    day, first, last = asked_days(stores.use_case, day, first, last)
    from mlops_assets.views import answered
    from mlops_assets.views.output import to_json
    from mlops_assets.views.verifying import plain, render, verify_use_case

    show_progress()
    days = str(day or first or ""), str(day or last or "")
    found = verify_use_case(stores, *days)
    kept = {} if found.findings else answered.answered_days(stores.lake, *days)  # what is damaged is not compared
    told = {**plain(found), "answered": {one: asdict(numbers) for one, numbers in kept.items()}}
    click.echo(to_json(told, indent=2) if form == "json" else render(found) + answered.render(kept))
    if found.findings:
        sys.exit(1)
