"""Shards: work is done once, known again by its fingerprint, and redone when anything it depends on changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from mlops_assets.storage.accounting import FeaturesAccounting, ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.parts import Part
from mlops_assets.storage.tables import Table
from mlops_assets.work.shards import (
    DayDone,
    Made,
    Report,
    add_up,
    fingerprint,
    fingerprint_table,
    finish,
    parts_of,
    shard_count,
    shard_number,
)

DAY = "2026-01-01"
ROWS = pa.table({"number": [1, 2, 3]})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path, "toy")


@pytest.fixture
def rows(lake: Lake) -> Table:
    return lake.table("rows")


class Work:
    """Makes a shard and counts how often it was asked to."""

    def __init__(self, made: Made) -> None:
        self.made = made
        self.times = 0

    def __call__(self) -> Made:
        self.times += 1
        return self.made


@pytest.fixture
def work(lake: Lake) -> Work:
    tables = {lake.table("rows"): ROWS, lake.table("rejects"): ROWS.slice(0, 1)}
    return Work(Made(tables, {"files": 2, "rows": 3}, {"quote": 1}))


# -- doing a shard ----------------------------------------------------------------------------------------------------


def test_a_shard_is_done_once_and_then_reused_with_the_same_report(rows: Table, work: Work) -> None:
    first = finish(rows, DAY, 0, "mark", work)
    second = finish(rows, DAY, 0, "mark", work)
    assert work.times == 1
    assert (first.reused, second.reused) == (False, True)
    assert second == replace(first, reused=True)


def test_the_report_has_counts_rules_and_the_parts_of_every_table(rows: Table, work: Work) -> None:
    report = finish(rows, DAY, 7, "mark", work)
    assert (report.day, report.shard) == (DAY, 7)
    assert (report.counts, report.rules) == ({"files": 2, "rows": 3}, {"quote": 1})
    assert {part.table: part.rows for part in report.parts} == {"rows": 3, "rejects": 1}


def test_another_fingerprint_redoes_the_shard(rows: Table, work: Work) -> None:
    finish(rows, DAY, 0, "mark", work)
    finish(rows, DAY, 0, "other", work)
    assert work.times == 2


@pytest.mark.parametrize(("day", "shard"), [("2026-01-02", 0), (DAY, 1)])
def test_another_day_or_shard_is_another_piece_of_work(rows: Table, work: Work, day: str, shard: int) -> None:
    finish(rows, DAY, 0, "mark", work)
    finish(rows, day, shard, "mark", work)
    assert work.times == 2


def test_a_shard_without_rows_is_remembered_too(lake: Lake, rows: Table) -> None:
    work = Work(Made({rows: ROWS.slice(0, 0), lake.table("rejects"): ROWS.slice(0, 0)}, {"files": 2}))
    finish(rows, DAY, 0, "mark", work)
    report = finish(rows, DAY, 0, "mark", work)
    assert report.reused
    assert [(part.table, part.rows) for part in report.parts] == [("rows", 0)]


def test_work_that_fails_leaves_nothing_and_is_tried_again(lake: Lake, rows: Table, work: Work) -> None:
    def fail() -> Made:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        finish(rows, DAY, 0, "mark", fail)
    assert not list(lake.root.rglob("*.*"))
    assert not finish(rows, DAY, 0, "mark", work).reused


def test_work_interrupted_before_its_last_part_is_done_again(lake: Lake, rows: Table, work: Work) -> None:
    report = finish(rows, DAY, 0, "mark", work)
    (rows.folder / report.parts[0].path).unlink()
    assert not finish(rows, DAY, 0, "mark", work).reused


def test_a_shard_is_done_again_when_the_part_of_another_table_is_gone(lake: Lake, rows: Table, work: Work) -> None:
    report = finish(rows, DAY, 0, "mark", work)
    gone = next(part for part in report.parts if part.table == "rejects")
    (lake.table("rejects").folder / gone.path).unlink()
    again = finish(rows, DAY, 0, "mark", work)
    assert not again.reused
    assert (lake.table("rejects").folder / gone.path).exists()


def test_a_shard_whose_part_is_damaged_is_done_again(rows: Table, work: Work) -> None:
    path = rows.folder / finish(rows, DAY, 0, "mark", work).parts[0].path
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert not finish(rows, DAY, 0, "mark", work).reused
    assert finish(rows, DAY, 0, "mark", work).reused


def test_the_shard_of_a_part_can_be_told_from_its_path(rows: Table, work: Work) -> None:
    report = finish(rows, DAY, 42, "mark", work)
    assert {shard_number(part.path) for part in report.parts} == {42}


# -- adding up --------------------------------------------------------------------------------------------------------


def a_report(counts: dict[str, int], rules: dict[str, int], *parts: Part) -> Report:
    return Report(DAY, 0, counts, parts, rules)


def test_counts_and_rules_are_added_up_with_the_most_frequent_rule_first() -> None:
    reports = [a_report({"files": 1, "rows": 10}, {"quote": 1}), a_report({"files": 2}, {"type": 5, "quote": 1})]
    counts, rules = add_up(reports)
    assert counts == {"files": 3, "rows": 10}
    assert list(rules.items()) == [("type", 5), ("quote", 2)]


def test_no_reports_add_up_to_nothing() -> None:
    assert add_up([]) == ({}, {})


@pytest.mark.parametrize(
    ("reused", "said"), [(0, "3 shards done"), (1, "2 of 3 shards done anew"), (3, "0 of 3 shards done anew")]
)
def test_a_day_that_is_done_says_how_much_of_it_was_done_anew(reused: int, said: str) -> None:
    reports = [replace(a_report({}, {}), reused=number < reused) for number in range(3)]
    done = DayDone.of(FeaturesAccounting(files=2, rows=9, sql="0123"), reports)
    assert (str(done), done.numbers()) == (said, {"files": 2, "rows": 9, "shards": 3, "reused": reused})


def test_the_parts_of_one_table_are_picked_from_all_reports(rows: Table) -> None:
    one, two, three = Part("rows", "a", 1, 1), Part("rejects", "b", 1, 1), Part("rows", "c", 1, 1)
    assert parts_of([a_report({}, {}, one, two), a_report({}, {}, three)], rows) == [one, three]


def test_a_shard_that_is_done_twice_leaves_a_file_of_the_same_length(tmp_path: Path) -> None:
    table = Lake(tmp_path, "toy").table("rows")
    lengths = set()
    for busy in (0.0, 0.015, 0.11):

        def make(end: float = time.perf_counter() + busy) -> Made:
            while time.perf_counter() < end:
                pass
            return Made({table: pa.table({"x": [1]})}, {"rows": 1})

        report = finish(table, "2026-01-01", 0, "mark", make)
        path = table.place("2026-01-01", "00000-mark")
        lengths.add(path.stat().st_size)
        path.unlink()
        assert not report.reused
    assert len(lengths) == 1


# -- how many shards a day has ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("files", "shards"), [(0, 1), (1, 1), (100, 1), (101, 2), (400, 4), (401, 5)])
def test_a_new_day_has_as_many_shards_as_hold_the_planned_files(files: int, shards: int) -> None:
    assert shard_count(files, 100, None) == shards


@pytest.mark.parametrize(("files", "shards"), [(90, 4), (400, 4), (800, 4), (801, 9)])
def test_a_day_keeps_its_number_of_shards_until_it_has_doubled(files: int, shards: int) -> None:
    assert shard_count(files, 100, 4) == shards


# -- fingerprints -----------------------------------------------------------------------------------------------------


def test_a_fingerprint_is_sixteen_hexadecimal_digits_and_always_the_same() -> None:
    assert fingerprint("a", 1) == fingerprint("a", 1)
    assert len(fingerprint("a", 1)) == 16
    assert int(fingerprint("a", 1), 16) >= 0


def test_where_one_part_ends_and_the_next_begins_matters() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint(b"ab", b"c") != fingerprint(b"a", b"bc")


def a_table(**changes: list[object]) -> pa.Table:
    columns = {"number": [1, 2, None], "share": [0.5, None, 1.5], "text": ["a", "", None], "flag": [True, False, None]}
    return pa.table({**columns, **changes, "line": pa.array([1, 2, 3], pa.int32())})


CHANGES: list[dict[str, list[object]]] = [
    {"number": [1, 3, None]},
    {"number": [1, 2, 0]},
    {"share": [0.5, 0.0, 1.5]},
    {"share": [0.5, None, 1.5000000001]},
    {"text": ["a", None, None]},
    {"text": ["a", "", ""]},
    {"text": ["", "a", None]},
    {"flag": [True, False, False]},
    {"flag": [True, True, None]},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_the_fingerprint_of_a_table_differs_when_any_cell_differs(change: dict[str, list[object]]) -> None:
    assert fingerprint_table(a_table(**change)) != fingerprint_table(a_table())


def test_the_fingerprint_of_a_table_differs_when_a_value_of_a_dictionary_column_differs() -> None:
    one, other = (pa.table({"city": pa.array([city, "OSASCO"]).dictionary_encode()}) for city in ("RIO", "BAURU"))
    assert fingerprint_table(one) != fingerprint_table(other)


def test_the_fingerprint_of_a_table_knows_names_and_the_order_of_rows() -> None:
    assert fingerprint_table(a_table().rename_columns(["n", "share", "text", "flag", "line"])) != fingerprint_table(
        a_table()
    )
    assert fingerprint_table(a_table().take([1, 0, 2])) != fingerprint_table(a_table())


SAME: dict[str, Callable[[pa.Table], pa.Table]] = {
    "in chunks": lambda table: pa.concat_tables([table.slice(0, 1), table.slice(1)]),
    "a slice": lambda table: pa.concat_tables([table, table]).combine_chunks().slice(3, 3),
    "a slice that rows follow": lambda table: pa.concat_tables([table, table]).combine_chunks().slice(0, 3),
    "a filtered copy": lambda table: pa.concat_tables([table, table]).filter(pa.array([True] * 3 + [False] * 3)),
}


@pytest.mark.parametrize("form", SAME)
def test_how_the_same_rows_lie_in_memory_does_not_change_the_fingerprint(form: str) -> None:
    assert fingerprint_table(SAME[form](a_table())) == fingerprint_table(a_table())


# -- damaged shards ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["rows", "rejects"])
@pytest.mark.parametrize("lost", ["flipped", "cut", "gone"])
def test_a_shard_of_which_a_file_is_damaged_is_done_again_to_the_same_bytes(
    lake: Lake, rows: Table, work: Work, which: str, lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = finish(rows, DAY, 0, "mark", work)
    rows.publish(DAY, parts_of([first], rows), ROWS.schema, ReadingAccounting(), set())
    path = lake.table(which).place(DAY, "00000-mark")
    assert isinstance(path, Path)
    whole = path.read_bytes()
    if lost == "gone":
        path.unlink()
    else:
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + (b"" if lost == "cut" else bytes([whole[middle] ^ 1]) + whole[middle + 1 :]))
    again = finish(rows, DAY, 0, "mark", work)
    assert (work.times, again.reused, again.repaired) == (2, False, lost != "gone")
    assert path.read_bytes() == whole
    assert (f"{which} of {DAY}: the file {path} is damaged" in caplog.text) == (lost != "gone")
    # the commit tells the hash that the file has again: there is nothing to publish
    assert not rows.publish(DAY, parts_of([again], rows), ROWS.schema, ReadingAccounting(), set(rows.parts(DAY)))


def test_a_day_tells_how_many_shards_were_done_again_for_their_files_were_damaged() -> None:
    reports = [replace(a_report({}, {}), repaired=number == 0) for number in range(3)]
    done = DayDone.of(FeaturesAccounting(files=2, rows=9, sql="0123"), reports)
    assert str(done) == "3 shards done, 1 of them because files were damaged"
