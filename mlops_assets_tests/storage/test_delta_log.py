"""A damaged log of Delta: its file is named with the way out, no other day is shown, and the way out works."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from mlops_assets.errors import LakeError
from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.integrity import Damaged
from mlops_assets.storage.tables import Table, write_part

DAYS = [f"2026-01-{day:02d}" for day in range(1, 7)]
HINT = "_last_checkpoint"


def publish(table: Table, day: str) -> None:
    data = pa.table({"number": [int(day[-2:])]})
    # twice, so that commits remove files, too
    for stem in ("00000-first", "00000-second"):
        if stem == "00000-first" and table.parts(day):
            continue
        part = write_part(table, day, stem, data)
        table.publish(day, [part], data.schema, ReadingAccounting(rows=1), table.parts(day))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake whose table has twelve commits of days, a checkpoint in between and some commits behind it."""
    root = tmp_path_factory.mktemp("stored")
    table = Lake(root, "toy").rows
    for day in DAYS:
        publish(table, day)
        if day == DAYS[3]:
            DeltaTable(str(table.folder)).create_checkpoint()
    return root


@pytest.fixture
def log(stored: Path, tmp_path: Path) -> Path:
    shutil.copytree(stored, tmp_path / "lake")
    return tmp_path / "lake" / "toy" / "rows" / "_delta_log"


def table_of(log: Path) -> Table:
    return Lake(log.parents[2], "toy").rows


def shown(table: Table) -> list[tuple[str, int]]:
    rows = table.read_all()
    assert [*table.days()] == DAYS
    return sorted(zip(rows["day"].to_pylist(), rows["number"].to_pylist(), strict=True))


EVERYTHING = [(day, int(day[-2:])) for day in DAYS]


def name(version: int) -> str:
    return f"{version:020d}.json"


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbled(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(300))


def last_line_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes().rpartition(b"\n")[0])


def one_digit_changed(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'\\"rows\\": 1', b'\\"rows\\": 7').replace(b"second", b"sexond"))


def missing(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [half, empty, garbled, last_line_cut, one_digit_changed, missing])
@pytest.mark.parametrize("version", [2, 6, 10, 12])
def test_a_damaged_commit_is_named_and_the_way_out_brings_all_days_back(
    log: Path, version: int, damage: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    path = log / name(version)
    if damage is missing and version == 12:
        pytest.skip("nothing tells that there was a last commit, as if it had never been made")
    damage(path)
    with pytest.raises(Damaged) as told:
        shown(table_of(log))
    assert f"the file {path} is" in str(told.value)
    assert "move it and all files that come after it in that folder away" in str(told.value)
    assert capfd.readouterr() == ("", "")
    for later in log.iterdir():
        if later.name >= path.name:
            later.unlink()
    table = table_of(log)
    for day in DAYS:  # as `run` does
        publish(table, day)
    assert shown(table_of(log)) == EVERYTHING


def test_a_damaged_checkpoint_is_named_and_can_be_deleted(log: Path) -> None:
    (path,) = log.glob("*.parquet")
    for damage in (half, empty, garbled):
        good = path.read_bytes()
        damage(path)
        with pytest.raises(LakeError) as told:
            shown(table_of(log))
        assert str(path) in str(told.value)
        path.write_bytes(good)
    damage(path)
    path.unlink()
    (log / HINT).unlink()
    assert shown(table_of(log)) == EVERYTHING


@pytest.mark.parametrize("damage", [half, empty, garbled])
def test_a_garbled_hint_at_the_checkpoint_harms_nothing(log: Path, damage: Callable[[Path], None]) -> None:
    damage(log / HINT)
    assert shown(table_of(log)) == EVERYTHING


def test_a_hint_at_a_checkpoint_that_is_gone_is_named_and_can_be_deleted(log: Path) -> None:
    for checkpoint in log.glob("*.parquet"):
        checkpoint.unlink()
    with pytest.raises(Damaged, match=HINT):
        shown(table_of(log))
    (log / HINT).unlink()
    assert shown(table_of(log)) == EVERYTHING


@pytest.mark.parametrize("times", [60, pytest.param(3_000, marks=pytest.mark.long)])
def test_no_damage_to_a_commit_shows_other_rows(log: Path, times: int, capfd: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(1)
    for number in range(times):
        path = log / name(draw.randint(0, 12))
        good = path.read_bytes()
        if number % 2:
            path.write_bytes(good[: draw.randrange(len(good))])
        else:
            changed = bytearray(good)
            for _ in range(draw.choice([1, 4, 64])):
                changed[draw.randrange(len(changed))] ^= draw.randint(1, 255)
            path.write_bytes(changed)
        with suppress(LakeError):
            assert shown(table_of(log)) == EVERYTHING
        path.write_bytes(good)
    assert capfd.readouterr() == ("", "")
