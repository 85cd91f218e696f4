"""The command `diff`."""

from __future__ import annotations

import datetime as dt
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
    show_progress,
)
from mlops_assets.cli.outputs import output_options
from mlops_assets.errors import MlopsError, UsageError

if TYPE_CHECKING:
    from mlops_assets.journey.explain.span import Span
    from mlops_assets.work.progress import Progress
    from mlops_assets.workspace import Stores


@click.command()
@click.argument("use_case")
@day_options
@click.option("--candidate", type=int, help="The version that might come. [default: what is published]")
@click.option("--against", type=int, help="The version to compare with. [default: the champion, or what was published]")
@as_published_option
@output_options("table", "json", "html")
def diff(
    use_case: str,
    day: str | None,
    first: str | None,
    last: str | None,
    candidate: int | None,
    against: int | None,
    moment: dt.datetime | int | None,
    form: str,
    output: Path | None,
) -> None:
    """Show what a version would change on real files, or what has changed: rows, classes, money, and who is right.

    With `--candidate` days are scored by both versions and nothing is published; of one day the accounts most affected
    and examples are shown, too. Without it, what is published is compared with what was published before, by another
    version or, with `--as-published-on`, at that time.

    \b
    Examples:
      mlops-assets diff transactions --day 2026-01-03 --candidate 3
      mlops-assets diff transactions --day 2026-01-03 --candidate 3 -o diff.html
      mlops-assets diff transactions --from 2026-01-01 --to 2026-01-31
      mlops-assets diff transactions --from 2026-01-01 --to 2026-01-31 --candidate 3 --against 2
      mlops-assets diff transactions --day 2026-01-03 --as-published-on 2026-01-20
    """
    stores = find(use_case)
    if day is None and first is None and last is None:
        raise UsageError("Which days? Give --day, or --from and --to.")
    if moment is not None and (candidate or against):
        raise UsageError("--as-published-on compares what is published: give it without --candidate and --against.")
    days = asked_days(stores.use_case, day, first, last)
    if candidate is None:
        span = _published(stores, published_days(stores.lake.predictions, use_case, days), against, moment)
    elif day is not None:
        _of_a_day(stores, str(day), candidate, against, form, output)
        return
    else:
        span = _scored(stores, published_days(stores.lake.rows, use_case, days), candidate, against)
    _show(span, form, output)


def _published(stores: Stores, days: list[str], against: int | None, moment: dt.datetime | int | None) -> Span:
    """What is published against what was."""
    if isinstance(moment, int) and len(days) > 1:
        raise UsageError("A number is that of one day's publication: name the day with --day, or give a time.")
    predictions = stores.lake.predictions
    then = None if moment is None else {day: published_at(predictions, day, moment) for day in days}
    from mlops_assets.journey.explain.span import compare_published
    from mlops_assets.work.engines import Engines

    show_progress()
    with Engines(stores.settings) as engines:
        engine = engines.of(stores.use_case)
        span = compare_published(stores.use_case, stores.lake, days, against, engine, _watch(stores, days), then)
    if not span.days:
        raise MlopsError("\n".join(f"{day}: {why}" for day, why in span.left_out.items()))
    return span


def _scored(stores: Stores, days: list[str], candidate: int, against: int | None) -> Span:
    """What one version says against what another does."""
    from mlops_assets.journey.explain.span import compare_versions
    from mlops_assets.work.engines import Engines

    before, after = stores.sides(candidate, against)
    show_progress()
    with Engines(stores.settings) as engines:
        engine = engines.of(stores.use_case)
        watch = _watch(stores, days)
        return compare_versions(stores.use_case, stores.lake, days, before, after, engine, watch)


def _of_a_day(stores: Stores, day: str, candidate: int, against: int | None, form: str, output: Path | None) -> None:
    """One day by two versions, with accounts and examples."""
    from mlops_assets.journey.explain.comparison import compare_day
    from mlops_assets.views import diff_page, diffs
    from mlops_assets.views import output as writing
    from mlops_assets.work.engines import Engines

    before, after = stores.sides(candidate, against)
    show_progress()
    with Engines(stores.settings) as engines:
        engine = engines.of(stores.use_case)
        comparison = compare_day(stores.use_case, stores.lake, day, before, after, engine, _watch(stores, [day]))
    if form == "html":
        text = diff_page.page(comparison, [before.details(), after.details()])
    else:
        text = {"table": diffs.text, "json": diffs.as_json}[form](comparison)
    if output is None:
        click.echo(text)
    else:
        writing.write_text(output, text)
        click.echo(f"Wrote {output}: {comparison.share:.2%} of {comparison.rows:,} rows change", err=True)


def _show(span: Span, form: str, output: Path | None) -> None:
    from mlops_assets.views import output as writing
    from mlops_assets.views import span_diffs

    text = {"table": span_diffs.text, "json": span_diffs.as_json, "html": span_diffs.page}[form](span)
    if output is None:
        click.echo(text)
    else:
        writing.write_text(output, text)
        click.echo(f"Wrote {output}: {span.share:.2%} of the rows of {len(span.days)} days change", err=True)


def _watch(stores: Stores, days: list[str]) -> Progress:
    from mlops_assets.work.progress import Progress

    known = stores.lake.rows.days()
    files = sum(known[day].accounting.files for day in days if day in known)
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return Progress(f"{stores.use_case.name} diff {span}", files)
