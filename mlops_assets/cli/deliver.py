"""The command `deliver`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import click

from mlops_assets.cli.common import Day, Days, asked_days, find, published_days, show_progress
from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.use_case.targets import PREDICTIONS
from mlops_assets.workspace import Stores


@click.command()
@click.argument("use_case")
@click.option("--day", type=Day(), help="One day only.")
@click.option("--from", "first", type=Day(), help="First day. [default: the first that is published]")
@click.option("--to", "last", type=Day(), help="Last day. [default: the last that is published]")
@click.option("--target", "names", multiple=True, help="Only to this target; may be given again. [default: all]")
@click.option("--again", is_flag=True, help="Deliver what the target has already, too.")
def deliver(
    use_case: str,
    day: str | None,
    first: str | None,
    last: str | None,
    names: tuple[str, ...],
    again: bool,
) -> None:
    """Deliver what is published to the targets of a use case, where it is not there yet.

    \b
    Examples:
      mlops-assets deliver transactions
      mlops-assets deliver transactions --day 2026-01-03 --target warehouse --again
    """
    from mlops_assets import running
    from mlops_assets.views.status import collect, render

    stores = find(use_case)
    configured = stores.use_case.targets
    if not configured:
        raise UsageError(f"{use_case} has no targets: name them under `targets` in its defs.yaml.")
    unknown = [name for name in names if name not in configured]
    if unknown:
        raise UsageError(f"{use_case} has no target {unknown[0]!r}; there are: {', '.join(configured)}.")
    asked = asked_days(stores.use_case, day, first, last)
    days = _days_of_tables(stores, names or tuple(configured), asked)
    show_progress()
    with running.dagster_instance(stores.settings) as instance:
        definitions = running.load_definitions(stores.use_case, workspace=stores.workspace)
        for table, found in days.items():
            targets = [name for name in names or configured if configured[name].table == table]
            running.deliver_days(definitions, instance, stores.use_case, found, targets, again=again)
    every = sorted({*chain.from_iterable(days.values())})
    click.echo(render(collect(stores), (every[0], every[-1])))


def _days_of_tables(stores: Stores, names: Sequence[str], asked: Days) -> dict[str, list[str]]:
    """The published days of each table that targets are to be brought, predictions last, for notices come after all.

    Raises
    ------
    MlopsError
        If nothing of any of them is published.
    """
    tables = sorted({stores.use_case.targets[name].table for name in names}, key=lambda table: table == PREDICTIONS)
    found: dict[str, list[str]] = {}
    for table in tables:
        try:
            found[table] = published_days(stores.lake.table(table), stores.use_case.name, asked)
        except MlopsError:
            # a day may have rejects and no predictions: each target is brought what is published of its own table
            if table == tables[-1] and not found:
                raise
    return found
