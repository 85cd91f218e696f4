"""A home with published days of `toy`, scored by version 1, and a version 2 that answers otherwise."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlops_assets.journey.model.history import Change
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.journey.read.rhythm import keep_rhythm
from mlops_assets.journey.score.day import Scorers, score_day
from mlops_assets.registering.retro_scoring import RetroScoring
from mlops_assets.storage.accounting import ListingAccounting, ReadingAccounting
from mlops_assets.storage.catalog import MANIFEST, Lake
from mlops_assets.storage.tables import write_part
from mlops_assets.use_case import UseCase
from mlops_assets.work.engines import Engines
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.workspace import Stores, Workspace
from mlops_assets_tests.helpers.days import ignore
from mlops_assets_tests.helpers.homes import give_stores, state_in
from mlops_assets_tests.helpers.toy import KEYS, SQL, purchases
from mlops_assets_tests.helpers.versions import register

DAYS = ("2026-01-10", "2026-01-11", "2026-01-12")
SPAN = f"{DAYS[0]}/{DAYS[-1]}"
HOURS = ("2026-10-25T01", "2026-10-25T02", "2026-10-25T02+0100")
"""Of Berlin, of which one comes again."""

BY_HOUR = {"partitions": {"every": "hour", "timezone": "Europe/Berlin"}}
OF_NUMBERS = {
    "task": "regression",
    "candidates": {"median": {"use": "sklearn.dummy.DummyRegressor"}},
    "baseline": "median",
}
ROWS = 40


def valued(
    *,
    targets: dict[str, Any] | None = None,
    further: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    **promotion: Any,
) -> UseCase:
    """The toy with a value and a slice; `promotion` says what follows a promotion, `targets` where its days go."""
    training = {**KEYS["training"], **(training or {}), "promotion": {"retro_score": "30d", **promotion}}
    keys = {
        **KEYS,
        "training": training,
        "value": "amount",
        "feedback": {"slices": ["city"]},
        "drift": {"watch": False},
    }
    return UseCase.model_validate(
        {"name": "toy", **keys, **(further or {}), "features_sql": SQL, "targets": targets or {}}
    )


def of_numbers(**promotion: Any) -> UseCase:
    """The same, of a number that nobody knows yet."""
    columns = {**KEYS["columns"], "price": {"type": "number"}}
    return valued(further={"columns": columns, "label": "price"}, training=OF_NUMBERS, **promotion)


def publish_rows(lake: Lake, use_case: UseCase, day: str, number: int = ROWS, files: int = 4, parts: int = 1) -> None:
    """Rows of a day as they were read from files that were listed."""
    rows = sorted(purchases(number, accounts=files), key=lambda row: (row["file"], row["line"]))
    mark = f"{number}-{parts}"
    listed = ListingAccounting(files=files, shards=parts, bytes=1, fingerprint=f"{day}-{mark}")
    manifest = write_part(lake.raw_files, day, f"00000-{mark}", MANIFEST.empty_table())
    lake.raw_files.publish(day, [manifest], MANIFEST, listed, lake.raw_files.parts(day))
    written = []
    for part in range(parts):
        mine = [row for row in rows if int(row["file"][:3]) % parts == part]
        report = {
            "counts": {"files": files // parts, "rows": len(mine)},
            "own_rows": len(mine),
            "others": [],
            "rules": {},
        }
        data = pa.Table.from_pylist(mine, rows_schema(use_case))
        written.append(write_part(lake.rows, day, f"{part:05d}-{mark}", data, report))
    read = ReadingAccounting(
        files=files, lines=number, rows=number, rejected=0, manifest=listed.fingerprint, files_read=files
    )
    lake.rows.publish(day, written, rows_schema(use_case), read, lake.rows.parts(day))


def score(stores: Stores, day: str, version: int, choice: str = "current") -> None:
    """Publish a day as the daily run does."""
    scorers = Scorers(stores.proven_version(version), choice)
    done = score_day(stores.use_case, stores.lake, day, scorers, LocalEngine(1), ignore, "")
    assert not done.problems, done.problems


@cache
def _made(kind: str) -> Path:
    """Three days by version 1, which is champion; version 2 is not yet. Both were tried."""
    use_case = {"day": valued, "hour": partial(valued, further=BY_HOUR), "numbers": of_numbers}[kind]()
    home = Path(tempfile.mkdtemp(prefix="promoted-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    give_stores(home, "mlflow")
    with state_in(home):
        stores = Workspace.from_environment().of(use_case)
        first = register(stores, home, boundary=10, accuracy=0.7)
        stores.registry.promote(first, "ann", "the first")
        register(stores, home, boundary=20, accuracy=0.8)
        stores.proven_version(2)
        for day in HOURS if kind == "hour" else DAYS:
            keep_rhythm(use_case, stores.lake)
            publish_rows(stores.lake, stores.use_case, day)
            score(stores, day, 1)
    return home


def lay_out(home: Path, kind: str = "day") -> None:
    """Copy the home."""
    for name in ("lake", "mlflow", "trials"):
        shutil.copytree(_made(kind) / name, home / name)


@contextmanager
def promoted_home(home: Path, use_case: UseCase | None = None) -> Iterator[Stores]:
    """An environment with a copy of the home, in which a test may promote what it likes."""
    asked = use_case or valued()
    lay_out(home, "numbers" if asked.training.says_numbers else asked.partitions.every)
    with state_in(home):
        yield Workspace.from_environment().of(asked)


def promote(stores: Stores, number: int, days: str = SPAN) -> Change:
    """Make a version champion, and have these days scored again."""
    version = stores.registry.version(stores.use_case.name, number)
    return stores.registry.promote(version, "ann", "better", days=days)


@contextmanager
def scoring(stores: Stores, run: str = "run") -> Iterator[RetroScoring]:
    """What scores days again, in this process."""
    with Engines(stores.settings) as engines:
        yield RetroScoring(stores, engines, run)


def state(stores: Stores) -> dict[str, tuple[int, frozenset[str]]]:
    """By day the version that is published and its files, each with its bytes."""
    lake = stores.lake
    return {
        day: (
            published.accounting.model_version,
            frozenset(
                f"{path} {(lake.predictions.folder / path).read_bytes().hex()}" for path in lake.predictions.parts(day)
            ),
        )
        for day, published in lake.predictions.days().items()
    }


def versions(stores: Stores) -> dict[str, int]:
    """By day the version that is published."""
    return {day: version for day, (version, _) in state(stores).items()}
