"""What watching adds to a whole day: the same files by the real command, once watched and once not.

`python -m benchmarks.watching` makes both runs and puts the section into `docs/benchmarks.md`. Nothing but
`drift: {watch: ...}` differs between them, and what they publish as predictions is compared byte by byte.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import machine, measure
from benchmarks.champion import Champion, champion_of, fresh_home
from benchmarks.data import make_day
from benchmarks.peers import ours
from benchmarks.run import BYTES_A_FILE, ROOT, say
from benchmarks.sections import put_section
from benchmarks.tables import markdown, mib
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.storage.catalog import Lake
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase, load_use_case

NAME = "watching"
DAY = dt.date(2024, 1, 31)
FILES = 3_000_000
CPU_BAR, MEMORY_BAR = 60, 200
TOGETHER = (
    "Both runs at the same time: where the machine does other work, it disturbs both alike; only CPU counts then."
)
ABOUT = """\
`python -m benchmarks.watching` writes this section. A copy of `transactions` scores {files:,} files ({rows:,} rows, an
account of its own in each) by `mlops-assets run`, once as it comes and once with `drift: {{watch: false}}`, each in a
home that knows the champion (`{candidate}`) and nothing else. CPU seconds are those of all processes, user and system;
memory is the largest sum of their PSS. The bar is {cpu} CPU seconds and {memory} MiB on top at 3,000,000 files. Of the
{parts} files of predictions, {differ} differ in a byte before the footer, which says what made them."""


@dataclass(frozen=True)
class Found:
    """One run: what it took, what it predicted, and the hash of each file of predictions by its shard."""

    took: measure.Measured
    rows: int
    parts: dict[str, str]


class Bench:
    """A work folder with a champion and a day, and a use case twice: watched and not.

    Parameters
    ----------
    folder
        The work folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cores = sorted(os.sched_getaffinity(0))[:2]
        for on in (True, False):
            self._write(on)

    def _write(self, on: bool) -> None:
        own, case = OWN_USE_CASES / ours.USE_CASE, self.place(on) / "use_cases" / NAME
        shutil.copytree(own, case, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        text = (own / "defs.yaml").read_text(encoding="utf-8").rstrip()
        (case / "defs.yaml").write_text(f"{text}\n\n  drift: {{watch: {str(on).lower()}}}\n", encoding="utf-8")

    def place(self, on: bool) -> Path:
        """The folder of what is watched, or of what is not."""
        return self.folder / ("watched" if on else "unwatched")

    @property
    def use_case(self) -> UseCase:
        """The watched one."""
        return load_use_case(self.place(True) / "use_cases" / NAME)

    def environment(self, on: bool, home: Path, raw: Path) -> dict[str, str]:
        """What the command finds in its environment."""
        return {**ours.environment(str(home), str(raw), 2), "MLOPS_USE_CASES": str(self.place(on) / "use_cases")}

    def train(self) -> Champion:
        """Learn from three labelled days, unless that was done before."""
        home, raw = self.folder / "home", self.folder / "labelled"
        if not home.exists():
            for ago in (3, 2, 1):
                for _ in write_sample(self.use_case, raw, DAY - dt.timedelta(days=ago), 400, 50, 0.0, 7):
                    pass
            command = [ours.command(), "run", NAME, "--train"]
            subprocess.run(command, env=self.environment(True, home, raw), check=True, stdout=subprocess.DEVNULL)
        return champion_of(self.use_case, home)

    def make(self, files: int) -> Path:
        """Make the day, and see that the disk holds it; the folder of raw files."""
        raw = self.folder / "raw"
        if shutil.disk_usage(self.folder).free < files * BYTES_A_FILE:
            raise SystemExit(f"{files:,} files need about {files * BYTES_A_FILE >> 30} GiB of disk.")
        for written in make_day(self.use_case, raw, DAY, files, 50):
            if written % 500_000 == 0:
                say(f"made {written:,} of {files:,} files")
        os.sync()
        return raw

    def run(self, champion: Champion, raw: Path, on: bool) -> Found:
        """Score the day once; all that it made is removed again."""
        home = self.place(on) / "home"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        try:
            fresh_home(champion, home)
            command = [ours.command(), "run", NAME, "--from", str(DAY), "--to", str(DAY)]
            log = self.place(on) / "run.log"
            took = measure.run(command, self.environment(on, home, raw), self.cores, log)
            say(f"watched: {on}; {took}")
            if took.code:
                raise SystemExit(f"the command ended with {took.code}: see {log}")
            told = Lake(home / "lake", NAME).predictions.days()[str(DAY)].accounting
            return Found(took, told.predictions, _hashes(home / "lake" / NAME / "predictions"))
        finally:
            shutil.rmtree(home, ignore_errors=True)


def _hashes(table: Path) -> dict[str, str]:
    """The hash of each file's columns, by its shard: the footer and the rest of the name say what made it."""
    found = {}
    for path in sorted(table.rglob("*.parquet")):
        content = path.read_bytes()
        footer = int.from_bytes(content[-8:-4], "little") + 8
        found[path.name.partition("-")[0]] = hashlib.sha256(content[:-footer]).hexdigest()
    return found


def section(on: Found, off: Found, files: int, candidate: str) -> str:
    """The section of the page.

    Parameters
    ----------
    on, off
        The runs.
    files
        Files of the day.
    candidate
        What the champion is.
    """
    names = on.parts.keys() | off.parts.keys()
    differ = sum(on.parts.get(name) != off.parts.get(name) for name in names)
    told = {"files": files, "rows": on.rows, "candidate": candidate, "cpu": CPU_BAR, "memory": MEMORY_BAR}
    about = ABOUT.format(**told, parts=len(names), differ=differ or "none")
    rows = [
        [name, f"{run.took.seconds:,.0f}", f"{run.took.cpu:,.0f}", mib(run.took.peak)]
        for name, run in (("watched", on), ("not watched", off))
    ]
    more = [f"{on.took.seconds - off.took.seconds:,.0f}", f"{on.took.cpu - off.took.cpu:,.0f}"]
    rows.append(["on top", *more, mib(on.took.peak - off.took.peak)])
    return f"## A whole day, watched and not\n\n{about}\n\n{markdown(('', 's', 'CPU s', 'peak MiB'), rows)}"


def main() -> None:
    """Measure, print, and write the section of the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watching", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / ".mlops" / "bench-watching", help="Work folder.")
    parser.add_argument("--files", type=int, default=FILES, help="Files of the day.")
    parser.add_argument("--print", action="store_true", help="Print the section; the page stays as it is.")
    parser.add_argument("--together", action="store_true", help=TOGETHER)
    given = parser.parse_args()
    bench = Bench(given.folder.absolute())
    champion = bench.train()
    raw = bench.make(given.files)
    try:
        with ProcessPoolExecutor(2 if given.together else 1) as pool:
            on, off = pool.map(partial(bench.run, champion, raw), (True, False))
    finally:
        shutil.rmtree(raw, ignore_errors=True)
    candidate, cores = str(champion.about["candidate"]), machine.describe(bench.cores)["processor"]
    text = f"{section(on, off, given.files, candidate)}\n\nOn 2 cores of {cores}."
    print(text)
    if not given.print:
        put_section(NAME, text, ROOT / "docs" / "benchmarks.md")


if __name__ == "__main__":
    main()
