"""The benchmark program: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks import machine
from benchmarks.champion import train
from benchmarks.check import check
from benchmarks.peers import ours
from benchmarks.plans import Plan, expected, plan
from benchmarks.records import Record, append, read
from benchmarks.report import write
from benchmarks.run import ROOT, Bench, say
from benchmarks.ways import WAYS
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.use_case import find_use_case

DAY = dt.date(2024, 1, 31)
SIZES = (10_000, 50_000, 300_000)
FULL = 3_000_000
CORES = 2


def main(arguments: list[str] | None = None) -> int:
    """Run the program; 0 if every run came to its end and all predictions agree."""
    options = _parse(arguments)
    results = options.folder / "results.jsonl"
    good = True
    try:
        good = options.report_only or _measure(options)
    except KeyboardInterrupt:
        say("stopped; what was measured is kept")
        good = False
    finally:
        for left in ("out", "raw"):
            shutil.rmtree(options.folder / left, ignore_errors=True)
        if not options.check and (records := read(results)):
            write(records, options.report)
            say(f"the page is {options.report}")
    return 0 if good else 1


def _measure(options: argparse.Namespace) -> bool:
    use_case = find_use_case((OWN_USE_CASES,), ours.USE_CASE)
    options.folder.mkdir(parents=True, exist_ok=True)
    say("training the champion, if that was not done before")
    known = 20 if options.quick else 400
    champion = train(use_case, options.folder, DAY, days=3, files=known)
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    session = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    bench = Bench(use_case, champion, options.folder, DAY, session, cores, known)
    about = {"machine": machine.describe(cores), "champion": champion.about, "known": known, "quick": options.quick}
    append(bench.results, Record(session, "session", about=about))
    good = check(bench, options.only, 200 if options.quick else 500, keep=options.quick)
    if not (options.check or options.quick):
        full = (options.repeat or 2) * [Plan("ours", FULL, "as it was")]
        plans = full if options.full else plan(options.files, good, options.repeat or 5, options.cold)
        say(f"{len(plans)} runs, about {max(1, round(sum(map(expected, plans)) / 60))} min")
        bench.measure(plans)
    return not any(record.error for record in read(bench.results) if record.session == session)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the daily journey of `transactions` beside other ways of doing the same.",
        epilog="Results are kept in results.jsonl of the work folder as they come; --report-only makes the page of it.",
    )
    parser.add_argument("--folder", type=_path, help="work folder; by default .mlops/bench of the checkout")
    parser.add_argument("--report", type=_path, help="the page to write; by default docs/benchmarks.md of the checkout")
    sizes = ",".join(map(str, SIZES))
    parser.add_argument("--files", type=_sizes, default=list(SIZES), help=f"numbers of files; by default {sizes}")
    parser.add_argument("--only", type=_ways, default=_installed(), help=f"some of {','.join(WAYS)}; by default all")
    parser.add_argument("--repeat", type=int, help="runs of a size; 5, of --full 2")
    parser.add_argument("--cold", type=int, default=50_000, help="most files with a cold cache; 50000, 0 for none")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--quick", action="store_true", help="each way once on 200 files; a folder and page of its own")
    what.add_argument("--full", action="store_true", help=f"ours alone with {FULL:,} files, as they come")
    what.add_argument("--check", action="store_true", help="only compare the predictions of all ways on a small day")
    what.add_argument("--report-only", action="store_true", help="measure nothing, write the page of what was measured")
    options = parser.parse_args(arguments)
    options.folder = options.folder or ROOT / ".mlops" / ("bench-quick" if options.quick else "bench")
    options.report = options.report or (options.folder if options.quick else ROOT / "docs") / "benchmarks.md"
    return options


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _sizes(text: str) -> list[int]:
    return sorted(int(part.replace("_", "")) for part in text.split(","))


def _ways(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in WAYS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no way {unknown[0]!r}; there are {', '.join(WAYS)}")
    return names


def _installed() -> list[str]:
    """The ways whose package is installed; Polars and Spark need not be."""
    needs = {"polars": "polars", "spark": "pyspark"}
    return [way for way in WAYS if find_spec(needs.get(way, "sys")) is not None]


if __name__ == "__main__":
    sys.exit(main())
