"""The command `kept`: what is kept of raw files, and what nothing refers to any more."""

from __future__ import annotations

import click

from mlops_assets.cli.common import asked_days, day_options, find, published_days


@click.command()
@click.argument("use_case")
@day_options
@click.option("--clean", is_flag=True, help="Remove what nothing refers to; without it, this is only shown.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Format."
)
def kept(use_case: str, day: str | None, first: str | None, last: str | None, clean: bool, form: str) -> None:
    """Show what is kept of the raw files of days, and what of it nothing refers to; `source.keep` has them kept.

    A content is referred to by the day as it is, and by what was replaced less than `keep_days` ago.

    \b
    Examples:
      mlops-assets kept transactions
      mlops-assets kept transactions --day 2026-01-03 --clean
    """
    from mlops_assets.journey.read.kept_cleaning import clean_kept, look_at_kept
    from mlops_assets.views.output import text_table, to_json

    stores = find(use_case)
    lake, keep_days = stores.lake, stores.use_case.keep_days
    days = published_days(lake.kept_files, use_case, asked_days(stores.use_case, day, first, last))
    told: list[dict[str, str | int]] = []
    notes: list[str] = []
    for one in days:
        found = look_at_kept(lake, one, keep_days)
        removed = clean_kept(lake, found, keep_days) if clean else 0
        notes += [f"{one}: {found.unknown}; nothing is removed."] if found.unknown else []
        columns: dict[str, str | int] = {
            "day": one,
            "files": found.files,
            "contents": found.contents,
            "bytes": found.bytes,
            "stored": found.stored - removed,
            "not referred to": found.dead,
            "their bytes": found.dead_bytes,
        }
        told.append({**columns, "removed": removed} if clean else columns)
    if form == "json":
        click.echo(to_json(told, indent=2))
    else:
        click.echo(text_table([[*told[0]], *([_shown(value) for value in row.values()] for row in told)]).rstrip())
    for note in notes:
        click.echo(note, err=True)


def _shown(value: str | int) -> str:
    return f"{value:,}" if isinstance(value, int) else value
