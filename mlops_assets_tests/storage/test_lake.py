"""The lake: a day is replaced in one commit, whole, and only by a run that saw what it replaces."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from mlops_assets.errors import LakeError, PublishConflict
from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_part, read_report, write_json
from mlops_assets.storage.integrity import read_json
from mlops_assets.storage.parts import Part
from mlops_assets.storage.tables import Table, delta_schema, write_part

DAY, OTHER = "2026-01-01", "2026-01-02"
SCHEMA = pa.schema({"number": pa.int64(), "text": pa.string()})


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Lake(tmp_path, "toy").rows


@pytest.fixture
def twin(tmp_path: Path) -> Table:
    """The same table as another process sees it."""
    return Lake(tmp_path, "toy").rows


def some_rows(*numbers: int) -> pa.Table:
    return pa.table({"number": numbers, "text": [f"n{number}" for number in numbers]}, SCHEMA)


def stage(table: Table, day: str, *numbers: int) -> Part:
    return write_part(table, day, "-".join(map(str, numbers)), some_rows(*numbers))


def publish(table: Table, day: str, *numbers: int, replaces: set[str] | None = None) -> bool:
    """Publish one part; `replaces` is what the run saw at its start, by default what is there now."""
    seen = table.parts(day) if replaces is None else replaces
    return table.publish(day, [stage(table, day, *numbers)], SCHEMA, ReadingAccounting(rows=len(numbers)), seen)


def published(table: Table, day: str) -> list[int]:
    return sorted(table.read_all([day])["number"].to_pylist())


def files(table: Table) -> list[str]:
    return sorted(path.name for path in table.folder.glob("day=*/*"))


# -- publishing -------------------------------------------------------------------------------------------------------


def test_publishing_a_day_replaces_it_and_leaves_other_days_alone(table: Table) -> None:
    publish(table, DAY, 1, 2)
    publish(table, OTHER, 3)
    publish(table, DAY, 4, 5, 6)
    assert published(table, DAY) == [4, 5, 6]
    assert published(table, OTHER) == [3]


def test_parts_that_stay_are_kept_beside_new_ones(table: Table) -> None:
    first, second, third = (stage(table, DAY, number) for number in (1, 2, 3))
    table.publish(DAY, [first, second], SCHEMA, ReadingAccounting(), set())
    table.publish(DAY, [second, third], SCHEMA, ReadingAccounting(), {first.path, second.path})
    assert published(table, DAY) == [2, 3]
    assert table.parts(DAY) == {second.path, third.path}


def test_a_day_can_be_emptied(table: Table) -> None:
    publish(table, DAY, 1)
    assert table.publish(DAY, [], SCHEMA, ReadingAccounting(rows=0), table.parts(DAY))
    assert published(table, DAY) == []
    assert table.days()[DAY].accounting == ReadingAccounting(rows=0)


def test_the_same_parts_and_accounting_again_make_no_new_version(table: Table) -> None:
    assert publish(table, DAY, 1, 2)
    before = table.days()
    assert not publish(table, DAY, 1, 2)
    assert table.days() == before


def test_the_same_parts_with_other_accounting_are_published(table: Table) -> None:
    publish(table, DAY, 1)
    assert table.publish(DAY, [stage(table, DAY, 1)], SCHEMA, ReadingAccounting(rows=1, files=2), table.parts(DAY))
    assert table.days()[DAY].accounting == ReadingAccounting(rows=1, files=2)
    assert published(table, DAY) == [1]


def test_a_replacement_is_one_version(table: Table) -> None:
    publish(table, DAY, 1)
    before = table.days()[DAY].version
    publish(table, DAY, 2)
    assert table.days()[DAY].version == before + 1


def test_a_publication_works_after_a_crash_between_making_the_log_folder_and_the_first_commit(table: Table) -> None:
    (table.folder / "_delta_log").mkdir(parents=True)
    assert publish(table, DAY, 1)
    assert published(table, DAY) == [1]


# -- what is known of the days ----------------------------------------------------------------------------------------


def test_a_table_without_publications_has_no_days_and_no_parts(table: Table) -> None:
    assert table.days() == {}
    assert table.parts(DAY) == set()


def test_days_tell_the_newest_accounting_of_each_day_in_their_order(table: Table) -> None:
    publish(table, OTHER, 1)
    publish(table, DAY, 2)
    publish(table, OTHER, 3, 4)
    assert {day: state.accounting for day, state in table.days().items()} == {
        DAY: ReadingAccounting(rows=1),
        OTHER: ReadingAccounting(rows=2),
    }
    assert list(table.days()) == [DAY, OTHER]


def test_days_tell_what_another_process_published_since(table: Table, twin: Table) -> None:
    publish(table, DAY, 1)
    assert twin.days()[DAY].accounting == ReadingAccounting(rows=1)
    publish(table, DAY, 1, 2)
    assert twin.days()[DAY].accounting == ReadingAccounting(rows=2)


def test_the_accounting_of_a_day_is_kept_for_ten_years_of_commits(table: Table) -> None:
    publish(table, DAY, 1)
    assert DeltaTable(table.folder).metadata().configuration["delta.logRetentionDuration"] == "interval 3650 days"


# -- two runs at once -------------------------------------------------------------------------------------------------


def test_the_second_publisher_of_a_day_gets_a_conflict_and_the_first_ones_content_stands(
    table: Table, twin: Table
) -> None:
    publish(table, DAY, 1)
    seen = twin.parts(DAY)
    publish(table, DAY, 2)
    with pytest.raises(PublishConflict, match="another run published this day"):
        publish(twin, DAY, 3, replaces=seen)
    assert published(table, DAY) == published(twin, DAY) == [2]


def test_the_second_first_publisher_of_a_day_gets_a_conflict_too(table: Table, twin: Table) -> None:
    publish(table, DAY, 1)
    with pytest.raises(PublishConflict):
        publish(twin, DAY, 2, replaces=set())
    assert published(table, DAY) == [1]


def test_two_runs_that_bring_the_same_parts_do_not_conflict(table: Table, twin: Table) -> None:
    publish(table, DAY, 1)
    assert not publish(twin, DAY, 1, replaces=set())


def test_publishers_of_different_days_both_succeed(table: Table, twin: Table) -> None:
    publish(table, DAY, 1)
    seen = twin.parts(OTHER)
    publish(table, DAY, 2)
    assert publish(twin, OTHER, 3, replaces=seen)
    assert (published(table, DAY), published(table, OTHER)) == ([2], [3])


def at_once(*work: Callable[[], bool]) -> list[BaseException | bool]:
    """Results or errors of functions that start together, a thread each."""
    barrier = Barrier(len(work))

    def run(one: Callable[[], bool]) -> BaseException | bool:
        barrier.wait()
        try:
            return one()
        except LakeError as error:
            return error

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(run, work))


@pytest.mark.parametrize("attempt", range(10))
def test_publishers_of_different_days_both_succeed_at_the_same_moment(table: Table, twin: Table, attempt: int) -> None:
    assert at_once(lambda: publish(table, DAY, 1), lambda: publish(twin, OTHER, 2)) == [True, True]
    assert (published(table, DAY), published(table, OTHER)) == ([1], [2])


@pytest.mark.parametrize("attempt", range(10))
def test_of_two_publishers_of_a_day_at_the_same_moment_one_wins(table: Table, twin: Table, attempt: int) -> None:
    publish(table, DAY, 1)
    seen = table.parts(DAY)
    found = at_once(lambda: publish(table, DAY, 2, replaces=seen), lambda: publish(twin, DAY, 3, replaces=seen))
    assert sorted(type(one) is PublishConflict for one in found) == [False, True]
    assert published(table, DAY) == ([2] if found[0] is True else [3])


def test_a_reader_sees_only_whole_days_while_they_are_replaced(table: Table, twin: Table) -> None:
    def replace(number: int) -> None:
        parts = [write_part(table, DAY, f"{half}-{number}", some_rows(*[number] * 5)) for half in range(2)]
        table.publish(DAY, parts, SCHEMA, ReadingAccounting(rows=number), table.parts(DAY))

    def watch() -> set[tuple[int, ...]]:
        seen = {tuple(published(twin, DAY))}
        while not done.is_set():
            seen.add(tuple(published(twin, DAY)))
        return seen

    replace(0)
    done = Event()
    with ThreadPoolExecutor(1) as pool:
        watched = pool.submit(watch)
        try:
            for number in range(1, 101):
                replace(number)
        finally:
            done.set()
    seen = watched.result()
    assert len(seen) > 1
    assert seen <= {(number,) * 10 for number in range(101)}


# -- reading ----------------------------------------------------------------------------------------------------------


def test_reading_gives_the_asked_days_and_columns_alone(table: Table) -> None:
    for day, number in ((DAY, 1), (OTHER, 2), ("2026-01-03", 3)):
        publish(table, day, number)
    found = table.read_all([OTHER, DAY], ["day", "text"])
    assert found.column_names == ["day", "text"]
    assert sorted(found.to_pylist(), key=lambda row: row["day"]) == [
        {"day": DAY, "text": "n1"},
        {"day": OTHER, "text": "n2"},
    ]


def test_reading_gives_all_days_and_columns_by_default(table: Table) -> None:
    publish(table, DAY, 1)
    publish(table, OTHER, 2)
    found = table.read_all()
    assert found.column_names == ["number", "text", "day"]
    assert sorted(found["number"].to_pylist()) == [1, 2]


def test_reading_no_days_gives_no_rows(table: Table) -> None:
    publish(table, DAY, 1)
    assert table.read_all([]).num_rows == 0


def test_reading_before_anything_was_published_is_an_error_that_names_the_table(table: Table) -> None:
    with pytest.raises(LakeError, match="rows: nothing was published there yet"):
        table.read()


def test_published_tables_have_plain_strings_and_the_day() -> None:
    schema = pa.schema({"text": pa.dictionary(pa.int32(), pa.string()), "number": pa.int32()})
    assert delta_schema(schema) == pa.schema({"text": pa.string(), "number": pa.int32(), "day": pa.string()})


def test_a_lake_gives_the_same_table_for_the_same_name(tmp_path: Path) -> None:
    lake = Lake(tmp_path, "toy")
    assert lake.table("rows") is lake.table("rows")
    assert lake.table("rows") is not lake.table("rejects")


# -- cleaning ---------------------------------------------------------------------------------------------------------


def make_old(table: Table, hours: float) -> None:
    moment = time.time() - hours * 3600
    for path in table.folder.glob("day=*/*"):
        os.utime(path, (moment, moment))


def test_cleaning_deletes_orphans_older_than_the_limit_and_no_published_file(table: Table) -> None:
    publish(table, DAY, 1)
    stage(table, DAY, 2)
    make_old(table, hours=3)
    stage(table, DAY, 3)
    assert table.clean(hours=2) == 1
    assert files(table) == ["1.parquet", "3.parquet"]
    assert published(table, DAY) == [1]


def test_cleaning_keeps_what_was_replaced_within_the_limit_for_readers_of_the_older_version(table: Table) -> None:
    publish(table, DAY, 1)
    publish(table, DAY, 2)
    make_old(table, hours=3)
    assert table.clean(hours=2) == 0
    assert files(table) == ["1.parquet", "2.parquet"]


def test_cleaning_deletes_what_was_replaced_before_the_limit(table: Table) -> None:
    publish(table, DAY, 1)
    publish(table, DAY, 2)
    make_old(table, hours=3)
    table.clean(hours=0)
    assert files(table) == ["2.parquet"]
    assert published(table, DAY) == [2]


def test_cleaning_deletes_what_a_killed_worker_left_unfinished(table: Table) -> None:
    publish(table, DAY, 1)
    (table.folder / f"day={DAY}" / ".2.0123.tmp").write_bytes(b"half a part")
    make_old(table, hours=3)
    table.clean(hours=2)
    assert files(table) == ["1.parquet"]


def test_cleaning_keeps_the_accounting(table: Table) -> None:
    publish(table, DAY, 1)
    before = table.days()
    table.clean(hours=0)
    assert table.days() == before


def test_cleaning_a_table_without_publications_does_nothing(table: Table) -> None:
    assert table.clean(hours=24) == 0


# -- parts ------------------------------------------------------------------------------------------------------------


def test_a_part_knows_its_table_path_size_and_rows(table: Table) -> None:
    part = stage(table, DAY, 1, 2)
    assert (part.table, part.path, part.rows) == ("rows", f"day={DAY}/1-2.parquet", 2)
    assert part.size == table.place(DAY, "1-2").stat().st_size


def test_what_repeats_is_stored_once_and_fractions_that_never_do_as_they_are(table: Table) -> None:
    data = pa.table(
        {
            "city": ["OSASCO", "BAURU"] * 500,
            "amount": [9.9, 19.9, 29.9, 39.9] * 250,
            "probability": pa.array((number / 1_000 for number in range(1_000)), pa.float32()),
            "probabilities": pa.array([[0.25, 0.75]] * 1_000, pa.list_(pa.float32())),
        }
    )
    part = write_part(table, DAY, "one", data)
    group = pq.read_metadata(table.folder / part.path).row_group(0)
    columns = [group.column(number) for number in range(4)]
    assert [column.has_dictionary_page for column in columns] == [True, True, False, True]
    assert not any(column.is_stats_set for column in columns)
    assert read_part(table.folder / part.path).equals(data)


def test_a_part_that_cannot_take_its_place_leaves_nothing_behind(table: Table) -> None:
    (table.place(DAY, "1") / "in the way").mkdir(parents=True)
    with pytest.raises(LakeError, match=r"1\.parquet: cannot be written"):
        stage(table, DAY, 1)
    assert files(table) == ["1.parquet"]


def test_a_part_whose_writing_fails_for_any_other_reason_leaves_nothing_behind(table: Table) -> None:
    with pytest.raises(TypeError):
        write_part(table, DAY, "1", some_rows(1), {"not JSON": object()})
    assert files(table) == []


def test_a_part_carries_its_report(table: Table) -> None:
    write_part(table, DAY, "1", some_rows(1), {"counts": {"rows": 1}})
    assert read_report(table.place(DAY, "1")) == {"counts": {"rows": 1}}


def test_a_part_that_is_absent_has_no_report(table: Table) -> None:
    assert read_report(table.place(DAY, "1")) is None


def test_a_document_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "state.json"
    write_json(path, {"a": 1})
    write_json(path, {"b": 2})
    assert read_json(path) == {"b": 2}
    assert [one.name for one in path.parent.iterdir()] == ["state.json"]
