"""What starting costs: the CPU seconds of the commands that a person waits for, each with its bar.

`python -m benchmarks.starts` measures them and puts the table into `docs/benchmarks.md`. CPU seconds are those of all
processes that a command starts, user and system: wall time on a shared machine is noise.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime as dt
import os
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.sections import put_section
from benchmarks.tables import markdown

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
USE_CASE = "transactions"
FILES = 60
FIRST = dt.date(2026, 1, 1)
REPEATS = 5
MORE_DAYS = 4
NAME = "starts"
ADOPT_ORPHANS = 36
"""`PR_SET_CHILD_SUBREAPER` of Linux: processes that lost their parent become ours, and are counted."""

ABOUT = """\
What a command costs before and beside its work: `python -m benchmarks.starts`, CPU seconds of all its processes, the
median of several. The commands of `{use_case}` find three days and one version in their home. A run 'beyond the work
itself' is one new day of {files} files, less what each of {more} further days adds to a run. A fresh machine has pip's
packages to fetch, and no `.venv`; it is measured once."""


@dataclass(frozen=True)
class Line:
    """One line of the table: what is measured, the command that is shown, and what it may cost."""

    name: str
    shown: str
    bar: float
    measure: Callable[[Bench], float]
    unit: str = "CPU s"


class Bench:
    """A checkout with its `.venv`, and a home with a champion.

    Parameters
    ----------
    checkout
        Folder of the checkout that is measured.
    folder
        Where homes are made.
    """

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.checkout, self.folder = checkout, folder
        self._days = 0

    @property
    def environment(self) -> dict[str, str]:
        """The shell's environment, without its settings and with a home of our own."""
        ours = ("MLOPS_", "DAGSTER_", "PYTHONDONTWRITEBYTECODE")  # modules are compiled once, as they are everywhere
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {**kept, "MLOPS_HOME": str(self.folder / "home")}

    def prepare(self) -> None:
        """Three days of sample files, a training, three days of predictions."""
        self._sample(3)
        self.cpu(self.command("run", USE_CASE, "--train"))

    def command(self, *arguments: str) -> list[str]:
        """The installed command with some arguments."""
        return [str(self.checkout / ".venv" / "bin" / "mlops-assets"), *arguments]

    def python(self, code: str) -> list[str]:
        """Python with some code."""
        return [str(self.checkout / ".venv" / "bin" / "python"), "-c", code]

    def median(self, command: Sequence[str], codes: Sequence[int] = (0,)) -> float:
        """CPU seconds of a command, the median of several."""
        return statistics.median(self.cpu(command, codes) for _ in range(REPEATS))

    def start_of_run(self) -> float:
        """CPU seconds of running a new day, less those that a further day adds."""
        return statistics.median(self._start_of_run() for _ in range(3))

    def _start_of_run(self) -> float:
        one = self.cpu(self._run(1))
        more = self.cpu(self._run(1 + MORE_DAYS))
        return one - (more - one) / MORE_DAYS

    def _run(self, days: int) -> list[str]:
        first = self._sample(days)
        last = first + dt.timedelta(days=days - 1)
        return self.command("run", USE_CASE, "--from", str(first), "--to", str(last))

    def _sample(self, days: int) -> dt.date:
        """Write the next days; the first of them."""
        first = FIRST + dt.timedelta(days=self._days)
        self._days += days
        self.cpu(self.command("sample", USE_CASE, "--day", str(first), "--days", str(days), "--files", str(FILES)))
        return first

    def demo(self) -> float:
        """CPU seconds of `make demo` in a copy of the files under version control, without a `.venv`."""
        return self.cpu(["make", "demo"], folder=self._fresh())

    def size(self) -> float:
        """GB of the `.venv` that `make demo` made."""
        fresh = self._fresh()
        if not (fresh / ".venv").exists():
            self.demo()
        told = subprocess.run(["du", "-sb", ".venv"], cwd=fresh, capture_output=True, text=True, check=True).stdout
        return int(told.split()[0]) / 1e9

    def _fresh(self) -> Path:
        place = self.folder / "fresh"
        if not place.exists():
            leave = shutil.ignore_patterns(".venv", ".mlops", ".git", "__pycache__", ".*_cache")
            shutil.copytree(self.checkout, place, ignore=leave)
        return place

    def cpu(self, command: Sequence[str], codes: Sequence[int] = (0,), folder: Path | None = None) -> float:
        """CPU seconds of a command and of all that it starts."""
        before = _children()
        environment = {**self.environment, **({"MLOPS_HOME": str(folder / ".mlops")} if folder else {})}
        place = folder or self.checkout
        done = subprocess.run(command, check=False, cwd=place, env=environment, capture_output=True, text=True)
        if done.returncode not in codes:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
        _wait_for_orphans()
        return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _wait_for_orphans() -> None:
    """Servers of workers outlive their command by a moment; their time counts once they have ended."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _command(bar: float, *arguments: str, codes: Sequence[int] = (0,)) -> Line:
    shown = " ".join(("mlops-assets", *arguments))
    return Line(shown, shown, bar, lambda bench: bench.median(bench.command(*arguments), codes))


IMPORT = "import mlops_assets.definitions"
LINES = (
    Line("the code location", IMPORT, 2.5, lambda bench: bench.median(bench.python(IMPORT))),
    _command(0.5, "--help"),
    _command(0.5, "run", codes=(2,)),
    _command(1.2, "status"),
    _command(1.2, "status", USE_CASE),
    _command(1.2, "history", USE_CASE),
    _command(1.2, "card", USE_CASE),
    _command(1.2, "card", USE_CASE, "99", codes=(2,)),
    _command(1.2, "preview", USE_CASE),
    Line("a run, beyond the work itself", f"mlops-assets run {USE_CASE}", 4, Bench.start_of_run),
    Line("a fresh machine, all", "make demo", 60, Bench.demo),
    Line("`.venv` after it", "make demo", 1, Bench.size, "GB"),
)


def main() -> None:
    """Measure, print, and write the section of the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starts", description=__doc__)
    parser.add_argument("--checkout", type=Path, default=ROOT, help="Measure this checkout instead, with its .venv.")
    parser.add_argument("--only", default="", help="Measure only lines whose name or command has this in it.")
    parser.add_argument("--print", action="store_true", help="Print the numbers only; the page stays as it is.")
    given = parser.parse_args()
    ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    lines = [line for line in LINES if given.only in line.name or given.only in line.shown]
    with TemporaryDirectory(prefix="starts-") as folder:
        bench = Bench(given.checkout.absolute(), Path(folder))
        bench.prepare()
        found: dict[str, float] = {}
        for line in lines:
            found[line.name] = line.measure(bench)
            print(f"{line.name:<40} {found[line.name]:7.2f} {line.unit}, bar {line.bar}", flush=True)
    if not given.only and not given.print:
        write(found, PAGE)
    sys.exit(any(found[line.name] > line.bar for line in lines))


def write(found: Mapping[str, float], page: Path) -> None:
    """Put the section into the page, in the place of the one before.

    Parameters
    ----------
    found
        What was measured, by the names of the lines.
    page
        The Markdown file.
    """
    rows = [
        [line.name, f"`{line.shown}`", f"{found[line.name]:.2f} {line.unit}", f"{line.bar:g}"]
        for line in LINES
        if line.name in found
    ]
    about = ABOUT.format(use_case=USE_CASE, files=FILES, more=MORE_DAYS)
    table = markdown(("start", "command", "measured", "bar"), rows)
    put_section(NAME, f"## What starting costs\n\n{about}\n\n{table}", page)


if __name__ == "__main__":
    main()
