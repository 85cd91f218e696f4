"""`predictions --probabilities` and `--column`: every class by its name, in every format, for whichever days have them."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import PREDICTIONS, PROBABILITIES, Lake
from mlops_assets.storage.form import keep_form
from mlops_assets.storage.tables import write_part
from mlops_assets_tests.helpers.shop import Shop
from mlops_assets_tests.helpers.vectors import HOSTILE
from mlops_assets_tests.helpers.visits import place_visits

FIRST, SECOND, PLAIN = "2026-01-01", "2026-01-02", "2026-01-03"
SIX = ["day", *PREDICTIONS.names]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A home with the use case `visits` and two days: another model, with another class, answered on the second."""
    place_visits(tmp_path / "use_cases")
    publish(tmp_path, FIRST, ("no", "yes"), [[0.75, 0.25], [0.5, 0.5]])
    publish(tmp_path, SECOND, ("maybe", "yes"), [[0.125, 0.875]])
    return Shop(tmp_path / "home")


def publish(folder: Path, day: str, classes: Sequence[str], rows: list[Any], *, keep: bool = True) -> None:
    """Publish predictions of a day with these probabilities; the first class is said."""
    keep_form(folder / "home" / "lake")
    table = Lake(folder / "home" / "lake", "visits").predictions
    schema = PREDICTIONS.append(PROBABILITIES) if keep else PREDICTIONS
    records = [
        {"file": "a.csv", "line": line, "account_id": f"ann {line}", "prediction": classes[0], "probabilities": row}
        for line, row in enumerate(rows, start=1)
    ]
    records = [{**record, "probability": record["probabilities"][0], "model_version": 1} for record in records]
    part = write_part(table, day, f"00000-{keep}", pa.Table.from_pylist(records, schema))
    numbers = PredictionsAccounting(predictions=len(rows), classes=tuple(classes) if keep else ())
    table.publish(day, [part], schema, numbers, table.parts(day))


def table_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def read(shop: Shop, *arguments: str) -> str:
    done = shop("predictions", "visits", *arguments)
    assert done.code == 0, done.err
    return done.out


def test_csv_has_a_column_for_each_class(shop: Shop) -> None:
    head, *rows = table_of(read(shop, "--day", FIRST, "--probabilities", "--format", "csv"))
    assert head == [*SIX, "probability_no", "probability_yes"]
    assert [row[-2:] for row in rows] == [["0.75", "0.25"], ["0.5", "0.5"]]


def test_json_has_a_map_of_class_and_probability(shop: Shop) -> None:
    found = json.loads(read(shop, "--day", FIRST, "--probabilities", "--format", "json"))
    assert [*found[0]] == [*SIX, "probabilities"]
    assert [row["probabilities"] for row in found] == [{"no": 0.75, "yes": 0.25}, {"no": 0.5, "yes": 0.5}]


def test_parquet_and_the_terminal_have_the_columns_of_csv(shop: Shop, tmp_path: Path) -> None:
    read(shop, "--day", FIRST, "--probabilities", "-o", str(tmp_path / "some.parquet"))
    assert pq.read_table(tmp_path / "some.parquet")["probability_yes"].to_pylist() == [0.25, 0.5]
    assert read(shop, "--day", FIRST, "--probabilities").split()[: len(SIX) + 2][-1] == "probability_yes"


def test_days_of_several_models_have_the_classes_of_all_and_nothing_where_a_model_knew_one_not(shop: Shop) -> None:
    head, *rows = table_of(read(shop, "--probabilities", "--format", "csv"))
    assert head[len(SIX) :] == ["probability_no", "probability_yes", "probability_maybe"]
    assert [row[len(SIX) :] for row in rows] == [["0.75", "0.25", ""], ["0.5", "0.5", ""], ["", "0.875", "0.125"]]
    last = json.loads(read(shop, "--probabilities", "--format", "json"))[-1]
    assert last["probabilities"] == {"maybe": 0.125, "yes": 0.875}


