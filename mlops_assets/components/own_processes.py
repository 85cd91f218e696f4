"""What our webserver and our daemon have in common: the options of Dagster's command, its home, and how they end."""

from __future__ import annotations

import os
from collections.abc import Callable

import click
from dagster import DagsterInstance

from mlops_assets.errors import UsageError

UNUSED = {"instance_ref", "shutdown_pipe"}
"""Options by which `dagster dev` starts its processes; we do not."""


def command_like(dagsters: click.Command, module: str, callback: Callable[..., None], about: str) -> click.Command:
    """A command with the options of one of Dagster's.

    Parameters
    ----------
    dagsters
        The command whose options it has.
    module
        By which it is started.
    callback
        What it does; it takes the options.
    about
        What its help says.
    """
    params = [parameter for parameter in dagsters.params if parameter.name not in UNUSED]
    return click.Command(f"python -m {module}", callback=callback, params=params, help=about)


def instance_of_home() -> DagsterInstance:
    """Dagster, of its home alone: its own commands would make one of the current folder, and read a `.env` there.

    Raises
    ------
    UsageError
        If no home is named.
    """
    if not os.environ.get("DAGSTER_HOME"):
        raise UsageError("DAGSTER_HOME is not set: name Dagster's home, the absolute path of a folder.")
    return DagsterInstance.get()


def run_to_its_end(command: click.Command, variables: str) -> int:
    """Run a command of a process; its exit code.

    Parameters
    ----------
    command
        The command.
    variables
        With what names of variables begin that give options.
    """
    try:
        command.main(standalone_mode=False, auto_envvar_prefix=variables)
    except UsageError as error:
        click.echo(f"Error: {error}", err=True)
        return 2
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    return 0
