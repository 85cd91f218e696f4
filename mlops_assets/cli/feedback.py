"""The commands by which people hand in corrections, and get rows to label."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_assets.cli.common import TABLE_ROWS, Day, asked_day, find, shell_word
from mlops_assets.cli.outputs import output_options
from mlops_assets.errors import UsageError
from mlops_assets.storage.modes import for_others
from mlops_assets.work.printable import printable

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.journey.feedback.corrections import Taken
    from mlops_assets.storage.places import Place
    from mlops_assets.workspace import Stores


OF_NUMBERS = {
    "right_audited": "covered",
    "accuracy": "coverage",
    "value_accuracy": "value_coverage",
}
"""What the columns are called where an answer is a number: it is right where the true one lies in its interval."""


@click.command()
@click.argument("use_case")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--rejects", is_flag=True, help="Write the entries that do not count, with their reasons.")
@click.option("--accuracy", is_flag=True, help="Write how well predictions do by it, by window, age and slice.")
@output_options("table", "csv", "json", what=" the rejects, or the accuracy,")
def feedback(
    use_case: str,
    files: tuple[Path, ...],
    rejects: bool,
    accuracy: bool,
    form: str,
    output: Path | None,
    spreadsheet: bool,
) -> None:
    """Hand in corrections, CSV files with day, file, line, label, who, when; take in all, and tell which count.

    With --accuracy, standard error says first whether the model that predicts does worse than in its evaluation. Of
    numbers the table has the coverage, the share in their intervals, and the mean error.

    \b
    Examples:
      mlops-assets feedback transactions corrections.csv
      mlops-assets feedback transactions --rejects -o rejected.csv
      mlops-assets feedback transactions --accuracy
    """
    from mlops_assets.journey.feedback.corrections import take_in
    from mlops_assets.journey.train.versions import known_labels
    from mlops_assets.views import output as writing

    if rejects and accuracy:
        raise UsageError("--rejects and --accuracy are two tables: ask for one of them.")
    if (output is not None or form != "table") and not (rejects or accuracy):
        raise UsageError("--format and -o say how rejects or the accuracy are written: add --rejects or --accuracy.")
    stores = find(use_case)
    folder = stores.corrections
    contents = [
        _read(path, follow_links=stores.use_case.follow_links) for path in files
    ]  # all can be read, or none is handed in
    for path, content in zip(files, contents, strict=True):
        with for_others(folder, stores.settings.home):
            _hand_in(folder, path, content)
    labels = known_labels(stores.use_case, stores.registry, stores.runs)
    taken = take_in(stores.use_case, stores.lake, folder, labels)
    _tell(taken, err=rejects or accuracy)  # standard output is for the table, where one is asked for
    if rejects or accuracy:
        limit = TABLE_ROWS if form == "table" else None
        reader = (taken.rejected if rejects else _accuracy(stores)).to_reader()
        written, total = writing.write(reader, form, output, limit, spreadsheet=spreadsheet)
        if written < total:
            click.echo(f"{written} of {total:,} lines; --format csv -o FILE writes them all.", err=True)
    elif len(taken.rejected):
        click.echo(f"The rejects and their reasons: `--rejects`, or {stores.lake.rejected}")


def _accuracy(stores: Stores) -> pa.Table:
    """How well predictions do on audited rows; whether that is a fall is said on standard error."""
    from mlops_assets.journey.feedback.audited import count_rows
    from mlops_assets.journey.feedback.degradation import find_fall, levels

    known = stores.registry.known(stores.use_case.name)
    counted = count_rows(stores.use_case, stores.lake)
    click.echo(find_fall(stores.use_case, stores.lake, counted, known).sentence, err=True)
    table = levels(stores.use_case, stores.lake, counted, known)
    if not stores.use_case.training.says_numbers:
        return table
    return table.rename_columns([OF_NUMBERS.get(name, name) for name in table.column_names])


def _tell(taken: Taken, *, err: bool) -> None:
    """How many entries count, and why others do not."""
    accepted, rejected = len(taken.accepted), len(taken.rejected)
    click.echo(
        f"{taken.entries:,} entries in {taken.files:,} file(s): {accepted:,} accepted, {rejected:,} rejected",
        err=err,
    )
    for rule, number in taken.rules.items():
        click.echo(f"  {rule}: {number:,}", err=err)
    if taken.unfilled:
        click.echo(f"{taken.unfilled:,} lines of audits have no label yet", err=err)


@click.command()
@click.argument("use_case")
@click.option("--day", type=Day(), required=True, help="The day.")
@output_options("csv", spreadsheet=True)
def audit(use_case: str, day: str, output: Path | None, spreadsheet: bool) -> None:
    """Write the rows of a day that were drawn for people to label, as CSV; fill in label, who, when, and hand it in.

    What a spreadsheet would take for a formula has an apostrophe before it; `feedback` takes it away again, where the
    column `texts_marked` says so.

    \b
    Example:
      mlops-assets audit transactions --day 2026-01-03 -o audit.csv
      mlops-assets feedback transactions audit.csv
    """
    import pyarrow as pa

    from mlops_assets.journey.feedback.audit import draw_audit
    from mlops_assets.views import output as writing
    from mlops_assets.work.spreadsheets import say_marked

    stores = find(use_case)
    if not stores.use_case.feedback.audit_rows:
        raise UsageError(f"{use_case} draws no rows to audit: feedback.audit_rows is 0.")
    day = asked_day(stores.use_case, day)
    rows = draw_audit(stores.use_case, stores.lake, day)
    for name in ("label", "who", "when"):
        rows = rows.append_column(name, pa.nulls(len(rows), pa.string()))
    if spreadsheet:
        rows = say_marked(rows, "prediction")
    written, _ = writing.write(rows.to_reader(), "csv", output, spreadsheet=spreadsheet)
    if output is not None:
        click.echo(
            f"Wrote {written:,} rows to {printable(str(output))}; fill in label, who and when, then hand it in:",
            err=True,
        )
        click.echo(f"  mlops-assets feedback {use_case} {shell_word(output)}", err=True)


def _read(path: Path, *, follow_links: bool) -> bytes:
    from mlops_assets.journey.feedback.files import LARGEST
    from mlops_assets.storage.inside import read_regular

    # in a folder that others write into, a link may lead to what only this person may read
    within = None if follow_links else os.path.realpath(path.parent)
    try:
        return read_regular(path, within, LARGEST)
    except OSError as error:
        raise UsageError(f"{printable(str(path))}: cannot be read: {error.strerror}.") from None


def _hand_in(folder: Place, path: Path, content: bytes) -> None:
    """Copy a file into the folder of corrections."""
    from mlops_assets.journey.feedback.handing import hand_in

    try:
        if hand_in(folder, path.stem, content).before:
            click.echo(f"{printable(str(path))}: was handed in before", err=True)
    except OSError as error:
        raise UsageError(f"{folder}: {printable(path.name)} cannot be written there: {error.strerror}.") from None
