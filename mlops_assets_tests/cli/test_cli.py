"""The command `mlops-assets`: what it prints, where its errors go, and how it exits."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from mlops_assets import cli
from mlops_assets.cli import group
from mlops_assets.monitoring.kept import Judged, keep
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.homes import copy_home
from mlops_assets_tests.helpers.shop import Done, Shop
from mlops_assets_tests.helpers.visits import LINKED, place_visits

FIRST, DIRTY = "2026-01-01", "2026-01-02"
UNDELIVERED = "2026-01-07"
FILES, ROWS = 3, 40
PREDICTIONS = ["day", "file", "line", "account_id", "prediction", "probability", "model_version"]
REJECTS = ["day", "file", "line", "rule", "message", "raw"]
DIRT = {"broken.csv": "visitor,minutes,channel,returned\nann,3,web,no\nbob,many,web,no\n", "empty.csv": ""}
COMMANDS = ("sample", "import", "run", "preview", "predictions", "rejects", "status", "why")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the use case `visits` beside the home."""
    folder = tmp_path_factory.mktemp("cli")
    place_visits(folder / "use_cases", LINKED)
    return folder


@pytest.fixture(scope="module")
def empty(place: Path) -> Shop:
    """A home in which nothing was done yet."""
    return Shop(place / "empty")


@pytest.fixture(scope="module")
def sampled(place: Path) -> tuple[Shop, Done]:
    """Two sample days, the second with a line and a file that will be refused; and what `sample` said."""
    shop = Shop(place / "home")
    done = shop("sample", "visits", "--day", FIRST, "--days", "2", "--files", str(FILES), "--rows", str(ROWS))
    for name, text in DIRT.items():
        (shop.day(DIRTY) / name).write_text(text)
    return shop, done


@pytest.fixture(scope="module")
def trained(sampled: tuple[Shop, Done]) -> tuple[Shop, Done]:
    """The same after `run --train`, and what that said."""
    shop, _ = sampled
    return shop, shop("run", "visits", "--train")


@pytest.fixture
def shop(trained: tuple[Shop, Done]) -> Shop:
    """Two days with predictions and rejects."""
    return trained[0]


