"""The daily job through Dagster: days from raw files to published predictions, bad days, late files, missing days."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets import running
from mlops_assets.use_case.partitions import DAYS as UTC_DAYS
from mlops_assets.use_case.partitions import LONGEST_GAP
from mlops_assets.views import status
from mlops_assets_tests.helpers.account_files import ROW, changed
from mlops_assets_tests.helpers.stage import (
    FILES,
    Stage,
    small,
)

FIRST, DIRTY, LAST = "2026-01-01", "2026-01-02", "2026-01-03"
DAYS = (FIRST, DIRTY, LAST)
BROKEN_LINE = changed(data="31.02.2026")
"""A line with a day that no calendar has."""


@pytest.fixture(scope="module")
def three_days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Three sample days, trained and predicted; the second has a file with a broken line and an empty file."""
    with Stage.of(small(), tmp_path_factory.mktemp("three_days") / "home") as stage:
        for day in DAYS:
            stage.sample(day)
        stage.deliver(DIRTY, "broken.csv", [ROW, BROKEN_LINE, ROW])
        stage.deliver(DIRTY, "empty.csv", [])
        stage.run(FIRST, LAST, train=True)
        yield stage


@pytest.fixture
def stage(three_days: Stage, tmp_path: Path) -> Iterator[Stage]:
    """A copy of the three days that a test may change."""
    with three_days.copy(tmp_path / "home") as copy:
        yield copy


# -- a day --------------------------------------------------------------------------------------------------------------


def lines_of(stage: Stage, day: str) -> int:
    """The data lines of a day's raw files, counted by hand."""
    return sum(max(0, path.read_bytes().count(b"\r\n") - 1) for path in stage.folder(day).iterdir())


@pytest.mark.parametrize("day", DAYS)
def test_every_line_of_a_day_becomes_a_row_or_a_reject(three_days: Stage, day: str) -> None:
    rejected = [reject for reject in three_days.published("rejects", day) if reject["line"] is not None]
    assert len(three_days.published("rows", day)) + len(rejected) == lines_of(three_days, day) > 0


@pytest.mark.parametrize("day", DAYS)
def test_every_row_of_a_day_has_one_prediction(three_days: Stage, day: str) -> None:
    rows, predictions = (
        {(r["file"], r["line"]): r for r in three_days.published(t, day)} for t in ("rows", "predictions")
    )
    assert rows.keys() == predictions.keys()
    assert len(three_days.published("predictions", day)) == len(rows)


def test_a_prediction_names_its_account_its_model_and_how_sure_it_is(three_days: Stage) -> None:
    accounts = {(r["file"], r["line"]): r["account_id"] for r in three_days.published("rows", FIRST)}
    categories = {row["category"] for day in DAYS for row in three_days.published("rows", day)}
    for one in three_days.published("predictions", FIRST):
        assert one["account_id"] == accounts[one["file"], one["line"]]
        assert one["prediction"] in categories
        assert 0 < one["probability"] <= 1
        assert (one["day"], one["model_version"]) == (FIRST, 1)


def test_rejects_tell_file_line_rule_message_and_the_raw_line(three_days: Stage) -> None:
    assert three_days.published("rejects", DIRTY) == [
        {
            "day": DIRTY,
            "file": "broken.csv",
            "line": 2,
            "rule": "type",
            "message": "'data' is '31.02.2026', expected a date of the form %d.%m.%Y",
            "raw": BROKEN_LINE,
        },
        {
            "day": DIRTY,
            "file": "empty.csv",
            "line": None,
            "rule": "empty_file",
            "message": "the file is empty",
            "raw": "",
        },
    ]


def test_features_have_one_row_for_every_file_that_was_read(three_days: Stage) -> None:
    files = [one["file"] for one in three_days.published("features", DIRTY)]
    assert sorted(files) == sorted({row["file"] for row in three_days.published("rows", DIRTY)})
    assert len(files) == FILES + 1


def test_the_accounting_is_kept_beside_the_predictions(three_days: Stage) -> None:
    said = three_days.table("predictions").days()[DIRTY].accounting.to_json()
    assert (said["files"], said["files_read"], said["files_refused"]) == (FILES + 2, FILES + 1, 1)
    assert (said["lines"], said["rows"], said["rejected"]) == (lines_of(three_days, DIRTY), said["lines"] - 1, 1)
    assert (said["predictions"], said["model_version"]) == (said["rows"], 1)
    assert said["rules"] == {"type": 1, "empty_file": 1}


