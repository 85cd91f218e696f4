"""The lake on S3: the same guarantees as on a disk, each kept by the server's conditional PUT."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pyarrow as pa
import pytest

from mlops_assets.errors import LakeError, PublishConflict
from mlops_assets.journey.model.history import History, HistoryConflict
from mlops_assets.journey.read.listing import list_day, shard_of
from mlops_assets.journey.read.sources import S3Source
from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_part, read_report, write_json
from mlops_assets.storage.parts import Part
from mlops_assets.storage.places import S3Path
from mlops_assets.storage.tables import Table, write_part
from mlops_assets.use_case import UseCase

DAY, OTHER = "2026-01-01", "2026-01-02"
SCHEMA = pa.schema({"number": pa.int64(), "text": pa.string()})


@pytest.fixture
def table(bucket: S3Path) -> Table:
    return Lake(bucket / "lake", "toy").rows


@pytest.fixture
def twin(bucket: S3Path) -> Table:
    """The same table as another process sees it."""
    return Lake(bucket / "lake", "toy").rows


def stage(table: Table, day: str, *numbers: int) -> Part:
    rows = pa.table({"number": numbers, "text": [f"n{number}" for number in numbers]}, SCHEMA)
    return write_part(table, day, "-".join(map(str, numbers)), rows, {"counts": {"rows": len(numbers)}})


def publish(table: Table, day: str, *numbers: int, replaces: set[str] | None = None) -> bool:
    seen = table.parts(day) if replaces is None else replaces
    return table.publish(day, [stage(table, day, *numbers)], SCHEMA, ReadingAccounting(rows=len(numbers)), seen)


def published(table: Table, days: Sequence[str] | None = None) -> list[int]:
    return sorted(table.read_all(days)["number"].to_pylist())


# -- publishing -------------------------------------------------------------------------------------------------------


def test_a_day_is_replaced_and_other_days_are_left_alone(table: Table, twin: Table) -> None:
    assert publish(table, DAY, 1, 2)
    assert publish(table, OTHER, 3)
    assert publish(table, DAY, 4)
    assert published(twin) == [3, 4]
    assert list(twin.days()) == [DAY, OTHER]
    assert twin.days()[DAY].accounting == ReadingAccounting(rows=1)


def test_publishing_the_same_again_changes_nothing(table: Table) -> None:
    publish(table, DAY, 1)
    version = table.days()[DAY].version
    assert not publish(table, DAY, 1)
    assert table.days()[DAY].version == version


def test_a_run_that_was_overtaken_is_told_and_changes_nothing(table: Table, twin: Table) -> None:
    seen = twin.parts(DAY)
    publish(table, DAY, 1)
    with pytest.raises(PublishConflict, match=f"rows of {DAY}: another run published this day"):
        publish(twin, DAY, 2, replaces=seen)
    assert published(twin) == [1]


def test_of_runs_that_publish_the_same_day_at_once_one_wins_and_the_others_are_told(bucket: S3Path) -> None:
    start = Barrier(4)

    def attempt(number: int) -> int | None:
        table = Lake(bucket / "lake", "toy").rows
        part = stage(table, DAY, number)
        start.wait()
        try:
            table.publish(DAY, [part], SCHEMA, ReadingAccounting(rows=number), set())
        except PublishConflict:
            return None
        return number

    with ThreadPoolExecutor(4) as threads:
        won = [number for number in threads.map(attempt, range(4)) if number is not None]
    assert len(won) == 1
    assert published(Lake(bucket / "lake", "toy").rows) == won


def test_days_that_are_published_at_once_by_several_runs_are_all_there(bucket: S3Path) -> None:
    days = [f"2026-01-{number:02d}" for number in range(1, 7)]

    def run(mine: Sequence[str]) -> None:
        table = Lake(bucket / "lake", "toy").rows
        for day in mine:
            publish(table, day, int(day[-2:]))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(run, (days[::2], days[1::2])))
    table = Lake(bucket / "lake", "toy").rows
    assert published(table) == list(range(1, 7))
    assert {day: len(every) for day, every in table.publications().items()} == dict.fromkeys(days, 1)


def test_a_day_is_read_and_restored_as_it_was_published_before(table: Table) -> None:
    publish(table, DAY, 1)
    before = table.days()[DAY]
    publish(table, DAY, 2)
    assert table.read_publication(DAY, before).read_all()["number"].to_pylist() == [1]
    assert table.restore(DAY, before, SCHEMA)
    assert published(table) == [1]


def test_cleaning_keeps_what_is_published_and_what_may_be(table: Table) -> None:
    publish(table, DAY, 1)
    publish(table, DAY, 2)
    stage(table, DAY, 3)
    assert table.clean(hours=24) == 0
    publish(table, DAY, 4)
    lost = table.publications()[DAY][0]
    assert table.clean(hours=0) >= 2
    assert published(table) == [4]
    with pytest.raises(LakeError, match="1 of its 1 files were cleaned up"):
        table.parts_at(DAY, lost)


@pytest.mark.long
def test_every_table_of_the_lake_is_cleaned_and_nothing_else(bucket: S3Path) -> None:
    lake = Lake(bucket / "lake", "toy")
    for name in ("rows", "rejects"):
        for number in (1, 2):
            publish(lake.table(name), DAY, number)
    write_json(bucket / "lake" / "toy" / "training" / "run" / "step.json", {"a": 1})
    assert lake.clean(keep_days=0) == 2
    assert (bucket / "lake" / "toy" / "training" / "run" / "step.json").exists()


# -- parts ------------------------------------------------------------------------------------------------------------


def test_a_part_carries_its_size_and_report(table: Table) -> None:
    part = stage(table, DAY, 1, 2)
    place = table.place(DAY, "1-2")
    assert part.size == place.stat().st_size
    assert read_report(place) == {"counts": {"rows": 2}}
    assert read_part(place, ["number"], texts_as_codes=True)["number"].to_pylist() == [1, 2]


def test_a_part_that_is_absent_or_damaged_has_no_report(table: Table) -> None:
    place = table.place(DAY, "1")
    assert read_report(place) is None
    for content in (b"", b"PAR1 half a part"):
        place.write_bytes(content)
        assert read_report(place) is None


def test_the_first_rows_are_read_without_the_rest(table: Table) -> None:
    publish(table, DAY, *range(100))
    assert table.head(DAY, 3, ["number"])["number"].to_pylist() == [0, 1, 2]


# -- manifests and history --------------------------------------------------------------------------------------------


def test_a_manifest_keeps_etags_and_a_new_content_is_a_new_fingerprint(bucket: S3Path, transactions: UseCase) -> None:
    source = S3Source(bucket / "raw" / "transactions")
    place = bucket / "raw" / "transactions" / f"day={DAY}" / "a.csv"
    table = Lake(bucket / "lake", "transactions").table("raw_files")
    place.write_bytes(b"before")
    first = list_day(transactions, source, table, DAY)
    (entry,) = shard_of(first.path, 0).to_pylist()
    assert (entry["path"], entry["size"], entry["problem"]) == ("a.csv", 6, "")
    assert entry["etag"]
    place.write_bytes(b"behind")
    assert list_day(transactions, source, table, DAY).fingerprint != first.fingerprint


def test_of_two_who_change_the_champion_at_once_one_is_told(bucket: S3Path) -> None:
    History(bucket / "lake", "toy").append("promote", 1, "me", "first", "passes")
    start = Barrier(2)

    def attempt(version: int) -> bool:
        history = History(bucket / "lake", "toy")
        start.wait()
        try:
            history.append("promote", version, "me", "better", "passes", seen=1)
        except HistoryConflict:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(attempt, (2, 3))) == 1
    assert [change.number for change in History(bucket / "lake", "toy").changes()] == [1, 2]
