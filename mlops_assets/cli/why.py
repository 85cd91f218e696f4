"""The command `mlops-assets why`: one prediction, from its raw line to the answer."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import click

from mlops_assets.cli.common import Day, Publication, asked_day, find, published_at, raw_option
from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from mlops_assets.storage.places import Place


@click.command()
@click.argument("use_case")
@click.option("--day", type=Day(), required=True, help="The day.")
@click.option("--file", required=True, help="The file, as `predictions` names it.")
@click.option("--line", type=click.IntRange(1), required=True, help="Data line, 1 for the first one after the header.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format."
)
@click.option("--as-published-on", "moment", type=Publication(), help="As it was then: UTC time, day, or number.")
@raw_option
def why(
    use_case: str,
    day: str,
    file: str,
    line: int,
    form: str,
    moment: dt.datetime | int | None,
    raw: Place | None,
) -> None:
    """Show why a row got its category: raw line, cleaned values, features, model, run, and the answer computed again.

    \b
    Example:
      mlops-assets why transactions --day 2026-01-03 --file 000001.csv --line 7
    """
    from mlops_assets.journey.explain.why import explain
    from mlops_assets.views.why import advice, answer, to_json, to_text

    stores = find(use_case, raw)
    day = asked_day(stores.use_case, day)
    # the version is asked again, here
    version = stores.proven_version
    then = None if moment is None else published_at(stores.lake.predictions, day, moment)
    explanation = explain(stores.use_case, stores.source, stores.lake, version, day, file, line, then)
    click.echo(to_json(explanation) if form == "json" else to_text(explanation))
    if not explanation.agrees:
        published = answer(explanation.prediction, explanation.probability, explanation.interval)
        recomputed = answer(explanation.recomputed, explanation.recomputed_probability, explanation.recomputed_interval)
        raise MlopsError(
            "THE RECOMPUTED ANSWER IS NOT THE PUBLISHED ONE: "
            f"published {published}, recomputed {recomputed}. {advice(explanation)}"
        )
