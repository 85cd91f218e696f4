"""Days with something wrong, made of the rows of quiet ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from benchmarks.lamps.days import Day
from benchmarks.lamps.stage import Stage
from mlops_assets.journey.features.matrix import as_text
from mlops_assets.journey.score.profile.bins import count_columns
from mlops_assets.journey.score.profile.counts import Profile
from mlops_assets.monitoring.days import WatchedDay

NEW_SHARE = 0.05
SIGMAS = 0.3
PRIOR = 0.10
REPEATS = 1_000
LEAST_BROKEN = 0.02
"""Share of rows with letters beyond ASCII from which on a broken encoding is worth being seen."""

Damage = Callable[[Stage, Day, np.random.Generator], WatchedDay | None]
"""What happens to a quiet day; None where the use case has nothing that it could happen to."""


def emptied(stage: Stage, day: Day, generator: np.random.Generator) -> WatchedDay | None:
    """A column has no value in any row."""
    name = str(generator.choice([name for name in _watched(stage) if name != stage.use_case.account]))
    if stage.use_case.columns[name].required:
        return _refused(stage, day, np.ones(len(day.positions), bool), "required")
    return _with(stage, day, name, pa.nulls(len(day.positions), _column(stage, day, name).type))


def times_hundred(stage: Stage, day: Day, generator: np.random.Generator) -> WatchedDay | None:
    """A number comes in hundredths."""
    return _scaled(stage, day, generator, lambda values: values * 100)


def comma_lost(stage: Stage, day: Day, generator: np.random.Generator) -> WatchedDay | None:
    """The decimal sign is lost: 12,34 is 1234, and 12,3 is 123."""
    fractional = [name for name in _numbers(stage) if _fractional(_values(stage, day, name)) > 0.1]
    return _scaled(stage, day, generator, _without_comma, fractional)


def encoding_broken(stage: Stage, day: Day, generator: np.random.Generator) -> WatchedDay | None:
    """UTF-8 is read as if each byte were a letter."""
    texts = [name for name in _watched(stage) if stage.use_case.columns[name].type == "string"]
    broken = []
    for name in texts:
        values = as_text(stage.pool.rows[name].take(pa.array(day.positions))).to_pylist()
        if np.mean([value is not None and not value.isascii() for value in values]) >= LEAST_BROKEN:
            broken.append((name, [None if value is None else value.encode().decode("latin-1") for value in values]))
    if not broken:
        return None
    name, values = broken[generator.integers(len(broken))]
    return _with(stage, day, name, pa.array(values, pa.string()).dictionary_encode())


def new_category(stage: Stage, day: Day, generator: np.random.Generator) -> WatchedDay | None:
    """A category has, in 5 % of rows, a value that nobody knows."""
    bins = stage.reference.bins
    names = [
        name
        for name in _watched(stage)
        if bins["rows", name].kind == "category"
        and name != stage.use_case.account
        and len(bins["rows", name].values) < sum(stage.reference.units) / 2
    ]
    if not names:
        return None
    name = str(generator.choice(names))
    values = as_text(stage.pool.rows[name].take(pa.array(day.positions))).to_numpy(zero_copy_only=False).astype(object)
    values[generator.random(len(values)) < NEW_SHARE] = "never seen before"
    return _with(stage, day, name, pa.array(values, pa.string()).dictionary_encode())


def mean_moved(stage: Stage, day: Day, generator: np.random.Generator) -> WatchedDay | None:
    """A number is larger by 0.3 of its standard deviations: every value, or, on every other day, by chance its large
    values come more often."""
    numbers = _numbers(stage)
    if not numbers:
        return None
    name = str(generator.choice(numbers))
    sigma = float(np.nanstd(stage.pool.rows[name].to_numpy()))
    if generator.random() < 0.5:
        whole = stage.use_case.columns[name].type == "integer"
        return _scaled(stage, day, generator, lambda values: _moved(values, SIGMAS * sigma, whole=whole), [name])
    values = _values(stage, day, name)
    there = np.flatnonzero(np.isfinite(values))
    weights = _tilted(values[there], float(values[there].mean()) + SIGMAS * sigma)
    drawn = values.copy()
    drawn[there] = generator.choice(values[there], len(there), p=weights)
    return _with(stage, day, name, pa.array(drawn, from_pandas=True))


def prior_moved(stage: Stage, day: Day, generator: np.random.Generator) -> WatchedDay | None:
    """The most frequent class but one comes 10 points more often, whole files of it."""
    labels = stage.pool.labels
    order = np.argsort(-np.bincount(labels[labels >= 0], minlength=len(stage.model.classes)))
    grown = labels == order[1]
    share = np.add.reduceat(grown.astype(float), stage.pool.first[:-1]) / np.diff(stage.pool.first)
    weights = _tilted(share, float(share.mean()) + PRIOR)
    return day.of(stage, generator.choice(stage.pool.units, len(day.units), replace=True, p=weights))


def half_missing(stage: Stage, day: Day, generator: np.random.Generator) -> WatchedDay | None:
    """Half of the files, or of the rows of the one table, did not come."""
    return day.of(stage, generator.permutation(day.units)[: len(day.units) // 2])


def one_repeated(stage: Stage, day: Day, generator: np.random.Generator) -> WatchedDay | None:
    """The file of one account, or its row in the one table, is there 1,000 times."""
    return day.of(stage, np.append(day.units, np.repeat(generator.choice(day.units), REPEATS)))


DAMAGES: dict[str, Damage] = {
    "a column emptied": emptied,
    "amounts times 100": times_hundred,
    "decimal comma lost": comma_lost,
    "encoding broken": encoding_broken,
    "5 % of a new category": new_category,
    "mean moved by 0.3 sigma": mean_moved,
    "class prior moved by 10 points": prior_moved,
    "half the files missing": half_missing,
    "one account's file 1,000 times": one_repeated,
}


def _watched(stage: Stage) -> list[str]:
    """The columns of the contract that are counted."""
    return [name for name in stage.use_case.columns if ("rows", name) in stage.reference.bins]


def _numbers(stage: Stage) -> list[str]:
    """Amounts: numbers with more than two values; a yes or no in hundredths breaks the contract at once."""
    bins, columns = stage.reference.bins, stage.use_case.columns
    return [
        name
        for name in _watched(stage)
        if columns[name].type in {"number", "integer"}
        and len(bins["rows", name].edges) > 4
        and not columns[name].constant
    ]


def _column(stage: Stage, day: Day, name: str) -> pa.Array:
    return stage.pool.rows[name].take(pa.array(day.positions)).combine_chunks()


def _values(stage: Stage, day: Day, name: str) -> np.ndarray:
    return _column(stage, day, name).cast(pa.float64()).to_numpy(zero_copy_only=False)


def _fractional(values: np.ndarray) -> float:
    return float(np.mean(np.nan_to_num(values) % 1 != 0))


def _tilted(values: np.ndarray, mean: float) -> np.ndarray:
    """Weights that rise with the values, by which their mean is what is asked for: exp(t z), t by halving."""
    scaled = (values - values.mean()) / values.std()
    low, high = 0.0, 20.0
    for _ in range(50):
        tilt = (low + high) / 2
        weights = np.exp(tilt * scaled - (tilt * scaled).max())
        weights /= weights.sum()
        low, high = (tilt, high) if (weights * values).sum() < mean else (low, tilt)
    return weights


def _moved(values: np.ndarray, by: float, *, whole: bool) -> np.ndarray:
    return np.round(values + by) if whole else values + by


def _without_comma(values: np.ndarray) -> np.ndarray:
    """As the sample writes them: at most two digits behind the comma, and no zeros at the end."""
    hundredths = np.round(values * 100)
    return np.where(hundredths % 100 == 0, values, np.where(hundredths % 10 == 0, hundredths / 10, hundredths))


def _scaled(
    stage: Stage,
    day: Day,
    generator: np.random.Generator,
    change: Callable[[np.ndarray], np.ndarray],
    names: list[str] | None = None,
) -> WatchedDay | None:
    names = _numbers(stage) if names is None else names
    if not names:
        return None
    name = str(generator.choice(names))
    values = change(_values(stage, day, name))
    column = stage.use_case.columns[name]
    low = -np.inf if column.min is None else float(column.min)
    high = np.inf if column.max is None else float(column.max)
    outside = (values < low) | (values > high)  # never of what is not there
    if outside.any():
        day = day.without(stage, outside)
        values = values[~outside]
    if not len(day.positions):
        return day.watched
    return _with(stage, day, name, pa.array(values, from_pandas=True))


def _with(stage: Stage, day: Day, name: str, values: pa.Array) -> WatchedDay:
    """The day with other values in a column, and with what the model makes of them."""
    bins = {column: how for column, how in stage.reference.bins.items() if column[0] == "rows" and _is_of(column, name)}
    counts = count_columns(pa.table({name: values}), bins, stage.pool.days[day.positions])
    of_input, said = stage.answered(day.positions, name, values)
    profile = day.watched.profile
    return replace(day.watched, profile=Profile({**profile.columns, **counts, **of_input}, said, profile.rows_a_file))


def _is_of(column: tuple[str, str], name: str) -> bool:
    return column[1] == name or column[1].startswith(f"{name} (")


def _refused(stage: Stage, day: Day, which: np.ndarray, rule: str) -> WatchedDay:
    return day.without(stage, which, rule).watched
