"""The command `rows`: what was read of a day, now or as it was published once."""

from __future__ import annotations

import datetime as dt
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_assets.cli.common import (
    as_published_option,
    asked_days,
    day_options,
    find,
    published_at,
    published_days,
)
from mlops_assets.cli.outputs import Writing, output_options, write_rows
from mlops_assets.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.workspace import Stores


@click.command()
@click.argument("use_case")
@output_options("table", "csv", "json", "parquet")
@day_options
@as_published_option
@click.option("--publications", is_flag=True, help="List the publications of the days instead, with their numbers.")
def rows(
    use_case: str,
    day: str | None,
    first: str | None,
    last: str | None,
    form: str,
    output: Path | None,
    spreadsheet: bool,
    moment: dt.datetime | int | None,
    publications: bool,
) -> None:
    """Read the good rows of days: day, file, line, and the columns of the contract.

    \b
    Examples:
      mlops-assets rows transactions --day 2026-01-03
      mlops-assets rows transactions --day 2026-01-03 --publications
      mlops-assets rows transactions --day 2026-01-03 --as-published-on 2026-01-04 -o then.csv
    """
    stores = find(use_case)
    days = published_days(stores.lake.rows, use_case, asked_days(stores.use_case, day, first, last))
    if moment is not None and len(days) > 1:
        raise UsageError("--as-published-on reads one day: name it with --day.")
    if publications:
        reader = _publications(stores, days).to_reader()
    elif moment is not None:
        then = published_at(stores.lake.rows, days[0], moment)
        reader = stores.lake.rows.read_publication(days[0], then, _columns(stores))
    else:
        reader = stores.lake.rows.read(days, _columns(stores))
    write_rows(reader, Writing(form, output, spreadsheet), len(days))


def _columns(stores: Stores) -> list[str]:
    """Those of the contract that are stored, behind what names a row."""
    table = stores.lake.rows.open()
    there = {field.name for field in table.schema().fields} if table is not None else set()
    return ["day", "file", "line", *(name for name in stores.use_case.columns if name in there)]


def _publications(stores: Stores, days: list[str]) -> pa.Table:
    """Every publication of some days, with what was read."""
    import pyarrow as pa

    from mlops_assets.views.status import time_of

    published = stores.lake.rows.publications()
    listed = chain.from_iterable(((day, one) for one in published[day]) for day in days)
    return pa.Table.from_pylist(
        [
            {
                "day": day,
                "publication": one.version,
                "published": time_of(one.time),
                "files": one.accounting.files,
                "rows": one.accounting.rows,
                "rejected": one.accounting.rejected,
            }
            for day, one in listed
        ]
    )
