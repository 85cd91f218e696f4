"""How the cost of a day grows: with files, with rows a file, and with workers.

`python -m benchmarks.growth` measures a line a size and puts the tables into `docs/scale.md`; what was measured before
is kept beside it, so larger sizes are added by `--files 1000000,3000000` when a machine has time. CPU seconds count.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks import machine, measure
from benchmarks.champion import Champion, fresh_home, train
from benchmarks.data import make_day
from benchmarks.peers import ours
from benchmarks.run import BYTES_A_FILE, ROOT, say
from benchmarks.sections import put_section
from benchmarks.tables import markdown, mib
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase, find_use_case

NAME, PAGE = "growth", ROOT / "docs" / "scale.md"
DAY = dt.date(2024, 1, 31)
KNOWN = 400
FILES, ROWS, WORKERS = (10_000, 30_000, 100_000), (1, 5, 50, 500, 5_000), (1, 2)
USUAL = 50
"""Rows a file where their number is not what is looked at."""
SAME_ROWS, MOST_FILES = 500_000, 20_000
"""Days with more and fewer rows a file have so many rows, and at most so many files."""
PAPER = (3_000_000, 30_000_000, 300_000_000)
"""Sizes that are told by what was measured."""

ABOUT = """\
`python -m benchmarks.growth` writes this section. Each line is a day of `transactions` by the whole command
`mlops-assets run` in a home that knows the champion, four of five files of accounts that it knows; CPU seconds, user
and system, and the largest sum of PSS are those of all its processes. Of the runs of a line the one with the median of
CPU seconds is shown."""


@dataclass(frozen=True)
class Line:
    """A day that was measured.

    Attributes
    ----------
    files, rows_a_file, workers
        What was asked for.
    rows, shards
        What the day had.
    seconds, cpu, peak
        See `benchmarks.measure.Measured`.
    steps
        Seconds of each step, as Dagster noted them.
    manifest, log, tables
        Bytes of the published listing, of the logs of all tables, and of the whole lake.
    """

    files: int
    rows_a_file: int
    workers: int
    rows: int
    shards: int
    seconds: float
    cpu: float
    peak: int
    steps: dict[str, float]
    manifest: int
    log: int
    tables: int

    @property
    def key(self) -> tuple[int, int, int]:
        """By which runs are repeats of each other."""
        return self.rows_a_file, self.workers, self.files


def main() -> int:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--files", type=_numbers, default=FILES, help="sizes of days; by default 10000,30000,100000")
    parser.add_argument("--rows", type=_numbers, default=ROWS, help="rows a file; by default 1,5,50,500,5000; 0: none")
    parser.add_argument("--workers", type=_numbers, default=WORKERS, help="by default 1,2; the largest size with each")
    parser.add_argument("--repeat", type=int, default=5, help="runs of a line; by default 5")
    parser.add_argument("--folder", type=Path, default=ROOT / ".mlops" / "bench", help="work folder, with the champion")
    parser.add_argument("--page", type=Path, default=PAGE, help="page that gets the section")
    parser.add_argument("--page-only", action="store_true", help="measure nothing")
    options = parser.parse_args()
    results: Path = options.folder / "growth.jsonl"
    if not options.page_only:
        options.folder.mkdir(parents=True, exist_ok=True)
        use_case = find_use_case((OWN_USE_CASES,), ours.USE_CASE)
        champion = train(use_case, options.folder, DAY, days=3, files=KNOWN)
        plans = [*planned(options.files, options.rows, options.workers)]
        for files, rows_a_file, workers in plans:
            for line in _lines(use_case, champion, options.folder, files, rows_a_file, workers, options.repeat):
                with results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(line)) + "\n")
    found = [Line(**json.loads(text)) for text in results.read_text(encoding="utf-8").splitlines()]
    put_section(NAME, section(medians(found)), options.page)
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part.replace("_", "")) for part in text.split(",") if int(part.replace("_", "")))


def planned(files: Sequence[int], rows: Sequence[int], workers: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Files, rows a file and workers of each line; one that serves two tables is measured once."""
    most = max(workers)
    plans = [(size, USUAL, most) for size in files]
    plans += [(min(MOST_FILES, SAME_ROWS // each), each, most) for each in rows]
    plans += [(max(files), USUAL, number) for number in workers]
    return iter(dict.fromkeys(plans))


def _lines(
    use_case: UseCase, champion: Champion, folder: Path, files: int, rows_a_file: int, workers: int, repeat: int
) -> Iterator[Line]:
    """Make a day, and measure it again and again."""
    raw, home = folder / "growth-raw", folder / "growth-home"
    need = files * max(BYTES_A_FILE, 150 * rows_a_file)
    if shutil.disk_usage(folder).free < need:
        raise SystemExit(f"{files:,} files need about {need >> 30} GiB of disk: name another --folder than {folder}.")
    shutil.rmtree(raw, ignore_errors=True)
    for _ in make_day(use_case, raw, DAY, files, rows_a_file, KNOWN):
        pass
    cores = sorted(os.sched_getaffinity(0))[: max(WORKERS)]
    for number in range(repeat):
        shutil.rmtree(home, ignore_errors=True)
        fresh_home(champion, home)
        environment = ours.environment(str(home), str(raw), workers)
        command = [ours.command(), "run", use_case.name, "--from", str(DAY), "--to", str(DAY)]
        took = measure.run(command, environment, cores, folder / "growth.log")
        if took.code:
            raise SystemExit((folder / "growth.log").read_text(errors="replace")[-2000:])
        line = _line(use_case, home, files, rows_a_file, workers, took)
        say(f"{files:,} files of {rows_a_file} rows, {workers} workers, run {number + 1}: {line.cpu:.1f} CPU s")
        yield line
    shutil.rmtree(raw, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def _line(use_case: UseCase, home: Path, files: int, rows_a_file: int, workers: int, took: measure.Measured) -> Line:
    lake = Lake(home / "lake", use_case.name)
    day, place = str(DAY), home / "lake" / use_case.name
    sizes = {path: path.stat().st_size for path in place.rglob("*") if path.is_file()}
    log = sum(size for path, size in sizes.items() if "_delta_log" in path.parts)
    manifest = sum(size for path, size in sizes.items() if path.name.startswith("manifest-"))
    rows, shards = lake.rows.days()[day].accounting.rows, lake.raw_files.days()[day].accounting.shards
    told = took.seconds, took.cpu, took.peak, ours.steps(home), manifest, log, sum(sizes.values())
    return Line(files, rows_a_file, workers, rows, shards, *told)


def medians(lines: Sequence[Line]) -> list[tuple[Line, int]]:
    """Of each line the run with the median of CPU seconds, and the number of runs; by rows, workers and files."""
    groups: dict[tuple[int, int, int], list[Line]] = {}
    for line in lines:
        groups.setdefault(line.key, []).append(line)
    return [(_middle(group), len(group)) for _, group in sorted(groups.items())]


def _middle(group: Sequence[Line]) -> Line:
    middle = median(line.cpu for line in group)
    return min(group, key=lambda line: abs(line.cpu - middle))


def section(lines: Sequence[tuple[Line, int]]) -> str:
    """The tables of what was measured, and what follows from them."""
    most = max(line.workers for line, _ in lines)
    sizes = [(line, runs) for line, runs in lines if (line.rows_a_file, line.workers) == (USUAL, most)]
    largest = max(line.files for line, _ in sizes)
    widths = [
        one
        for one in lines
        if one[0].workers == most and (one[0].rows_a_file != USUAL or one[0].files <= SAME_ROWS // USUAL)
    ]
    cores = [one for one in lines if one[0].rows_a_file == USUAL and one[0].files == largest]
    parts = ["## Measured", ABOUT, f"{USUAL} rows a file on average, {most} workers:", _table(sizes)]
    # a line alone compares nothing, and is the one above
    if len(widths) > 1:
        parts += [f"Rows a file, about {SAME_ROWS:,} rows each, {most} workers:", _table(widths)]
    if len(cores) > 1:
        parts += [f"Workers, {largest:,} files:", _table(cores), _more_cores([line for line, _ in cores])]
    if len(sizes) > 1:
        parts += ["## On paper", _on_paper([line for line, _ in sizes])]
    about = machine.describe(sorted(os.sched_getaffinity(0)))
    return "\n\n".join([*parts, f"On {about['cores']} cores of {about['processor']}."])


HEAD = (
    *("files", "rows a file", "workers", "runs", "CPU s", "CPU us a file", "CPU s per 1M rows", "s", "of it listing"),
    *("peak MiB", "shards", "listing KiB", "Delta logs KiB", "lake MiB"),
)


def _table(lines: Sequence[tuple[Line, int]]) -> str:
    return markdown(HEAD, [_cells(line, runs) for line, runs in lines])


def _cells(line: Line, runs: int) -> list[str]:
    each, million = 1e6 * line.cpu / line.files, 1e6 * line.cpu / line.rows
    counts = f"{line.files:,}", f"{line.rows_a_file:,}", f"{line.workers}", f"{runs}"
    took = f"{line.cpu:,.1f}", f"{each:,.0f}", f"{million:,.2f}", f"{line.seconds:,.1f}", f"{_listing(line):,.1f}"
    left = f"{line.manifest / 1024:,.0f}", f"{line.log / 1024:,.0f}", mib(line.tables)
    return [*counts, *took, mib(line.peak), f"{line.shards}", *left]


def _listing(line: Line) -> float:
    return sum(seconds for step, seconds in line.steps.items() if "raw_files" in step)


def _more_cores(lines: Sequence[Line]) -> str:
    one, more = min(lines, key=lambda line: line.workers), max(lines, key=lambda line: line.workers)
    return (
        f"{more.workers} workers take {more.seconds / one.seconds:.2f} of the time of {one.workers} and "
        f"{more.cpu / one.cpu:.2f} of the CPU; only on a machine with nothing else to do does the first mean anything."
    )


def straight(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Start and slope of the line through points, by least squares.

    Examples
    --------
    >>> straight([(1, 5.0), (2, 7.0), (4, 11.0)])
    (3.0, 2.0)
    """
    count = len(points)
    x, y = sum(point[0] for point in points) / count, sum(point[1] for point in points) / count
    slope = sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)
    return y - slope * x, slope


def _on_paper(lines: Sequence[Line]) -> str:
    """What larger days need, if all goes on as between the smallest and the largest that was measured."""
    figures = {
        "CPU minutes": [(line.files, line.cpu / 60) for line in lines],
        "listing, GiB": [(line.files, line.manifest / 2**30) for line in lines],
        "Delta logs, MiB": [(line.files, line.log / 2**20) for line in lines],
        "lake, GiB": [(line.files, line.tables / 2**30) for line in lines],
        "shards": [(line.files, float(line.shards)) for line in lines],
    }
    lines_of = {name: straight(points) for name, points in figures.items()}
    start, slope = straight([(line.files, line.cpu) for line in lines])
    rows = []
    for files in PAPER:
        cells = [f"{at + each * files:,.1f}" for at, each in lines_of.values()]
        rows.append([f"{files:,}", *cells, f"{(start + slope * files) / 1_500:,.1f}"])
    said = (
        f"By straight lines through the days above: {start:.1f} CPU seconds for no files at all, and "
        f"{slope * 1e6:,.0f} microseconds for each file of {USUAL} rows. The last column is how many cores are at work "
        "all the time for a day within 25 of its 30 minutes."
    )
    return f"{said}\n\n{markdown(('files', *lines_of, 'cores for 30 min'), rows)}"


if __name__ == "__main__":
    sys.exit(main())
