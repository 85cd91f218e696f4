"""The commands of daily work: sample, run, preview, predictions, rejects, status."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlops_assets.cli.common import (
    Day,
    Publication,
    as_published_option,
    asked_day,
    asked_days,
    day_options,
    find,
    print_status,
    published_at,
    published_days,
    raw_option,
    show_progress,
)
from mlops_assets.cli.outputs import Writing, output_options, write_rows
from mlops_assets.errors import UsageError
from mlops_assets.storage.modes import for_others

if TYPE_CHECKING:
    from mlops_assets.storage.places import Place
    from mlops_assets.storage.tables import Published, Table
    from mlops_assets.workspace import Stores


@click.command()
@click.argument("use_case")
@raw_option
@click.option("--day", type=Day(), required=True, help="First day.")
@click.option("--days", type=click.IntRange(1, 3660), default=1, show_default=True, help="Number of days.")
@click.option("--files", type=click.IntRange(1), default=100, show_default=True, help="Files a day.")
@click.option("--rows", type=click.IntRange(1), default=50, show_default=True, help="Rows a file, on average.")
@click.option("--dirty", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Share of dirty files.")
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed writes the same bytes.")
@click.option("--unlabelled", is_flag=True, help="Leave the label column empty.")
def sample(
    use_case: str,
    raw: Place | None,
    day: str,
    days: int,
    files: int,
    rows: int,
    dirty: float,
    seed: int,
    unlabelled: bool,
) -> None:
    """Write sample files in the format of a use case.

    \b
    Examples:
      mlops-assets sample transactions --day 2026-01-01 --days 7 --files 200 --dirty 0.05
      mlops-assets sample loan_approval --day 2026-01-01 --files 1 --rows 1000
    """
    # imported when the command is called: `--help` and a wrong option must not wait for it
    from mlops_assets.tools.sampling import write_sample

    stores = find(use_case, raw)
    day, folder = asked_day(stores.use_case, day), stores.settings.raw
    began = shown = time.monotonic()
    for offset in range(days):
        day = stores.use_case.partitions.after(day) if offset else day
        with for_others(folder, stores.settings.home):
            files_written = write_sample(
                stores.use_case, folder, day, files, rows, dirty, seed, labelled=not unlabelled
            )
            for written in files_written:
                if time.monotonic() - shown > 2:
                    shown = time.monotonic()
                    done = offset * files + written
                    left = (shown - began) / done * (days * files - done)
                    click.echo(f"{done:,} of {days * files:,} files, done in {left:.0f} s", err=True)
    click.echo(f"Wrote {files * days:,} files of {days} {stores.use_case.partitions.every}(s) to {folder / use_case}")


@click.command()
@click.argument("use_case")
@click.option("--from", "first", type=Day(), help="First day. [default: the first with raw files]")
@click.option("--to", "last", type=Day(), help="Last day. [default: the last with raw files]")
@click.option(
    "--model",
    default="current",
    show_default=True,
    help="What scores: `current`, `as-of` for the champion of each day, or the number of a version.",
)
@click.option("--train", is_flag=True, help="Train before predicting; the gate decides about a new champion.")
@click.option(
    "--files-as-published-on",
    "then",
    type=Publication(),
    help="Read the files from which `rows` were published then: UTC time, a day, or a number; see `source.keep`.",
)
@click.option(
    "--accept-drift",
    "accept",
    metavar="WHY",
    help="Publish one day although a lamp of it is red and `drift.stop` is on; the reason is kept with the day.",
)
@raw_option
def run(
    use_case: str,
    first: str | None,
    last: str | None,
    model: str,
    train: bool,
    then: dt.datetime | int | None,
    accept: str | None,
    raw: Place | None,
) -> None:
    """Materialise days through Dagster, from raw files to published predictions.

    Days are done again only where files, SQL, model or code changed. Ctrl-C stops; running again resumes.

    \b
    Examples:
      mlops-assets run transactions --train
      mlops-assets run transactions --from 2026-01-01 --to 2026-01-07
      mlops-assets run transactions --from 2026-01-01 --to 2026-01-07 --model as-of
    """
    from mlops_assets import running
    from mlops_assets.journey.read.strays import find_strays

    if model not in ("current", "as-of") and not model.isdigit():
        raise UsageError(f"--model {model}: say current, as-of, or the number of a version.")
    stores = find(use_case, raw)
    if accept is not None:
        _check_acceptance(accept, first, last, stops=stores.use_case.drift.stop)
    days = running.days_to_run(stores, first, last)
    known = running.days_with_files(stores, days)
    if then is not None:
        _check_then(stores, days, known, then)
    running.start_early(stores, days, train=train)  # before Dagster is imported
    show_progress()
    log = logging.getLogger("mlops_assets.run")
    log.info("%s: %s", use_case, running.say_days(stores, days, known))
    if strays := str(find_strays(stores.use_case, stores.source)):
        log.warning("%s: %s", use_case, strays)
    with running.dagster_instance(stores.settings) as instance:
        definitions = running.load_definitions(stores.use_case, workspace=stores.workspace)
        running.run_use_case(
            definitions,
            instance,
            stores.use_case,
            days,
            train=train,
            model=model,
            known=known,
            accept_drift=accept or "",
            files_of="" if then is None else str(then),
        )
    print_status(stores, days, trained=train)


def _check_then(stores: Stores, days: tuple[str, str], known: Sequence[str], then: dt.datetime | int) -> None:
    """See that the files of then are kept, before anything is begun."""
    if not stores.use_case.keeps:
        raise UsageError("--files-as-published-on: no raw files are kept; say `source: {keep: versions}` in defs.yaml.")
    if isinstance(then, int) and days[0] != days[1]:
        raise UsageError("--files-as-published-on: a number is that of one day: give --from and --to of it.")
    for day in known:
        published_at(stores.lake.rows, day, then)


def _check_acceptance(why: str, first: str | None, last: str | None, *, stops: bool) -> None:
    """See that somebody looked at the very day that shall be published nevertheless, and says why."""
    if not why.strip():
        raise UsageError("--accept-drift: say why, as it is kept with the day.")
    if first is None or first != last:
        raise UsageError("--accept-drift is for one day that somebody looked at: give --from and --to of it.")
    if not stops:
        raise UsageError("--accept-drift: nothing is kept back for drift, for `drift.stop` is off.")


@click.command()
@click.argument("use_case")
@click.option("--from", "first", type=Day(), help="First day. [default: the first with raw files]")
@click.option("--to", "last", type=Day(), help="Last day. [default: the last with raw files]")
@raw_option
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Format."
)
def preview(use_case: str, first: str | None, last: str | None, raw: Place | None, form: str) -> None:
    """Show what `run` would do and why: shards, rows, minutes, disk and money, by earlier days or some files.

    \b
    Example:
      mlops-assets preview transactions --from 2026-01-01 --to 2026-01-07
    """
    from mlops_assets.journey.read.strays import find_strays
    from mlops_assets.running import days_to_run
    from mlops_assets.views.output import to_json
    from mlops_assets.views.previewing import preview_days, render

    stores = find(use_case, raw)
    previews = preview_days(stores, *days_to_run(stores, first, last))
    strays = str(find_strays(stores.use_case, stores.source))
    if form == "json":
        click.echo(to_json([asdict(preview) for preview in previews], indent=2))
        click.echo(strays, err=True, nl=bool(strays))
    else:
        click.echo(render(previews, stores.use_case, strays))


@click.command()
@click.argument("use_case")
@output_options("table", "csv", "json", "parquet")
@day_options
@as_published_option
@click.option("--probabilities", is_flag=True, help="With those of every class, where the use case keeps them.")
@click.option(
    "--column",
    "chosen",
    multiple=True,
    metavar="[NAME=]COLUMN",
    help="This column, under such a name; repeat it for more. `probability_CLASS` is the probability of a class.",
)
@click.option("--min-probability", "least", type=click.FloatRange(0, 1), help="Rows of at least this probability.")
@click.option("--max-probability", "most", type=click.FloatRange(0, 1), help="Rows of at most this probability.")
@click.option("--min-prediction", "lowest", type=float, help="Rows of which the number is at least this.")
@click.option("--max-prediction", "highest", type=float, help="Rows of which the number is at most this.")
def predictions(
    use_case: str,
    day: str | None,
    first: str | None,
    last: str | None,
    form: str,
    output: Path | None,
    spreadsheet: bool,
    moment: dt.datetime | int | None,
    probabilities: bool,
    chosen: tuple[str, ...],
    least: float | None,
    most: float | None,
    lowest: float | None,
    highest: float | None,
) -> None:
    """Read published predictions: day, file, line, account_id, prediction, probability, model_version.

    With `--probabilities`, JSON has a map of class and probability, all else a column `probability_CLASS` a class,
    if `scoring.probabilities` keeps them. Numbers have `low` and `high`, the ends of an interval, and no probability.

    \b
    Examples:
      mlops-assets predictions transactions --day 2026-01-03
      mlops-assets predictions transactions --from 2026-01-01 --to 2026-01-07 -o week.parquet
      mlops-assets predictions santander --day 2026-01-03 --column ID_code=account_id --column target=probability_1
      mlops-assets predictions transactions --day 2026-01-03 --max-probability 0.3
      mlops-assets predictions rents --day 2026-01-03 --min-prediction 2000
    """
    table = (stores := find(use_case)).lake.predictions
    published = published_days(table, use_case, asked_days(stores.use_case, day, first, last))
    if moment is not None and len(published) > 1:
        raise UsageError("--as-published-on reads one day: name it with --day.")
    from mlops_assets.views.paging import within
    from mlops_assets.views.predictions import Wanted, read_predictions

    now = table.days()
    then = {one: now[one] if moment is None else published_at(table, one, moment) for one in published}
    wanted = Wanted(probabilities, chosen, apart=form != "json")
    only = within((least, most), (lowest, highest))
    reader = read_predictions(use_case, table, then, wanted, earlier=moment is not None, only=only)
    write_rows(reader, Writing(form, output, spreadsheet), len(published))


@click.command()
@click.argument("use_case")
@output_options("table", "csv", "json", "parquet")
@day_options
@as_published_option
def rejects(
    use_case: str,
    day: str | None,
    first: str | None,
    last: str | None,
    form: str,
    output: Path | None,
    spreadsheet: bool,
    moment: dt.datetime | int | None,
) -> None:
    """Read the refused lines and files: day, file, line (empty for a whole file), rule, message, raw.

    Rows without a prediction are among them, by the rule `sql` or `model`; their `raw` is empty: mend the raw file.

    \b
    Examples:
      mlops-assets rejects transactions --day 2026-01-03 -o rejects.csv
      mlops-assets rejects transactions --day 2026-01-03 --as-published-on 2026-01-20
    """
    from mlops_assets.views.output import joined, joined_then

    columns = ["day", "file", "line", "rule", "message", "raw"]
    lake = (stores := find(use_case)).lake
    published = published_days(lake.rejects, use_case, asked_days(stores.use_case, day, first, last))
    if moment is None:
        reader = joined(lake.rejects, (lake.unpredicted,), published, columns)
    elif len(published) > 1:
        raise UsageError("--as-published-on reads one day: name it with --day.")
    else:
        then = published_at(lake.rejects, published[0], moment)
        # a row without a prediction is of the rows that were predicted until the day was read again
        later = [one.time for one in lake.rejects.publications()[published[0]] if one.version > then.version]
        until = min(later, default=inf) if isinstance(moment, int) else moment.timestamp() * 1000
        of_rows = [one for one in lake.unpredicted.publications().get(published[0], []) if one.time <= until]
        each: list[tuple[Table[Any], Published[Any]]] = [(lake.rejects, then)]
        each += [(lake.unpredicted, one) for one in of_rows[-1:]]
        reader = joined_then(each, published[0], columns)
    write_rows(reader, Writing(form, output, spreadsheet), len(published))


@click.command()
@click.argument("use_case", required=False)
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Format."
)
def status(use_case: str | None, form: str) -> None:
    """Show the days of a use case with their accounting, and its champion; without a name, a line a use case.

    \b
    Example:
      mlops-assets status transactions --format json
    """
    if use_case is None:
        from mlops_assets.views.output import to_json
        from mlops_assets.views.status import render_survey, survey
        from mlops_assets.workspace import Workspace

        every = survey(Workspace.from_environment())
        click.echo(to_json(every, indent=2) if form == "json" else render_survey(every))
        return
    stores = find(use_case)  # before the imports: a mistyped name need not wait for them
    from mlops_assets.views.output import to_json
    from mlops_assets.views.status import collect

    if form == "json":
        click.echo(to_json(collect(stores), indent=2))
    else:
        print_status(stores, None)
