"""The command `mlops-assets`."""

from __future__ import annotations

import os
import sys

import click

from mlops_assets.cli.group import cli
from mlops_assets.errors import MlopsError, UsageError

__all__ = ["cli", "main"]


def main() -> None:
    """Run the command; errors that are meant for people end it with one clear message."""
    # wherever it stands, also behind the command
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        # not standalone: click would end the process itself, and know nothing of our errors
        code = cli.main(arguments, prog_name="mlops-assets", standalone_mode=False) or 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = _stopped()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except BrokenPipeError:  # whoever reads the output has seen enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        code = _failed(error)
        if debug:
            import traceback

            traceback.print_exc()
    sys.exit(code)


def _failed(error: Exception) -> int:
    """Tell an error; the exit code."""
    for_people = _meant_for_people(error)
    unexpected = f"{type(error).__name__}: {error}\nThis was not expected; --debug shows where."
    click.echo(f"Error: {for_people or unexpected}", err=True)
    return 2 if isinstance(for_people, UsageError) else 1


def _meant_for_people(error: BaseException | None) -> MlopsError | None:
    """The error that a person can act on, where a framework wrapped it into its own."""
    while error is not None and not isinstance(error, MlopsError):
        error = error.__cause__ or error.__context__
    return error


def _stopped() -> int:
    click.echo("Stopped. Finished shards are kept; the same command resumes.", err=True)
    return 130
