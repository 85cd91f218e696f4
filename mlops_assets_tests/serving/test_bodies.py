"""Files come in many ways, and each way brings the same file."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.settings import Settings
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.asked import Api, form, ring_api, told, toy_api, wrong, zipped

FILE = b"account,date,amount,city,kind\nA1,2026-01-02,1.5,C1,\nA1,2026-01-03,6.5,C22,\n"
ROWS = [
    {"account": "A1", "date": "2026-01-02", "amount": 1.5, "city": "C1"},
    {"account": "A1", "date": "2026-01-03", "amount": 6.5, "city": "C22"},
]
RAW = ("Content-Type", "text/csv")
JSON = ("Content-Type", "application/json")


@pytest.fixture
def api(settings: Settings) -> Api:
    return toy_api(settings)


@pytest.fixture(scope="module")
def compounds(compound_rings: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample day of compounds: files of records, and the pictures that they refer to."""
    folder = tmp_path_factory.mktemp("raw")
    list(write_sample(compound_rings, folder, dt.date(2026, 1, 1), 1, 3, 0.0, 7))
    return folder / "compound_rings" / "day=2026-01-01"


def files_of(answer: Any) -> Any:
    assert answer.status == 200, answer.text
    return told(answer)["files"]


def test_the_same_file_in_every_way_gets_the_same_answer(api: Api) -> None:
    kind, body = form(("a.csv", FILE))
    packed = zipped([("a.csv", FILE)])
    name = ("X-File-Name", "a.csv")
    ways = [
        api.post(kind, body=body),
        api.post(kind, body=[body[at : at + 1] for at in range(len(body))]),
        api.post(RAW, name, body=FILE),
        api.post(name, body=FILE),
        api.post(("Content-Type", "application/x-www-form-urlencoded"), name, body=FILE),
        api.post(JSON, body=json.dumps({"files": [{"name": "a.csv", "rows": ROWS}]}).encode()),
        api.post(body=json.dumps({"files": [{"name": "a.csv", "rows": ROWS}]}, indent=2).encode()),
        api.post(("Content-Type", "application/zip"), body=packed),
        api.post(*[form(("all.zip", packed))[0]], body=form(("all.zip", packed))[1]),
    ]
    first, *others = [files_of(way) for way in ways]
    assert first[0] | {"predictions": []} == {
        "file": "a.csv",
        "lines": 2,
        "rows": 2,
        "rejected": 0,
        "predictions": [],
        "rejects": [],
    }
    assert [one["prediction"] for one in first[0]["predictions"]] == ["FOOD", "RENT"]
    assert all(other == first for other in others)


def test_many_files_are_answered_in_their_order(api: Api) -> None:
    kind, body = form(("b.csv", FILE), ("deep/a.csv", FILE), ("b.csv", FILE))
    assert [file["file"] for file in files_of(api.post(kind, body=body))] == ["b.csv", "deep/a.csv", "b.csv"]


@pytest.mark.parametrize(("sent", "name"), [("caf%C3%A9%20%26%20bar.csv", "café & bar.csv"), ("a.csv", "a.csv")])
def test_a_raw_body_is_named_in_a_header(api: Api, sent: str, name: str) -> None:
    assert files_of(api.post(("X-File-Name", sent), body=FILE))[0]["file"] == name


def test_what_has_no_name_is_called_file(api: Api) -> None:
    assert files_of(api.post(body=FILE))[0]["file"] == "file.csv"
    assert files_of(api.post(JSON, body=json.dumps({"files": [{"rows": ROWS}]}).encode()))[0]["file"] == "file.csv"


def test_a_file_that_a_day_would_not_read_is_refused_as_there_and_the_others_are_answered(settings: Settings) -> None:
    api = toy_api(settings)
    kind, body = form(("a.csv", FILE), ("b.txt", FILE))
    first, second = files_of(api.post(kind, body=body))
    assert first["rows"] == 2
    assert (second["lines"], second["rows"], second["rejected"]) == (0, 0, 0)
    assert second["rejects"] == [
        {"line": None, "rule": "unreadable", "message": "a name that does not end in .csv", "raw": ""}
    ]


def test_hidden_names_of_a_zip_file_are_no_data_as_in_the_folder_of_a_day(api: Api) -> None:
    packed = zipped([("a.csv", FILE), ("__MACOSX/._a.csv", b"x"), (".DS_Store", b"x"), ("folder/", b"")])
    assert [file["file"] for file in files_of(api.post(body=packed))] == ["a.csv"]


