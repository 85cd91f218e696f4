"""What the commands share: their options, and how they find days."""

from __future__ import annotations

import datetime as dt
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from mlops_assets.cli.printing import LogFormatter
from mlops_assets.errors import MlopsError, UsageError

if TYPE_CHECKING:
    from mlops_assets.storage.places import Place
    from mlops_assets.storage.tables import A, Published, Table
    from mlops_assets.use_case import UseCase
    from mlops_assets.workspace import Stores

F = TypeVar("F", bound=Callable[..., Any])
Days = tuple[str | None, str | None, str | None]
"""What `--day`, `--from` and `--to` say."""

TABLE_ROWS = 40
"""Rows that `--format table` shows."""


class Day(click.ParamType[str]):
    """A day, `YYYY-MM-DD`, or an hour, `YYYY-MM-DDTHH`; what the use case has, `find` sees to."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Parse a day."""
        from mlops_assets.use_case.partitions import is_key

        if is_key(value):
            return str(value)
        try:
            return dt.date.fromisoformat(value).isoformat()
        except ValueError:
            self.fail(f"{value!r} is not a day; write it like 2026-01-31. An hour is 2026-01-31T05.", param, ctx)


class Moment(click.ParamType[dt.datetime]):
    """A moment in UTC, `YYYY-MM-DD` for the end of a day or `YYYY-MM-DDTHH:MM:SS`."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        """Parse a moment."""
        if isinstance(value, dt.datetime):
            return value
        try:
            if len(value) == 10:
                return dt.datetime.combine(dt.date.fromisoformat(value), dt.time.max, dt.UTC)
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time; write it like 2026-01-31 or 2026-01-31T14:00:00.", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


class Publication(Moment):
    """A moment as of `Moment`, or the number of a publication."""

    name = "moment or number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse either."""
        if isinstance(value, int) or (isinstance(value, str) and value.isdecimal() and len(value) < 9):
            return int(value)
        return super().convert(value, param, ctx)


