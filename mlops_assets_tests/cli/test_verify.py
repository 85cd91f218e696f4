"""Bit rot from the command: nothing damaged is shown, `verify` names it, and `run` makes it again."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from mlops_assets_tests.helpers.shop import Shop
from mlops_assets_tests.helpers.visits import place_visits

DAY, OTHER = "2026-01-01", "2026-01-02"
TABLES = ["raw_files", "rows", "predictions"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    place_visits(folder / "use_cases")
    shop = Shop(folder / "home")
    assert shop("sample", "visits", "--day", DAY, "--days", "2", "--files", "3", "--rows", "40").code == 0
    done = shop("run", "visits", "--train")
    assert done.code == 0, done.err
    return shop


def lake(shop: Shop) -> Path:
    return shop.home / "lake" / "visits"


def flip(path: Path) -> None:
    data, draw = bytearray(path.read_bytes()), random.Random(1)
    for _ in range(64):
        data[draw.randrange(len(data))] ^= draw.randint(1, 255)
    path.write_bytes(data)


def parts(shop: Shop, table: str, day: str) -> list[Path]:
    return sorted((lake(shop) / table / f"day={day}").glob("*.parquet"))


def test_a_whole_lake_is_intact(shop: Shop) -> None:
    done = shop("verify", "visits")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("all that is known is intact.\n")
    told = json.loads(shop("verify", "visits", "--day", DAY, "--format", "json").out)
    assert (told["intact"], told["findings"], told["unknown"]) == (True, [], 0)


def test_damaged_parts_are_shown_by_no_command_named_by_verify_and_made_again_by_run(shop: Shop) -> None:
    before = shop("predictions", "visits", "--format", "csv").out
    damaged = [parts(shop, table, DAY)[0] for table in TABLES]
    for path in damaged:
        flip(path)
    shown = shop("predictions", "visits", "--day", DAY)
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.startswith(f"Error: predictions of {DAY}: the file {damaged[2]} is damaged")
    assert len(shown.err.splitlines()) == 1
    told = shop("verify", "visits", "--format", "json")
    assert told.code == 1
    findings = json.loads(told.out)["findings"]
    assert sorted((f["table"], f["day"], f["file"]) for f in findings) == sorted(
        (table, DAY, str(path)) for table, path in zip(TABLES, damaged, strict=True)
    )
    assert shop("verify", "visits", "--day", OTHER).code == 0
    run = shop("run", "visits", "--from", DAY, "--to", DAY)
    assert run.code == 0, run.err
    assert "1 of them because files were damaged" in run.err
    assert shop("verify", "visits").code == 0
    assert shop("predictions", "visits", "--format", "csv").out == before


def test_a_damaged_part_whose_raw_files_are_gone_is_an_error_and_nothing_is_published(shop: Shop) -> None:
    part, raw = parts(shop, "rows", DAY)[0], shop.home / "raw" / "visits" / f"day={DAY}"
    whole = part.read_bytes()
    flip(part)
    raw.rename(raw.with_name("elsewhere"))
    run = shop("run", "visits", "--from", DAY, "--to", DAY)
    raw.with_name("elsewhere").rename(raw)
    assert run.code == 1
    assert f"rows of {DAY}: the file {part} is damaged" in run.err
    assert f"3 of its raw files are gone from {raw}" in run.err
    assert parts(shop, "rows", DAY) == [part]
    part.write_bytes(whole)
    assert shop("verify", "visits").code == 0, "the day is published as it was"


def test_diff_shows_nothing_of_damaged_parts(shop: Shop) -> None:
    part = parts(shop, "rows", DAY)[0]
    whole = part.read_bytes()
    flip(part)
    done = shop("diff", "visits", "--day", DAY, "--candidate", "1", "--against", "1")
    part.write_bytes(whole)
    assert (done.code, done.out) == (1, "")
    assert f"rows of {DAY}: the file {part} is damaged" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_damaged_candidate_of_a_training_is_found(shop: Shop) -> None:
    path = next((lake(shop) / "training").rglob("candidates/*/model.skops"))
    whole = path.read_bytes()
    flip(path)
    done = shop("verify", "visits")
    path.write_bytes(whole)
    assert done.code == 1
    assert f"models: {path.parent} is not as it was fitted." in done.out


def test_a_damaged_history_is_found_and_all_else_is_looked_at(shop: Shop) -> None:
    path = lake(shop) / "history" / "000001.json"
    whole = path.read_bytes()
    flip(path)
    done = shop("verify", "visits")
    path.write_bytes(whole)
    assert (done.code, done.err) == (1, "")
    assert f"history: {path} is damaged" in done.out


def test_a_damaged_model_is_found(shop: Shop) -> None:
    (path,) = (shop.home / "mlflow").rglob("serving/model.skops")
    whole = path.read_bytes()
    flip(path)
    done = shop("verify", "visits")
    path.write_bytes(whole)
    assert (done.code, done.err) == (1, "")
    assert f"models: {path.parent} of version 1 of visits is not as it was registered." in done.out


def test_a_commit_that_was_cut_off_is_told_in_one_line_and_the_way_out_works(shop: Shop) -> None:
    before = shop("predictions", "visits", "--format", "csv").out
    log = sorted((lake(shop) / "predictions" / "_delta_log").glob("*.json"))[-1]
    log.write_bytes(log.read_bytes()[:200])
    for command in (["predictions", "visits"], ["status", "visits"], ["run", "visits"], ["verify", "visits"]):
        done = shop(*command)
        assert done.code == 1
        assert str(log) in done.out + done.err
        assert "unknown>" not in done.err
        assert "panicked" not in done.err
    survey = shop("status")
    assert survey.code == 0
    assert "cannot be read, see `status visits`" in survey.out
    log.unlink()
    assert shop("run", "visits").code == 0
    assert shop("predictions", "visits", "--format", "csv").out == before


@pytest.mark.parametrize("asked", [["--day", DAY, "--from", DAY], ["--day", "soon"]])
def test_what_cannot_be_asked_is_wrong_usage(shop: Shop, asked: list[str]) -> None:
    assert shop("verify", "visits", *asked).code == 2