# -- what the UI shows of a day -----------------------------------------------------------------------------------------


def test_every_daily_asset_tells_its_row_count_for_every_day(three_days: Stage) -> None:
    for day in DAYS:
        counts = {
            name: three_days.metadata(name, day)["dagster/row_count"]
            for name in ("raw_files", "rows", "rejects", "features", "predictions")
        }
        assert counts == {name: len(three_days.published(name, day)) for name in counts}


@pytest.mark.parametrize(
    ("asset", "column"),
    [("rows", "account_id"), ("rejects", "message"), ("features", "file_mean"), ("predictions", "probability")],
)
def test_an_asset_shows_its_first_rows_as_a_table(three_days: Stage, asset: str, column: str) -> None:
    head, rule, *rows = three_days.metadata(asset, DIRTY)["first_rows"].splitlines()
    assert column in head
    assert set(rule) <= set("| -")
    assert len(rows) == min(10, len(three_days.published(asset, DIRTY)))


def test_raw_files_show_the_folder_and_the_first_files(three_days: Stage) -> None:
    shown = three_days.metadata("raw_files", DIRTY)
    assert shown["folder"] == str(three_days.folder(DIRTY))
    assert "broken.csv" in shown["first_files"]
    assert shown["bytes"] == sum(path.stat().st_size for path in three_days.folder(DIRTY).iterdir())


def test_rejects_are_shown_by_rule(three_days: Stage) -> None:
    head, _, *rules = three_days.metadata("rejects", DIRTY)["by_rule"].splitlines()
    assert head == "| rule | number |"
    assert sorted(rules) == ["| empty_file | 1 |", "| type | 1 |"]


def test_predictions_show_the_model_that_made_them_and_how_often_it_said_what(three_days: Stage) -> None:
    shown = three_days.metadata("predictions", FIRST)
    assert (shown["model"], shown["model_version"]) == ("linear", 1)
    said = [line.strip("| ").split(" | ") for line in shown["by_prediction"].splitlines()[2:]]
    assert sum(int(number) for _, number in said) == shown["dagster/row_count"]


# -- checks -------------------------------------------------------------------------------------------------------------


def test_a_check_has_a_result_of_every_day_with_numbers_that_are_drawn(three_days: Stage) -> None:
    by_day = three_days.checks_by_day("rows", "reject_rate")
    assert [*by_day] == [*DAYS]
    assert {day: found.metadata["threshold"].value for day, found in by_day.items()} == dict.fromkeys(DAYS, 0.05)
    shares = {day: found.metadata["share"].value for day, found in by_day.items()}
    assert (shares[FIRST], shares[DIRTY] > 0, shares[LAST]) == (0, True, 0)
    assert by_day[DIRTY].description == f"{DIRTY}: {shares[DIRTY]:.2%} of lines rejected, allowed 5.00%."
    # a result that does not name what it looked at is not shown as that of its day
    check = dg.AssetCheckKey(dg.AssetKey(["transactions", "rows"]), "reject_rate")
    known = three_days.instance.event_log_storage.get_asset_check_partition_info([check])
    assert {one.partition_key for one in known if one.is_current} >= {*DAYS}


def test_a_day_shows_what_came_out_first_and_no_zeros(three_days: Stage) -> None:
    shown = three_days.metadata("predictions", FIRST)
    assert [*shown][:4] == ["came_out", "mean_probability", "by_prediction", "picture"]
    assert shown["came_out"] == f"{len(three_days.published('predictions', FIRST))} predictions by version 1, linear"
    assert 0 < shown["mean_probability"] <= 1
    assert shown["picture"].startswith("![the answers of")
    assert not [name for name, value in shown.items() if value == 0 and not isinstance(value, bool)]
    assert three_days.metadata("model_input", FIRST)["dagster/row_count"] == shown["dagster/row_count"]


@pytest.mark.parametrize(
    ("asset", "check"),
    [
        ("rows", "accounting_adds_up"),
        ("rows", "day_is_not_empty"),
        ("rows", "reject_rate"),
        ("rows", "quarantine_rate"),
        ("rows", "noticed"),
        ("predictions", "rows_are_current"),
        ("predictions", "every_row_predicted"),
        ("predictions", "unseen_categories"),
    ],
)
def test_a_check_that_holds_says_on_how_many_days_and_what_it_found(three_days: Stage, asset: str, check: str) -> None:
    found = three_days.check(asset, check)
    assert found.passed
    assert found.description.startswith("Holds on all 3 days.")
    assert all(day in found.metadata["days"].value for day in DAYS)


