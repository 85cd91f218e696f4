"""The command `replay`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_assets.cli.common import find, raw_option
from mlops_assets.errors import UsageError
from mlops_assets.work.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_assets.storage.places import Place

SHOWN = 10


@click.command()
@click.argument("use_case")
@click.argument("file", type=click.Path(path_type=Path))
@raw_option
def replay(use_case: str, file: Path, raw: Place | None) -> None:
    """Put rejected lines, mended by hand in a file that `rejects` wrote, into their days as files of their own.

    In the file, mend `raw` and leave the other columns as they are; a row that nobody mends may stay or go.

    \b
    Example:
      mlops-assets rejects transactions --day 2026-01-03 --format csv -o rejects.csv
      mlops-assets replay transactions rejects.csv
      mlops-assets run transactions --from 2026-01-03 --to 2026-01-03
    """
    from mlops_assets.journey.read import replay as replaying
    from mlops_assets.journey.read.mended import read_mended

    stores = find(use_case, raw)
    mended, whole = read_mended(file, stores.use_case.partitions)
    done = replaying.replay(stores.use_case, stores.source, stores.lake, mended, whole)
    for one in done.written:
        lines = f"{len(one.origins)} lines of {printable(one.origins[0].file)}"
        click.echo(f"{one.day}: {lines} lie in {printable(one.file)}")
    if done.before:
        click.echo(f"{done.before} lines were replayed before.")
    _name("lines are as they were, and were left alone", [str(line) for line in done.untouched])
    _name(
        "were refused as a whole, or have no prediction: mend them where they lie, and run their day again", done.whole
    )
    if not done.written and not done.before:
        raise UsageError(f"{file}: nothing to replay: no line in it was mended.")
    for day in sorted({one.day for one in done.written}):
        click.echo(f"Now: mlops-assets run {use_case} --from {day} --to {day}")


def _name(what: str, names: Sequence[str]) -> None:
    """Say how many there are, and name the first of them."""
    if names:
        more = "; ..." if len(names) > SHOWN else ""
        click.echo(f"{len(names)} {what}: {'; '.join(map(printable, names[:SHOWN]))}{more}")
