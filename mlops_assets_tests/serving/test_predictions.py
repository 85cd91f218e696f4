"""What is answered to files: every line of each, by which version, and in the form that is wanted."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mlops_assets.errors import ConfigError
from mlops_assets.journey.score.online import Answered, Loaded, Sent, answer_files
from mlops_assets.serving.answering.batcher import Busy
from mlops_assets.serving.answering.lane import Failed, Late
from mlops_assets.serving.problems import Problem
from mlops_assets.settings import Settings
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.asked import CLASSES, Api, form, told, toy_api, wrong

HEADER = b"account,date,amount,city,kind\n"
FILE = (
    HEADER + b"A1,2026-01-02,1.5,C1,\nA1,2026-02-30,2.5,C1,\n\nA1,2026-01-04,6.5,C22,\n" + b"A1,2026-01-05,3,C1,\n" * 9
)
NAME = ("X-File-Name", "a.csv")
CSV = ("Accept", "text/csv")


@pytest.fixture
def api(settings: Settings) -> Api:
    return toy_api(settings)


def test_every_line_is_a_row_or_a_reject(api: Api) -> None:
    answer = api.post(NAME, body=FILE)
    said = told(answer)
    (file,) = said.pop("files")
    assert said == {"request": answer.headers["x-request-id"], "use_case": "toy", "version": 7}
    assert (answer.headers["x-model-version"], answer.headers["x-rejected"]) == ("7", "2")
    assert (file["lines"], file["rows"], file["rejected"]) == (13, 11, 2)
    assert [one["line"] for one in file["predictions"]] == [1, 4, *range(5, 14)]
    assert [(one["line"], one["rule"], one["raw"]) for one in file["rejects"]] == [
        (2, "type", "A1,2026-02-30,2.5,C1,"),
        (3, "blank_line", ""),
    ]


def test_a_probability_is_the_float32_that_a_day_stores(api: Api) -> None:
    (done,) = answer_files(api.loaded, [Sent("a.csv", FILE)], "2026-01-31")
    answer = told(api.post(NAME, body=FILE, query="probabilities=all"))["files"][0]
    said = np.array([one["probability"] for one in answer["predictions"]], np.float32)
    assert said.tobytes() == done.sure["probability"].tobytes()
    every = np.array([[one["probabilities"][name] for name in CLASSES] for one in answer["predictions"]], np.float32)
    assert every.tobytes() == done.probabilities.tobytes()


def test_the_likeliest_classes_come_first(api: Api) -> None:
    for one in told(api.post(body=FILE, query="probabilities=top"))["files"][0]["predictions"]:
        shares = [*one["probabilities"].values()]
        assert len(shares) == 3
        assert shares == sorted(shares, reverse=True)
        assert next(iter(one["probabilities"])) == one["prediction"]


def test_as_a_table_with_the_columns_that_a_day_has(api: Api) -> None:
    kind, body = form(("a.csv", FILE), ("b.txt", FILE), ("c, d.csv", FILE))
    answer = api.post(kind, CSV, body=body, query="probabilities=all")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert answer.headers["x-rejected"] == "5"  # two lines of two files, and a file
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert header == ["file", "line", "prediction", "probability", *(f"probability_{name}" for name in CLASSES)]
    assert len(rows) == 22
    assert {row[0] for row in rows} == {"a.csv", "c, d.csv"}
    said = told(api.post(NAME, body=FILE, query="probabilities=all"))["files"][0]["predictions"]
    assert [[int(row[1]), row[2], float(row[3])] for row in rows[:11]] == [
        [one["line"], one["prediction"], one["probability"]] for one in said
    ]
    assert api.post(CSV, body=FILE).text.splitlines()[0] == "file,line,prediction,probability"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        ("application/*", "application/json"),
        ("text/*", "text/csv; charset=utf-8"),
        ("text/csv;q=0.9, application/json;q=0.1", "text/csv; charset=utf-8"),
        ("application/json;q=0, */*", "text/csv; charset=utf-8"),
    ],
)
def test_the_form_that_is_wanted_most(api: Api, accept: str, kind: str) -> None:
    assert api.post(("Accept", accept), body=FILE).headers["content-type"] == kind


@pytest.mark.parametrize("accept", ["application/xml", "text/csv;q=0", "x;q=y"])
def test_a_form_that_there_is_not(api: Api, accept: str) -> None:
    answer = api.post(("Accept", accept), body=FILE)
    assert (answer.status, "application/json, text/csv" in answer.text) == (406, True)


def test_a_request_of_refused_files_alone_is_refused_with_all_of_them(api: Api) -> None:
    kind, body = form(("a.csv", b"zzz"), ("b.txt", FILE), ("c.csv", b""))
    answer = api.post(kind, body=body)
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    assert [*wrong(answer)] == ["files[0]", "files[1]", "files[2]"]
    rules = ["missing_column", "unreadable", "empty_file"]
    assert [file["rejects"][0]["rule"] for file in told(answer)["files"]] == rules
    assert {file["lines"] for file in told(answer)["files"]} == {0}


def test_every_wrong_parameter_is_told_at_once(api: Api) -> None:
    query = "version=0&as_of=2026-02-30&probabilities=some&explain=1&line=x&limit=3&as_of=2026-01-01"
    answer = api.post(body=FILE, query=query)
    assert answer.status == 422
    assert [each["where"] for each in told(answer)["errors"]] == [
        "query.version",
        "query.as_of",
        "query.probabilities",
        "query.explain",
        "query.line",
        "query.limit",
        "query.as_of",
    ]


def test_the_version_that_answers_is_chosen(api: Api) -> None:
    assert api.post(body=FILE, query="version=7").status == 200
    assert api.post(body=FILE, query="as_of=2026-01-10").status == 200
    answer = api.post(body=FILE, query="version=8")
    assert (answer.status, "there are: 7" in told(answer)["detail"]) == (404, True)
    answer = api.post(body=FILE, query="as_of=2026-01-09")
    assert (answer.status, "the gate refused" in told(answer)["detail"]) == (409, True)


def test_rows_are_of_the_day_that_is_named(settings: Settings) -> None:
    days: list[str] = []

    class Noting:
        async def ask(self, loaded: Loaded, files: Sequence[Sent], day: str) -> list[Answered]:
            days.append(day)
            return answer_files(loaded, files, day)

    assert toy_api(settings, {"batcher": Noting()}).post(body=FILE, query="as_of=2026-01-31").status == 200
    assert days == ["2026-01-31"]


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (Busy(9), 503, "9"),
        (Late(3), 503, "1"),
        (Failed(), 500, None),
        (ConfigError("/srv/defs/features.sql: loses rows"), 503, "5"),
    ],
)
def test_what_cannot_be_answered_now_is_told_with_when_to_ask_again(
    settings: Settings, error: Exception, status: int, retry: str | None
) -> None:
    class Failing:
        async def ask(self, *_: Any) -> list[Answered]:
            raise error

    answer = toy_api(settings, {"batcher": Failing()}).post(body=FILE)
    assert (answer.status, answer.headers.get("retry-after")) == (status, retry)
    assert "/srv" not in answer.text


class Journal:
    """Keeps requests, or cannot."""

    def __init__(self, error: Exception | None = None) -> None:
        self.kept: list[tuple[str, str, str, list[str], list[int]]] = []
        self._error = error

    async def keep(
        self,
        use_case: UseCase,
        request: str,
        loaded: Loaded,
        day: str,
        caller: str,
        files: Sequence[Sent],
        answers: Sequence[Answered],
    ) -> None:
        if self._error is not None:
            raise self._error
        told = [file.name for file in files], [len(one.line) for one in answers]
        self.kept.append((use_case.name, request, f"{loaded.version} {day} {caller}", *told))


def test_what_is_answered_is_kept_before(settings: Settings) -> None:
    journal = Journal()
    api = toy_api(settings, {"store": journal})
    kind, body = form(("a.csv", FILE), ("b.txt", FILE))
    answer = api.post(kind, body=body, query="as_of=2026-01-31")
    ((name, request, rest, files, rows),) = journal.kept
    assert (name, request) == ("toy", answer.headers["x-request-id"])
    assert (rest, files, rows) == ("7 2026-01-31 local", ["a.csv", "b.txt"], [11, 0])


def test_what_is_refused_is_not_kept(settings: Settings) -> None:
    journal = Journal()
    api = toy_api(settings, {"store": journal})
    assert api.post(body=b"zzz").status == 422
    assert api.post(body=FILE, query="explain=true").status == 422
    assert journal.kept == []


def test_what_cannot_be_kept_is_not_answered(settings: Settings) -> None:
    api = toy_api(settings, {"store": Journal(Problem(503, "The disk is full."))})
    answer = api.post(body=FILE)
    assert (answer.status, told(answer)["detail"]) == (503, "The disk is full.")


def test_another_use_case_is_told_with_those_that_there_are(api: Api) -> None:
    answer = api.post(body=FILE, path="/v1/use-cases/other/predictions")
    assert (answer.status, "there are: toy" in told(answer)["detail"]) == (404, True)


def test_why_a_row_got_its_category(api: Api) -> None:
    why = told(api.post(NAME, body=FILE, query="explain=true&line=4"))["why"]
    assert (why["file"], why["line"], why["raw"], why["version"]) == ("a.csv", 4, "A1,2026-01-04,6.5,C22,", 7)
    assert why["prediction"] == "RENT"
    assert {one["name"]: one["value"] for one in why["features"]} == {"amount": 6.5, "size": 3}
    assert why["features"][0]["name"] == "amount"
    assert why["features"][0]["strength"] > 0.5
    assert why["compared_with"] == 10
    city = next(one for one in why["cleaned"] if one["column"] == "city")
    assert city == {"column": "city", "raw": "C22", "value": "C22", "differs": False}
    assert [*why["probabilities"].values()] == sorted(why["probabilities"].values(), reverse=True)


def test_a_file_of_one_row_needs_no_line(api: Api) -> None:
    why = told(api.post(body=HEADER + b"A1,2026-01-02,1.5,C1,\n", query="explain=true"))["why"]
    assert (why["line"], why["compared_with"]) == (1, 0)


@pytest.mark.parametrize("query", ["explain=true", "explain=true&line=2", "explain=true&line=99", "line=1"])
def test_one_row_alone_is_explained(api: Api, query: str) -> None:
    answer = api.post(body=FILE, query=query)
    assert (answer.status, [*wrong(answer)]) == (422, ["query.line"])


def test_one_file_alone_is_explained_and_as_json(api: Api) -> None:
    kind, body = form(("a.csv", FILE), ("b.csv", FILE))
    assert [*wrong(api.post(kind, body=body, query="explain=true&line=1"))] == ["query.explain"]
    assert api.post(CSV, body=FILE, query="explain=true&line=1").status == 406
