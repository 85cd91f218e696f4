"""The command `mlops-assets why`: one prediction, from its raw line to the answer."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click

from mlops_assets.cli.common import Day, find, raw_option
from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from mlops_assets.journey.explain.why import Explanation
    from mlops_assets.storage.places import Place

LEAST = 0.0005
"""Strengths and probabilities below it are not shown as text; JSON has them all."""


@click.command()
@click.argument("use_case")
@click.option("--day", type=Day(), required=True, help="The day.")
@click.option("--file", required=True, help="The file, as `predictions` names it.")
@click.option("--line", type=click.IntRange(1), required=True, help="Data line, 1 for the first one after the header.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format."
)
@raw_option
def why(use_case: str, day: dt.date, file: str, line: int, form: str, raw: Place | None) -> None:
    """Show why a row got its category: raw line, cleaned values, features, model, run, and the answer computed again.

    \b
    Example:
      mlops-assets why transactions --day 2026-01-03 --file 000001.csv --line 7
    """
    from mlops_assets.journey.explain.why import explain
    from mlops_assets.journey.model.registry import Registry
    from mlops_assets.journey.read.sources import open_source
    from mlops_assets.storage.tables import Lake

    settings, found = find(use_case)
    source = open_source(found, raw or settings.raw)
    version = partial(Registry(settings).version, found.name)
    told = explain(found, source, Lake(settings.lake, found.name), version, day.isoformat(), file, line)
    click.echo(to_json(told) if form == "json" else to_text(told))
    if not told.agrees:
        raise MlopsError(
            f"THE RECOMPUTED ANSWER IS NOT THE PUBLISHED ONE: published {told.prediction} with {told.probability!r}, "
            f"recomputed {told.recomputed} with {told.recomputed_probability!r}. Stored rows, features, libraries or "
            "code are not those of the run; do not rely on this day before it was run again."
        )


def to_json(told: Explanation) -> str:
    """An explanation as JSON; `agrees` says whether the recomputed answer is the published one."""
    cleaned = [{**asdict(one), "differs": one.differs} for one in told.cleaned]
    content = {**asdict(told), "cleaned": cleaned, "agrees": told.agrees}
    return json.dumps(content, indent=2, ensure_ascii=False, default=str)


def to_text(told: Explanation) -> str:
    """An explanation for a terminal."""
    since = " and on ".join(told.champion)
    model = f"version {told.version}, {told.candidate}, chosen by {told.choice or 'an earlier release'!r}"
    model += f"; champion on {since}" if since else "; it was never champion"
    time = dt.datetime.fromtimestamp(told.published / 1000, dt.UTC).isoformat(timespec="seconds")
    restored = f", restored by {told.restored_by}" if told.restored_by else ""
    columns = [[c.column, _text(c.raw or ""), _shown(c.value), "cleaned" if c.differs else ""] for c in told.cleaned]
    row = f"{told.use_case}, {told.day}, {told.file}, line {told.line}"
    enriched = [["enrichment", "column", "value", "", "for"]]
    enriched += [
        [one.name, column, _shown(value), one.status, one.of_day or ""]
        for one in told.enriched
        for column, value in (one.values or {"": None}).items()
    ]
    features = [
        [f.name, _shown(f.value), "unseen in training" if f.unseen else "", _strength(f.strength)]
        for f in told.features
    ]
    words = [[word.column, _shown(word.word), _strength(word.strength)] for word in told.words]
    classes = [[name, f"{value:.4f}"] for name, value in told.probabilities.items() if value >= LEAST]
    above = f" (the second class is said from {told.threshold})" if told.threshold is not None else ""
    same = "the recomputed answer is the published one, to the bit"
    agrees = same if told.agrees else "THE RECOMPUTED ANSWER IS ANOTHER ONE"
    return "\n\n".join(
        part.rstrip()
        for part in (
            f"{row}: {told.prediction} with {told.probability:.4f}",
            f"raw line\n  {told.raw_problem or told.raw}",
            _titled("what was read", [["column", "raw", "value", ""], *columns]),
            *([_titled("what was known elsewhere", enriched)] if told.enriched else []),
            _titled("what the model saw, the strongest first", [["feature", "value", "", "strength"], *features]),
            _titled("words of its texts, by what the answer loses without them", [["text", "word", "strength"], *words])
            if words
            else "",
            _titled(f"probabilities{above}", [["class", "probability"], *classes]),
            f"model  {model}\nrun    {told.run or 'unknown'}, published {time}{restored}\nanswer {agrees}",
        )
        if part
    )


def _titled(title: str, lines: list[list[str]]) -> str:
    from mlops_assets.views.output import text_table

    return f"{title}\n{text_table(lines)}"


def _text(raw: str) -> str:
    """Raw text in which one sees blanks at its ends."""
    return _shown(raw if raw == raw.strip() else repr(raw))


def _shown(value: object) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _strength(value: float) -> str:
    return f"{value:+.3f}" if abs(value) >= LEAST else "0"