@pytest.mark.parametrize("where", ["folder", pytest.param("s3", marks=pytest.mark.long)])
def test_run_preview_and_status_name_what_lies_beside_the_days(
    where: str, shop: Shop, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    copy_home(shop.home, tmp_path / "home")
    raw = tmp_path / "home" / "raw" if where == "folder" else request.getfixturevalue("bucket") / "raw"
    files = {path: path.read_bytes() for path in shop.day(FIRST).iterdir()} if where == "s3" else {}
    laid = {raw / "visits" / f"day={FIRST}" / path.name: content for path, content in files.items()}
    for path, content in (
        laid | {raw / "visits" / name / "a.csv": b"x" for name in ("day=2026-02-30", "2026-3-06")}
    ).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    told = {"MLOPS_USE_CASES": shop.environment["MLOPS_USE_CASES"], "MLOPS_RAW": str(raw)}
    for command in ("run visits --from 2026-01-01 --to 2026-01-01", "preview visits", "status visits"):
        done = Shop(tmp_path / "home")(*command.split(), **told)
        assert done.code == 0, done.err
        assert f"passed over in {raw / 'visits'}: 2 entries that no run reads: '2026-3-06' (1 file, " in done.out
        assert "write it day=2026-03-06), 'day=2026-02-30' (1 file, there is no such date)" in done.out


def test_days_far_from_each_other_are_a_run_each_with_no_day_between(shop: Shop, tmp_path: Path) -> None:
    copy_home(shop.home, tmp_path / "home")
    other, told = Shop(tmp_path / "home"), {"MLOPS_USE_CASES": shop.environment["MLOPS_USE_CASES"]}
    assert other("sample", "visits", "--day", "2026-03-01", "--files", "1", **told).code == 0
    done = other("run", "visits", **told)
    assert done.code == 0, done.err
    assert (
        "2026-01-01 to 2026-03-01: 3 days, 3 with raw files; in 2 runs: 2026-01-01 to 2026-01-02, 2026-03-01, "
        "for 57 days far from any files are left out"
    ) in done.err
    assert "never delivered" not in done.err


def test_a_range_without_any_files_is_told_before_dagster_begins(shop: Shop) -> None:
    done = shop("run", "visits", "--from", "2026-01-10", "--to", "2026-02-28")
    assert done.code == 1
    assert f"No raw files in {shop.day('YYYY-MM-DD')} from 2026-01-10 to 2026-02-28" in done.err


# -- from sample to predictions -----------------------------------------------------------------------------------------


def test_sample_says_what_it_wrote_and_where(sampled: tuple[Shop, Done]) -> None:
    shop, done = sampled
    assert done == Done(0, f"Wrote {2 * FILES} files of 2 day(s) to {shop.home / 'raw' / 'visits'}\n", "")
    assert len(list(shop.day(FIRST).iterdir())) == FILES


def test_run_prints_days_that_add_up_and_the_champion_beside_the_baseline(trained: tuple[Shop, Done]) -> None:
    _, done = trained
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "visits"
    counts = ["files", "read", "refused", "lines", "rows", "rejected", "open", "labelled", "predictions"]
    assert lines[2].split() == ["day", *counts, "model"]
    assert lines[4].split() == [FIRST, "3", "3", "0", "120", "120", "0", "0", "120", "120", "1"]
    assert lines[5].split() == [DIRTY, "5", "4", "1", "122", "121", "1", "1", "121", "121", "1"]
    assert "champion: version 1, linear, learned from 24" in done.out
    figures = [line.split()[0] for line in lines if line.startswith(("champion ", "baseline "))]
    assert figures == ["champion", "baseline"]
    assert [line.split()[0] for line in lines[-5:]] == ["version", "counts", "threshold", "costs", "more"]


def test_run_tells_its_progress_on_standard_error(trained: tuple[Shop, Done]) -> None:
    said = trained[1].err
    assert f"visits: {FIRST} to {DIRTY}" in said
    for asset in ("raw_files", "rows", "predictions"):
        for day in (FIRST, DIRTY):
            assert f"visits {asset} {day}: " in said
    assert "fitting linear (2 of 2)" in said
    assert "visits: version 1: linear passes" in said


def test_status_as_json_has_the_accounting_of_every_day_and_the_champion(shop: Shop) -> None:
    said = json.loads(shop("status", "visits", "--format", "json").out)
    assert said["use_case"] == "visits"
    assert [day["day"] for day in said["days"]] == [FIRST, DIRTY]
    expected = {"files": 5, "files_read": 4, "files_refused": 1, "lines": 122, "rows": 121, "rejected": 1}
    expected |= {"rejected_by_rule": {"empty_file": 1, "type": 1}, "predictions": 121, "model_version": 1}
    assert {name: said["days"][1][name] for name in expected} == expected
    assert (said["champion"]["version"], said["champion"]["candidate"]) == (1, "linear")
    assert said["champion"]["metrics"]["accuracy"] > said["champion"]["baseline_metrics"]["accuracy"]
    assert said["verdict"].startswith("linear passes")


def test_status_without_a_name_has_a_line_a_use_case(empty: Shop, shop: Shop) -> None:
    lines = [line.split() for line in empty("status").out.splitlines()]
    assert lines[0] == ["use", "case", "last", "day", "published", "champion", "red", "checks"]
    names = ["compound_rings", "loan_approval", "santander", "topics", "transactions", "visits"]
    assert lines[2:] == [[name, "-", "-", "-", "none"] for name in names]
    assert not empty.home.exists()
    assert shop("status").out.splitlines()[-1].split() == ["visits", DIRTY, "yes", "version", "1", "none"]
    (*_, visits) = json.loads(shop("status", "--format", "json").out)
    expected = {"use_case": "visits", "last_day": DIRTY, "published": True, "champion": 1}
    assert visits == {**expected, "red_checks": [], "error": None}


def test_status_without_a_name_tells_the_red_checks_of_the_last_day_and_use_cases_that_cannot_be_read(
    tmp_path: Path,
) -> None:
    place_visits(tmp_path / "use_cases")
    place_visits(tmp_path / "other")
    (tmp_path / "other" / "visits").rename(tmp_path / "use_cases" / "wrong")
    (tmp_path / "use_cases" / "wrong" / "defs.yaml").write_text("attributes: {}\n")
    bad = Shop(tmp_path / "home")
    bad.day(FIRST).mkdir(parents=True)
    (bad.day(FIRST) / "a.csv").write_text(DIRT["broken.csv"])
    bad("run", "visits")
    visits, wrong = bad("status").out.splitlines()[-2:]
    assert visits.split() == ["visits", FIRST, "no", "-", "reject_rate"]
    assert wrong.split(maxsplit=4) == ["wrong", "-", "-", "-", "cannot be read, see `status wrong`"]
    (log,) = (tmp_path / "home" / "lake" / "visits" / "rows" / "_delta_log").glob("*1.json")
    log.write_text("{")  # what Delta says of it is no error of ours
    visits, _ = bad("status").out.splitlines()[-2:]
    assert visits.split(maxsplit=4)[-1] == "cannot be read, see `status visits`"


def test_status_before_anything_was_done_says_so_and_writes_nothing(empty: Shop) -> None:
    done = empty("status", "visits")
    assert done.code == 0
    assert "no days yet" in done.out
    assert "no champion: nothing was trained yet" in done.out
    assert not empty.home.exists()


# -- reading predictions and rejects ------------------------------------------------------------------------------------


def read(shop: Shop, name: str, form: str, *arguments: str) -> list[dict[str, Any]]:
    """Rows of a table as they stand in a file of a format."""
    path = shop.home.parent / f"{name}.{form}"
    done = shop(name, "visits", "--format", form, "-o", str(path), *arguments)
    assert (done.code, done.out) == (0, ""), done.err
    if form == "json":
        return list(json.loads(path.read_text(encoding="utf-8")))
    table: pa.Table = pq.read_table(path) if form == "parquet" else pacsv.read_csv(path)
    return list(table.to_pylist())


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_predictions_have_these_columns_in_this_order_in_every_format(shop: Shop, form: str) -> None:
    found = read(shop, "predictions", form, "--day", DIRTY)
    assert len(found) == 121
    assert list(found[0]) == PREDICTIONS
    (ann,) = (one for one in found if one["file"] == "broken.csv")
    assert (str(ann["day"]), ann["line"], ann["account_id"], ann["model_version"]) == (DIRTY, 1, "ann", 1)
    assert ann["prediction"] in ("no", "yes")
    assert 0.5 <= ann["probability"] <= 1


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_rejects_have_these_columns_in_this_order_in_every_format(shop: Shop, form: str) -> None:
    broken, whole = read(shop, "rejects", form, "--day", DIRTY)
    assert list(broken) == REJECTS
    assert (broken["file"], broken["line"], broken["rule"], broken["raw"]) == (
        "broken.csv",
        2,
        "type",
        "bob,many,web,no",
    )
    assert broken["message"] == "'minutes' is 'many', expected a number"
    assert (whole["file"], whole["line"], whole["rule"]) == ("empty.csv", None, "empty_file")


def test_without_a_file_rows_go_to_standard_output(shop: Shop) -> None:
    done = shop("predictions", "visits", "--day", FIRST, "--format", "csv")
    head, *rows = done.out.splitlines()
    assert head == ",".join(f'"{name}"' for name in PREDICTIONS)
    assert (len(rows), done.err) == (120, "")


def test_without_a_day_all_published_days_are_read(shop: Shop) -> None:
    assert {row["day"] for row in read(shop, "predictions", "json")} == {FIRST, DIRTY}


def test_a_range_reads_the_published_days_in_it(shop: Shop) -> None:
    assert {row["day"] for row in read(shop, "predictions", "json", "--from", DIRTY, "--to", UNDELIVERED)} == {DIRTY}


def test_only_rows_of_a_range_of_probabilities_are_read(shop: Shop) -> None:
    every = read(shop, "predictions", "parquet", "--day", FIRST)
    least, most = sorted({row["probability"] for row in every})[1:3]
    bounds = "--min-probability", f"{least}", "--max-probability", f"{most}"
    found = read(shop, "predictions", "parquet", "--day", FIRST, *bounds)
    assert found == [row for row in every if least <= row["probability"] <= most]
    assert 0 < len(found) < len(every)


def test_drift_says_first_what_is_red_of_the_newest_day_and_the_same_as_json(shop: Shop, tmp_path: Path) -> None:
    done = shop("drift", "visits", "--check")
    newest = json.loads(shop("drift", "visits", "--format", "json").out)["days"][0]
    assert (done.code, done.out.splitlines()[0]) == (0, f"{DIRTY}: {newest['sentence']}")
    several = json.loads(shop("drift", "visits", "--from", FIRST, "--to", DIRTY, "--format", "json").out)
    assert [day["day"] for day in several["days"]] == [FIRST, DIRTY]
    assert (several["red"], several["sentence"]) == (False, "None of 2 days is red.")
    first, second = (day["arrivals"] for day in several["days"])
    assert (first["accounts_new"], first["accounts_vanished"]) == (None, None), "there is no day before it"
    assert f"{second['files']:,} files with rows of {second['accounts']:,} accounts, " in done.out
    lamp = next(lamp for lamp in several["days"][0]["lamps"] if lamp["name"] == "rows.minutes")
    assert {"state", "what", "effect", "floor", "band", "threshold", "sentence", "advice", "since"} <= lamp.keys()
    done = shop("drift", "visits", "-o", str(tmp_path / "drift.txt"))
    assert (tmp_path / "drift.txt").read_text().startswith(f"{DIRTY}: ")


def test_drift_shows_a_day_that_was_kept_back_and_check_fails_for_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in shop.environment.items():
        monkeypatch.setenv(name, value)
    stores, day = Workspace.from_environment().find("visits"), "2026-01-20"
    lamp = Lamp("rows.minutes", "red", "shift", 9.0, 0.1, 0.2, "rows", "minutes", "`minutes` has moved.", "Ask.", day)
    keep(stores.use_case, stores.lake, Judged(DayVerdict(day, "the training rows", (lamp,)), version=1))
    done = shop("drift", "visits", "--day", day, "--check")
    assert done.code == 1
    assert done.out.splitlines()[0] == f"{day}: `minutes` has moved."
    assert "rows.minutes  red    shift    9.000      0.200  2026-01-20" in done.out


def test_how_well_predictions_do_by_audits_is_a_table_and_whether_that_is_a_fall_is_said_first(
    trained: tuple[Shop, Done], tmp_path: Path
) -> None:
    shop, audit = trained[0], tmp_path / "audit.csv"
    assert shop("audit", "visits", "--day", FIRST, "-o", str(audit)).code == 0
    lines = audit.read_text().splitlines()
    filled = [line.removesuffix(",,,") + f",{line.split(',')[4]},ann,2026-02-01T08:00:00Z" for line in lines[1:]]
    audit.write_text("\n".join([lines[0], *filled]))
    done = shop("feedback", "visits", str(audit), "--accuracy", "--format", "json")
    found = {line["part"]: line for line in json.loads(done.out)}
    assert set(found) == {"days it learned from"}, "of these no window tells"
    assert (found["days it learned from"]["audited"], found["days it learned from"]["accuracy"]) == (len(filled), 1.0)
    assert "Version 1 has 0 audited rows of the 100 that are needed" in done.err


def test_a_table_shows_the_first_forty_rows_and_says_how_to_get_all(shop: Shop) -> None:
    done = shop("predictions", "visits", "--day", FIRST)
    head, rule, *rows = done.out.splitlines()
    assert head.split() == PREDICTIONS
    assert set(rule) == {"-", " "}
    assert len(rows) == 40
    assert done.err == "40 of 120 rows; --format csv -o FILE writes them all.\n"


def test_writing_into_a_file_says_how_many_rows(shop: Shop, tmp_path: Path) -> None:
    done = shop("rejects", "visits", "--format", "csv", "-o", str(tmp_path / "rejects.csv"))
    assert done == Done(0, "", f"Wrote 2 rows of 2 day(s) to {tmp_path / 'rejects.csv'}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["rejects.csv"]


def test_preview_shows_a_day_that_was_done_as_done(shop: Shop) -> None:
    done = shop("preview", "visits", "--from", FIRST, "--to", FIRST)
    assert done.code == 0
    assert "Nothing to do." in done.out
    (found,) = json.loads(shop("preview", "visits", "--from", FIRST, "--to", FIRST, "--format", "json").out)
    assert (found["day"], found["redo"]) == (FIRST, {"rows": 0, "features": 0, "predictions": 0})


def test_why_tells_how_a_row_got_its_category_as_text_and_as_json(shop: Shop) -> None:
    (one, *_) = json.loads(shop("predictions", "visits", "--day", DIRTY, "--format", "json").out)
    row = ("why", "visits", "--day", DIRTY, "--file", one["file"], "--line", str(one["line"]))
    done = shop(*row)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"visits, {DIRTY}, {one['file']}, line 1: {one['prediction']} with ")
    assert "answer the recomputed answer is the published one, to the bit" in done.out
    told = json.loads(shop(*row, "--format", "json").out)
    assert (told["agrees"], told["candidate"], told["choice"], len(told["champion"])) == (True, "linear", "current", 1)
    assert round(told["probability"], 6) == one["probability"]
    assert told["features"][0]["name"] == "minutes"
    assert len(told["run"]) == 36


def test_why_says_loudly_when_the_published_answer_is_not_what_the_model_says(shop: Shop, tmp_path: Path) -> None:
    shutil.copytree(shop.home, tmp_path / "home")
    for path in (tmp_path / "home" / "lake" / "visits" / "predictions" / f"day={FIRST}").glob("*.parquet"):
        part = pq.read_table(path, partitioning=None).replace_schema_metadata(None)
        lower = pa.compute.multiply(part["probability"], pa.scalar(0.5, pa.float32()))
        pq.write_table(part.set_column(part.column_names.index("probability"), "probability", lower), path)
        file = part["file"][0].as_py()
    done = Shop(tmp_path / "home")(
        "why",
        "visits",
        "--day",
        FIRST,
        "--file",
        file,
        "--line",
        "1",
        MLOPS_USE_CASES=shop.environment["MLOPS_USE_CASES"],
    )
    assert done.code == 1
    assert "answer THE RECOMPUTED ANSWER IS ANOTHER ONE" in done.out
    assert done.err.startswith("Error: THE RECOMPUTED ANSWER IS NOT THE PUBLISHED ONE: published ")
    assert f"remove the folders day={FIRST} of rows, rejects, features and predictions under lake/visits" in done.err


@pytest.mark.parametrize(
    ("row", "code", "said"),
    [
        (f"--day {UNDELIVERED} --file a.csv --line 1", 1, f"{UNDELIVERED} is not published: published are"),
        (f"--day {DIRTY} --file brokn.csv --line 1", 2, f"{DIRTY} has no file brokn.csv. Did you mean broken.csv?"),
        (
            f"--day {DIRTY} --file broken.csv --line 2",
            1,
            "Line 2 of broken.csv was rejected: type: 'minutes' is 'many'",
        ),
        (f"--day {DIRTY} --file empty.csv --line 1", 1, "empty.csv was refused as a whole: empty_file"),
    ],
)
def test_why_there_is_no_prediction_is_told_too(shop: Shop, row: str, code: int, said: str) -> None:
    assert said in first_line(shop("why", "visits", *row.split()), code)


# -- help ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(empty: Shop, name: str) -> None:
    done = empty(name, "--help")
    assert done.code == 0
    assert f"Usage: mlops-assets {name}" in done.out
    example = done.out.partition("Example")[2]
    assert f"mlops-assets {name} " in example


def test_the_help_lists_every_command_and_shows_a_first_run(empty: Shop) -> None:
    done = empty("--help")
    assert done.code == 0
    assert {*COMMANDS, "demo", "dev"} <= {
        line.split()[0] for line in done.out.partition("Commands:")[2].splitlines()[1:]
    }
    assert "mlops-assets run transactions --train" in done.out


# -- errors -------------------------------------------------------------------------------------------------------------


def first_line(done: Done, code: int) -> str:
    """What a failed command says first, once it is seen that it exited so, printed nothing else and no traceback."""
    assert (done.code, done.out) == (code, "")
    assert "Traceback" not in done.err
    return done.err.splitlines()[0]


@pytest.mark.parametrize(
    "arguments",
    [
        "sample nothing --day 2026-01-01",
        "run nothing",
        "predictions nothing",
        "rejects nothing",
        "status nothing",
        "preview nothing",
    ],
)
def test_an_unknown_use_case_is_wrong_usage_and_the_known_ones_are_named(empty: Shop, arguments: str) -> None:
    said = first_line(empty(*arguments.split()), 2)
    assert (
        said == "Error: There is no use case 'nothing'; "
        "there are: compound_rings, loan_approval, santander, topics, transactions, visits."
    )


@pytest.mark.parametrize(
    "arguments", ["predictions visits --day 31.01.2026", "run visits --from tomorrow", "sample visits --day 2026-02-30"]
)
def test_a_day_that_is_none_is_wrong_usage_and_shows_how_to_write_one(empty: Shop, arguments: str) -> None:
    done = empty(*arguments.split())
    assert (done.code, done.out) == (2, "")
    assert "is not a day; write it like 2026-01-31." in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (f"predictions visits --day {FIRST} --from {FIRST}", "Error: Give --day, or --from and --to, not both."),
        ("predictions visits --format parquet", "Error: Parquet is not for a terminal: name a file with -o FILE."),
        (f"run visits --from {DIRTY} --to {FIRST}", f"Error: --from {DIRTY} lies after --to {FIRST}."),
        (
            "drift visits --against never",
            "Error: --against never: say training, trailing, last-week, or a day like 2026-01-31.",
        ),
        (f"drift visits --day {FIRST} --to {FIRST}", "Error: Give --day, or --from and --to, not both."),
        (
            "run visits --accept-drift why",
            "Error: --accept-drift is for one day that somebody looked at: give --from and --to of it.",
        ),
        (
            f"run visits --from {FIRST} --to {FIRST} --accept-drift why",
            "Error: --accept-drift: nothing is kept back for drift, for `drift.stop` is off.",
        ),
        (
            "feedback visits --rejects --accuracy",
            "Error: --rejects and --accuracy are two tables: ask for one of them.",
        ),
        (
            "import loan_approval some.csv",
            "Error: loan_approval has no `import` in its defs.yaml: name the day whose file this is with --day, "
            "or put its files into day folders yourself.",
        ),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(shop: Shop, arguments: str, said: str) -> None:
    assert first_line(shop(*arguments.split()), 2) == said


def test_a_day_before_the_start_of_the_use_case_is_wrong_usage(shop: Shop) -> None:
    said = first_line(shop("run", "visits", "--from", "2025-12-31"), 2)
    assert said.startswith("Error: Days of visits run from 2026-01-01 to ")
    assert said.endswith("asked for --from 2025-12-31.")
    said = first_line(shop("sample", "visits", "--day", "2025-12-31"), 2)
    assert said == "Error: Days of visits begin on 2026-01-01: a sample of 2025-12-31 would never be run."


def test_a_day_of_the_future_is_wrong_usage_that_says_by_which_clock(shop: Shop) -> None:
    tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    said = first_line(shop("run", "visits", "--from", str(tomorrow)), 2)
    assert "which is today by UTC, as all days are" in said
    assert said.endswith(f"asked for --from {tomorrow}.")


def test_an_empty_raw_folder_is_told_with_the_folder_and_how_to_make_sample_files(empty: Shop) -> None:
    said = first_line(empty("run", "visits"), 2)
    assert f"No raw files in {empty.home / 'raw' / 'visits'}/day=YYYY-MM-DD" in said
    assert "mlops-assets sample visits --day " in said


@pytest.mark.parametrize("name", ["predictions", "rejects"])
def test_a_day_that_is_not_published_is_told_with_those_that_are(shop: Shop, name: str) -> None:
    said = first_line(shop(name, "visits", "--day", UNDELIVERED), 1)
    assert said.startswith(f"Error: No {name} of {UNDELIVERED}: published are {FIRST} to {DIRTY} (2 days).")


def test_before_the_first_run_no_day_is_published(empty: Shop) -> None:
    said = first_line(empty("predictions", "visits"), 1)
    assert said.startswith("Error: No predictions: no day is published yet.")


def test_a_run_that_fails_says_why_in_one_line_without_a_traceback(shop: Shop) -> None:
    done = shop("run", "visits", "--from", UNDELIVERED, "--to", UNDELIVERED)
    assert (done.code, done.out) == (1, "")
    assert "Traceback" not in done.err
    (said,) = (line for line in done.err.splitlines() if line.startswith("Error: "))
    assert f"No raw files of {UNDELIVERED}: there is no folder {shop.day(UNDELIVERED)}" in said


def test_debug_adds_the_traceback_after_the_message(empty: Shop) -> None:
    done = empty("predictions", "visits", "--debug")
    assert done.code == 1
    assert done.err.startswith("Error: No predictions: no day is published yet.")
    assert "Traceback (most recent call last)" in done.err


def test_an_output_file_that_cannot_be_written_is_wrong_usage(shop: Shop, tmp_path: Path) -> None:
    said = first_line(shop("predictions", "visits", "-o", str(tmp_path / "no folder" / "p.csv")), 2)
    assert said == f"Error: {tmp_path / 'no folder' / 'p.csv'}: cannot be written: No such file or directory."


def test_a_setting_that_cannot_be_is_wrong_usage(empty: Shop) -> None:
    said = first_line(empty("status", "visits", MLOPS_WORKERS="two"), 2)
    assert said == "Error: MLOPS_WORKERS=two: give a whole number of at least 1, such as 2."


def test_a_mistake_in_a_use_case_is_told_by_file_and_line(empty: Shop, tmp_path: Path) -> None:
    place_visits(tmp_path, "type: x\nattributes:\n  owner: nobody\n")
    said = first_line(empty("status", "visits", MLOPS_USE_CASES=str(tmp_path)), 1)
    assert said.startswith(f"Error: {tmp_path / 'visits' / 'defs.yaml'}:")


# -- the command as a process -------------------------------------------------------------------------------------------

SCRIPT = [sys.executable, "-c", "from mlops_assets.cli import main; main()"]


def process_environment(shop: Shop) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "MLFLOW_", "DAGSTER_"))}
    return {**kept, **shop.environment}


