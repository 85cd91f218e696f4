"""One use case from its files to its rates: what a process of its own does."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.lamps.rates import Rates, measure
from benchmarks.lamps.real import santander_under_drawn_model
from benchmarks.lamps.stage import set_stage
from benchmarks.run import say


def measure_one(
    name: str, quiet: int, cases: int, scale: float, seed: int, damages: Sequence[str]
) -> tuple[Rates, str]:
    """The rates of a use case, and what is told of real rows under its model.

    Parameters
    ----------
    name
        The use case.
    quiet, cases
        Quiet days, and days of each damage.
    scale
        By how much less is drawn.
    seed
        Of files and days.
    damages
        Which happen.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        stage = set_stage(name, Path(folder), scale, seed)
    drawn = time.monotonic()
    rates = measure(stage, quiet, cases, seed, damages=damages)
    told = santander_under_drawn_model(stage) if name == "santander" else ""
    say(f"{name}: {drawn - begun:.0f} s and {time.monotonic() - drawn:.0f} s; {rates.told()}\n{told}")
    return rates, told
