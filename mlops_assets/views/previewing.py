"""What a run would do, day by day, for a terminal."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.preview import Preview, preview_day
from mlops_assets.journey.read.sources import open_source
from mlops_assets.journey.score.day import Scorers
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.views.output import text_table
from mlops_assets.work.forecast import STEPS, measured


def preview_days(use_case: UseCase, settings: Settings, first: str, last: str) -> list[Preview]:
    """Look at each day of a range that has files or had some.

    Parameters
    ----------
    use_case, settings
        What would be run, and where.
    first, last
        The range, `YYYY-MM-DD`.
    """
    source = open_source(use_case, settings.raw)
    lake = Lake(settings.lake, use_case.name)
    registry = Registry(settings)
    champion = registry.champion(use_case.name)
    scorers = Scorers(champion, challenger=registry.challenger(use_case, champion)) if champion else None
    paces, known = measured(lake), lake.raw_files.days()
    span = range(dt.date.fromisoformat(first).toordinal(), dt.date.fromisoformat(last).toordinal() + 1)
    days = [dt.date.fromordinal(number).isoformat() for number in span]
    return [
        preview_day(use_case, source, lake, day, scorers, paces, settings.workers)
        for day in days
        if day in known or source.delivered(day)
    ]


def render(previews: Sequence[Preview], use_case: UseCase) -> str:
    """The previews as a table, with the reasons and the sum below."""
    if not previews:
        return "No day of this range has files."
    heads = ["day", "files", "MB", "shards", "to read", "to aggregate", "to score", "rows", "minutes", "disk MB"]
    reasons: Counter[str] = Counter()
    for one in previews:
        reasons.update(one.reasons)
    text = [text_table([heads, *map(_line, previews)]).rstrip()]
    text.append("\n".join(f"{number} shards: {why}" for why, number in reasons.most_common()) or "Nothing to do.")
    if any(one.minutes is None for one in previews):
        text.append("?: no day was measured yet; run a small one first.")
    else:
        minutes = sum(one.minutes or 0.0 for one in previews)
        allowed = use_case.scale.minutes * len(previews)
        holds = "the deadline would hold" if minutes <= allowed else "THE DEADLINE WOULD BE MISSED"
        text.append(f"{minutes:.1f} min of {allowed:g} min in all: {holds}")
    return "\n\n".join(text)


def _line(one: Preview) -> list[str]:
    return [
        one.day,
        f"{one.files:,}",
        f"{one.bytes / 1e6:,.1f}",
        str(one.shards),
        *(str(one.redo[step]) for step in STEPS),
        "?" if one.rows is None else f"{one.rows:,}",
        "?" if one.minutes is None else f"{one.minutes:.1f}",
        "?" if one.disk is None else f"{one.disk / 1e6:,.1f}",
    ]
