"""The command `import`: from tables to raw files of days."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_assets.cli.common import Day, asked_day, find, raw_option
from mlops_assets.errors import UsageError
from mlops_assets.storage.modes import for_others

if TYPE_CHECKING:
    from mlops_assets.storage.places import Place
    from mlops_assets.tools.importing import Imported
    from mlops_assets.workspace import Stores


@click.command("import")
@click.argument("use_case")
@click.argument("files", type=click.Path(path_type=Path), nargs=-1)
@click.option("--day", type=Day(), help="Put the tables as they are into this day, instead of cutting them.")
@click.option("--sheet", help="Sheet of a workbook of Excel. [default: the first]")
@click.option("--download", is_flag=True, help="Fetch the published data set from Kaggle; see KAGGLE_USER.")
@raw_option
def import_(
    use_case: str,
    files: tuple[Path, ...],
    day: str | None,
    sheet: str | None,
    download: bool,
    raw: Place | None,
) -> None:
    """Make raw files of tables: cut by key and calendar month, or put into a day as they are.

    A month's files lie in the folder of the first day of the next month. Tables are in the format of the use case,
    packed by gzip or zstd or not, or workbooks of Excel.

    \b
    Examples:
      mlops-assets import transactions transactions.csv
      mlops-assets import loan_approval applications.csv.gz --day 2026-01-01
      mlops-assets import loan_approval applications.xlsx --sheet 2026 --day 2026-01-01
      mlops-assets import transactions --download
    """
    from mlops_assets.tools.importing import add_imported, import_table, place_table
    from mlops_assets.tools.tables.kaggle import downloaded

    if bool(files) == download:
        raise UsageError("Name the tables to import, or say --download for the one that is published.")
    stores = find(use_case, raw)
    day, folder = day and asked_day(stores.use_case, day), stores.settings.raw
    with for_others(folder, stores.settings.home), downloaded(stores.use_case, files, tell=_tell) as tables:
        done = add_imported(
            place_table(stores.use_case, table, folder, day, sheet)
            if day
            else import_table(stores.use_case, table, folder, sheet)
            for table in tables
        )
    _show_imported(stores, done, folder)


def _tell(message: str) -> None:
    click.echo(message, err=True)


def _show_imported(stores: Stores, done: Imported, folder: Place) -> None:
    use_case = stores.use_case.name
    files = done.files + done.present
    click.echo(f"{done.rows:,} rows in {files:,} files of {len(done.days)} days lie in {folder / use_case}")
    if done.present:
        click.echo(f"{done.present:,} of the files were there already, with the same content.")
    click.echo(f"Days: {', '.join(done.days)}")
    if done.unplaced:
        where = f"unplaced{stores.use_case.files.suffix} of {done.days[-1]}"
        click.echo(f"{done.unplaced:,} lines without a date or key that the contract takes lie in {where}.")
    if done.outside:
        start = stores.use_case.start
        click.echo(f"{done.outside:,} lines were not written: no run reads their day, for `start` is {start}.")
