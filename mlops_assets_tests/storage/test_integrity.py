"""Bit rot: a stored file whose bytes are not those that were written is never read, and its name and day are told."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.errors import LakeError
from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_finished, read_part, read_report, write_json, write_table
from mlops_assets.storage.integrity import Damaged, Gone, read_json, sha256
from mlops_assets.storage.places import Place, S3Path
from mlops_assets.storage.tables import Table, write_part

DAY = "2026-01-01"
ROWS = pa.table(
    {
        "file": pa.array([f"{number % 7}.csv" for number in range(500)]).dictionary_encode(),
        "line": pa.array(range(500), pa.int32()),
        "probability": pa.array(np.random.default_rng(0).random(500), pa.float32()),
        "shard": pa.array([number // 100 for number in range(500)], pa.int32()),
    }
)
REPORT = {"counts": {"rows": 500}, "rules": {}, "others": [], "own_rows": 500, "code": "c"}

Damage = Callable[[random.Random, bytes], bytes]


def flipped(draw: random.Random, data: bytes, most: int = 64) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, most)):
        changed[draw.randrange(len(changed))] ^= draw.randint(1, 255)
    return bytes(changed)


def flipped_in_the_footer(draw: random.Random, data: bytes) -> bytes:
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return data[:start] + flipped(draw, data[start:], 4)


def one_byte_flipped(draw: random.Random, data: bytes) -> bytes:
    return flipped(draw, data, 1)


def burst(draw: random.Random, data: bytes) -> bytes:
    start = draw.randrange(len(data) - 64)
    return data[:start] + bytes(byte ^ 0xFF for byte in data[start : start + 64]) + data[start + 64 :]


def cut(draw: random.Random, data: bytes) -> bytes:
    return data[: draw.randrange(len(data))]


def zeroed(draw: random.Random, data: bytes) -> bytes:
    start = draw.randrange(len(data))
    end = min(len(data), start + draw.choice([16, 512, 4096]))
    return data[:start] + bytes(end - start) + data[end:]


DAMAGES: list[Damage] = [flipped, flipped_in_the_footer, one_byte_flipped, burst, cut, zeroed]


@pytest.fixture(params=["disk", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return tmp_path if request.param == "disk" else request.getfixturevalue("bucket") / "lake"


@pytest.fixture
def table(root: Place) -> Table:
    return Lake(root, "toy").rows


def publish(table: Table, day: str = DAY, stem: str = "00000-mark", data: pa.Table = ROWS) -> Place:
    part = write_part(table, day, stem, data, REPORT)
    table.publish(day, [part], data.schema, ReadingAccounting(rows=500), table.parts(day))
    return table.place(day, stem)


# -- what is written --------------------------------------------------------------------------------------------------


def test_the_same_rows_are_the_same_bytes_and_their_sha256_is_in_the_commit(table: Table) -> None:
    path = publish(table)
    before = path.read_bytes()
    assert not table.publish(
        DAY, [write_part(table, DAY, "00000-mark", ROWS, REPORT)], ROWS.schema, ReadingAccounting(rows=500), set()
    ) or not table.parts(DAY)
    assert path.read_bytes() == before
    ((name, part),) = table.written(DAY).items()
    assert (name, part.sha256, part.rows) == (f"day={DAY}/00000-mark.parquet", sha256(before), 500)


def test_readers_that_know_no_seal_read_the_file(tmp_path: Path) -> None:
    path = publish(Lake(tmp_path, "toy").rows)
    assert isinstance(path, Path)
    assert duckdb.sql(f"SELECT count(*), max(line) FROM '{path}'").fetchall() == [(500, 499)]
    assert pq.ParquetFile(path, page_checksum_verification=True).read().num_rows == 500
    assert DeltaTable(str(path.parent.parent)).to_pyarrow_table().num_rows == 500


def test_a_file_of_an_earlier_version_is_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "rows" / f"day={DAY}" / "old.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(ROWS, path)
    assert read_part(path).num_rows == 500
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(Damaged, match=f"rows of {DAY}"):
        read_part(path)


# -- what is read -----------------------------------------------------------------------------------------------------


def test_a_damaged_part_is_told_with_file_table_day_and_way_out(table: Table) -> None:
    path = publish(table)
    path.write_bytes(flipped(random.Random(1), path.read_bytes()))
    with pytest.raises(LakeError) as told:
        table.read_all([DAY])
    assert str(told.value).startswith(f"rows of {DAY}: the file {path} is damaged")
    assert f"`mlops-assets run toy --from {DAY} --to {DAY}`" in str(told.value)


def test_a_part_that_was_deleted_is_told_as_gone(tmp_path: Path) -> None:
    table = Lake(tmp_path, "toy").rows
    path = publish(table)
    assert isinstance(path, Path)
    path.unlink()
    with pytest.raises(Gone, match=rf"rows of {DAY}: the file .* is gone"):
        table.read_all([DAY])


def test_a_file_that_took_the_place_of_another_is_not_read(table: Table) -> None:
    paths = [publish(table, day, f"00000-{day[-1]}") for day in (DAY, "2026-01-02")]
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, reversed(contents), strict=True):
        path.write_bytes(content)
    for day in (DAY, "2026-01-02"):
        with pytest.raises(Damaged):
            table.read_all([day])


def damage_many(path: Path, read: Callable[[], pa.Table], times: int, seed: int) -> None:
    """Damage a file in many ways; what is read of it is what was written, or nothing."""
    good, expected, draw = path.read_bytes(), read(), random.Random(seed)
    for number in range(times):
        bad = DAMAGES[number % len(DAMAGES)](draw, good)
        path.write_bytes(bad)
        try:
            found = read()
        except Damaged:
            continue
        assert found.equals(expected), (number, bad)
        # whatever is read, a shard is never taken for done by a file that is not whole
        if bad != good:
            with pytest.raises(Damaged):
                read_finished(path)
        read_report(path)
    path.write_bytes(good)


@pytest.mark.parametrize("times", [300, pytest.param(30_000, marks=pytest.mark.long)])
def test_no_damage_to_a_part_gives_other_rows(tmp_path: Path, times: int) -> None:
    table = Lake(tmp_path, "toy").rows
    path = publish(table)
    assert isinstance(path, Path)
    damage_many(path, lambda: table.read_all([DAY]), times, seed=1)
    damage_many(path, lambda: read_part(path, ["line", "probability"]), times, seed=2)


@pytest.mark.parametrize("times", [60, pytest.param(30_000, marks=pytest.mark.long)])
def test_no_damage_to_a_document_gives_another(tmp_path: Path, times: int) -> None:
    path = tmp_path / "training_sets" / "mark.parquet"
    path.parent.mkdir()
    write_table(path, ROWS)
    damage_many(path, lambda: read_part(path), times, seed=3)


TEXTS = st.text(max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXTS, inner, max_size=3)
        | st.dictionaries(st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(said=st.dictionaries(TEXTS, VALUES, max_size=4), at=st.integers(0), bit=st.integers(0, 7))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_document_says_what_was_written_or_is_damaged(tmp_path: Path, said: dict, at: int, bit: int) -> None:  # type: ignore[type-arg]
    path = tmp_path / "codes.json"
    write_json(path, said)
    expected = read_json(path)
    assert expected == json.loads(json.dumps(said))
    changed = bytearray(path.read_bytes())
    changed[at % len(changed)] ^= 1 << bit
    path.write_bytes(changed)
    try:
        found = read_json(path)
    except Damaged:
        return
    assert found == expected


def test_a_document_of_an_earlier_version_has_no_hash_and_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text('{"version": 1}', encoding="utf-8")
    assert read_json(path) == {"version": 1}


# -- what is published ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["gone", "cut"])
def test_a_day_whose_file_was_taken_away_before_the_commit_is_not_published(table: Table, lost: str) -> None:
    part = write_part(table, DAY, "00000-mark", ROWS)
    path = table.place(DAY, "00000-mark")
    if lost == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif isinstance(path, S3Path):
        from mlops_assets.storage import places

        places.remove(table.folder, [part.path])
    else:
        path.unlink()
    with pytest.raises(LakeError, match=f"rows of {DAY}: 1 of its 1 files were deleted or changed"):
        table.publish(DAY, [part], ROWS.schema, ReadingAccounting(), set())
    assert table.days() == {}
    publish(table)
    assert table.read_all([DAY]).num_rows == 500


def test_a_file_of_other_bytes_under_the_same_name_is_published_anew(table: Table) -> None:
    publish(table)
    path = publish(table, data=ROWS.slice(0, 10))
    assert table.written(DAY)[f"day={DAY}/00000-mark.parquet"].sha256 == sha256(path.read_bytes())
    assert table.read_all([DAY]).num_rows == 10