# -- ranges and reruns --------------------------------------------------------------------------------------------------


def test_a_range_of_days_is_one_run(stage: Stage) -> None:
    stage.run(FIRST, LAST)
    assert stage.instance.get_runs_count() == 1
    for asset in ("raw_files", "rows", "rejects", "features", "predictions"):
        assert stage.materialised(asset) == set(DAYS)


def test_a_rerun_of_unchanged_days_publishes_nothing(stage: Stage, three_days: Stage) -> None:
    stage.run(FIRST, LAST)
    assert [stage.state(day) for day in DAYS] == [three_days.state(day) for day in DAYS]


def test_a_changed_file_replaces_its_day_and_leaves_the_others_alone(stage: Stage, three_days: Stage) -> None:
    stage.deliver(DIRTY, "broken.csv", [changed(valor="7,77")])
    stage.run(FIRST, LAST)
    assert [r["amount"] for r in stage.published("rows", DIRTY) if r["file"] == "broken.csv"] == [7.77]
    assert [p["line"] for p in stage.published("predictions", DIRTY) if p["file"] == "broken.csv"] == [1]
    assert [reject["file"] for reject in stage.published("rejects", DIRTY)] == ["empty.csv"]
    for day in (FIRST, LAST):
        assert stage.state(day) == three_days.state(day)


def test_a_late_file_joins_its_day(stage: Stage, three_days: Stage) -> None:
    stage.deliver(LAST, "late.csv", [ROW])
    stage.run(LAST)
    assert len(stage.published("predictions", LAST)) == len(three_days.published("predictions", LAST)) + 1
    assert any(feature["file"] == "late.csv" for feature in stage.published("features", LAST))


def test_a_file_that_was_taken_away_leaves_its_day(stage: Stage) -> None:
    (stage.folder(DIRTY) / "broken.csv").unlink()
    stage.run(DIRTY)
    for name in ("rows", "rejects", "features", "predictions"):
        assert all(one["file"] != "broken.csv" for one in stage.published(name, DIRTY))


def test_files_without_labels_are_predicted(stage: Stage) -> None:
    stage.sample("2026-01-04", labelled=False)
    stage.run("2026-01-04")
    assert {row["category"] for row in stage.published("rows", "2026-01-04")} == {None}
    assert all(one["prediction"] for one in stage.published("predictions", "2026-01-04"))


# -- bad days -----------------------------------------------------------------------------------------------------------

NEW_BAD = "2026-01-04"


@dataclass(frozen=True)
class Failed:
    """A run that failed: where, and what it said."""

    stage: Stage
    said: str


@pytest.fixture(scope="module")
def bad_days(three_days: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failed]:
    """Four days in one run: a published day became bad, a new one is bad, the two good ones got a late file."""
    with three_days.copy(tmp_path_factory.mktemp("bad_days") / "home") as stage:
        for day in (DIRTY, NEW_BAD):
            stage.deliver(day, "bad.csv", [ROW, *[BROKEN_LINE] * 99])
        for day in (FIRST, LAST):
            stage.deliver(day, "late.csv", [ROW])
        with pytest.raises(running.RunFailed) as error:
            stage.run(FIRST, NEW_BAD)
        yield Failed(stage, str(error.value))


def test_a_day_with_too_many_rejects_is_red_with_the_reason_and_what_to_do(bad_days: Failed) -> None:
    for day in (DIRTY, NEW_BAD):
        (line,) = (line for line in bad_days.said.splitlines() if line.startswith(f"{day}: "))
        assert "reject_rate" in line
        assert "of lines rejected, allowed 5.00%" in line
        assert "look at `mlops-assets rejects`, mend or remove the files, run the day again" in line


def test_a_failure_shows_its_cause_the_commands_and_the_rejects_and_no_code(bad_days: Failed) -> None:
    stage = bad_days.stage
    (run,) = stage.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]), limit=1)
    (entry,) = stage.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    failed = entry.get_dagster_event().step_failure_data
    # some days of the run are good, so it is the last step that is red
    assert entry.step_key == "transactions__predictions"
    assert failed.error.stack == []
    assert failed.user_failure_data.description.startswith("not published: ")
    shown = {name: value.value for name, value in failed.user_failure_data.metadata.items()}
    assert [*shown] == ["cause", "published", "look", "rejects", "then", "page of the day", "days"]
    assert shown["cause"].startswith(f"{DIRTY}: reject_rate: ")
    assert shown["look"] == f"mlops-assets rejects transactions --from {DIRTY} --to {NEW_BAD}"
    assert shown["then"] == f"mlops-assets run transactions --from {DIRTY} --to {NEW_BAD}"
    assert shown["rejects"] == f"http://127.0.0.1:8000/pages/transactions/data/rejects?day={DIRTY}"


