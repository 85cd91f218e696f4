"""Quiet days of real bank rows: drawn from the months that a model learned from, and from the months after them."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.lamps.days import BEFORE, Day, quiet_days
from benchmarks.lamps.rates import Rate, judged
from benchmarks.lamps.stage import Plan, Pool, Stage, make_stage, pool_of, read
from mlops_assets.monitoring.lamps import Judge
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import load_use_case

LEARNED_UNTIL = "2019-10"
"""The last month that the model learns from."""

PLAN = Plan("linear", files=0, rows=0, learned=0, pooled=0, day=100)
"""A file is what one account bought in one month: there are some 260 of them, so a day has some more than once."""


def measure_real_days(table: Path, quiet: int, seed: int) -> str:
    """How often days of real rows are red, in words.

    Parameters
    ----------
    table
        The published rows of `transactions`.
    quiet
        Days of each kind; the 28 before them are known and not judged.
    seed
        Of the days.
    """
    use_case = load_use_case(OWN_USE_CASES / "transactions")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        learned, later = Lake(folder / "learned", use_case.name), Lake(folder / "later", use_case.name)
        for month, files in _months(table).items():
            day = dt.date.fromisoformat(f"{month}-28")
            _write(folder / "raw" / use_case.name / f"day={day}", files)
            read(use_case, folder / "raw", learned if month <= LEARNED_UNTIL else later, day)
        stage = make_stage(use_case, PLAN, learned, later, folder)
        same = pool_of(use_case, stage.model, learned, stage.unit)
    first = dt.date.fromisoformat(stage.reference.days[0])
    # of days that it learned from, the model's confidence is not judged: it knows their rows
    rates = {
        "the months that the model learned from": _rate(stage, same, first, quiet, seed),
        "the months after them": _rate(stage, stage.pool, dt.date(2020, 2, 1), quiet, seed),
    }
    told = [f"{rate.red} of {rate.days} days of {name} ({_by(rate)})" for name, rate in rates.items()]
    return f"Of days drawn from real rows of `transactions` were red: {'; '.join(told)}."


def _months(table: Path) -> dict[str, dict[str, bytes]]:
    """Files by month: what one account bought in it, with the head of the table."""
    head, *lines = table.read_bytes().split(b"\r\n")
    place = head.split(b";").index(b"data")
    months: dict[str, dict[str, bytes]] = {}
    for line in filter(None, lines):
        cells = line.split(b";")
        _, month, year = cells[place].decode().split(".")
        files = months.setdefault(f"{year}-{month}", {})
        name = f"{cells[0].decode()}-{cells[1].decode()}.csv"
        files[name] = files.get(name, head + b"\r\n") + line + b"\r\n"
    return dict(sorted(months.items()))


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _rate(stage: Stage, pool: Pool, first: dt.date, quiet: int, seed: int) -> Rate:
    generator = np.random.default_rng([seed, pool.units])
    judge = Judge(stage.use_case.drift, stage.reference, stage.use_case.account)
    days: list[Day] = quiet_days(stage, BEFORE + quiet, generator, pool, first, again=True)
    rate = Rate()
    for number in range(BEFORE, len(days)):
        rate.add(judged(judge, days, number, days[number], "training"))
    return rate


def _by(rate: Rate) -> str:
    return ", ".join(f"`{name}` {number}" for name, number in rate.lamps.most_common(3)) or "none"
