"""The command `tell`."""

from __future__ import annotations

import sys

import click

from mlops_assets.cli.common import find, show_progress
from mlops_assets.errors import UsageError


@click.command()
@click.argument("use_case")
@click.option("--test", is_flag=True, help="Send a test message to every channel, and say what each answered.")
def tell(use_case: str, test: bool) -> None:
    """Tell the channels of a use case what is new, as the daemon does every half minute; or send them a test.

    For a machine without the daemon, behind `run` in the same cron job; what is told by one of them is not told by the
    other. The exit code is 1 where a channel did not take what it was told.

    \b
    Examples:
      mlops-assets tell transactions --test
      mlops-assets tell transactions
    """
    stores = find(use_case)
    if not stores.use_case.told:
        raise UsageError(f"{use_case} tells nobody: name channels under `told` in its defs.yaml.")
    if test:
        from mlops_assets.events.telling import try_channels
        from mlops_assets.views.output import text_table

        answers = try_channels(stores)
        lines = [[name, "told" if taken else "NOT TOLD", answer] for name, taken, answer in answers]
        click.echo(text_table([["channel", "", "what it said"], *lines]).rstrip())
        sys.exit(0 if all(taken for _, taken, _ in answers) else 1)
    from mlops_assets import running

    show_progress()
    with running.dagster_instance(stores.settings) as instance:
        from mlops_assets.components.telling import look_now

        done = look_now(stores, instance)
    click.echo(str(done))
    if any(one.why for one in done.waiting):
        sys.exit(1)
