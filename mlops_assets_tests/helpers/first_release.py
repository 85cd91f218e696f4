"""A home as the first release left it: made once by its own code, kept as a small archive, unpacked where it is needed.

`python -m mlops_assets_tests.helpers.first_release` makes the archive anew from the history of the repository.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from mlops_assets_tests.helpers.visits import place_visits

COMMIT = "b7a4625"
"""The first version that ran; no release was tagged before or since."""

ARCHIVE = Path(__file__).parents[1] / "tools" / "data" / "first_release.tar.xz"
DAYS = ("2026-01-01", "2026-01-02")
NEXT_DAY = "2026-01-03"
PLACE = "/srv/mlops-of-the-first-release"
"""Where the home of the archive believes that it is; as MLflow's store names its folders by their whole path."""

COMMAND = "import sys; from mlops_assets.cli import main; sys.argv[0] = 'mlops-assets'; main()"


def unpack(folder: Path) -> Path:
    """The home, in a folder beside the use case that it is of; MLflow's store names its new place."""
    place_visits(folder / "use_cases")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    home = folder / "home"
    for day in (*DAYS, NEXT_DAY):
        write_day(home / "raw" / "visits" / f"day={day}")
    _move(home, PLACE, str(home))
    return home


def write_day(folder: Path) -> None:
    """Raw files of a day, the same bytes each time: long visits are followed by another one."""
    folder.mkdir(parents=True)
    for file in range(2):
        numbers = [(37 * number + 211 * file + sum(folder.name.encode())) % 600 for number in range(60)]
        rows = [f"v{n % 40},{n},{('web', 'shop')[n % 2]},{('no', 'yes')[n > 300]}" for n in numbers]
        text = "\n".join(["visitor,minutes,channel,returned", *rows, ""])
        (folder / f"visits-{file}.csv").write_text(text, encoding="utf-8")


def _move(home: Path, before: str, after: str) -> None:
    """Let a home that lies elsewhere now say so: the first release wrote whole paths."""
    for record in (home / "lake" / "visits" / "training").rglob("*.json"):
        record.write_text(record.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    store = home / "mlflow" / "mlflow.db"
    columns = {
        "model_versions": ("source", "storage_location"),
        "experiments": ("artifact_location",),
        "runs": ("artifact_uri",),
    }
    with closing(sqlite3.connect(store)) as connection, connection:
        for table, names in columns.items():
            for name in names:
                connection.execute(f"UPDATE {table} SET {name} = replace({name}, ?, ?)", (before, after))
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("VACUUM")


def make(archive: Path = ARCHIVE) -> None:
    """Make the archive: two days, a training, predictions, all by the code of the first release."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        code, home = folder / "code", folder / "home"
        code.mkdir()
        packed = subprocess.run(["git", "archive", COMMIT], capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", str(code)], input=packed, check=True)
        place_visits(folder / "use_cases")
        for day in DAYS:
            write_day(home / "raw" / "visits" / f"day={day}")
        environment = {**os.environ, "PYTHONPATH": str(code), "MLOPS_HOME": str(home), "MLOPS_WORKERS": "1"}
        environment |= {"MLOPS_USE_CASES": str(folder / "use_cases"), "DAGSTER_HOME": ""}
        command = [sys.executable, "-W", "ignore", "-c", COMMAND, "run", "visits", "--train"]
        subprocess.run(command, env=environment, cwd=code, check=True)
        _move(home, str(home), PLACE)
        with tarfile.open(archive, "w:xz") as packed_home:
            for path in ("lake", "mlflow", "dagster/history", "dagster/schedules"):
                packed_home.add(home / path, f"home/{path}", filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uname = member.gname = ""
    member.uid = member.gid = 0
    return member


if __name__ == "__main__":
    make()
