"""What each page costs where a day has 300,000 files: the first request of a process, and later ones.

`python -m benchmarks.pages` makes such a home (or takes one, `--home`), serves it, and puts a section into
`docs/benchmarks.md`. CPU is what the kernel charges the process that answers.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psutil

from benchmarks.memory import IDLE, get, held, serving
from benchmarks.pages_home import CORRECTIONS, DAY, DAYS, FILES, USE_CASE, VERSIONS, Home, make_home
from benchmarks.run import ROOT, say
from benchmarks.sections import put_section
from benchmarks.starts import PAGE
from benchmarks.tables import markdown

NAME = "pages"
LATER = 5
"""Later requests, whose mean is told."""
ABOUT = """\
`python -m benchmarks.pages` writes this section: a home of `{use_case}` with a day of {files:,} files ({rows:,} rows,
{rejects:,} rejects), {days} days before it, {versions} versions and {said:,} corrections. Each page is asked for as the
first one of a server that has its champion, and then {later} times (mean) of one server that has shown all pages; CPU
is that of the process that answers, to 10 ms; wall is that of a machine that does other work as well. That
server holds {ready} MiB (RSS) when it is ready, {most} MiB after all pages, and {idle} MiB when it is idle again."""


@dataclass(frozen=True)
class Cost:
    """Seconds of CPU and of wall that an answer took, and its bytes."""

    cpu: float
    wall: float
    size: int


def pages_of(port: int, day: str) -> dict[str, str]:
    """Every kind of page, by its name, as a path below the server's root.

    Parameters
    ----------
    port
        Of a server: what there is of the day is asked of it.
    day
        The day of many files.
    """
    base = f"pages/{USE_CASE}"
    published = f"v1/use-cases/{USE_CASE}/days/{day}"
    found = json.loads(get(port, f"{published}/predictions?{urlencode({'limit': 2000})}"))
    row, last = found["rows"][0], found["rows"][-1]
    reject = json.loads(get(port, f"{published}/rejects?limit=1"))["rows"][0]
    lamps = json.loads(get(port, f"{published}"))["drift"]["lamps"]
    version = json.loads(get(port, "ready"))["versions"][USE_CASE]

    def of_day(path: str, **asked: object) -> str:
        return f"{base}/{path}?{urlencode({'day': day, **asked})}"

    one = {"file": row["file"], "line": row["line"]}
    return {
        "overview": "pages/",
        "days": f"{base}/days",
        "that day": f"{base}/days/{day}",
        "try": f"{base}/try",
        "predictions": of_day("predictions"),
        "predictions of a file": of_day("predictions", file=last["file"]),
        "predictions of an account": of_day("predictions", account=last["account_id"]),
        "predictions of a class": of_day("predictions", **{"class": last["prediction"]}),
        "predictions of a probability": of_day("predictions", least=0.3, most=0.31),
        "predictions of a class that no row has": of_day("predictions", **{"class": "none of them"}),
        "a row": of_day("predictions/row", **one),
        "the next row of its file": of_day("predictions/row", file=row["file"], line=row["line"] + 1),
        "rejects": of_day("data/rejects"),
        "rejects of a rule": of_day("data/rejects", rule=reject["rule"]),
        "rejects of a file": of_day("data/rejects", file=reject["file"]),
        "data": of_day("data"),
        "drift": of_day("drift"),
        "a lamp": of_day("drift/lamp", name=next((n for n, s in lamps.items() if s == "red"), next(iter(lamps)))),
        "performance": f"{base}/performance",
        "models": f"{base}/models",
        "a version": f"{base}/models/{version}",
        "two versions": f"{base}/models/diff?{urlencode({'before': version, 'after': version + 1})}",
        "label": of_day("label"),
        "what was said": f"{base}/label/said",
    }


def cost(port: int, path: str, process: psutil.Process, times: int = 1) -> Cost:
    """What an answer costs, on average of some."""
    before, began = process.cpu_times(), time.monotonic()
    for _ in range(times):
        answered = get(port, path)
    wall, after = time.monotonic() - began, process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return Cost(spent / times, wall / times, len(answered))


def first_of(home: Home, path: str) -> Cost:
    """What an answer costs that is the first of its process."""
    with serving(home.place, home.raw, 1, USE_CASE) as (port, _, processes):
        return cost(port, path, processes[0])


def measure(home: Home, day: str) -> tuple[dict[str, tuple[Cost, Cost]], tuple[int, int, int]]:
    """Each page's first and later costs; and MiB of a server that is ready, has shown all pages, and is idle again.

    Parameters
    ----------
    home
        The home.
    day
        The day of many files.
    """
    later: dict[str, Cost] = {}
    with serving(home.place, home.raw, 1, USE_CASE) as (port, _, processes):
        ready = held("ready", processes).resident
        paths = pages_of(port, day)
        for path in paths.values():
            get(port, path)
        for name, path in paths.items():
            later[name] = cost(port, path, processes[0], LATER)
            say(f"{name}: {later[name]}")
        most = held("all", processes).resident
        time.sleep(IDLE)
        idle = held("idle", processes).resident
    return {name: (first_of(home, path), later[name]) for name, path in paths.items()}, (ready, most, idle)


def section(home: Home, found: Mapping[str, tuple[Cost, Cost]], memory: tuple[int, int, int]) -> str:
    """The section of the page.

    Parameters
    ----------
    home
        The home.
    found, memory
        What `measure` found.
    """
    lake, day = home.stores().lake, str(DAY)
    told = lake.rows.days()[day].accounting
    numbers = {
        "files": told.files,
        "rows": told.rows,
        "rejects": told.rejected,
        "days": len(lake.rows.days()) - 1,
        "versions": VERSIONS,
    }
    ready, most, idle = memory
    about = ABOUT.format(use_case=USE_CASE, said=CORRECTIONS, later=LATER, ready=ready, most=most, idle=idle, **numbers)
    rows = [
        [name, *(f"{one.cpu:.2f}" for one in both), *(f"{one.wall:.2f}" for one in both), f"{both[0].size / 1000:,.0f}"]
        for name, both in found.items()
    ]
    head = ("page", "CPU s, first", "CPU s, later", "s, first", "s, later", "kB")
    return f"## What pages cost on a day of {told.files:,} files\n\n{about}\n\n{markdown(head, rows)}"


def main() -> None:
    """Measure, print, and write the section of the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / ".mlops" / "bench-pages", help="Work folder.")
    parser.add_argument("--files", type=int, default=FILES, help="Files of the large day.")
    parser.add_argument("--days", type=int, default=DAYS, help="Small days before it.")
    parser.add_argument("--print", action="store_true", help="Print the section; the page stays as it is.")
    parser.add_argument("--keep", action="store_true", help="Keep the home; the next measurement takes it.")
    given = parser.parse_args()
    home = make_home(given.folder.absolute(), given.files, given.days)
    text = section(home, *measure(home, str(DAY)))
    print(text)
    if not given.print:
        put_section(NAME, text, PAGE)
    if not given.keep:
        shutil.rmtree(home.folder)


if __name__ == "__main__":
    main()
