"""Where a command writes and in which form: `-o` and `--format` never contradict each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mlops_assets.cli.common import TABLE_ROWS
from mlops_assets.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = {
    "table": (".txt",),
    "markdown": (".md",),
    "csv": (".csv",),
    "json": (".json",),
    "parquet": (".parquet",),
    "html": (".html", ".htm"),
}
"""By format, how the names of its files end; what reads a file goes by that."""

OTHERS = (
    *(".xhtml", ".xht", ".shtml", ".svg", ".svgz", ".xml", ".xsl", ".mht", ".mhtml", ".hta", ".js", ".mjs", ".pdf"),
    *(".xls", ".xlsx", ".xlsm", ".xlsb", ".slk", ".iqy", ".ods", ".gz", ".zip"),
)
"""Endings of what no command writes, but a browser, a spreadsheet or a system would open as such."""

FILES_ONLY = {"parquet": "Parquet is", "html": "A page is"}
"""What is not for a terminal."""

Command = Callable[..., Any]


def output_options(*formats: str, what: str = "", spreadsheet: bool = False) -> Callable[[Command], Command]:
    """Add `-o`, `--format` where there is a choice, and `--spreadsheet` where CSV is one.

    The command is given `output`, `form` and `spreadsheet` as they hold, or is not begun.

    Parameters
    ----------
    formats
        The formats that the command has, names of `ENDINGS`; the first is the default of a terminal.
    what
        What is written, such as ` the rejects`; for the help.
    spreadsheet
        Whether CSV is for a spreadsheet unless something else is asked for.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def checked(*arguments: Any, output: Path | None, **given: Any) -> Any:
            form = choose_format(formats, given.get("form"), output)
            if len(formats) > 1:
                given["form"] = form
            if "csv" in formats:
                given["spreadsheet"] = _for_spreadsheet(form, given["spreadsheet"], default=spreadsheet)
            if output is not None:
                check_writable(output)
            return command(*arguments, output=output, **given)

        options = [_output_option(formats, what)]
        if len(formats) > 1:
            options.append(_format_option(formats))
        if "csv" in formats:
            options.append(_spreadsheet_option(default=spreadsheet))
        decorated: Command = checked
        for option in options:
            decorated = option(decorated)
        return decorated

    return decorate


def choose_format(formats: Sequence[str], asked: str | None, output: Path | None) -> str:
    """The format that `--format` and the ending of `-o` ask for.

    Parameters
    ----------
    formats
        Those that the command has, the default of a terminal first.
    asked
        What `--format` says, if it is given.
    output
        The file, if one is named.

    Raises
    ------
    UsageError
        If they contradict each other, or ask for what the command has not.
    """
    form = asked or formats[0]
    if output is None:
        if form in FILES_ONLY:
            raise UsageError(f"{FILES_ONLY[form]} not for a terminal: name a file with -o FILE.")
        return form
    ending = _ending(output)
    meant = next((name for name, endings in ENDINGS.items() if ending in endings), "")
    known = " or ".join(f"{name} ({', '.join(ENDINGS[name])})" for name in formats)
    if meant not in ("", *formats) or ending in OTHERS:
        raise UsageError(f"{output}: the command does not write {meant or ending}; it writes {known}.")
    if asked and meant not in ("", asked):
        raise UsageError(f"{output}: --format {asked} contradicts the ending of the file; leave one of them out.")
    if not meant and not asked and len(formats) > 1:
        raise UsageError(f"{output}: the ending does not say in which format: add --format, {known}.")
    return meant or form


def _ending(output: Path) -> str:
    """How a name ends, in small letters; a browser goes by `.html` even if that is the whole name.

    Points and blanks behind it fall away where a name is taken to a system that has no such names.
    """
    _, point, ending = output.name.rstrip(". \t\r\n").rpartition(".")
    return point + ending.lower()


def check_writable(output: Path) -> None:
    """See that a file can be written there, before anything is computed for it.

    Parameters
    ----------
    output
        The file.

    Raises
    ------
    UsageError
        If it cannot, or must not because what the platform keeps lies there.
    """
    reason = ""
    if output.is_dir():
        reason = "Is a directory"
    elif output.exists() and not output.is_file():
        # a device or a pipe would be replaced by a file; standard output needs no -o
        reason = "Not a regular file"
    elif not output.parent.is_dir():
        reason = "No such file or directory"
    elif not os.access(output.parent, os.W_OK):
        reason = "Permission denied"
    if reason:
        raise UsageError(f"{output}: cannot be written: {reason}.")
    _keep_out(output)


def _keep_out(output: Path) -> None:
    """Refuse a place among the raw files of a day, of which it would replace one or become one; and among tables."""
    from mlops_assets.settings import Settings

    settings = Settings.from_environment()
    place = output.resolve()
    if isinstance(settings.lake, Path) and place.is_relative_to(settings.lake.resolve()):
        raise UsageError(f"{output}: the tables of the platform lie there; name another place.")
    if not isinstance(settings.raw, Path) or not place.is_relative_to(settings.raw.resolve()):
        return
    if any(part.startswith("day=") for part in place.relative_to(settings.raw.resolve()).parts):
        raise UsageError(f"{output}: the raw files of a day lie there; name another place.")


def _for_spreadsheet(form: str, asked: bool | None, *, default: bool) -> bool:
    if asked and form != "csv":
        raise UsageError(f"--spreadsheet is for CSV, and this is {form}.")
    return form == "csv" and (default if asked is None else asked)


def _output_option(formats: Sequence[str], what: str) -> Callable[[Command], Command]:
    chosen = " Its ending chooses the format." if len(formats) > 1 else ""
    text = f"Write{what} into this file.{chosen}"
    return click.option("-o", "--output", type=click.Path(path_type=Path), help=text)


def _format_option(formats: Sequence[str]) -> Callable[[Command], Command]:
    text = f"Format. [default: by the ending of the file, {formats[0]} in a terminal]"
    return click.option("--format", "form", type=click.Choice(formats), help=text)


def _spreadsheet_option(*, default: bool) -> Callable[[Command], Command]:
    text = "In CSV, an apostrophe before texts that a spreadsheet would take for formulas; or texts as they are."
    return click.option(
        "--spreadsheet/--exact", default=None, help=f"{text} [default: {'spreadsheet' if default else 'exact'}]"
    )


class Writing(NamedTuple):
    """What `--format`, `-o` and `--spreadsheet` say."""

    form: str
    output: Path | None
    spreadsheet: bool


def write_rows(reader: pa.RecordBatchReader, writing: Writing, days: int) -> None:
    """Write the rows of some days, and tell what was written where they are not all seen.

    Parameters
    ----------
    reader
        The rows.
    writing
        How and where to.
    days
        How many days they are of.
    """
    from mlops_assets.views.output import write

    limit = TABLE_ROWS if writing.form == "table" else None
    written, total = write(reader, writing.form, writing.output, limit, spreadsheet=writing.spreadsheet)
    if writing.output is not None:
        click.echo(f"Wrote {written:,} rows of {days} day(s) to {writing.output}", err=True)
    elif written < total:
        click.echo(f"{written} of {total:,} rows; --format csv -o FILE writes them all.", err=True)
