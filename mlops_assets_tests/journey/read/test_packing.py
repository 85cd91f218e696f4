"""Files packed by gzip or zstd: what is in them is read within bounds, what is wrong with them refuses the whole file."""

from __future__ import annotations

import gzip
import time

import pyarrow as pa
import pytest

from mlops_assets.journey.read.listing import look_at_day
from mlops_assets.journey.read.readers.packing import packed
from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.storage.catalog import Lake
from mlops_assets_tests.helpers.formats import ROW, Outcome, contract, written

KINDS = ["gzip", "zstd"]
PLAIN = contract("csv")
DATA = written(PLAIN, [ROW] * 20)


def case(kind: str, **files: object):  # type: ignore[no-untyped-def]
    return contract("csv", compression=kind, suffix=".csv.gz", **files)


def squeezed(kind: str, data: bytes) -> bytes:
    return gzip.compress(data) if kind == "gzip" else bytes(pa.compress(data, codec="zstd", asbytes=True))


@pytest.mark.parametrize("kind", KINDS)
def test_members_that_follow_one_another_are_one_file(kind: str) -> None:
    half = len(DATA) // 2
    data = squeezed(kind, DATA[:half]) + squeezed(kind, DATA[half:])
    assert Outcome(case(kind), data).counts["rows"] == 20


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda _: b"", "empty_file"),
        (lambda _: DATA, "compression"),
        (lambda data: data[:-1], "truncated"),
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:5], "truncated"),
        (lambda data: data + b"more", "compression"),
        (lambda data: data + data[: len(data) // 2], "truncated"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(kind: str, change, rule: str) -> None:  # type: ignore[no-untyped-def]
    found = Outcome(case(kind), change(squeezed(kind, DATA)))
    assert found.rejects == [(None, rule)]
    assert found.only.message


def test_a_byte_that_was_changed_is_told_by_the_checksum() -> None:
    data = bytearray(gzip.compress(DATA, compresslevel=0))
    data[len(data) // 2] ^= 1
    assert Outcome(case("gzip"), bytes(data)).rejects == [(None, "compression")]


def test_zeros_behind_a_file_are_what_tapes_are_filled_with() -> None:
    assert Outcome(case("gzip"), gzip.compress(DATA) + bytes(512)).counts["rows"] == 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_is_not_unpacked(kind: str) -> None:
    bomb = squeezed(kind, bytes(20 << 20))
    assert len(bomb) < 30_000
    found = Outcome(case(kind), bomb)
    assert found.rejects == [(None, "compression")]
    assert "bomb" in found.only.message
    nested = Outcome(case(kind), squeezed(kind, bomb))
    assert nested.rejects[0][0] is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_becomes_too_large_is_refused_as_such(kind: str) -> None:
    found = Outcome(case(kind, largest=1_000), squeezed(kind, DATA))
    assert found.rejects == [(None, "too_large")]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bytes_are_the_same_file(kind: str) -> None:
    assert packed(DATA, case(kind).files) == packed(DATA, case(kind).files)


def test_shards_are_cut_by_what_files_become(tmp_path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "toy" / "day=2026-01-01"
    folder.mkdir(parents=True)
    for number in range(4):
        with (folder / f"{number}.csv.gz").open("wb") as file:
            file.truncate(30 << 20)  # a hole: nothing is written
    shards = {}
    for kind in ("none", "gzip"):
        use_case = case(kind)
        source = FolderSource(tmp_path / "toy", ".csv.gz", False)
        shards[kind] = look_at_day(use_case, source, Lake(tmp_path / "lake", "toy").raw_files, "2026-01-01").shards
    assert shards["gzip"] > shards["none"]


def test_a_file_of_very_many_members_costs_no_more_for_each() -> None:
    seconds = {}
    for times in (5_000, 40_000):
        began = time.process_time()
        assert Outcome(case("gzip"), gzip.compress(b"") * times).rejects == [(None, "empty_file")]
        seconds[times] = time.process_time() - began
    # eight times as many; the whole of what is left was copied for each
    assert seconds[40_000] < 20 * max(seconds[5_000], 0.01)
