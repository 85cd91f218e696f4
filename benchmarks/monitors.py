"""What watching a day costs, and what it sees: our profile, Evidently, NannyML and plain SQL on the same rows.

`python -m benchmarks.monitors` makes two days of sample files, lets the champion answer, hands rows, model input and
answers to each way, and puts a section into `docs/benchmarks.md`. The peers live in virtual environments of their own,
made on demand under the work folder, and never in that of the project.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks import machine, measure
from benchmarks.environments import python_with
from benchmarks.sections import put_section
from benchmarks.starts import PAGE, ROOT
from benchmarks.tables import markdown, mib, short

REPEATS = 3
DAMAGES = {"day": "quiet", "cities": "2 % new cities", "nulls": "2 % more NULLs"}
"""The days that each way judges: their files, and how the page calls them."""

MADE_UP = ("merchant_city", "city")
"""The damaged column, and what the model sees of it."""

NAME = "monitors"
ABOUT = """\
`make bench-monitors` writes this section. {files:,} files of {reference} are the reference, those of {day} the day,
with {rows:,} rows of {columns} columns (contract, model input, answer and its probability). Each way is a process of
its own on one core. CPU seconds a million rows count from when the rows are in memory, and are those of the whole day
less those of a tenth of it; all that does not grow with the rows counts under 'start'. The tenth is measured
{repeats} times, the day three times or more: medians. Ratios say more than seconds where a machine does other work,
too. Peak memory is that of the process with all rows. Ours counts what a daily run has at hand (typed rows, the
model's matrix, all probabilities) and then judges; SQL counts and judges nothing. Columns are red by the defaults of
each way. The quiet day has the accounts and habits of the reference and other rows; of the damaged days, 2 % of rows
have another value in one column. Evidently and NannyML are given the first rows of both days alone: Evidently's cost
grows faster than their number. NannyML, which sends usage data elsewhere by default, is told not to."""


@dataclass(frozen=True)
class Way:
    """A way of watching: title, script, what to install for it, and the most rows of each day that it is given."""

    title: str
    script: str
    packages: tuple[str, ...] = ()
    most: int = 1_000_000


WAYS = {
    "ours": Way("mlops-assets", "by_profile"),
    "duckdb": Way("DuckDB, plain SQL", "by_duckdb"),
    "evidently": Way(
        "Evidently 0.7.23", "by_evidently", ("evidently==0.7.23", "pandas==2.3.3", "pyarrow==25.0.1"), 40_000
    ),
    "nannyml": Way(
        "NannyML 0.13.1",
        "by_nannyml",
        ("nannyml==0.13.1", "statsmodels==0.15.0", "pandas==2.3.3", "pyarrow==25.0.1"),
        40_000,
    ),
}


@dataclass(frozen=True)
class Run:
    """A run: CPU seconds in all, and once the rows were at hand; bytes at its peak; red columns."""

    total: float
    cpu: float
    peak: int
    red: Sequence[str] | None


@dataclass(frozen=True)
class Found:
    """What a way costs and sees.

    Attributes
    ----------
    rows
        Rows of the day.
    start
        CPU seconds of all that does not grow with the rows of the day.
    million
        CPU seconds a million rows.
    peak
        Bytes with all rows.
    red
        Red columns by day; None of a way that judges nothing.
    """

    rows: int
    start: float
    million: float
    peak: int
    red: Mapping[str, Sequence[str] | None]


def a_million(part: float, whole: float, rows: int) -> float:
    """CPU seconds a million rows, of those for a tenth of the rows and for all.

    Examples
    --------
    >>> a_million(5.0, 14.0, 1_000_000)
    10.0
    """
    return (whole - part) / (0.9 * rows) * 1e6


def seen(red: Iterable[str] | None, quiet: Iterable[str] | None) -> str:
    """What a way says of a damaged day: whether the damaged column turned red that is not red on the quiet day."""
    if red is None or quiet is None:
        return "not judged"
    news = {plain(name) for name in red} - {plain(name) for name in quiet}
    return "yes" if news & {*MADE_UP} else "no"


def plain(name: str) -> str:
    """The name of a column, without what each way puts before it."""
    return name.removeprefix("rows.").removeprefix("model_input.").removeprefix("input_")


def section(found: Mapping[str, Found], about: Mapping[str, object]) -> str:
    """The section of the page."""
    ours = found["ours"]
    head = ("way", "rows", "start, CPU s", "CPU s per 1M rows", "of ours", "peak MiB", "red on the quiet day")
    head = (*head, *(name for key, name in DAMAGES.items() if key != "day"))
    rows = []
    for name, one in found.items():
        ratio = "" if name == "ours" else short(one.million / ours.million)
        quiet = one.red["day"]
        line = [WAYS[name].title, f"{one.rows:,}", f"{one.start:.1f}", short(one.million), ratio, mib(one.peak)]
        line += ["not judged" if quiet is None else str(len(quiet))]
        rows.append(line + [seen(one.red[key], quiet) for key in DAMAGES if key != "day"])
    return f"## What watching costs\n\n{ABOUT.format(**about)}\n\n{markdown(head, rows)}"


class Bench:
    """The handed rows, and the environments of the peers.

    Parameters
    ----------
    folder
        The work folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.handed = folder / "handed"

    def python(self, way: Way) -> Path:
        """The Python of a way, with what it needs."""
        return python_with(way.packages, self.folder / "venvs" / way.script)

    def run(self, way: Way, day: str) -> Run:
        """Let a way watch a day."""
        out, log = self.folder / "out.json", self.folder / f"{way.script}.log"
        script = ROOT / "benchmarks" / "peers" / "monitors" / f"{way.script}.py"
        paths = [self._rows(name, way.most) for name in ("reference", day)]
        command = [self.python(way), script, *paths, out]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        quiet = {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}
        environment = {**os.environ, **threads, **quiet, "PYTHONPATH": "" if way.packages else str(ROOT)}
        measured = measure.run([*map(str, command)], environment, sorted(os.sched_getaffinity(0))[-1:], log)
        if measured.code:
            raise SystemExit(f"{way.title} ended with {measured.code}: {log.read_text(errors='replace')[-2000:]}")
        told = json.loads(out.read_text())
        again = (told.get("times", 1) - 1) * told["cpu"]
        return Run(measured.cpu - again, told["cpu"], measured.peak, told["red"])

    def _rows(self, name: str, most: int) -> Path:
        """A file of rows, or of its first ones."""
        path = self.handed / f"{name}.parquet"
        rows = pq.read_metadata(path).num_rows
        if name == "part":
            most = min(most, rows * 10) // 10
        if rows <= most:
            return path
        first = self.handed / f"{name}_{most}.parquet"
        if not first.exists():
            pq.write_table(pq.read_table(path).slice(0, most), first)
        return first

    def find(self, way: Way, rows: int, repeats: int) -> Found:
        """What a way costs and sees; the damaged days are as large as the quiet one, and count as repeats."""
        rows = min(rows, way.most)
        part = statistics.median(self.run(way, "part").cpu for _ in range(repeats))
        judged = {day: self.run(way, day) for day in DAMAGES}
        runs = [*judged.values(), *(self.run(way, "day") for _ in range(repeats - len(judged)))]
        million = a_million(part, statistics.median(one.cpu for one in runs), rows)
        start = statistics.median(one.total for one in runs) - million * rows / 1e6
        peak = round(statistics.median(one.peak for one in runs))
        return Found(rows, start, million, peak, {day: run.red for day, run in judged.items()})


def main() -> None:
    """Measure, print, and write the section of the page."""
    from benchmarks.champion import train
    from benchmarks.peers import ours
    from benchmarks.peers.monitors import handed
    from mlops_assets.settings import OWN_USE_CASES
    from mlops_assets.use_case import find_use_case

    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitors", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / ".mlops" / "bench", help="Work folder.")
    parser.add_argument("--only", default=",".join(WAYS), help="Some of the ways; the page then stays as it is.")
    parser.add_argument("--repeat", type=int, default=REPEATS, help="Runs of each.")
    given = parser.parse_args()
    use_case = find_use_case((OWN_USE_CASES,), ours.USE_CASE)
    bench = Bench(given.folder.absolute())
    if not (bench.handed / "about.json").exists():
        champion = train(use_case, bench.folder, dt.date.fromisoformat(handed.BEFORE), days=3, files=200)
        told = handed.hand_out(use_case, champion, bench.handed)
        (bench.handed / "about.json").write_text(json.dumps(told))
    about = json.loads((bench.handed / "about.json").read_text())
    found = {}
    for name in given.only.split(","):
        found[name] = bench.find(WAYS[name], about["rows"], given.repeat)
        print(f"{WAYS[name].title}: {found[name]}", flush=True)
    if given.only == parser.get_default("only"):
        about |= {"reference": handed.BEFORE, "day": handed.DAY, "files": handed.FILES, "repeats": given.repeat}
        cores = machine.describe([0])["processor"]
        put_section(NAME, f"{section(found, about)}\n\nOn one core of {cores}.", PAGE)


if __name__ == "__main__":
    main()