def test_a_zip_file_in_a_zip_file_is_not_opened(api: Api) -> None:
    packed = zipped([("a.csv", FILE), ("b.zip", zipped([("b.csv", FILE)]))])
    first, second = files_of(api.post(body=packed))
    assert (first["file"], second["file"], second["rejects"][0]["rule"]) == ("a.csv", "b.zip", "unreadable")


def test_records_come_with_the_pictures_that_they_refer_to(
    compound_rings: UseCase, compounds: Path, settings: Settings
) -> None:
    api = ring_api(compound_rings, settings)
    (records,) = compounds.glob("*.json")
    pictures = [(f"images/{path.name}", path.read_bytes()) for path in sorted(compounds.glob("images/*.png"))]
    kind, body = form((records.name, records.read_bytes()), *pictures)
    (file,) = files_of(api.post(kind, body=body))
    assert file["rows"] == len(pictures)
    assert files_of(api.post(body=zipped([(records.name, records.read_bytes()), *pictures]))) == [file]
    (without,) = files_of(
        api.post(
            form((records.name, records.read_bytes()), *pictures[:1])[0],
            body=form((records.name, records.read_bytes()), *pictures[:1])[1],
        )
    )
    assert (without["rows"], {each["rule"] for each in without["rejects"]}) == (1, {"no_picture"})


def test_a_picture_alone_gets_a_record_around_it(compound_rings: UseCase, compounds: Path, settings: Settings) -> None:
    api = ring_api(compound_rings, settings)
    picture = min(compounds.glob("images/*.png")).read_bytes()
    kind, body = form(("ring.png", picture), ("other.png", picture))
    first, second = files_of(api.post(kind, body=body))
    assert (first["rows"], second["rows"]) == (1, 1)
    assert first["predictions"] == second["predictions"]
    assert files_of(api.post(("Content-Type", "image/png"), body=picture))[0]["predictions"] == first["predictions"]


def test_two_pictures_of_one_name_are_told(compound_rings: UseCase, settings: Settings) -> None:
    api = ring_api(compound_rings, settings)
    kind, body = form(("a.json", b"[]"), ("a.png", b"x"), ("a.png", b"y"))
    assert wrong(api.post(kind, body=body)) == {"files[a.png]": "two files have this name"}


def test_rows_by_the_names_of_the_contract_or_of_the_header_all_wrong_ones_told(api: Api) -> None:
    rows = [{"account": "A1", "amont": 1}, {"amount": [1]}, 3]
    answer = api.post(JSON, body=json.dumps({"files": [{"name": "a.csv", "rows": rows}]}).encode())
    assert answer.status == 422
    assert set(wrong(answer)) == {"files[0].rows[0].amont", "files[0].rows[1].amount", "files[0].rows[2]"}


@pytest.mark.parametrize(
    ("limits", "phrase"),
    [
        ({"files": 1}, "more than 1 files (`serving.limits.files`)"),
        ({"rows": 5}, "6 lines, allowed are 5 (`serving.limits.rows`)"),
        ({"bytes": 100}, "more than 100 bytes (`serving.limits.bytes`)"),
    ],
)
def test_what_is_more_than_a_request_may_bring_is_told_with_its_limit(
    settings: Settings, limits: dict[str, int], phrase: str
) -> None:
    api = toy_api(settings, **limits)
    answer = api.post(body=zipped([("a.csv", FILE), ("b.csv", FILE)]))
    assert (answer.status, phrase in told(answer)["detail"]) == (413, True), answer.text


def test_the_bytes_of_a_body_are_counted_while_it_comes(settings: Settings) -> None:
    api = toy_api(settings, bytes=len(FILE))
    assert api.post(body=[FILE[:9], FILE[9:]]).status == 200
    assert api.post(body=[FILE, b"x"]).status == 413
    assert api.post(("Content-Length", "99999999999999999999999"), body=b"").status == 413


def test_a_picture_is_measured_before_it_is_opened(compound_rings: UseCase, settings: Settings) -> None:
    api = ring_api(compound_rings, settings, pixels=1_000_000)
    large = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (50_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    kind, body = form(("ring.png", large))
    answer = api.post(kind, body=body)
    assert (answer.status, "has 2,500,000,000 pixels" in answer.text) == (413, True)