class PlaceName(click.ParamType["Place"]):
    """A folder of this machine, or `s3://bucket/prefix`."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """Parse a place."""
        if not isinstance(value, str):
            return cast("Place", value)
        from mlops_assets.storage.places import parse_place

        try:
            return parse_place(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def raw_option(command: F) -> F:
    """Add `--raw`."""
    option = click.option(
        "--raw", type=PlaceName(), help="Folder or s3://bucket/prefix of the raw files. [default: MLOPS_RAW]"
    )
    return option(command)


def day_options(command: F) -> F:
    """Add the options of a command that reads published days."""
    command = click.option("--to", "last", type=Day(), help="Last day.")(command)
    command = click.option("--from", "first", type=Day(), help="First day.")(command)
    return click.option("--day", type=Day(), help="One day only.")(command)


def asked_days(use_case: UseCase, day: str | None, first: str | None, last: str | None) -> Days:
    """The days that the options of `day_options` ask for.

    Where days are hours or weeks, a range may be from one calendar day to another.

    Raises
    ------
    UsageError
        If they ask for one day and for a range, or the last day lies before the first.
    """
    if day and (first or last):
        raise UsageError("Give --day, or --from and --to, not both.")
    from mlops_assets.use_case.partitions import read_range

    day = day and asked_day(use_case, day)
    first, last = read_range(use_case.partitions, first, last)
    if first and last and first > last:
        raise UsageError(f"--from {first} lies after --to {last}.")
    return day, first, last


def asked_day(use_case: UseCase, day: str, option: str = "--day") -> str:
    """The day that an option asks for; where days are weeks, the one in which it lies.

    Raises
    ------
    UsageError
        If the use case has none of that form.
    """
    try:
        return use_case.partitions.read(day)
    except ValueError as error:
        raise UsageError(f"{option} {day}: {error}.") from None


def find(name: str, raw: Place | None = None) -> Stores:
    """What there is of the use case of that name; `raw` is where its raw files lie, if not where the settings say."""
    from mlops_assets.workspace import Workspace

    workspace = Workspace.from_environment(raw)
    if workspace.settings.alone:
        raise UsageError(f"{workspace.settings.home} is a version by itself: `serve` serves it; all else needs a home.")
    stores = workspace.find(name)
    _see_days(stores.use_case)
    return stores


def _see_days(use_case: UseCase) -> None:
    """See that the use case has the days that the options of the command name."""
    context = click.get_current_context(silent=True)
    for option in context.command.params if context else ():
        asked = context.params.get(str(option.name)) if context and isinstance(option.type, Day) else None
        try:
            if asked is not None:
                # a range may be one of calendar days
                (use_case.partitions.read if option.name == "day" else use_case.partitions.first_of)(asked)
        except ValueError as error:
            raise UsageError(f"{option.opts[0]} {asked}: {error}.") from None


def shell_word(path: Path) -> str:
    r"""A path as a word of a command that people copy; what cannot be seen as bash's `$'...'` writes it.

    Parameters
    ----------
    path
        The path.

    Examples
    --------
    >>> print(shell_word(Path("a.csv")), shell_word(Path("it's; rm")), shell_word(Path("a\nb")))
    a.csv 'it'"'"'s; rm' $'a\x0ab'
    """
    text = str(path)
    if text.isprintable():
        return shlex.quote(text)
    signs = (s if s.isprintable() and s not in "\\'" else _as_bytes(s) for s in text)
    return f"$'{''.join(signs)}'"


def _as_bytes(sign: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(sign))


def show_progress() -> None:
    """Send what the steps say to standard error, as it happens."""
    logger = logging.getLogger("mlops_assets")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(LogFormatter())
        logger.addHandler(handler)
        logger.propagate = False  # else a handler of the root logger would say each line again


def published_at(table: Table[A], day: str, moment: dt.datetime | int) -> Published[A]:
    """The publication of a day that readers saw at some time, or that of a number.

    Raises
    ------
    MlopsError
        If the day was not published by then, or there is none of that number.
    """
    every = table.publications().get(day, [])
    if isinstance(moment, int):
        of_number = [publication for publication in every if publication.version == moment]
        if not of_number:
            known = ", ".join(f"{one.version} ({_when(one)})" for one in every[-10:]) or "none"
            raise MlopsError(f"{table.name} of {day} have no publication {moment}; there are: {known}.")
        return of_number[0]
    seen = [publication for publication in every if publication.time <= moment.timestamp() * 1000]
    if not seen:
        reason = f"it was first published on {_when(every[0])}" if every else "it was never published"
        raise MlopsError(f"{table.name} of {day} were not there on {moment.isoformat(timespec='seconds')}: {reason}.")
    return seen[-1]


def _when(publication: Published[Any]) -> str:
    return dt.datetime.fromtimestamp(publication.time / 1000, dt.UTC).isoformat(timespec="seconds")


def published_days(table: Table[Any], use_case: str, days: Days) -> list[str]:
    """The published days that were asked for.

    Raises
    ------
    MlopsError
        If none is published.
    """
    day, first, last = days
    published = list(table.days())
    low, high = day or first or "", day or last or "9999-12-31T24"
    chosen = [date for date in published if low <= date <= high]
    if chosen:
        return chosen
    asked = " in that range" if first or last else ""
    if day:
        asked = f" of {day}"
    raise MlopsError(f"No {table.name}{asked}: {_have(published)}. `mlops-assets status {use_case}` tells more.")


def _have(published: Sequence[str]) -> str:
    if not published:
        return "no day is published yet"
    return f"published are {published[0]} to {published[-1]} ({len(published)} days)"


as_published_option = click.option(
    "--as-published-on", "moment", type=Publication(), help="As they were then: UTC time, a day, or a number."
)
"""Reads rows of a day as they were published once."""


def print_status(stores: Stores, days: tuple[str, str] | None, *, trained: bool = False) -> None:
    """Print the state of a use case, and after a training what it made."""
    from mlops_assets.views.status import collect, render

    click.echo(render(collect(stores), days))
    if trained:
        from mlops_assets.views.trained import render_newest

        if made := render_newest(stores):
            click.echo(f"\n{made}")
