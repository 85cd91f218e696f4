"""What `verify` reads: all that is stored of a use case, each damaged file named with its day, its table and what to do."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.errors import LakeError
from mlops_assets.storage.accounting import PredictionsAccounting, ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_json, write_table
from mlops_assets.storage.places import Place, S3Path
from mlops_assets.storage.tables import write_part
from mlops_assets.storage.verification import Verified, check_intact, verify
from mlops_assets.views import verifying

DAY, OTHER = "2026-01-01", "2026-01-02"
DATA = pa.table({"number": list(range(100))})


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.long)])
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


@pytest.mark.parametrize("lake", ["disk", "s3"], indirect=True)
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


def test_unpredicted_rows_replays_and_versions_are_looked_at(lake: Lake) -> None:
    part = write_part(lake.unpredicted, DAY, "00000-mark", DATA)
    lake.unpredicted.publish(DAY, [part], DATA.schema, PredictionsAccounting(), set())
    places = [lake.unpredicted.place(DAY, "00000-mark"), lake.replay(DAY, "0123456789abcdef"), lake.version(1)]
    for place in places[1:]:
        write_json(place, {"file": "a.csv"})
    assert found(verify(lake)) == []
    for place in places:
        damage(place)
    assert sorted(found(verify(lake))) == [("replays", DAY), ("unpredicted", DAY), ("versions", "")]
    assert sorted(found(verify(lake, DAY, DAY))) == [("replays", DAY), ("unpredicted", DAY)]


def test_what_has_no_hash_is_said_to_be_unknown(lake: Lake) -> None:
    card = lake.training_run("run") / "version" / "card.md"
    card.parent.mkdir(parents=True, exist_ok=True)
    card.write_bytes(b"# A model")
    assert verify(lake).unknown == 1


@pytest.mark.parametrize("hint", [b"", b"{", b"[]", b'{"version": 7}'])
def test_a_garbled_hint_at_the_last_checkpoint_is_found(lake: Lake, hint: bytes) -> None:
    path = lake.rows.folder / "_delta_log" / "_last_checkpoint"
    path.write_bytes(hint)
    (finding,) = verify(lake).findings
    assert (finding.file, finding.table) == (str(path), "rows")
    assert finding.remedy == "delete it, the commits there say the same"


def test_a_day_is_not_published_with_less_while_a_damaged_part_of_it_could_not_be_made_again(lake: Lake) -> None:
    check_intact(lake, DAY, "2 raw files are gone")
    damaged = lake.predictions.place(DAY, f"00000-{DAY}")
    damage(damaged)
    check_intact(lake, OTHER, "2 raw files are gone")
    with pytest.raises(LakeError) as told:
        check_intact(lake, DAY, "2 raw files are gone")
    assert str(told.value).startswith(f"predictions of {DAY}: the file {damaged} is damaged")
    assert "it cannot be made again: 2 raw files are gone. Bring either back from a backup" in str(told.value)
    assert str(told.value).endswith("Nothing was published.")


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


def test_a_model_on_s3_is_looked_at_too(bucket: S3Path) -> None:
    (bucket / "run" / "serving" / "model").write_bytes(b"abc")
    for place in (bucket / "run" / "serving", bucket / "run" / "serving" / "model"):
        assert verifying._look_at(place, "hash", "", lambda _: "hash") == (3, None)
