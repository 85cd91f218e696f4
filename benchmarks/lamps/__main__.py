"""Measures how often lamps are red, and puts the tables into `docs/monitoring.md`."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.lamps.page import write
from benchmarks.lamps.rates import Rates, measure
from benchmarks.lamps.real import santander_under_drawn_model
from benchmarks.lamps.stage import PLANS, set_stage
from benchmarks.run import ROOT, say

PAGE = ROOT / "docs" / "monitoring.md"
TUNED_ON, REPORTED = 1, 20_260_302
"""Seeds: thresholds were chosen by the days of the first, the page is of the other."""


def main(arguments: list[str] | None = None) -> int:
    """Run the program; 0 if all rates are what they should be."""
    options = _parse(arguments)
    found: list[Rates] = []
    told = ""
    for name in options.only or PLANS:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            stage = set_stage(name, Path(folder), options.scale, options.seed)
        rates = measure(stage, options.quiet, options.cases, options.seed)
        found.append(rates)
        say(f"{name}: {time.monotonic() - begun:.0f} s; {rates.told()}")
        if name == "santander":
            told = santander_under_drawn_model(stage)
            say(told)
    if options.write:
        write(found, told, PAGE)
        say(f"the page is {PAGE}")
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lamps", description=__doc__)
    parser.add_argument("--quiet", type=int, default=90, help="quiet days a use case")
    parser.add_argument("--cases", type=int, default=200, help="days of each damage")
    parser.add_argument("--only", nargs="*", choices=list(PLANS), help="these use cases alone")
    parser.add_argument("--scale", type=float, default=1.0, help="by how much less is drawn")
    parser.add_argument("--seed", type=int, default=REPORTED, help=f"of days; {TUNED_ON} is the one for choosing")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/monitoring.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
