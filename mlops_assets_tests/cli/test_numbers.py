"""A use case that predicts a number goes the whole way: from files to drift, explanations, corrections and the API."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.journey.model.task import NUMBERS
from mlops_assets.use_case import load_use_case
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asked_api import Api, problem
from mlops_assets_tests.helpers.homes import state_in
from mlops_assets_tests.helpers.rents import DAYS, RENTS, flats, place_rents
from mlops_assets_tests.helpers.shop import Done, Shop

LEARNED, DAMAGED = DAYS
FLAT = {"flat": "x", "city": "RECIFE", "area": 80.0}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A home in which a model was trained, and scored the day it learned from and one of far too large flats."""
    folder = tmp_path_factory.mktemp("rents")
    delivered = "  targets: {csv: {use: files, parameters: {place: OUT, format: csv}}}\n"
    place_rents(folder / "use_cases", RENTS + delivered.replace("OUT", str(folder / "out")))
    shop = Shop(folder / "home")
    for day, times in ((LEARNED, 1.0), (DAMAGED, 4.0)):
        place = shop.home / "raw" / "rents" / f"day={day}"
        place.mkdir(parents=True)
        (place / "a.csv").write_bytes(flats(400, len(day), times=times))
    done(shop("run", "rents", "--from", LEARNED, "--to", DAMAGED, "--train"))
    return shop


def done(found: Done) -> str:
    assert found.code == 0, found.err
    return found.out


def read(shop: Shop, *arguments: str) -> Any:
    return json.loads(done(shop(*arguments, "--format", "json")))


def test_predictions_are_numbers_with_an_interval_around_each(shop: Shop, tmp_path: Path) -> None:
    done(shop("predictions", "rents", "--day", LEARNED, "-o", str(tmp_path / "day.parquet")))
    table = pq.read_table(tmp_path / "day.parquet")
    assert table.schema.names == ["day", *NUMBERS.names]
    assert [table.schema.field(name).type for name in ("prediction", "low", "high")] == [pa.float64()] * 3
    rows = table.to_pylist()
    assert len(rows) == 400
    assert all(row["low"] <= row["prediction"] <= row["high"] for row in rows)
    refused = shop("predictions", "rents", "--day", LEARNED, "--min-probability", "0.5")
    assert "these predictions have no probability" in refused.err
    numbers = sorted(row["prediction"] for row in rows)
    some = read(shop, "predictions", "rents", "--day", LEARNED, "--min-prediction", str(numbers[390]))
    assert len(some) == sum(one >= numbers[390] for one in numbers)
    assert "is no number (NaN)" in shop("predictions", "rents", "--day", LEARNED, "--max-prediction", "nan").err


def test_the_card_tells_errors_and_whether_the_interval_holds(shop: Shop) -> None:
    card = done(shop("card", "rents", "1"))
    assert "linear passes: mae" in card
    assert "### Predicted and true" in card
    assert "lie in their interval, 90.0% are asked" in card
    assert "Confusion" not in card
    history = read(shop, "history", "rents")
    assert {"mae", "rmse", "r2", "median_error", "mape", "coverage"} == history["versions"][0]["metrics"].keys()
    assert "byte by byte" in done(shop("rebuild", "rents", "1"))


def test_why_tells_by_how_much_each_feature_makes_it_larger(shop: Shop) -> None:
    told = read(shop, "why", "rents", "--day", LEARNED, "--file", "a.csv", "--line", "3")
    assert told["agrees"]
    assert (told["probability"], told["probabilities"]) == (None, {})
    assert told["interval"][0] < told["prediction"] < told["interval"][1]
    strengths = {one["name"]: one["strength"] for one in told["features"]}
    assert abs(strengths["area"]) > 10
    assert "by how much larger it makes the number" in done(
        shop("why", "rents", "--day", LEARNED, "--file", "a.csv", "--line", "3")
    )


def test_what_is_predicted_drifts_as_a_column_does(shop: Shop) -> None:
    told = read(shop, "drift", "rents", "--day", DAMAGED)
    lamps = {lamp["name"]: lamp["state"] for lamp in told["days"][0]["lamps"]} if "days" in told else {}
    text = done(shop("drift", "rents", "--day", DAMAGED))
    assert "`prediction`, what the model says, has moved by" in text
    assert not {"class_mix", "confidence"} & lamps.keys()
    assert "accuracy" not in text


def test_a_day_is_profiled_against_the_size_of_the_label(shop: Shop) -> None:
    text = done(shop("profile", "rents", "--day", LEARNED))
    assert "Label rent: 5 groups by size in 392 rows" in text


def test_a_target_gets_the_number_and_its_ends(shop: Shop) -> None:
    (path,) = (shop.home.parent / "out" / "rents" / f"day={LEARNED}").glob("*.csv")
    head, first, *_ = path.read_text().splitlines()
    assert head.replace('"', "").split(",")[-4:] == ["prediction", "low", "high", "model_version"]
    prediction, low, high, _ = map(float, first.split(",")[-4:])
    assert low < prediction < high


