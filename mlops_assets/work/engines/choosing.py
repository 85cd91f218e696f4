"""Which engine does a day, and what that costs: for `preview`, and for a use case that says `engine: auto`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case.clients import Client
from mlops_assets.use_case.platforms import Elsewhere
from mlops_assets.work.costs import Offer, PriceTable, Step, Way, Work, cheapest, in_money, minutes, offers, price_table
from mlops_assets.work.engines.kinds import AUTO, LOCAL, PIPES, engine_name, processes, set_up
from mlops_assets.work.forecast import STEPS, measured

if TYPE_CHECKING:
    from mlops_assets.use_case import UseCase


@dataclass(frozen=True)
class Plan:
    """How a day would be done.

    Attributes
    ----------
    engine, workers
        The engine that a run uses, and the cores that it works with.
    minutes
        How long that takes; None where the table does not know the engine.
    why
        Why `auto` chose it; empty where the engine was named.
    offers
        What each way would take.
    dated, currency
        Of the prices.
    sources
        Where the seconds of each way are from, by its name, and the prices by an empty one; empty where nobody said so.
    """

    engine: str
    workers: int
    minutes: float | None
    why: str
    offers: tuple[Offer, ...]
    dated: str
    currency: str
    sources: dict[str, str]


def plan(settings: Settings, use_case: UseCase, work: Work) -> Plan:
    """How a run of some work would be done, and what else it might cost."""
    table, name, workers = price_table(settings.prices), engine_name(settings, use_case), processes(settings, use_case)
    every, why = offers(table, work, use_case.scale.minutes, settings.workers), ""
    if name == AUTO:
        ready = set_up(settings)
        found = cheapest(every, ready)
        if found is None:
            name, why = LOCAL, f"{LOCAL}: the table of prices has none of the engines that are set up"
        else:
            name, workers = found.engine, found.workers
            why = _reason(found, use_case.scale.minutes, table, ready)
    way = _way_of(table, name, use_case.scale.client)
    takes = minutes(way, work, workers) if way else None
    sources = {"": table.source, **{name: way.source for name, way in table.ways.items()}}
    return Plan(name, workers, takes, why, every, table.dated.isoformat(), table.currency, sources)


def _way_of(table: PriceTable, engine: str, client: Client) -> Way | None:
    """The way that an engine is: the first of the table. A job elsewhere is the one that is named as its platform."""
    if engine == PIPES and isinstance(client, Elsewhere):
        return table.ways.get(client.kind)
    wanted = client.engine if engine == PIPES else engine
    return next((way for way in table.ways.values() if way.engine == wanted), None)


def _reason(offer: Offer, deadline: float, table: PriceTable, ready: list[str]) -> str:
    """Why an offer was taken, in a sentence."""
    takes = f"{offer.minutes:.1f} of {deadline:g} min for {in_money(offer.money)} {table.currency}"
    if not ready[1:]:
        holds = "holds the deadline" if offer.holds else "DOES NOT HOLD THE DEADLINE"
        why = f"which {holds}; no other engine is set up"
    elif offer.holds:
        why = f"the cheapest of {', '.join(ready)} that holds the deadline"
    else:
        why = f"the fastest of {', '.join(ready)}, for NONE HOLDS THE DEADLINE"
    return f"{offer.engine}: {takes}, {why} (prices of {table.dated})"


def plan_listed_day(settings: Settings, use_case: UseCase, day: str) -> Plan | None:
    """How a day that was listed would be done as a whole; None if nothing of the use case was ever measured.

    It depends on the listing and on earlier days alone, so that it says the same before each step of the day.
    """
    lake = Lake(settings.lake, use_case.name)
    listed = lake.raw_files.days().get(day)
    # the day itself tells nothing: once its rows were read by the engine that was chosen, another might be
    paces = measured(lake, but=day)
    if listed is None or "rows" not in paces:
        return None
    rows, shards = listed.accounting.bytes * paces["rows"].rows_a_byte, listed.accounting.shards
    known = [paces[step] for step in STEPS if step in paces]
    return plan(settings, use_case, Work(0.0, tuple(Step(shards, pace.seconds_a_row * rows) for pace in known)))
