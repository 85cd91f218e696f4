"""In: what candidates say of the rows that choose. Out: which one is chosen, and why; no row that tests is looked at.

The best by the metric is chosen. What it cannot be told apart from by these rows is tied with it: then the champion's
recipe stays, and where that is not among them the lowest log loss decides. Where that is no more than noise, too, the
one that stands first in the configuration is taken: people begin with the simplest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from mlops_assets.journey.features.day import sql_fingerprint
from mlops_assets.journey.features.words import words_of
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.train.folds import Said
from mlops_assets.journey.train.intervals import Interval, interval
from mlops_assets.journey.train.metrics import PROPER, higher_is_better
from mlops_assets.use_case import UseCase

SHARED = ("window_days", "refused_days", "most_rows", "texts", "half_life", "threshold")
"""Keys of `training` that are part of every candidate's recipe."""

Measured = Callable[[Said, str], float]
"""A metric of what a model says, as it says it: what calibrates has learned from these very rows."""


@dataclass(frozen=True)
class Choice:
    """Which candidate is chosen.

    Attributes
    ----------
    ranked
        The candidates beside the baseline that have a value of the metric, the best first.
    tied
        Those that the best one cannot be told apart from, itself among them.
    kept
        The champion's candidate, if a candidate of today has its recipe; empty if none has.
    champion
        The version whose recipe that is; None if there is none.
    why
        How the first one came to be that, in words; empty where it is the best of all.
    """

    ranked: tuple[str, ...]
    tied: tuple[str, ...] = ()
    kept: str = ""
    champion: int | None = None
    why: str = ""

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what a training wrote of it."""
        return cls(**{**written, "ranked": tuple(written["ranked"]), "tied": tuple(written["tied"])})


@dataclass(frozen=True)
class Recipe:
    """The champion's candidate, where a candidate of today is made just as that one was."""

    name: str = ""
    version: int | None = None


NO_RECIPE = Recipe()


def recipe_of(use_case: UseCase, champion: Version | None) -> Recipe:
    """The candidate of today that has the champion's recipe; one without a name where none has.

    Parameters
    ----------
    use_case
        The use case of today.
    champion
        The champion, if there is one.
    """
    if champion is None:
        return NO_RECIPE
    about = champion.details()
    then, now = about.recipe.get("training"), use_case.recipe()["training"]
    if about.origin or not has_sql_of(champion, use_case) or not isinstance(then, Mapping):
        return NO_RECIPE
    same = all(then.get(key, "not said") == now.get(key) for key in SHARED)
    before, today = _made_of(then, about.candidate), _made_of(now, about.candidate)
    return Recipe(about.candidate, champion.version) if same and before and before == today else NO_RECIPE


def has_sql_of(version: Version, use_case: UseCase) -> bool:
    """Whether a version has the SQL of today, but for comments, blanks and line ends."""
    told, now = version.about.sql, use_case.features_sql
    if told == sql_fingerprint(now):
        return True
    then = version.sql()
    # the text that it was registered with, or none that is known
    return told == sql_fingerprint(then) and words_of(then) == words_of(now)


def _made_of(training: Mapping[str, Any], name: str) -> dict[str, Any]:
    """How a candidate and its members are configured."""
    candidates = training.get("candidates") or {}
    one = candidates.get(name)
    if not isinstance(one, Mapping):
        return {}
    return {name: one, **{member: candidates.get(member) for member in one.get("members", ())}}


def choose_candidate(
    metric: str,
    said: Mapping[str, Said],
    figures: Mapping[str, Mapping[str, float]],
    groups: np.ndarray,
    measured: Measured,
    kept: Recipe,
) -> Choice:
    """Rank candidates by what they say of the rows that choose.

    Parameters
    ----------
    metric
        What ranks.
    said
        What each candidate beside the baseline says of the rows that choose; in the order of the configuration.
    figures
        The metrics of each.
    groups
        Of every row of the training set; see `groups_of`.
    measured
        A metric of what is said, by its name.
    kept
        The champion's recipe.
    """
    sign = 1 if higher_is_better(metric) else -1
    able = [name for name in said if np.isfinite(figures[name].get(metric, np.nan))]
    ranked = sorted(able, key=lambda name: -sign * figures[name][metric])
    if not ranked:
        return Choice((), kept=kept.name, champion=kept.version)
    best = ranked[0]
    gaps = {name: difference(said[best], said[name], groups, measured, metric) for name in ranked[1:]}
    tied = [best, *(name for name, gap in gaps.items() if gap.holds_zero)]
    first, why = best, ""
    if kept.name in tied:
        first = kept.name
        if first != best:
            gap = f"{metric} {gaps[first]}"
            why = f"{best} is better by no more than noise ({gap}), so the recipe of champion {kept.version} stays"
    elif len(tied) > 1:
        proper = next((name for name in PROPER.values() if name in figures[best]), metric)
        lowest = min(tied, key=lambda name: figures[name].get(proper, np.inf))
        alike = [
            name
            for name in said
            if name == lowest
            or (name in tied and difference(said[name], said[lowest], groups, measured, proper).holds_zero)
        ]
        first = alike[0]
        why = f"{metric} cannot tell it from {_all_but(first, tied)}, "
        if len(alike) == 1:
            why += f"its {proper} is the lowest"
        else:
            why += f"and {proper} cannot from {_all_but(first, alike)}, " if proper != metric else ""
            why = f"{why.removesuffix(', ')}: it stands first in the configuration"
    order = [first, *(name for name in ranked if name != first)]
    return Choice(tuple(order), tuple(tied), kept.name, kept.version, why)


def _all_but(one: str, names: Sequence[str]) -> str:
    return " and ".join(name for name in names if name != one)


def difference(one: Said, other: Said, groups: np.ndarray, measured: Measured, metric: str) -> Interval:
    """By how much the figure of one model is above that of another, on the rows that both were asked of.

    Parameters
    ----------
    one, other
        What each says.
    groups
        As for `choose_candidate`.
    measured, metric
        The figure, and its name.
    """
    rows, mine, theirs = np.intersect1d(one.rows, other.rows, return_indices=True)
    first, second = one.some(mine), other.some(theirs)

    def figure(places: np.ndarray) -> float:
        return measured(first.some(places), metric) - measured(second.some(places), metric)

    return interval(figure, groups[rows])
