"""In: what was said of a day. Out: a document of it, and what may be read of that.

A kept verdict holds for one publication of the day and one configuration; who reads it sees no other. It has all
of the red lamps that come first, the sentences of the others, and of green ones no more than their figures: a day of
400 columns is some ten kilobytes.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from mlops_assets.errors import LakeError, S3Error
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.monitoring.words import advice_on
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_json
from mlops_assets.storage.integrity import Damaged, Gone, read_json, understanding
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import fingerprint

log = logging.getLogger("mlops_assets.drift")

MOST_WHOLE = 50
"""Red lamps that are kept with everything that was found: more, nobody looks at one by one."""

DIGITS = 6

FIGURES = ("name", "state", "what", "effect", "floor", "band", "source", "column")
SAID = (*FIGURES, "sentence", "since", "cause")


@dataclass(frozen=True)
class Compared:
    """A day beside something else than the configuration names.

    Attributes
    ----------
    against
        What it is compared with, in words.
    sentence
        The first thing to know.
    red
        Whether any lamp is.
    """

    against: str
    sentence: str
    red: bool

    @classmethod
    def of(cls, verdict: DayVerdict) -> Compared:
        """The same of a verdict."""
        return cls(verdict.against, verdict.sentence, verdict.red)


@dataclass(frozen=True)
class Judged:
    """What is said of a day.

    Attributes
    ----------
    verdict
        Compared as the use case says.
    others
        Compared with the others of `AGAINST`.
    version
        The version that scored.
    publication
        The version of `predictions` at which the day was published; None of a day that was not, because of this.
    proposal
        Which version to go back to, where the day is red since another one scores; else empty.
    doubt
        What the estimate says, where its lamp is red; else empty. It warns, and stops nothing.
    """

    verdict: DayVerdict
    others: tuple[Compared, ...] = ()
    version: int = 0
    publication: int | None = None
    proposal: str = ""
    doubt: str = ""

    @property
    def sentence(self) -> str:
        """The first thing to know of the day, and the proposal."""
        return " ".join(filter(None, (self.verdict.sentence, self.proposal)))


def configuration(use_case: UseCase) -> str:
    """Fingerprint of what the configuration says of watching."""
    return fingerprint(use_case.drift.model_dump_json())


def keep(use_case: UseCase, lake: Lake, judged: Judged) -> None:
    """Keep what was said of a day; where that cannot be written, it is said all the same."""
    try:
        write_json(lake.verdict(judged.verdict.day), {**_plain(judged), "configuration": configuration(use_case)})
    except (LakeError, S3Error) as error:
        log.warning("what is said of %s is not kept: %s", judged.verdict.day, error)


def read_verdict(use_case: UseCase, lake: Lake, day: str) -> Judged | None:
    """What was said of a day, if that is of what is published of it now and by the present configuration.

    Of a day that is not published: what kept it back, if that was it.
    """
    published = lake.predictions.days().get(day)
    return verdict_of(use_case, lake, day, published.version if published else None)


def verdict_of(use_case: UseCase, lake: Lake, day: str, publication: int | None) -> Judged | None:
    """As `read_verdict`, for who knows the version at which the day is published; None if it is not."""
    path = lake.verdict(day)
    try:
        kept = read_json(path)
        if "lamps" not in kept or kept.pop("configuration") != configuration(use_case):
            return None
        with understanding(path):
            judged = _from_plain(kept)
    except Gone:
        return None
    except Damaged as error:  # of one day: it keeps no other from being judged
        log.warning("%s of %s: the file %s %s; what it said is not known.", *error.told())
        return None
    return judged if judged.publication == publication else None


def verdict_days(lake: Lake) -> list[str]:
    """The days of which something is kept, whether or not it still holds, in order."""
    names = (path.name for path in lake.verdict("*").parent.glob("day=*.json"))
    return sorted(name.removeprefix("day=").removesuffix(".json") for name in names)


def red_days(use_case: UseCase, lake: Lake, version: int, since: dt.datetime | None = None) -> list[str]:
    """The days up to the newest published one that are red one after the other, the newest first.

    Parameters
    ----------
    use_case, lake
        The use case and its tables.
    version
        The version that must have scored them.
    since
        If given, they must have been published after that.
    """
    days = []
    for day, published in sorted(lake.predictions.days().items(), reverse=True):
        seen = since is not None and published.time <= since.timestamp() * 1000
        if seen or published.accounting.model_version != version:
            break
        kept = read_verdict(use_case, lake, day)
        if kept is None or not kept.verdict.red:
            break
        days.append(day)
    return days


def _plain(judged: Judged) -> dict[str, Any]:
    verdict = judged.verdict
    whole = {lamp.name for lamp in verdict.red_lamps[:MOST_WHOLE]}
    return {
        "publication": judged.publication,
        "version": judged.version,
        "proposal": judged.proposal,
        "doubt": judged.doubt,
        "day": verdict.day,
        "sentence": verdict.sentence,
        "red": verdict.red,
        "against": verdict.against,
        "lamps": [_plain_lamp(lamp, whole=lamp.name in whole) for lamp in verdict.lamps],
        "others": [asdict(other) for other in judged.others],
    }


def _plain_lamp(lamp: Lamp, *, whole: bool) -> dict[str, Any]:
    """What is kept of a lamp, without what is as in any other; what is infinitely far is null."""
    kept = asdict(lamp)
    kept.pop("advice")  # follows from the figure
    if not whole:
        kept = {name: kept[name] for name in (FIGURES if lamp.state == "green" else SAID)}
    usual = {each.name: each.default for each in fields(Lamp) if each.default is not MISSING}
    return {name: _short(value) for name, value in kept.items() if value and value != usual.get(name)}


def _short(value: Any) -> Any:
    """A number with the digits that somebody reads."""
    if isinstance(value, Mapping):
        return {name: _short(each) for name, each in value.items()}
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def _from_plain(kept: Mapping[str, Any]) -> Judged:
    verdict = DayVerdict(kept["day"], kept["against"], tuple(_lamp(lamp) for lamp in kept["lamps"]))
    others = tuple(Compared(**other) for other in kept["others"])
    return Judged(verdict, others, kept["version"], kept["publication"], kept["proposal"], kept["doubt"])


def _lamp(kept: Mapping[str, Any]) -> Lamp:
    numbers = {name: math.inf for name in ("effect", "floor", "band") if name in kept and kept[name] is None}
    figures = {name: math.inf if value is None else value for name, value in kept.get("figures", {}).items()}
    lamp = Lamp(**{**kept, **numbers, "figures": figures, "bins": tuple(kept.get("bins", ()))})
    return replace(lamp, advice=advice_on(lamp.what, lamp.source)) if lamp.red else lamp
