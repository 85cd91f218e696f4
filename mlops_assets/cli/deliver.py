"""The command `deliver`."""

from __future__ import annotations

import click

from mlops_assets.cli.common import Day, asked_days, find, published_days, show_progress
from mlops_assets.errors import UsageError


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
    """Deliver published predictions to the targets of a use case, where they are not there yet.

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
    days = published_days(stores.lake.predictions, use_case, asked_days(stores.use_case, day, first, last))
    show_progress()
    span, targets = (days[0], days[-1]), names or tuple(configured)
    with running.dagster_instance(stores.settings) as instance:
        definitions = running.load_definitions(stores.use_case, workspace=stores.workspace)
        running.deliver_days(definitions, instance, stores.use_case, days, targets, again=again)
    click.echo(render(collect(stores), span))