def test_what_was_not_among_the_likeliest_is_empty_and_not_in_json(shop: Shop, tmp_path: Path) -> None:
    publish(tmp_path, PLAIN, ("a", "b", "c"), [[0.5, None, 0.375]])
    asked = ("--day", PLAIN, "--probabilities", "--format")
    assert table_of(read(shop, *asked, "csv"))[1][-3:] == ["0.5", "", "0.375"]
    assert json.loads(read(shop, *asked, "json"))[0]["probabilities"] == {"a": 0.5, "c": 0.375}


def test_chosen_columns_come_alone_in_order_under_their_names(shop: Shop) -> None:
    """As a competition wants its file."""
    asked = ("--day", FIRST, "--column", "ID_code=account_id", "--column", "target=probability_yes", "--format", "csv")
    assert table_of(read(shop, *asked)) == [["ID_code", "target"], ["ann 1", "0.25"], ["ann 2", "0.5"]]
    assert table_of(read(shop, "--day", FIRST, "--column", "line", "--format", "csv")) == [["line"], ["1"], ["2"]]


def test_classes_may_have_any_name(shop: Shop, tmp_path: Path) -> None:
    publish(tmp_path, PLAIN, HOSTILE, [[0.5, 0.25, 0.125, 0.0625, 0.0625, 0.0]])
    names = [f"probability_{name}" for name in HOSTILE]
    asked = ("--day", PLAIN, "--probabilities", "--format")
    assert table_of(read(shop, *asked, "csv"))[0][len(SIX) :] == names
    assert [*json.loads(read(shop, *asked, "json"))[0]["probabilities"]] == [*HOSTILE]
    marked = table_of(read(shop, *asked, "csv", "--spreadsheet"))[0][len(SIX) :]
    assert marked[2] == "probability_a,b;'=1+1", "a spreadsheet may begin a cell behind a semicolon"
    assert len(read(shop, *asked, "table").splitlines()) == 3, "what breaks a line is escaped"
    chosen = ("--day", PLAIN, "--column", f"x={names[1]}", "--column", names[2], "--format", "csv")
    assert table_of(read(shop, *chosen)) == [["x", names[2]], ["0.25", "0.125"]]


def test_a_day_without_them_says_which_key_keeps_them_and_what_to_run(shop: Shop, tmp_path: Path) -> None:
    publish(tmp_path, PLAIN, ("no", "yes"), [[0.75, 0.25]], keep=False)
    assert "probability_" not in read(shop, "--format", "csv")
    for asked in (["--probabilities"], ["--column", "target=probability_yes"]):
        done = shop("predictions", "visits", *asked, "--format", "csv")
        assert (done.code, done.out) == (1, "")
        assert done.err == (
            f"Error: Of {PLAIN} the probabilities of the said classes alone are stored: `scoring: {{probabilities: all}}` "
            "in the defs.yaml of visits keeps those of all classes, of each day that is run from then on; then "
            f"`mlops-assets run visits --from {PLAIN} --to {PLAIN}`.\n"
        )


def test_a_day_as_it_was_published_has_the_classes_of_then(shop: Shop, tmp_path: Path) -> None:
    publish(tmp_path, FIRST, ("no", "yes"), [[0.75, 0.25]], keep=False)
    (first, _) = Lake(tmp_path / "home" / "lake", "visits").predictions.publications()[FIRST]
    then = dt.datetime.fromtimestamp(first.time / 1000, dt.UTC).isoformat()
    asked = ("--day", FIRST, "--probabilities", "--format", "csv")
    assert shop("predictions", "visits", *asked).err.startswith(f"Error: Of {FIRST} ")
    assert len(table_of(read(shop, *asked, "--as-published-on", then))) == 3


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["x=probability_of"], "there is no column 'probability_of'; there are: day, file, line, account_id, "),
        (["x=line", "x=file"], "two columns would have the name 'x'."),
        (["x=LINE"], "there is no column 'LINE'"),
        (["="], "there is no column ''"),
    ],
)
def test_a_column_that_there_is_not_is_told(shop: Shop, tmp_path: Path, asked: list[str], told: str) -> None:
    options = [part for each in asked for part in ("--column", each)]
    done = shop("predictions", "visits", "--day", FIRST, *options, "-o", str(tmp_path / "out.csv"))
    assert (done.code, (tmp_path / "out.csv").exists()) == (2, False)
    assert f"--column: {told}" in done.err
