"""The lamps of what came: files, rows, whether one account carries the day, and what was refused.

They ask what is usual for the weekday, whatever a day is compared with else: the training rows say nothing of how many
files come on a Monday.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from mlops_assets.monitoring.days import WatchedDay
from mlops_assets.monitoring.figures import Figures
from mlops_assets.monitoring.lamp import Lamp
from mlops_assets.monitoring.noise import LEAST_DAYS, of_days
from mlops_assets.monitoring.words import ADVICE, number, percent
from mlops_assets.use_case.drift import Drift
from mlops_assets.use_case.partitions import date_of
from mlops_assets.work.printable import printable

LEAST_WEEKS = 3
"""Same weekdays from which on a day is measured by them, and not by all days."""

FEW_DAYS = 3
"""Days from which on volume is judged at all."""

FEW_LEAST, FEW_TIMES = 0.75, 3.0
"""While fewer than `LEAST_DAYS` are known: how far out a day is at least that is red by volume, and how many times as
far as any two of those days lie apart. Measured in docs/monitoring.md."""

VOLUMES: Mapping[str, tuple[str, Callable[[WatchedDay], float]]] = {
    "files": ("files", lambda day: day.files),
    "rows": ("rows", lambda day: day.accounting.rows),
    "rows_a_file": ("rows a file", lambda day: day.accounting.rows / max(1, day.files)),
    "rows_an_account": ("rows an account", lambda day: day.accounting.rows / max(1, day.accounts)),
}
"""What is counted, in words, and how; where one file or account is repeated there are more rows an account."""

REFUSED_FILES = "refused_files"
"""Name of the lamp of files that were refused as a whole."""


def volume_lamps(drift: Drift, today: WatchedDay, before: Sequence[WatchedDay]) -> list[Lamp]:
    """Files, rows, rows a file, rows an account.

    Parameters
    ----------
    drift
        Floors and bands.
    today
        The day.
    before
        The days of the four weeks before it, of whatever version, the oldest first.
    """
    lamps = []
    for name, (words, count) in VOLUMES.items():
        if name == "rows_a_file" and all(day.files == 1 for day in [*before, today]):
            continue  # one table a day: its rows have a lamp
        least = _least(count, before, today)
        if least is None:
            lamps.append(Lamp(name, "grey", "volume", sentence=_too_few_days(words.capitalize(), before)))
            continue
        effects = np.array([_times(count(day), _usual(count, before, day)) for day in [*before, today]])
        sentence = f"{number(count(today))} {words} came ({number(_usual(count, before, today))} are usual)."
        lamps.append(_lamp(name, "volume", effects, drift, today, before, sentence, least))
    return lamps


def refusal_lamps(drift: Drift, today: WatchedDay, before: Sequence[WatchedDay]) -> list[Lamp]:
    """Lines by the rule that refused them, and files that were refused as a whole.

    Parameters
    ----------
    drift, today, before
        As in `volume_lamps`.
    """
    rules = sorted({rule for day in [*before, today] for rule in day.accounting.rules})
    asked: dict[str, tuple[str, Callable[[WatchedDay], float]]] = {
        f"rejects.{rule}": (f"of lines were refused by `{printable(rule)}`", _rate_of(rule)) for rule in rules
    }
    asked[REFUSED_FILES] = (
        "of files were refused as a whole",
        lambda day: day.accounting.files_refused / max(1, day.accounting.files),
    )
    lamps = []
    for name, (words, rate) in asked.items():
        if len(before) < LEAST_DAYS:
            lamps.append(Lamp(name, "grey", "rejects", sentence=_too_few(f"What share {words}", before)))
            continue
        usual = float(np.median([rate(day) for day in before]))
        effects = np.array([max(0.0, rate(day) - usual) for day in [*before, today]])
        sentence = f"{percent(rate(today))} {words} ({percent(usual)} are usual)."
        lamps.append(_lamp(name, "rejects", effects, drift, today, before, sentence))
    return lamps


def _rate_of(rule: str) -> Callable[[WatchedDay], float]:
    return lambda day: day.accounting.rules.get(rule, 0) / max(1, day.accounting.lines)


def _usual(count: Callable[[WatchedDay], float], before: Sequence[WatchedDay], of: WatchedDay) -> float:
    """What the days before have, those of the same weekday where there are enough of them.

    Of a day before, what the others have: four weekdays with itself among them would lie closer to it than to today.
    """
    others = [day for day in _same_weekday(before, of) or before if day is not of]
    return float(np.median([count(day) for day in others]))


def _same_weekday(before: Sequence[WatchedDay], of: WatchedDay) -> list[WatchedDay]:
    """Those of the days before that are the same weekday; none where they are too few.

    An hour is compared with the same hour of that weekday, and until there are enough of these with that of all days:
    nobody would compare a night with noon.
    """
    same = [day for day in before if _slot(day) == _slot(of)]
    if len(same) < LEAST_WEEKS and _slot(of)[1]:
        same = [day for day in before if _slot(day)[1] == _slot(of)[1]]
    return same if len(same) >= LEAST_WEEKS else []


def _least(count: Callable[[WatchedDay], float], before: Sequence[WatchedDay], today: WatchedDay) -> float | None:
    """How far out a day may be, whatever floor and spread say; None where the days before are too few to tell."""
    if _same_weekday(before, today):
        return 0.0
    if len(before) >= LEAST_DAYS:
        # while the weekday is not known, a day is no farther out than the farthest of those before it
        effects = np.array([_times(count(day), _usual(count, before, day)) for day in before])
        return float(np.max(effects[np.isfinite(effects)], initial=0))
    # of a first weekend nobody knows what comes on it
    if len(before) < FEW_DAYS or _weekend(today) not in {_weekend(day) for day in before}:
        return None
    counts = [count(day) for day in before]
    return max(FEW_LEAST, FEW_TIMES * _times(min(counts), max(counts)))


def _slot(day: WatchedDay) -> tuple[int, str]:
    """Weekday, and hour if any: of an hour that comes again, that of the first."""
    return _slot_of(day.day)


@lru_cache(maxsize=4096)
def _slot_of(key: str) -> tuple[int, str]:
    return date_of(key).weekday(), key[10:13]  # each is asked for beside each other


def _weekend(day: WatchedDay) -> bool:
    return date_of(day.day).weekday() >= 5


def _times(now: float, usual: float) -> float:
    """By what part the larger of both is larger than the other: half as much is as far as twice as much."""
    low, high = sorted((now, usual))
    if low == high:
        return 0.0
    return high / low - 1 if low else float("inf")


def _too_few_days(what: str, before: Sequence[WatchedDay]) -> str:
    return (
        f"{what} cannot be judged: {len(before)} of the 28 days before it are known; {LEAST_DAYS} are needed, or "
        f"{FEW_DAYS} with a day among them that is, as this one, of the week or of a weekend."
    )


def _too_few(what: str, before: Sequence[WatchedDay]) -> str:
    return f"{what} cannot be judged: {len(before)} of the 28 days before it are known, and {LEAST_DAYS} are needed."


def _lamp(
    name: str,
    what: str,
    effects: np.ndarray,
    drift: Drift,
    today: WatchedDay,
    before: Sequence[WatchedDay],
    sentence: str,
    least: float = 0.0,
) -> Lamp:
    earlier = effects[:-1, None]
    # a day on which nothing came is infinitely far from others, and says nothing of how they are spread
    known = earlier[np.isfinite(earlier[:, 0])]
    floor = np.array([getattr(drift.floors, what)])
    band = np.maximum(of_days(known, drift.spread), least)
    figures = Figures(what, effects[-1:], floor, band, earlier, [watched.day for watched in before])
    lit = bool(figures.red(drift.days)[0])
    return Lamp(
        name=name,
        state="red" if lit else "green",
        what=what,
        effect=float(figures.effect[0]),
        floor=float(floor[0]),
        band=float(figures.band[0]),
        source="rejects" if what == "rejects" else "files",
        sentence=sentence,
        advice=ADVICE[what] if lit else "",
        since=figures.since(0, today.day) if lit else None,
    )
