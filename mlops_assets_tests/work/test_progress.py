"""Progress: how far the work is, told now and then and never wrong about what an earlier run had done."""

from __future__ import annotations

import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.work.progress import Progress, Sending
from mlops_assets.work.shards import Report


def a_report(files: int, rows: int, *, reused: bool = False) -> Report:
    return Report("2026-01-01", 0, {"files": files, "rows": rows}, (), reused=reused)


def line_after(*reports: Report, files: int = 4_000) -> str:
    progress = Progress("toy rows", files)
    for report in reports:
        progress(report)
    return progress.line()


def rate(line: str) -> int:
    found = re.search(r"([\d,]+) files/s", line)
    assert found
    return int(found.group(1).replace(",", ""))


def test_a_line_tells_the_work_its_share_its_rates_and_its_end() -> None:
    line = line_after(a_report(1_000, 50_000), a_report(500, 25_000))
    assert re.fullmatch(
        r"toy rows: 38%, 1,500 of 4,000 files, [\d,]+ files/s, [\d,]+ rows/s, done in \d+:\d\d min", line
    )


def test_before_the_first_shard_nothing_is_done() -> None:
    assert line_after().startswith("toy rows: 0%, 0 of 4,000 files, 0 files/s, 0 rows/s")


def test_finished_work_has_nothing_left() -> None:
    line = line_after(a_report(4_000, 1))
    assert line.startswith("toy rows: 100%, 4,000 of 4,000 files")
    assert line.endswith("done in 0:00 min")


def test_a_day_without_files_has_a_line_too() -> None:
    assert line_after(files=0).startswith("toy rows: 0%, 0 of 0 files")


def test_shards_that_an_earlier_run_had_done_count_as_done() -> None:
    assert line_after(a_report(1_000, 1, reused=True)).startswith("toy rows: 25%, 1,000 of 4,000 files")


def test_shards_that_an_earlier_run_had_done_do_not_make_the_rate_and_the_estimate_look_better() -> None:
    assert rate(line_after(a_report(1_000, 1))) > 0
    assert rate(line_after(a_report(1_000, 1, reused=True))) == 0


SHARDS = st.lists(st.tuples(st.integers(0, 50), st.booleans()))
"""Files of shards, and whether an earlier run did them."""


@given(files=st.integers(0, 100), shards=SHARDS)
def test_no_share_is_above_one_hundred_whatever_was_counted_before(files: int, shards: list[tuple[int, bool]]) -> None:
    line = line_after(*(a_report(number, 1, reused=reused) for number, reused in shards), files=files)
    found = re.match(r"toy rows: (\d+)%, ([\d,]+) of ([\d,]+) files", line)
    assert found
    share, done, whole = (int(number.replace(",", "")) for number in found.groups())
    assert (done, whole) == (sum(number for number, _ in shards), max(files, done))
    assert share <= 100


@given(rows=st.integers(0, 100), sent=st.lists(st.integers(0, 200)))
def test_no_share_of_a_delivery_is_above_one_hundred(rows: int, sent: list[int]) -> None:
    sending = Sending("toy delivery", rows)
    for number in sent:
        sending(number)
        found = re.match(rf"toy delivery: (\d+)%, {number} of (\d+) rows, [\d,]+ rows/s, done in ", sending.line())
        assert found
        assert int(found[1]) <= 100
        assert int(found[2]) >= max(rows, number)


def test_shards_that_follow_each_other_fast_are_not_each_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mlops_assets.work.progress"):
        line_after(*[a_report(1, 1)] * 100)
    assert caplog.messages == []