def test_where_no_day_of_a_run_can_be_scored_it_is_the_step_of_the_rows_that_is_red(
    bad_days: Failed, tmp_path: Path
) -> None:
    with bad_days.stage.copy(tmp_path / "home") as stage:
        with pytest.raises(running.RunFailed, match=f"the rows of {NEW_BAD} cannot be scored"):
            stage.run(NEW_BAD)
        (run,) = stage.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]), limit=1)
        red = stage.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        assert [entry.step_key for entry in red] == ["transactions__rows"]
        # what was read stands, so that its rejects can be looked at
        assert stage.published("rejects", NEW_BAD)


def test_good_days_are_not_blamed(bad_days: Failed) -> None:
    assert not any(line.startswith((FIRST, LAST)) for line in bad_days.said.splitlines())


def test_a_bad_day_is_not_published(bad_days: Failed) -> None:
    assert NEW_BAD not in bad_days.stage.table("predictions").days()
    assert bad_days.stage.published("predictions", NEW_BAD) == []


def test_an_earlier_publication_of_a_bad_day_stands(bad_days: Failed, three_days: Stage) -> None:
    assert bad_days.stage.state(DIRTY, "predictions") == three_days.state(DIRTY, "predictions")
    assert bad_days.stage.published("predictions", DIRTY) == three_days.published("predictions", DIRTY)


def test_status_says_which_predictions_are_of_earlier_rows(bad_days: Failed) -> None:
    with bad_days.stage.stores() as stores:
        state = status.collect(stores)
    assert {day["day"]: day["current"] for day in state["days"]} == {
        FIRST: True,
        DIRTY: False,
        LAST: True,
        NEW_BAD: None,
    }
    assert "of these rows" in status.render(state)


def test_the_rejects_of_a_bad_day_can_be_read(bad_days: Failed) -> None:
    assert sum(one["rule"] == "type" for one in bad_days.stage.published("rejects", NEW_BAD)) == 99


def test_the_good_days_of_the_same_range_are_published(bad_days: Failed) -> None:
    for day in (FIRST, LAST):
        assert "late.csv" in {one["file"] for one in bad_days.stage.published("predictions", day)}


def test_only_the_good_days_of_the_same_range_are_marked_as_predicted(bad_days: Failed) -> None:
    assert bad_days.stage.materialised("predictions") == {FIRST, LAST}


def test_the_check_that_failed_names_the_days_and_the_others_hold(bad_days: Failed) -> None:
    failed = bad_days.stage.check("rows", "reject_rate")
    assert not failed.passed
    assert failed.description.startswith(f"{DIRTY} fails: ")
    assert "of lines rejected, allowed 5.00%. Do: look at `mlops-assets rejects`" in failed.description
    assert failed.description.endswith(f"The same check fails on {NEW_BAD}.")
    not_run = bad_days.stage.check("predictions", "unseen_categories")
    assert not_run.passed
    assert not_run.description.startswith("Holds on the 2 days on which it was run.")
    assert f" Not run on {DIRTY}, {NEW_BAD}: reject_rate: " in not_run.description
    assert "mend or remove the files" in failed.metadata["days"].value
    for name in ("accounting_adds_up", "day_is_not_empty", "quarantine_rate"):
        assert bad_days.stage.check("rows", name).passed


def test_the_page_of_a_bad_day_tells_why_since_when_and_what_to_run(bad_days: Failed) -> None:
    key = dg.AssetKey([bad_days.stage.use_case.name, "predictions"])
    wanted = dg.AssetRecordsFilter(key, asset_partitions=[NEW_BAD])
    (seen,) = bad_days.stage.instance.fetch_observations(wanted, limit=5).records
    told = {name: str(value.value) for name, value in seen.asset_observation.metadata.items()}
    assert "rejected" in told["cause"]
    assert told["since"] == "now: this was the first run that could not do it"
    assert told["published"] == f"no predictions of {NEW_BAD}"
    assert told["then"] == f"mlops-assets run transactions --from {NEW_BAD} --to {NEW_BAD}"


