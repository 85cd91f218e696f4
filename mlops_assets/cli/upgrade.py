"""The command `upgrade`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click


class Later(click.ClickException):
    """A store is of a later version: a rollout must tell that from all that can be mended, so `--check` ends so."""

    exit_code = 3


@click.command()
@click.option(
    "--check",
    is_flag=True,
    help="Say what is to be done, and change nothing; exit 1 if there is something, 3 if one is of a later version.",
)
@click.option(
    "--backup",
    type=click.Path(path_type=Path),
    help="Folder for the backup, which must not be there. [default: one in MLOPS_HOME/backups]",
)
@click.option("--database-backed-up", is_flag=True, help="You have made a backup of PostgreSQL, as pg_dump does.")
@click.pass_context
def upgrade(context: click.Context, check: bool, backup: Path | None, database_backed_up: bool) -> None:
    """Bring what an earlier version wrote into the form of today, after a backup of it.

    Dagster's and MLflow's stores are migrated by their own code, ours by a number that the lake keeps. End what works
    on them first. A store of a later version is left alone. Killed, the same command goes on.

    \b
    Examples:
      mlops-assets upgrade --check
      mlops-assets upgrade --backup /backups/before-upgrade
    """
    from mlops_assets.settings import Settings
    from mlops_assets.storage.form import OtherForm
    from mlops_assets.tools.upgrading.backup import find_pending
    from mlops_assets.tools.upgrading.upgrade import carry_out, make_plan

    try:
        plan = make_plan(Settings.from_environment())
    except OtherForm as error:
        if not check:
            raise
        raise Later(str(error)) from None
    if plan.is_empty:
        click.echo("Nothing is to be done: every store has the form of this version.")
        return
    if check:
        for line in plan.lines():
            click.echo(f"To do: {line}")
        context.exit(1)
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H%M%SZ")
    backups = plan.settings.home / "backups"
    folder = (backup or find_pending(backups, plan.settings) or backups / now).absolute()
    carry_out(plan, folder, click.echo, dumped=database_backed_up)
    click.echo("Done.")
