"""What `verify` reads: all that is stored of a use case, each damaged file named with its day, its table and what to do."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_json, write_table
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import write_part
from mlops_assets.storage.verification import Verified, verify

DAY, OTHER = "2026-01-01", "2026-01-02"
DATA = pa.table({"number": list(range(100))})


@pytest.fixture(params=["disk", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    root: Place = tmp_path if request.param == "disk" else request.getfixturevalue("bucket") / "lake"
    lake = Lake(root, "toy")
    for table in (lake.rows, lake.predictions):
        for day in (DAY, OTHER):
            part = write_part(table, day, f"00000-{day}", DATA)
            table.publish(day, [part], DATA.schema, ReadingAccounting(), set())
    write_table(lake.training_set("mark"), DATA)
    write_json(lake.challenge(DAY), {"versions": [1, 2]})
    write_json(lake.code("abc"), {"modules": {}})
    return lake


def damage(place: Place) -> None:
    data = bytearray(place.read_bytes())
    data[random.Random(1).randrange(len(data))] ^= 1
    place.write_bytes(bytes(data))


def found(verified: Verified) -> list[tuple[str, str]]:
    return [(finding.table, finding.day) for finding in verified.findings]


def test_a_whole_lake_is_intact_and_its_bytes_are_counted(lake: Lake) -> None:
    told: list[tuple[int, int, int]] = []
    verified = verify(lake, tell=lambda *numbers: told.append(numbers))
    assert (verified.files, verified.unknown, verified.findings) == (7, 0, [])
    assert told[-1] == (verified.bytes, verified.bytes, 7)


def test_each_damaged_file_is_named_with_table_day_and_way_out(lake: Lake) -> None:
    places = [lake.rows.place(DAY, f"00000-{DAY}"), lake.training_set("mark"), lake.challenge(DAY), lake.code("abc")]
    for place in places:
        damage(place)
    verified = verify(lake)
    assert sorted(finding.file for finding in verified.findings) == sorted(map(str, places))
    assert sorted(found(verified)) == [("challenges", DAY), ("code", ""), ("rows", DAY), ("training_sets", "")]
    assert all(finding.remedy for finding in verified.findings)


def test_days_that_were_not_asked_for_are_not_looked_at(lake: Lake) -> None:
    damage(lake.rows.place(DAY, f"00000-{DAY}"))
    assert found(verify(lake, OTHER, OTHER)) == []
    assert found(verify(lake, DAY, DAY)) == [("rows", DAY)]
    assert verify(lake, DAY, DAY).files == 3


def test_a_file_that_is_gone_and_one_that_another_took_the_place_of_are_found(lake: Lake) -> None:
    lake.rows.place(DAY, f"00000-{DAY}").write_bytes(lake.rows.place(OTHER, f"00000-{OTHER}").read_bytes())
    write_part(lake.predictions, DAY, f"00000-{DAY}", DATA.slice(1))  # whole, but not what was published
    assert found(verify(lake)) == [("predictions", DAY), ("rows", DAY)]


def test_a_damaged_log_is_found_and_the_other_tables_are_looked_at(lake: Lake) -> None:
    log = lake.rows.folder / "_delta_log" / f"{2:020d}.json"
    log.write_bytes(log.read_bytes()[:100])
    damage(lake.predictions.place(DAY, f"00000-{DAY}"))
    verified = verify(lake)
    assert verified.findings[0].file == str(log)
    assert found(verified) == [("rows", ""), ("predictions", DAY)]


def test_files_of_earlier_versions_are_not_known_and_not_called_good(tmp_path: Path) -> None:
    lake = Lake(tmp_path, "toy")
    path = lake.audit(DAY)
    assert isinstance(path, Path)
    path.parent.mkdir(parents=True)
    pq.write_table(DATA, path)
    verified = verify(lake)
    assert (verified.files, verified.unknown, verified.findings) == (1, 1, [])