def test_a_bad_day_alone_is_told_on_the_pages_of_rows_and_predictions(bad_days: Failed, tmp_path: Path) -> None:
    with bad_days.stage.copy(tmp_path / "home") as stage:
        with pytest.raises(running.RunFailed):
            stage.run(NEW_BAD)
        (run,) = stage.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]), limit=1)
        (entry,) = stage.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        step = entry.get_dagster_event().step_failure_data.user_failure_data.metadata
        assert "rejected" in step["cause"].value
        for asset in ("rows", "predictions"):
            wanted = dg.AssetRecordsFilter(dg.AssetKey([stage.use_case.name, asset]), asset_partitions=[NEW_BAD])
            (seen,) = stage.instance.fetch_observations(wanted, limit=5).records
            told = seen.asset_observation.metadata
            assert told.items() >= step.items()  # the failed step and the pages say the same
            assert told.keys() - step.keys() == {"since"} | ({"failed at"} if asset == "predictions" else set())


def test_a_mended_day_is_published_by_the_next_run(bad_days: Failed, tmp_path: Path) -> None:
    with bad_days.stage.copy(tmp_path / "home") as stage:
        stage.deliver(NEW_BAD, "bad.csv", [ROW])
        stage.run(NEW_BAD)
        assert len(stage.published("predictions", NEW_BAD)) == 1


