"""In: the work of a day, and a table of prices. Out: minutes, machines and money of each way to do it in time."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from mlops_assets.errors import UsageError
from mlops_assets.use_case.strict import Strict

SHIPPED = Path(__file__).with_name("costs.yaml")
"""The table that comes with the package."""

VARIABLE = "MLOPS_PRICES"
LONGEST = 64 << 10
"""Bytes of a table."""


Seconds = Annotated[float, Field(ge=0, le=86_400)]

Name = Annotated[str, Field(pattern=r"^[\w.-]{1,30}$")]


class Way(Strict, allow_inf_nan=False):
    """What one way of doing a day costs and needs; `costs.yaml` says what each key means."""

    engine: Literal["local", "spark", "runs", "pipes"]
    cores: int | None = Field(None, gt=0, le=1_024)
    most: int = Field(gt=0, le=1_000)
    beside: int = Field(0, ge=0, le=1_000)
    core_hour: float = Field(ge=0, le=1e6)
    start: Seconds = 0
    step: Seconds = 0
    shard: Seconds = 0
    source: str = ""


class PriceTable(Strict):
    """Prices of a date, and what each way needs beside the work."""

    dated: dt.date
    currency: Name
    source: str = ""
    ways: dict[Name, Way] = Field(max_length=100)


@dataclass(frozen=True)
class Step:
    """A step of a day: its shards, and the seconds that one worker would take for all of them."""

    shards: int
    seconds: float


@dataclass(frozen=True)
class Work:
    """What there is to do: seconds of listing, which one process does, and the steps, one after the other."""

    listing: float
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Offer:
    """What one way would take.

    Attributes
    ----------
    way, engine
        Its name in the table, and the engine that does it.
    machines, cores
        Machines that would be paid, those beside the work included, and the cores of each.
    workers
        Cores that would work on shards.
    minutes, money
        How long all of it takes, and what that costs.
    holds
        Whether it is done by the deadline.
    enough
        Cores that would do it by the deadline; None if no number would.
    """

    way: str
    engine: str
    machines: int
    cores: int
    workers: int
    minutes: float
    money: float
    holds: bool
    enough: int | None


def price_table(own: Path | None) -> PriceTable:
    """The table of prices.

    Parameters
    ----------
    own
        The file that `MLOPS_PRICES` names; what it says replaces what is shipped, key by key.

    Raises
    ------
    UsageError
        If it cannot be read, or says what a table cannot say.
    """
    shipped = _shipped()
    if own is None:
        return PriceTable.model_validate(shipped)
    said = _read(own)
    if "dated" not in said:
        raise UsageError(f"{VARIABLE}: say `dated`, the day on which these prices were looked up.")
    ways, more = shipped["ways"], said.get("ways", {})
    if isinstance(more, Mapping) and all(isinstance(way, Mapping) for way in more.values()):
        more = {**ways, **{name: _with_own(ways.get(name, {}), way) for name, way in more.items()}}
    try:
        return PriceTable.model_validate({**shipped, "source": "", **said, "ways": more})
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise UsageError(f"{VARIABLE}: {where}: {problem['msg']}. See docs/platforms.md, 'What it costs'.") from None


def _with_own(shipped: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A way with what a table of one's own says of it: seconds of one's own are not from where the others were."""
    source = {"source": ""} if own.keys() & {"start", "step", "shard"} else {}
    return {**shipped, **source, **own}


@cache
def _shipped() -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    return table


def _read(own: Path) -> Mapping[str, Any]:
    try:
        with own.open(encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{VARIABLE}: the table cannot be read: {why}.") from None
    if len(text) > LONGEST:
        raise UsageError(f"{VARIABLE}: a table has at most {LONGEST:,} signs.")
    try:
        said = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise UsageError(f"{VARIABLE}: the table is no YAML{where}.") from None
    if not isinstance(said, Mapping):
        raise UsageError(f"{VARIABLE}: the table must have keys, such as `dated` and `ways`.")
    return said


def minutes(way: Way, work: Work, workers: int) -> float:
    """How long a way takes with so many cores at work; more of them never make it longer."""
    seconds = way.start + work.listing
    for step in work.steps:
        if step.shards:
            # a shard is one core's: the last round may leave some idle
            rounds = math.ceil(step.shards / workers)
            seconds += way.step + rounds * (step.seconds / step.shards + way.shard)
    return seconds / 60


def offers(table: PriceTable, work: Work, deadline: float, workers: int) -> tuple[Offer, ...]:
    """What each way of a table would take: with the machines that do it in time for the least money.

    Parameters
    ----------
    table
        The prices.
    work
        What there is to do.
    deadline
        Minutes that it may take.
    workers
        Cores of this machine that work.
    """
    return tuple(_best(name, way, work, deadline, workers) for name, way in table.ways.items())


def _best(name: str, way: Way, work: Work, deadline: float, here: int) -> Offer:
    """The cheapest number of machines that holds the deadline; of a way that cannot, the fastest."""
    cores, most_shards = way.cores or here, max((step.shards for step in work.steps), default=1)
    # more machines than there are shards would stand idle
    useful = min(way.most, max(1, math.ceil(most_shards / cores)))
    fewest = _fewest(way, work, deadline, most_shards)
    every = [_offer(name, way, work, deadline, machines, cores, fewest) for machines in range(1, useful + 1)]
    holding = [offer for offer in every if offer.holds]
    if holding:
        return min(holding, key=lambda offer: (offer.money, offer.machines))
    return min(every, key=lambda offer: (offer.minutes, offer.machines))


def _offer(name: str, way: Way, work: Work, deadline: float, machines: int, cores: int, fewest: int | None) -> Offer:
    workers, paid = machines * cores, machines + way.beside
    takes = minutes(way, work, workers)
    money = takes / 60 * paid * cores * way.core_hour
    return Offer(name, way.engine, paid, cores, workers, takes, money, takes <= deadline, fewest)


def _fewest(way: Way, work: Work, deadline: float, most: int) -> int | None:
    """The smallest number of cores that holds the deadline, by halving: more are never slower."""
    if minutes(way, work, max(1, most)) > deadline:
        return None
    low, high = 1, max(1, most)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if minutes(way, work, middle) <= deadline else (middle + 1, high)
    return low


def in_money(amount: float) -> str:
    """An amount for people: whole hundredths, or one digit that counts where it is less.

    Examples
    --------
    >>> in_money(1234.5), in_money(0.27), in_money(0.00033), in_money(0)
    ('1,234.50', '0.27', '0.0003', '0.00')
    """
    return f"{amount:,.2f}" if amount >= 0.01 or not amount else f"{amount:.1g}"


def cheapest(every: Sequence[Offer], engines: Collection[str]) -> Offer | None:
    """Of the offers by some engines the cheapest that holds the deadline, or else the fastest; None if there is none.

    Of equal ones the first in the table is taken.
    """
    could = [offer for offer in every if offer.engine in engines]
    holding = [offer for offer in could if offer.holds]
    if holding:
        return min(holding, key=lambda offer: offer.money)
    return min(could, key=lambda offer: offer.minutes, default=None)
