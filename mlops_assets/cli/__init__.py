"""The command `mlops-assets`."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys

import click

from mlops_assets import __version__
from mlops_assets.cli.group import cli
from mlops_assets.cli.printing import guard_streams
from mlops_assets.errors import MlopsError, UsageError, cannot_be_used
from mlops_assets.errors.redaction import redact_logs, redacted
from mlops_assets.errors.secret_files import read_secret_files
from mlops_assets.storage.modes import private
from mlops_assets.storage.project import other_version
from mlops_assets.work.printable import printable_lines

__all__ = ["cli", "main", "process"]

DISK = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ENOSPC, errno.EDQUOT),
    *(errno.ENAMETOOLONG, errno.ELOOP),
}
"""What the system says of a place that cannot be written."""

OBJECTS = 10_000
"""New objects after which Python looks for garbage: loading thousands of modules makes none, and by default Python
looks every 700, which is a sixth of a start."""


def process(command: click.Command = cli, name: str = "mlops-assets") -> None:
    """The whole life of a process that is a command: `main`, and an end that frees no memory.

    The system takes it back at once; Python would go through millions of objects first, which takes a second after a
    run. All else that is done at an end is done before.
    """
    codes: list[int] = []
    atexit.register(_leave, codes)  # what is registered first is called last
    os.environ["PYTHONSAFEPATH"] = "1"  # a worker must not import what lies in the folder where a person happens to be
    guard_streams()
    try:
        main(command, name)
    except SystemExit as end:
        codes.append(int(end.code or 0))
        raise


def _leave(codes: list[int]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    for code in codes:  # none if an error got through: then Python says so
        os._exit(code)


def main(command: click.Command = cli, name: str = "mlops-assets") -> None:
    """Run a command; errors that are meant for people end it with one clear message."""
    gc.set_threshold(OBJECTS)
    redact_logs()
    # wherever it stands, also behind the command
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        # not standalone: click would end the process itself, and know nothing of our errors
        with private():
            read_secret_files()
            if told := other_version(__version__):
                click.echo(f"Warning: {printable_lines(told)}", err=True)
            code = command.main(arguments, prog_name=name, standalone_mode=False) or 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = _stopped()
    except click.ClickException as error:
        _complete(error).show()
        code = error.exit_code
    except BrokenPipeError:  # whoever reads the output has seen enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        code = _failed(error)
        if debug:
            import traceback

            # with what libraries said first, such as the whole address of a server
            click.echo(redacted(traceback.format_exc()), err=True, nl=False)
    sys.exit(code)


def _complete(error: click.ClickException) -> click.ClickException:
    """An error that names all arguments and options that are missing; click stops at the first."""
    if not isinstance(error, click.MissingParameter) or error.ctx is None:
        return error
    context = error.ctx
    # what was given is looked at first, so all that is not there yet was not given
    missing = [
        click.MissingParameter(ctx=context, param=parameter).format_message()
        for parameter in context.command.get_params(context)
        if parameter.required and context.params.get(parameter.name or "") is None
    ]
    return click.UsageError(" ".join(missing), context)


def _failed(error: Exception) -> int:
    """Tell an error; the exit code."""
    for_people = _meant_for_people(error) or _of_the_disk(error)
    unexpected = f"{type(error).__name__}: {error}\nThis was not expected; --debug shows where."
    # what is from elsewhere cannot begin a line of its own
    message = redacted(str(for_people or unexpected)).replace("\n", "\n  ")
    click.echo(f"Error: {printable_lines(message)}", err=True)
    return 2 if isinstance(for_people, UsageError) else 1


def _of_the_disk(error: Exception) -> MlopsError | None:
    """What a person can do where a place cannot be written."""
    if not isinstance(error, OSError) or error.errno not in DISK:
        return None
    if error.filename is None:
        return _of_a_folder_that_is_gone()
    return UsageError(cannot_be_used(error.filename, error.strerror))


def _of_a_folder_that_is_gone() -> MlopsError | None:
    """What a person can do whose shell stands in a folder that was removed, or replaced."""
    try:
        os.getcwd()  # noqa: PTH109 - as whoever failed asked
    except FileNotFoundError:
        return UsageError("The current folder is gone: somebody removed or replaced it. `cd` to one that is there.")
    return None


def _meant_for_people(error: BaseException | None) -> MlopsError | None:
    """The error that a person can act on, where a framework wrapped it into its own."""
    while error is not None and not isinstance(error, MlopsError):
        error = error.__cause__ or error.__context__
    return error


def _stopped() -> int:
    click.echo("Stopped. Finished shards are kept; the same command resumes.", err=True)
    return 130