@pytest.mark.parametrize("script", [SCRIPT, [str(Path(sys.executable).with_name("mlops-assets"))]])
@pytest.mark.parametrize(("arguments", "code"), [("status", 0), ("predictions visits", 1), ("predictions nothing", 2)])
def test_the_process_exits_with_0_done_1_failed_2_wrong_usage(
    empty: Shop, script: list[str], arguments: str, code: int
) -> None:
    command = [*script, *arguments.split()]
    done = subprocess.run(command, env=process_environment(empty), capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert (done.stderr == "") == (code == 0)
    assert (done.stdout == "") == (code != 0)


def test_a_process_does_all_that_is_registered_for_its_end_and_writes_all_of_its_output(empty: Shop) -> None:
    code = """
import atexit
from mlops_assets.cli import cli, process
@cli.result_callback()
def end(*_, **__):
    atexit.register(print, "done")
    print("x" * 100_000)
    return 3
process()
"""
    command, environment = [sys.executable, "-c", code, "status"], process_environment(empty)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.endswith("x" * 100_000 + "\ndone\n")


IMPORTS = """
import sys
from mlops_assets.cli import main
for command in sys.argv[1:]:
    sys.argv[1:] = command.split()
    try:
        main()
    except SystemExit:
        print("imported", *sys.modules, file=sys.stderr)
"""


def modules(commands: Sequence[str], environment: Mapping[str, str]) -> list[set[str]]:
    """The packages that a process has imported after each of its commands."""
    arguments = [sys.executable, "-c", IMPORTS, *commands]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return [set(line.split()[1:]) for line in done.stderr.splitlines() if line.startswith("imported ")]


TRACKING = {"mlflow", "dagster_mlflow"}
HEAVY = {*TRACKING, "dagster", "sklearn", "skops", "scipy", "matplotlib", "sqlalchemy", "requests", "rich"}
DATA = {"pyarrow", "numpy", "duckdb", "deltalake"}


LIGHT = {*HEAVY, "pandas"}
NEVER: dict[str, set[str]] = {
    "--help": {*LIGHT, *DATA, "pydantic", "yaml"},
    "run": {*LIGHT, *DATA, "pydantic", "yaml"},
    "status nothing": {*LIGHT, *DATA},
    "status": LIGHT,
    "status visits": LIGHT,
    "history visits": LIGHT,
    "card visits": LIGHT,
    "card visits 99": LIGHT,
    "rejects visits": HEAVY,  # Arrow asks for pandas where a Python value becomes a column
    "predictions visits": HEAVY,
    "preview visits": HEAVY,
    "feedback visits": HEAVY,
    f"audit visits --day {FIRST}": HEAVY,
    f"why visits --day {FIRST} --file 000000.csv --line 1": {*TRACKING, "dagster"},
    f"diff visits --day {FIRST} --candidate 1 --against 1": {*TRACKING, "dagster"},
    f"run visits --to {FIRST}": TRACKING,
}
"""What commands do without, from those that need least: so one process can tell of all, for it forgets no import."""


def test_a_command_imports_what_it_needs_alone(shop: Shop) -> None:
    every = list(NEVER.values())
    assert all(more >= less for more, less in pairwise(every))
    imported = modules(list(NEVER), process_environment(shop))
    found = {command: NEVER[command] & names for command, names in zip(NEVER, imported, strict=True)}
    assert {command: names for command, names in found.items() if names} == {}


def test_the_list_of_commands_says_of_each_what_it_says_of_itself() -> None:
    for name, (_, text) in group.COMMANDS.items():
        command = cli.cli.commands[name]
        assert command.name == name
        assert text == command.get_short_help_str(1000)


@pytest.mark.long
def test_ctrl_c_stops_a_run_with_130_and_the_same_command_completes_it(place: Path) -> None:
    shop = Shop(place / "stopped")
    shop("sample", "visits", "--day", FIRST, "--days", "2", "--files", "2000", "--rows", "20")
    command, environment = [*SCRIPT, "run", "visits", "--train"], {**process_environment(shop), "MLOPS_WORKERS": "2"}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stderr is not None
        said = next(line for line in running.stderr if "visits rows" in line)
        os.killpg(running.pid, signal.SIGINT)
        rest = running.stderr.read()
    assert running.returncode == 130, said + rest
    assert "Traceback" not in rest
    assert rest.splitlines()[-1] == "Stopped. Finished shards are kept; the same command resumes."
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert [line.split()[7] for line in again.stdout.splitlines()[4:6]] == ["40,000", "40,000"]


# -- mended rejects ----------------------------------------------------------------------------------------------------


def test_rejects_that_are_mended_and_replayed_are_predicted(trained: tuple[Shop, Done], tmp_path: Path) -> None:
    place_visits(tmp_path / "use_cases", LINKED)
    own = Shop(tmp_path / "home")
    copy_home(trained[0].home, own.home)
    table = tmp_path / "rejects.csv"
    own("rejects", "visits", "--day", DIRTY, "--format", "csv", "-o", str(table))
    untouched = own("replay", "visits", str(table))
    assert (untouched.code, untouched.err) == (2, f"Error: {table}: nothing to replay: no line in it was mended.\n")
    assert f"1 lines are as they were, and were left alone: {DIRTY}, broken.csv, line 2" in untouched.out
    assert (
        f"1 were refused as a whole, or have no prediction: mend them where they lie, and run their day again: "
        f"{DIRTY}, empty.csv" in untouched.out
    )
    # as a replacement in a whole sheet does, also in the messages
    table.write_text(table.read_text().replace("many", "700"))
    outside = own("replay", "visits", str(table))
    assert outside.code == 1
    assert f"{DIRTY}, broken.csv, line 2: 'minutes' is '700', allowed are values from 0 to 600" in outside.err
    table.write_text(table.read_text().replace("700", "7"))
    done = own("replay", "visits", str(table))
    (file,) = [path.name for path in own.day(DIRTY).glob("*.replayed-*.csv")]
    assert f"{DIRTY}: 1 lines of broken.csv lie in {file}\n" in done.out
    assert done.out.endswith(f"Now: mlops-assets run visits --from {DIRTY} --to {DIRTY}\n")
    assert (own.day(DIRTY) / file).read_text() == "visitor,minutes,channel,returned\nbob,7,web,no\n"
    assert own("run", "visits", "--from", DIRTY, "--to", DIRTY).code == 0
    again = own("replay", "visits", str(table))
    assert (again.code, again.out.splitlines()[0]) == (0, "1 lines were replayed before.")
    day = json.loads(own("status", "visits", "--format", "json").out)["days"][1]
    assert (day["rejected"], day["open"], day["rows"], day["predictions"]) == (1, 0, 122, 122)
    why = own("why", "visits", "--day", DIRTY, "--file", file, "--line", "1").out
    assert "replayed, mended by hand from line 2 of broken.csv, rejected by `type`: 'minutes' is 'many'" in why
    assert "bob,many,web,no" in why
