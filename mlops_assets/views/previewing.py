"""What a run would do, day by day, for a terminal."""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from collections.abc import Sequence

from mlops_assets.errors import MlopsError
from mlops_assets.journey.preview import Preview, preview_day
from mlops_assets.journey.score.day import Scorers
from mlops_assets.use_case import UseCase
from mlops_assets.views.output import text_table
from mlops_assets.work.forecast import STEPS, measured
from mlops_assets.workspace import Stores

log = logging.getLogger("mlops_assets.preview")


def preview_days(stores: Stores, first: str, last: str) -> list[Preview]:
    """Look at each day of a range that has files or had some.

    Parameters
    ----------
    stores
        Of the use case that would be run.
    first, last
        The range, `YYYY-MM-DD`.
    """
    use_case, source, lake, champion = stores.use_case, stores.source, stores.lake, None
    try:
        champion = stores.champion()
    except MlopsError as error:  # what is to be read can be told all the same
        log.warning("%s: nothing would be predicted: %s", use_case.name, error)
    scorers = None
    if champion is not None:
        scorers = Scorers(champion, challenger=stores.registry.challenger(use_case, champion))
    paces, listed = measured(lake), lake.raw_files.days()
    # a day whose files are gone since would be run, too
    days = [day for day in _span(first, last) if day in listed or source.delivered(day)]
    return [preview_day(use_case, source, lake, day, scorers, paces, stores.settings.workers) for day in days]


def _span(first: str, last: str) -> list[str]:
    """Every day of a range."""
    numbers = range(dt.date.fromisoformat(first).toordinal(), dt.date.fromisoformat(last).toordinal() + 1)
    return [dt.date.fromordinal(number).isoformat() for number in numbers]


def render(previews: Sequence[Preview], use_case: UseCase, strays: str = "") -> str:
    """The previews as a table, with the reasons, the sum and what is passed over below."""
    if not previews:
        return "\n\n".join(["No day of this range has files.", *([strays] if strays else [])])
    heads = ["day", "files", "MB", "shards", "to read", "to aggregate", "to score", "rows", "minutes", "disk MB"]
    reasons: Counter[str] = Counter()
    for preview in previews:
        reasons.update(preview.reasons)
    parts = [
        text_table([heads, *map(_line, previews)]).rstrip(),
        "\n".join(f"{number} shards: {why}" for why, number in reasons.most_common()) or "Nothing to do.",
        _time(previews, use_case),
        *([strays] if strays else []),
    ]
    return "\n\n".join(parts)


def _time(previews: Sequence[Preview], use_case: UseCase) -> str:
    """Whether all of it would be done in time."""
    minutes = [preview.minutes for preview in previews if preview.minutes is not None]
    # a sum without some of the days would promise too much
    if len(minutes) < len(previews):
        return "?: no day was measured yet; run a small one first."
    allowed = use_case.scale.minutes * len(previews)
    holds = "the deadline would hold" if sum(minutes) <= allowed else "THE DEADLINE WOULD BE MISSED"
    return f"{sum(minutes):.1f} min of {allowed:g} min in all: {holds}"


def _line(preview: Preview) -> list[str]:
    return [
        preview.day,
        f"{preview.files:,}",
        f"{preview.bytes / 1e6:,.1f}",
        str(preview.shards),
        *(str(preview.redo[step]) for step in STEPS),
        "?" if preview.rows is None else f"{preview.rows:,}",
        "?" if preview.minutes is None else f"{preview.minutes:.1f}",
        "?" if preview.disk is None else f"{preview.disk / 1e6:,.1f}",
    ]
