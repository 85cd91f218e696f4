"""A use case whose days are done by jobs: small files in many shards, file features, an enrichment, a day that is red."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import yaml

from mlops_assets.job import job
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.tables import Table
from mlops_assets_tests.helpers.homes import copy_home
from mlops_assets_tests.helpers.shop import Done, Shop
from mlops_assets_tests.helpers.visits import LINKED, place_visits

FIRST, SECOND, RED = "2026-01-01", "2026-01-02", "2026-01-03"
TABLES = ("raw_files", "rows", "rejects", "enrichment_places", "features", "predictions", "profiles")
MANY = """
  scale: {files_a_shard: 1}
  enrichments:
    places: {use: table, parameters: {file: places.csv}, keys: [channel], columns: {rent: number}}
"""
SQL = """
CREATE VIEW file_features AS SELECT file, count(*) AS file_rows FROM rows GROUP BY file;

CREATE VIEW model_input AS
SELECT rows.file, line, minutes, channel, rent, file_rows
FROM rows JOIN file_features USING (file) LEFT JOIN places USING (channel);
"""


@cache
def made() -> Shop:
    """What `make` makes, once a process: nobody writes there, each test has a copy."""
    folder = Path(tempfile.mkdtemp(prefix="jobs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make(folder)


def make(folder: Path) -> Shop:
    """A home with a champion and one day that is done, by Dagster; two days wait, of which the last one is red."""
    use_cases = place_visits(folder / "use_cases", LINKED.rstrip("\n") + MANY, SQL)
    (use_cases / "visits" / "places.csv").write_text("channel,rent\nweb,1\nshop,9.5\n")
    shop = Shop(folder / "home")
    done = shop("sample", "visits", "--day", FIRST, "--days", "3", "--files", "4", "--rows", "40")
    assert done.code == 0, done.err
    for path in shop.day(RED).iterdir():
        path.write_text("visitor,minutes,channel,returned\nann,many,web,no\n")
    done = shop("run", "visits", "--from", FIRST, "--to", FIRST, "--train")
    assert done.code == 0, done.err
    return shop


def copy(shop: Shop, folder: Path) -> Shop:
    """The same home once more, beside the same use case."""
    folder.mkdir(exist_ok=True)
    (folder / "use_cases").symlink_to(shop.home.parent / "use_cases")
    copy_home(shop.home, folder / "home")
    return Shop(folder / "home")


def give_job(shop: Shop, day: str, *arguments: str, **environment: str) -> Done:
    """Have the job of a day done in this process."""
    return shop.give(job, ["visits", "--day", day, *arguments], {**shop.environment, **environment})


def start(shop: Shop, words: Sequence[str], **environment: str) -> psutil.Popen:
    """Start a Python in a process of its own, which does not see what is set here."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("MLOPS_", "MLFLOW_", "DAGSTER_", "PYTEST_"))}
    return psutil.Popen(
        [sys.executable, *words],
        env={**kept, **shop.environment, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_part(shop: Shop, table: str, day: str) -> None:
    """Wait until a shard of a table is done."""
    folder, deadline = shop.home / "lake" / "visits" / table / f"day={day}", time.monotonic() + 120
    while not [*folder.glob("*.parquet")]:
        assert time.monotonic() < deadline, f"{table} of {day} never began"
        time.sleep(0.02)


def scale(shop: Shop, **keys: Any) -> None:
    """Change keys of `scale` of the use case beside a home, which is a link until then."""
    change(shop, "scale", **keys)


def change(shop: Shop, attribute: str, **keys: Any) -> None:
    """Change keys of an attribute of the use case beside a home, which is a link until then."""
    place = shop.home.parent / "use_cases"
    if place.is_symlink():
        original = place.resolve()
        place.unlink()
        shutil.copytree(original, place)
    file = place / "visits" / "defs.yaml"
    content = yaml.safe_load(file.read_text())
    content["attributes"][attribute] |= keys
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def state(shop: Shop, day: str) -> dict[str, tuple[dict[str, str], dict[str, Any]]]:
    """What is published of a day: the hash of each file by its name, which tells what it was made of, and accounting."""
    return {name: _published(Lake(shop.home / "lake", "visits").table(name), day) for name in TABLES}


def _published(table: Table[Any], day: str) -> tuple[dict[str, str], dict[str, Any]]:
    parts = table.parts(day)
    hashes = {path: part.sha256 for path, part in table.written(day).items() if path in parts}
    assert hashes.keys() == parts
    return hashes, table.days()[day].accounting.to_json()
