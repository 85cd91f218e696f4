"""What a run would do, day by day, for a terminal."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from functools import partial

from mlops_assets.errors import MlopsError
from mlops_assets.journey.preview.day import Preview, preview_day
from mlops_assets.journey.preview.sample import Trial
from mlops_assets.journey.score.day import Scorers
from mlops_assets.use_case import UseCase
from mlops_assets.views.output import text_table
from mlops_assets.work.costs import Offer, in_money
from mlops_assets.work.engines.choosing import Plan, plan
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
        The range.
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
    trial = Trial(use_case, source, scorers, lambda version: stores.registry.prove(version, use_case.training.trusted))
    # a day whose files are gone since would be run, too
    days = [day for day in use_case.partitions.between(first, last) if day in listed or source.delivered(day)]
    planned = partial(plan, stores.settings, use_case)
    return [preview_day(use_case, source, lake, day, scorers, paces, planned, trial) for day in days]


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
        *_costs(previews),
        _time(previews, use_case),
        *([strays] if strays else []),
    ]
    return "\n\n".join(parts)


def _costs(previews: Sequence[Preview]) -> list[str]:
    """What the days would take by each way, a run a day; nothing where it cannot be told of all of them."""
    plans = [preview.plan for preview in previews if preview.plan is not None]
    if len(plans) < len(previews):
        return []
    # every plan is made with the same table
    ways = [_way(way) for way in zip(*(one.offers for one in plans), strict=True)]
    first = plans[0]
    heads = ["way", "machines", "of cores", "minutes", first.currency, "deadline"]
    whys = dict.fromkeys(f"engine {one.why}" for one in plans if one.why)
    return ["\n".join([text_table([heads, *ways]).rstrip(), *_sources(first), *whys])]


def _sources(plan: Plan) -> list[str]:
    """Where the numbers of the ways are from, a line each."""
    of = {name: source or "a table of your own, which does not say from where" for name, source in plan.sources.items()}
    prices = f"Prices of {plan.dated}: {of.pop('')}"
    return [prices, *(f"Seconds beside the work, {name}: {source}" for name, source in of.items())]


def _way(days: Sequence[Offer]) -> list[str]:
    """What one way takes for some days."""
    most, late = max(days, key=lambda offer: offer.machines), [offer for offer in days if not offer.holds]
    holds = "holds"
    if late:
        cores = max((offer.enough or 0 for offer in late), default=0)
        impossible = any(offer.enough is None for offer in late)
        holds = "CANNOT HOLD IT" if impossible else f"MISSED; {cores} cores would hold it"
    minutes, money = sum(offer.minutes for offer in days), sum(offer.money for offer in days)
    return [most.way, str(most.machines), str(most.cores), f"{minutes:.1f}", in_money(money), holds]


def _time(previews: Sequence[Preview], use_case: UseCase) -> str:
    """Whether all of it would be done in time."""
    minutes = [preview.minutes for preview in previews if preview.minutes is not None]
    # a sum without some of the days would promise too much
    if len(minutes) < len(previews):
        if all(preview.plan is not None for preview in previews):
            return "?: the table of prices has no way of the engine that is named."
        return "?: no day was measured yet; run a small one first."
    allowed = use_case.scale.minutes * len(previews)
    holds = "the deadline would hold" if sum(minutes) <= allowed else "THE DEADLINE WOULD BE MISSED"
    return f"{_estimated(previews)}{sum(minutes):.1f} min of {allowed:g} min in all: {holds}"


def _estimated(previews: Sequence[Preview]) -> str:
    """What the work was measured on: earlier days, or some of the files."""
    days = sorted({day for preview in previews for day in preview.measured})
    tried = max(previews, key=lambda preview: preview.sampled)
    told = [f"at the pace of {', '.join(days)}"] if days else []
    if tried.sampled:
        sure = "" if tried.uncertainty is None else f" (± {tried.uncertainty:.0%} of the work)"
        told.append(f"from {'1 file' if tried.sampled == 1 else f'{tried.sampled} files'}{sure}")
    return f"Estimated {' and '.join(told)}: " if told else ""


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
