"""Days as they were: read, explained and run again by the command, whatever lies at the source by now."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from mlops_assets.storage.catalog import Lake
from mlops_assets_tests.helpers.homes import give_stores
from mlops_assets_tests.helpers.shop import Shop
from mlops_assets_tests.helpers.visits import VISITS, place_visits

DAY = "2026-01-01"
HEADER = "visitor,minutes,channel,returned\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A day that was read twice: its file was overwritten in between. There is no champion."""
    folder = tmp_path_factory.mktemp("kept")
    place_visits(folder / "use_cases", VISITS + "  source: {keep: versions}\n")
    shop = Shop(folder / "home")
    give_stores(shop.home, "mlflow", "dagster")
    for rows in (
        "ann,10,web,yes\nbob,20,shop,no\ncat,many,web,no\ndan,30,web,no\neve,40,shop,yes\n",
        "ann,99,web,yes\n",
    ):
        put(shop, rows)
        done = shop("run", "visits", "--from", DAY, "--to", DAY)
        assert done.code == 0, done.err
    return shop


def put(shop: Shop, rows: str) -> None:
    shop.day(DAY).mkdir(parents=True, exist_ok=True)
    (shop.day(DAY) / "a.csv").write_text(HEADER + rows)


def minutes(shop: Shop, *more: str) -> list[str]:
    done = shop("rows", "visits", "--day", DAY, "--format", "csv", *more)
    assert done.code == 0, done.err
    return [row["minutes"] for row in csv.DictReader(io.StringIO(done.out))]


def test_a_day_is_read_as_it_was_and_run_again_from_the_files_of_then(shop: Shop) -> None:
    listed = json.loads(shop("rows", "visits", "--day", DAY, "--publications", "--format", "json").out)[:2]
    assert [(one["files"], one["rows"]) for one in listed] == [(1, 4), (1, 1)]
    then, now = (str(one["publication"]) for one in listed)
    assert minutes(shop) == minutes(shop, "--as-published-on", now) == ["99"]
    assert minutes(shop, "--as-published-on", then) == ["10", "20", "30", "40"]
    assert minutes(shop, "--as-published-on", "2100-01-01") == ["99"]
    run = ("run", "visits", "--from", DAY, "--to", DAY)
    done = shop(*run, "--files-as-published-on", then)
    assert done.code == 0, done.err
    assert minutes(shop) == ["10", "20", "30", "40"]
    assert shop(*run).code == 0
    assert minutes(shop) == ["99"], "an ordinary run reads what lies there"


def test_what_was_refused_then_is_read(shop: Shop) -> None:
    listed = [one.version for one in Lake(shop.home / "lake", "visits").rejects.publications()[DAY]][:2]
    refused = ("rejects", "visits", "--day", DAY, "--format", "json")
    for moment, lines in ((listed[0], [3]), (listed[1], []), ("2100-01-01", [])):
        done = shop(*refused, "--as-published-on", str(moment))
        assert done.code == 0, done.err
        assert [one["line"] for one in json.loads(done.out)] == lines
    done = shop(*refused, "--as-published-on", "2020-01-01")
    assert "rejects of 2026-01-01 were not there on 2020-01-01" in done.err


def test_what_there_is_not_is_told(shop: Shop) -> None:
    day = ("--from", DAY, "--to", DAY)
    for command, said in (
        (("rows", "visits", "--day", DAY, "--as-published-on", "77"), "have no publication 77; there are: "),
        (("rows", "visits", "--day", DAY, "--as-published-on", "2020-01-01"), "it was first published on"),
        (("rows", "visits", "--day", DAY, "--as-published-on", "then"), "'then' is no time"),
        (("run", "visits", *day, "--files-as-published-on", "77"), "have no publication 77"),
        (("run", "visits", "--files-as-published-on", "2020-01-01"), "it was first published on"),
    ):
        done = shop(*command)
        assert done.code != 0
        assert said in done.err


def test_what_is_kept_is_shown_and_what_nothing_refers_to_removed(shop: Shop) -> None:
    (shown,) = json.loads(shop("kept", "visits", "--format", "json").out)
    assert (shown["files"], shown["contents"], shown["not referred to"]) == (2, 2, 0)
    table = shop("kept", "visits", "--day", DAY, "--clean")
    assert table.code == 0
    assert table.out.splitlines()[0].split("  ")[0] == "day"


def test_of_a_use_case_that_keeps_nothing_it_is_told(tmp_path: Path) -> None:
    place_visits(tmp_path / "use_cases")
    shop = Shop(tmp_path / "home")
    give_stores(shop.home, "mlflow", "dagster")
    put(shop, "ann,10,web,yes\n")
    assert shop("run", "visits", "--from", DAY, "--to", DAY).code == 0
    done = shop("run", "visits", "--from", DAY, "--to", DAY, "--files-as-published-on", "1")
    assert (done.code, "no raw files are kept; say `source: {keep: versions}`" in done.err) == (2, True)
    done = shop("kept", "visits")
    assert (done.code, "No kept_files" in done.err) == (1, True)