def test_corrections_are_numbers_within_the_bounds_of_the_contract(shop: Shop, tmp_path: Path) -> None:
    audit = tmp_path / "audit.csv"
    done(shop("audit", "rents", "--day", LEARNED, "-o", str(audit)))
    rows = list(csv.DictReader(audit.read_text().splitlines()))
    for row in rows:
        row |= {"label": str(float(row["prediction"]) + 10), "who": "ana", "when": "2026-03-01T00:00:00Z"}
    for row, wrong in zip(rows, ("much", "60000", "1.200,50", "nan"), strict=False):
        row["label"] = wrong
    text = io.StringIO()
    table = csv.DictWriter(text, rows[0].keys())
    table.writeheader()
    table.writerows(rows)
    (tmp_path / "filled.csv").write_text(text.getvalue())
    assert "46 accepted, 4 rejected" in done(shop("feedback", "rents", str(tmp_path / "filled.csv")))
    messages = {one["label"]: one["message"] for one in read(shop, "feedback", "rents", "--rejects")}
    assert "60000 is out of the bounds of the contract: from 0 up to 50,000" in messages["60000"]
    assert all("is no number" in messages[label] for label in ("much", "1.200,50", "nan"))
    told = read(shop, "feedback", "rents", "--accuracy")
    (whole,) = [one for one in told if one["by"] == "age"]
    assert whole["mean_error"] == pytest.approx(10)
    assert "accuracy" not in whole
    assert whole["coverage"] == 1.0  # ten more lies in the interval of each


@pytest.fixture
def api(shop: Shop) -> Iterator[Api]:
    """The API on that home."""
    with state_in(shop.home):
        yield Api.of(Workspace.from_environment(), load_use_case(shop.home.parent / "use_cases" / "rents"))


def test_the_api_answers_with_a_number_and_its_interval(api: Api) -> None:
    body = {"files": [{"name": "a.csv", "rows": [FLAT, {**FLAT, "city": "NATAL"}]}]}
    answer = api.post("/v1/use-cases/rents/predictions?probabilities=all&explain=true&line=1", body)
    assert answer.status == 200, answer.text
    told = json.loads(answer.text)
    first, second = told["files"][0]["predictions"]
    assert first.keys() == {"line", "prediction", "interval"}
    assert first["interval"][0] < first["prediction"] < first["interval"][1]
    assert first["prediction"] > second["prediction"] > 0
    assert told["why"]["interval"] == first["interval"]
    table = api.post("/v1/use-cases/rents/predictions", body, Accept="text/csv").text.splitlines()
    assert table[0] == "file,line,prediction,low,high"
    assert table[1].split(",")[2] == str(first["prediction"])
    about = api.read("/v1/use-cases/rents")
    assert (about["task"], about["classes"]) == ("regression", [])


def test_published_numbers_are_read_by_file_and_not_by_class(api: Api) -> None:
    path = f"/v1/use-cases/rents/days/{LEARNED}/predictions"
    (row,) = api.read(path, file="a.csv", limit=1)["rows"]
    assert row.keys() == {"day", *NUMBERS.names}
    every = [row["prediction"] for row in api.read(path)["rows"]]
    middle = sorted(every)[200]
    found = [row["prediction"] for row in api.read(path, min_prediction=middle)["rows"]]
    assert found == [one for one in every if one >= middle]
    assert api.read(path, min_prediction=middle, max_prediction=middle)["rows"]
    for odd in ("nan", "inf", "many"):
        assert "min_prediction" in str(problem(api.get(path, min_prediction=odd), 422))
    page = api.get("/pages/rents/predictions", day=LEARNED, lowest=middle, highest="")
    assert f'name="lowest" value="{middle}"' in page.text
    assert f"min_prediction={middle}" in page.text  # of the export
    assert "expected a number" in api.get("/pages/rents/predictions", lowest="1.200,50").text
    assert "is a number" in problem(api.get(path, **{"class": "3"}), 422)["detail"]
    assert "no probability" in problem(api.get(path, min_probability=0.5), 422)["detail"]


def test_the_inference_protocol_has_them_as_fp64(api: Api) -> None:
    outputs = {one["name"]: one["datatype"] for one in api.read("/v2/models/rents")["outputs"]}
    assert outputs == {"prediction": "FP64", "low": "FP64", "high": "FP64", "rejected": "BYTES"}
    inputs = [
        {"name": "flat", "datatype": "BYTES", "shape": [1], "data": ["x"]},
        {"name": "city", "datatype": "BYTES", "shape": [1], "data": ["RECIFE"]},
        {"name": "area", "datatype": "FP64", "shape": [1], "data": [80.0]},
    ]
    answer = api.post("/v2/models/rents/infer", {"inputs": inputs})
    assert answer.status == 200, answer.text
    said = {one["name"]: one["data"][0] for one in json.loads(answer.text)["outputs"]}
    assert said["low"] < said["prediction"] < said["high"]


PAGES = {
    "predictions": "Interval",
    f"predictions/row?day={LEARNED}&file=a.csv&line=3": "What makes the number larger",
    "models/1": "Predicted and true",
    "label": "A number, with a point before its decimals, from 0 up to 50,000",
    "performance": "how far off numbers are",
    f"data?day={LEARNED}": "groups by size",
    f"drift?day={DAMAGED}": "what the model says",
    f"days/{LEARNED}": LEARNED,
    "try": "rents",
}


@pytest.mark.parametrize(("page", "said"), PAGES.items(), ids=PAGES)
def test_every_page_knows_numbers(api: Api, page: str, said: str) -> None:
    answer = api.get(f"/pages/rents/{page}") if "?" not in page else _with_query(api, page)
    assert answer.status == 200, answer.text
    assert said in answer.text
    assert "sure</span>" not in answer.text


def _with_query(api: Api, page: str) -> Any:
    path, _, query = page.partition("?")
    return api.get(f"/pages/rents/{path}", **dict(pair.split("=") for pair in query.split("&")))


def test_two_versions_are_compared_by_how_far_numbers_move(shop: Shop) -> None:
    told = read(shop, "diff", "rents", "--day", LEARNED, "--candidate", "1", "--against", "1")
    assert (told["changed"], told["transitions"], told["moves"]["mean_distance"]) == (0, [], 0.0)
    assert told["moves"]["sum_before"] == told["moves"]["sum_after"] > 0
    assert told["right_before"] > 0.8 * told["labelled"] == 0.8 * 392
