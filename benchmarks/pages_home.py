"""Makes a home with a day of very many files, and all that gathers in a year beside it, by the commands themselves."""

from __future__ import annotations

import csv
import datetime as dt
import shutil
import subprocess
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.champion import train, workspace_of
from benchmarks.data import make_day
from benchmarks.peers import ours
from benchmarks.run import BYTES_A_FILE, say
from mlops_assets.journey.feedback.files import HEADER
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import load_use_case
from mlops_assets.workspace import Stores

USE_CASE = ours.USE_CASE
DAY = dt.date(2024, 12, 31)
"""The day of many files."""
FILES, REJECTS = 300_000, 20_000
DAYS = 400
"""Small days before it."""
VERSIONS, CORRECTIONS = 50, 3_000
WHEN = "2025-01-02T08:00:00Z"
"""When the rows of the large day were corrected."""


@dataclass(frozen=True)
class Home:
    """A home and its raw files.

    Attributes
    ----------
    folder
        Where both lie.
    """

    folder: Path

    @property
    def place(self) -> Path:
        """`MLOPS_HOME`."""
        return self.folder / "home"

    @property
    def raw(self) -> Path:
        """`MLOPS_RAW`."""
        return self.folder / "raw"

    def command(self, *arguments: str) -> None:
        """Give a command, which must be done."""
        environment = {**ours.environment(str(self.place), str(self.raw), 2), "TQDM_DISABLE": "1"}
        said = subprocess.DEVNULL
        subprocess.run([ours.command(), *arguments], env=environment, check=True, stdout=said, stderr=said)

    def stores(self) -> Stores:
        """What there is of the use case."""
        return workspace_of(self.place).find(USE_CASE)


def make_home(folder: Path, files: int = FILES, days: int = DAYS) -> Home:
    """Make the home, unless it is there.

    Parameters
    ----------
    folder
        The work folder.
    files
        Files of the large day.
    days
        Small days before it.
    """
    home, use_case = Home(folder), load_use_case(OWN_USE_CASES / USE_CASE)
    made = folder / "made"
    if made.exists():
        return home
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < files * BYTES_A_FILE:
        raise SystemExit(f"{files:,} files need about {files * BYTES_A_FILE >> 30} GiB of disk.")
    first = DAY - dt.timedelta(days=days)
    say("training")
    train(use_case, folder, first, 3, 400)
    say(f"{days} days")
    for ago in range(days, 0, -1):
        for _ in write_sample(use_case, home.raw, DAY - dt.timedelta(days=ago), 2, 20, 0.0, ago, labelled=False):
            pass
    home.command("run", USE_CASE, "--from", str(first), "--to", str(DAY - dt.timedelta(days=1)))
    say(f"a day of {files:,} files")
    for _ in make_day(use_case, home.raw, DAY, files, 50):
        pass
    spoil(home.raw / USE_CASE / f"day={DAY}")
    home.command("run", USE_CASE, "--from", str(DAY), "--to", str(DAY))
    say(f"{VERSIONS} versions, {CORRECTIONS:,} corrections")
    add_versions(home.stores())
    correct(home, str(DAY))
    made.touch()
    return home


def spoil(day: Path) -> None:
    """Give many files of a day a line that is no row."""
    for path in islice(sorted(day.rglob("*.csv")), REJECTS):
        with path.open("ab") as file:
            file.write(b"broken\r\n")


def add_versions(stores: Stores) -> None:
    """Register what the champion is as further versions."""
    registry, name = stores.registry, stores.use_case.name
    champion = stores.champion()
    if champion is None:
        raise SystemExit("there is no champion")
    for _ in range(VERSIONS - champion.version):
        run = registry.client().create_run(registry.experiment(name)).info.run_id
        with TemporaryDirectory() as folder:
            shutil.copytree(champion.folder, folder, dirs_exist_ok=True)
            registry.register(name, run, Path(folder), champion.details())


def correct(home: Home, day: str) -> None:
    """Hand in corrections of the first rows of a day."""
    rows = home.stores().lake.predictions.head(day, CORRECTIONS, ["file", "line", "prediction"]).to_pylist()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "corrections.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([HEADER, *([day, *row.values(), "somebody", WHEN] for row in rows)])
        home.command("feedback", USE_CASE, str(path))