def test_a_day_whose_files_are_mostly_refused_is_red(stage: Stage) -> None:
    for number in range(FILES):
        stage.deliver(FIRST, f"empty-{number}.csv", [])
    with pytest.raises(running.RunFailed, match="quarantine_rate: 50.00% of files refused"):
        stage.run(FIRST)
    # the run did not come to what is after it, which is no error of that
    told = stage.checks_by_day("predictions", "every_row_predicted")[FIRST]
    assert (told.passed, told.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert told.description.startswith(f"{FIRST}: not run, for the day failed at rows: quarantine_rate: 50.00%")


def test_a_day_that_lost_all_its_files_is_red_and_its_predictions_stand(stage: Stage, three_days: Stage) -> None:
    shutil.rmtree(stage.folder(FIRST))
    with pytest.raises(
        running.RunFailed, match=f"day_is_not_empty: 0 rows of 0 files .* look in {stage.folder(FIRST)}"
    ):
        stage.run(FIRST)
    assert stage.state(FIRST, "predictions") == three_days.state(FIRST, "predictions")


def test_a_day_of_categories_that_the_model_never_saw_is_red(stage: Stage) -> None:
    shutil.rmtree(stage.folder(LAST))
    stage.deliver(LAST, "far.csv", [changed(cidade_estabelecimento="ULAANBAATAR")] * 3)
    with pytest.raises(running.RunFailed, match="unseen_categories: .* city 100.00% of 50.00% .* retrain"):
        stage.run(LAST)
    assert not stage.check("predictions", "unseen_categories").passed


def test_predictions_refuse_rows_that_are_older_than_the_files(stage: Stage) -> None:
    stage.deliver(LAST, "late.csv", [ROW])
    assert stage.execute("daily", "raw_files", day=LAST).success
    assert not stage.execute("daily", "predictions", day=LAST).success
    assert not stage.check("predictions", "rows_are_current").passed


# -- days that were never delivered -------------------------------------------------------------------------------------


def test_a_day_that_was_never_delivered_stays_missing_in_a_range_that_goes_well(stage: Stage) -> None:
    stage.sample("2026-01-05")
    stage.run(LAST, "2026-01-05")
    for name in ("raw_files", "rows", "rejects", "features", "predictions"):
        assert stage.materialised(name) == {LAST, "2026-01-05"}, name
        assert "2026-01-04" not in stage.table(name).days()


def test_a_day_that_was_never_delivered_makes_its_check_warn_and_no_other(stage: Stage) -> None:
    stage.sample("2026-01-07")
    stage.run(LAST, "2026-01-07")
    for asset, name in (("raw_files", "every_day_delivered"), ("rows", "day_is_not_empty")):
        found = stage.check(asset, name)
        assert (found.passed, found.description[:31]) == (False, "2026-01-04 to 2026-01-06 fails:"), name
        assert found.severity is dg.AssetCheckSeverity.WARN, name
    for name in ("accounting_adds_up", "reject_rate", "quarantine_rate"):
        assert stage.check("rows", name).passed, name


def test_days_that_were_never_delivered_are_one_line_of_the_log_in_order(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.sample("2026-02-01")
    caplog.clear()
    stage.run(LAST, "2026-02-01")
    told = [record.getMessage() for record in caplog.records if "never delivered" in record.getMessage()]
    assert told == [
        "transactions raw_files: 28 days never delivered, and left out: 2026-01-04 to 2026-01-31",
    ]


def test_a_day_years_before_the_others_is_a_run_of_its_own_and_none_between_is_of_any(stage: Stage) -> None:
    stage.sample("2019-01-02")
    stage.run("2019-01-01", LAST, train=True)
    ranges = [(run.tags.get(running.RANGE_START), run.tags.get(running.RANGE_END)) for run in stage.instance.get_runs()]
    old, new = ("2019-01-01", "2019-01-02"), (FIRST, LAST)
    assert ranges == [new, old, (None, None), new, old], "newest first: scoring, a training in between, reading"
    assert stage.materialised("predictions") == {"2019-01-02", *DAYS}


def test_of_days_far_from_each_other_the_good_ones_are_done_and_the_bad_ones_told(stage: Stage) -> None:
    stage.deliver("2025-01-01", "bad.csv", [BROKEN_LINE])
    stage.deliver(LAST, "late.csv", [ROW])
    with pytest.raises(running.RunFailed, match="2025-01-01: day_is_not_empty"):
        stage.run("2025-01-01", LAST)
    assert "late.csv" in {one["file"] for one in stage.published("predictions", LAST)}


@given(st.sets(st.dates(dt.date(2020, 1, 1), dt.date(2021, 12, 31)), min_size=1))
def test_stretches_have_every_day_with_files_and_no_long_gap(known: set[dt.date]) -> None:
    days = "2020-01-01", "2021-12-31"
    found = UTC_DAYS.stretches(days, map(str, known))
    for first, last in found:
        within = sorted({dt.date.fromisoformat(first), dt.date.fromisoformat(last), *_between(first, last, known)})
        assert all((b - a).days <= LONGEST_GAP + 1 for a, b in pairwise(within))
        assert _between(first, last, known)
    assert sorted(day for first, last in found for day in _between(first, last, known)) == sorted(known)


def _between(first: str, last: str, known: set[dt.date]) -> list[dt.date]:
    return [day for day in known if first <= str(day) <= last]


def test_a_file_that_is_replaced_by_one_of_the_same_size_and_time_is_read_again(stage: Stage) -> None:
    stage.deliver(LAST, "kept.csv", [changed(valor="1,11")])
    stage.run(LAST)
    path = stage.folder(LAST) / "kept.csv"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"1,11", b"2,22"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    stage.run(LAST)
    assert [row["amount"] for row in stage.published("rows", LAST) if row["file"] == "kept.csv"] == [2.22]


def test_a_day_that_was_never_delivered_fails_alone_and_names_the_folder(stage: Stage) -> None:
    with pytest.raises(
        running.RunFailed, match=f"No raw files of 2026-01-04: there is no folder {stage.folder('2026-01-04')}"
    ):
        stage.run("2026-01-04")
    assert "2026-01-04" not in stage.table("rows").days()
    found = stage.check("raw_files", "every_day_delivered")
    assert (found.description[:17], found.severity) == ("2026-01-04 fails:", dg.AssetCheckSeverity.ERROR)


# -- without a champion -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A day of a use case that was never trained."""
    with Stage.of(small(), tmp_path_factory.mktemp("untrained") / "home") as stage:
        stage.sample(FIRST)
        stage.run(FIRST)
        yield stage


def test_without_a_champion_the_run_is_a_success_with_rows_and_features(untrained: Stage) -> None:
    (run,) = untrained.instance.get_runs()
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert len(untrained.published("rows", FIRST)) > 0
    assert len(untrained.published("features", FIRST)) == FILES


def test_without_a_champion_predictions_are_skipped_with_the_reason(untrained: Stage) -> None:
    assert untrained.materialised("predictions") == set()
    assert untrained.table("predictions").days() == {}
    assert untrained.skipped("predictions") == ["transactions has no champion yet; run the job transactions_training."]


def test_without_a_champion_the_checks_of_predictions_are_not_red_and_say_why(untrained: Stage) -> None:
    found = untrained.check("predictions", "every_row_predicted")
    assert found.passed
    assert found.description is not None
    assert "no champion yet" in found.description
