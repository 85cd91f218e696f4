"""Asking a file, a database, a service or a class for further columns: what is believed, and what is done about the rest."""

from __future__ import annotations

import builtins
import datetime as dt
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.journey.enrich.asking import MOST_HALVES, PROBES, Asking
from mlops_assets.journey.enrich.lookups import EnrichmentError, NoAnswer, open_enrichment
from mlops_assets.journey.enrich.replies import LONGEST_TEXT, believe
from mlops_assets.use_case import Enrichment
from mlops_assets_tests.helpers.postgres import Server, query
from mlops_assets_tests.helpers.weather_service import (
    DrippingService,
    Request,
    Response,
    WeatherService,
    degrees,
    right,
)

DAY = "2026-01-10"
SCHEMA = pa.schema({"city": pa.string(), "date": pa.date32(), "degrees": pa.float64(), "rain": pa.bool_()})
COLUMNS = {"degrees": "number", "rain": "boolean"}
SECRET = "Bearer 5ecret"


def keys_of(*cities: str, date: str = DAY) -> pa.Table:
    dates = pa.array([dt.date.fromisoformat(date)] * len(cities))
    return pa.table({"city": pa.array(cities, pa.string()), "date": dates})


def many(number: int) -> pa.Table:
    return keys_of(*(f"city {place:04d}" for place in range(number)))


def http(url: str, parameters: dict[str, Any] | None = None, **more: Any) -> Enrichment:
    given = {"url": url, "timeout": 5, **(parameters or {})}
    fast = {"pause": 0.001, "cool_down": 0.001, "batch": 10, **more}
    return Enrichment(use="http", parameters=given, keys=("city", "date"), columns=COLUMNS, **fast)


def asking(
    enrichment: Enrichment, schema: pa.Schema = SCHEMA, folder: Path | None = None, day: str = DAY, **further: Any
) -> Asking:
    return Asking(enrichment, open_enrichment(enrichment, schema, folder), schema, day, **further)


@pytest.fixture
def service() -> Iterator[WeatherService]:
    with WeatherService.open() as one:
        yield one


def right_ones(answers: pa.Table) -> bool:
    """Whether every answer is that of its key."""
    return all(one["degrees"] == degrees({**one, "date": one["date"].isoformat()}) for one in answers.to_pylist())


# -- a service ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_keys_are_asked_in_batches_and_each_gets_its_answer(service: WeatherService, method: str) -> None:
    one = asking(http(service.url, {"method": method}))
    answers = one.ask(many(25))
    assert len(answers) == 25
    assert right_ones(answers)
    assert sorted(len(request.keys) for request in service.requests) == [5, 10, 10]
    assert set(service.asked().values()) == {1}
    assert {request.day for request in service.requests} == {DAY}
    assert dict(one.counts) == {"requests": 3, "retries": 0, "refused": 0}


def test_several_requests_at_a_time_ask_for_each_key_once(service: WeatherService) -> None:
    answers = asking(http(service.url, at_once=4)).ask(many(100))
    assert (len(answers), set(service.asked().values())) == (100, {1})


def test_the_answers_may_stand_in_an_object(service: WeatherService) -> None:
    service.behave = lambda request: Response(b'{"answers": ' + right(request.keys) + b"}")
    assert len(asking(http(service.url)).ask(many(3))) == 3


def test_a_secret_header_comes_from_the_environment(service: WeatherService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEATHER_TOKEN", SECRET)
    enrichment = http(
        service.url, {"headers": {"X-Who": "tests"}, "secret_headers": {"Authorization": "WEATHER_TOKEN"}}
    )
    asking(enrichment).ask(many(1))
    sent = service.requests[0].headers
    assert (sent["Authorization"], sent["X-Who"]) == (SECRET, "tests")
    assert SECRET not in enrichment.model_dump_json()


@pytest.mark.parametrize("value", ["", "two\nlines"])
def test_a_secret_that_is_none_is_told_by_the_name_of_its_variable(
    service: WeatherService, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("WEATHER_TOKEN", value)
    with pytest.raises(EnrichmentError, match="WEATHER_TOKEN is not set to one line") as error:
        asking(http(service.url, {"secret_headers": {"Authorization": "WEATHER_TOKEN"}})).ask(many(1))
    assert "lines" not in str(error.value)
    assert not service.requests


HUGE = json.dumps([{"city": "x" * 20_000_000}]).encode()
BAD_ANSWERS: dict[str, tuple[Response, str]] = {
    "not JSON": (Response(b"<html>oops</html>"), "answer is no JSON"),
    "half of it": (Response(b'[{"city": "a"'), "answer is no JSON"),
    "no UTF-8": (Response(b'["\xff\xfe"]'), "answer is no JSON"),
    "nested without end": (Response(b"[" * 100_000), "answer is no JSON"),
    "another thing": (Response(b'{"error": "later"}'), "answer is no list of objects"),
    "nothing": (Response(b"null"), "answer is no list of objects"),
    "huge": (Response(HUGE), "answer too large"),
    "broken inside": (Response(b"", 500), "status 500"),
    "overloaded": (Response(b"", 503, {"Retry-After": "0"}), "status 503"),
    "too many requests": (Response(b"", 429), "status 429"),
    "denied": (Response(b"", 403), "status 403"),
    "elsewhere": (Response(b"", 302, {"Location": "http://127.0.0.1:1/"}), "status 302"),
    "empty": (Response(b"", 204), "status 204"),
}


@pytest.mark.parametrize("kind", BAD_ANSWERS)
def test_an_answer_that_is_none_is_counted_and_not_believed(service: WeatherService, kind: str) -> None:
    response, problem = BAD_ANSWERS[kind]
    service.behave = lambda _: response
    one = asking(http(service.url, retries=1))
    assert len(one.ask(many(1))) == 0
    tries = 1 if response.status in (403, 302, 204) else 2  # nobody asks again where it cannot help
    assert (one.problems, one.counts["requests"], one.counts["failed"]) == ({problem: tries}, tries, tries)


def test_a_service_that_does_not_answer_in_time_is_left(service: WeatherService) -> None:
    service.behave = lambda _: Response(b"[]", stall=True)
    began = time.monotonic()
    one = asking(http(service.url, {"timeout": 0.1}, retries=0))
    assert len(one.ask(many(2))) == 0
    assert sum(one.problems.values()) == 1
    assert time.monotonic() - began < 5


HEAD = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "an answer of a length": (HEAD + b"Content-Length: 1000\r\n\r\n[", b" "),
    "an answer without a length": (HEAD + b"\r\n[]", b" "),
    "the digits of a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "a line of the head": (HEAD + b"X-Long: ", b"x"),
    "the first line": (b"HTTP/1.1 200 ", b"O"),
    "asking for patience": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a handshake": (b"\x16\x03\x03\x40\x00", b"x"),
}
"""What comes at once, and what comes again and again."""


@pytest.mark.parametrize("kind", DRIPS)
def test_a_service_that_sends_a_little_now_and_then_is_left_when_its_time_is_over(kind: str) -> None:
    with DrippingService(*DRIPS[kind]) as dripping:
        url = f"{'https' if kind == 'a handshake' else 'http'}://127.0.0.1:{dripping.port}/"
        one = asking(http(url, {"timeout": 0.3}, retries=0))
        assert len(one.ask(many(1))) == 0
        assert dict(one.problems) == {"no answer in time": 1}
    assert dripping.left


def test_a_service_that_is_not_there_is_told_without_the_keys() -> None:
    one = asking(http("http://127.0.0.1:9/weather", {"method": "GET"}, retries=0))
    assert len(one.ask(keys_of("secret city"))) == 0
    assert dict(one.problems) == {"no connection, or it broke": 1}


def test_what_fails_is_asked_again_until_it_answers(service: WeatherService) -> None:
    service.behave = lambda request: Response(right(request.keys), 200 if request.number % 3 == 2 else 503)
    one = asking(http(service.url, retries=2))
    assert len(one.ask(many(30))) == 30
    assert (one.counts["requests"], one.counts["retries"], one.counts["failed"]) == (9, 6, 6)


def test_after_failures_in_a_row_it_is_left_alone_tried_once_more_and_then_no_more_is_asked(
    service: WeatherService,
) -> None:
    service.behave = lambda _: Response(b"", 500)
    one = asking(http(service.url, give_up_after=4, retries=0))
    assert len(one.ask(many(200))) == 0
    assert len(service.requests) == 5 + PROBES  # four failures, a pause, and one try; and whether it is there at all
    assert one.counts["not_asked"] == 150


def test_a_service_that_comes_back_during_the_pause_is_asked_for_the_rest(service: WeatherService) -> None:
    service.behave = lambda request: Response(right(request.keys), 500 if request.number < 4 + PROBES else 200)
    one = asking(http(service.url, give_up_after=4, retries=0))
    assert len(one.ask(many(200))) == 160
    assert one.counts["not_asked"] == 0


def test_no_more_is_asked_when_the_time_of_the_day_is_over(service: WeatherService) -> None:
    one = asking(http(service.url, minutes=1e-9))
    assert len(one.ask(many(30))) == 0
    assert (one.counts["not_asked"], service.requests) == (30, [])


def test_a_pause_longer_than_the_time_that_is_left_is_not_made(service: WeatherService) -> None:
    service.behave = lambda _: Response(b"", 500)
    one = asking(http(service.url, give_up_after=1, retries=0, cool_down=3600))
    began = time.monotonic()
    assert len(one.ask(many(30))) == 0
    assert (len(service.requests), one.counts["not_asked"]) == (1 + PROBES, 20)
    assert time.monotonic() - began < 5


def test_requests_keep_to_their_rate(service: WeatherService) -> None:
    began = time.monotonic()
    asking(http(service.url, a_second=50, at_once=4)).ask(many(60))
    assert time.monotonic() - began >= 5 / 50  # six requests, five spaces between them


# -- what is believed --------------------------------------------------------------------------------------------------

ONE = keys_of("Rio")
GOOD = {"city": "Rio", "date": DAY, "degrees": 31.5, "rain": True}
WRONG: dict[str, tuple[list[Any], str]] = {
    "a text for a number": ([{**GOOD, "degrees": "31.5"}], "degrees is no double"),
    "a boolean for a number": ([{**GOOD, "degrees": True}], "degrees is no double"),
    "infinity": ([{**GOOD, "degrees": float("inf")}], "degrees is no double"),
    "a number beyond all": ([{**GOOD, "degrees": 10**400}], "degrees is no double"),
    "a number for a boolean": ([{**GOOD, "rain": 1}], "rain is no bool"),
    "a list for a text": ([{**GOOD, "city": ["Rio"]}], "city is no string"),
    "half a sign": ([{**GOOD, "city": "\ud800"}], "city is no string"),
    "a text without end": ([{**GOOD, "city": "x" * (LONGEST_TEXT + 1)}], "city is no string"),
    "a day that no calendar has": ([{**GOOD, "date": "2026-02-31"}], "date is no date32[day]"),
    "a column that is missing": ([{"city": "Rio", "date": DAY, "rain": True}], "degrees missing"),
    "a key that is missing": ([{"date": DAY, "degrees": 1, "rain": True}], "city missing"),
    "a key that is empty": ([{**GOOD, "city": None}], "key missing"),
    "a key that nobody asked for": ([{**GOOD, "city": "Roma"}], "key that was not asked for"),
    "no object": ([["Rio", 31.5]], "no object"),
    "two answers": ([GOOD, {**GOOD, "degrees": 2.0}], "key answered twice"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_an_answer_of_the_wrong_form_is_refused_with_the_reason(kind: str) -> None:
    said, reason = WRONG[kind]
    answers, refused = believe(said, ONE, SCHEMA)
    assert (len(answers), refused) == (0, {reason: len(said)})


@pytest.mark.parametrize("kind", WRONG)
def test_right_answers_beside_a_wrong_one_are_taken(kind: str) -> None:
    said, _ = WRONG[kind]
    answers, _ = believe([{**GOOD, "city": "Recife"}, *said], keys_of("Rio", "Recife"), SCHEMA)
    assert answers["city"].to_pylist() == ["Recife"]


def test_nothing_known_is_an_answer_and_a_whole_number_is_a_number() -> None:
    said = [{**GOOD, "degrees": 31, "rain": None}]
    answers, refused = believe(said, ONE, SCHEMA)
    assert answers.to_pylist() == [{"city": "Rio", "date": dt.date(2026, 1, 10), "degrees": 31.0, "rain": None}]
    assert not refused


def test_a_table_of_other_types_is_looked_at_row_by_row() -> None:
    said = pa.table({"city": ["Rio"], "date": [DAY], "degrees": ["warm"], "rain": [True]})
    assert believe(said, ONE, SCHEMA)[1] == {"degrees is no double": 1}
    dates = pa.array([dt.date.fromisoformat(DAY)])
    fits = pa.table({"rain": [True], "degrees": pa.array([31], pa.int8()), "city": ["Rio"], "date": dates})
    answers, refused = believe(fits, ONE, SCHEMA)
    assert (answers.schema, len(answers), refused) == (SCHEMA, 1, {})


def test_what_is_neither_table_nor_list_is_a_failure() -> None:
    with pytest.raises(NoAnswer, match="neither a table nor a list of objects but str"):
        believe("31 degrees", ONE, SCHEMA)  # type: ignore[arg-type]


# signs of any kind: half ones, too
texts = st.text(st.characters())
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
objects = st.fixed_dictionaries(
    {"city": st.sampled_from(["Rio", "Recife", "Roma"]) | json_values, "date": st.just(DAY) | json_values},
    optional={"degrees": st.floats() | json_values, "rain": st.booleans() | json_values},
)


@given(st.lists(objects | json_values, max_size=6))
def test_every_object_is_an_answer_or_is_counted(said: list[Any]) -> None:
    keys = keys_of("Rio", "Recife")
    answers, refused = believe(said, keys, SCHEMA)
    assert len(answers) + sum(refused.values()) == len(said)
    assert answers.schema == SCHEMA
    cities = answers["city"].to_pylist()
    assert len(set(cities)) == len(cities)
    assert set(cities) <= {"Rio", "Recife"}


@pytest.mark.parametrize("wrong", ['{"city": "\\\\ud800"', '{"degrees": 1' + "0" * 5_000, '{"\\\\udfff": 1'])
def test_one_object_that_python_cannot_hold_costs_none_of_the_others(service: WeatherService, wrong: str) -> None:
    service.behave = lambda request: Response(b"[" + wrong.encode() + b"}," + right(request.keys)[1:])
    one = asking(http(service.url, retries=0))
    assert len(one.ask(many(10))) == 10
    assert (one.counts["refused"], one.counts["failed"]) == (1, 0)


# -- a class of the user's ---------------------------------------------------------------------------------------------


class Moody:
    """Answers for every other key, and fails at first."""

    def __init__(self, failures: int = 1) -> None:
        self.failures = failures

    def fetch(self, keys: pa.Table, day: str) -> list[dict[str, Any]]:  # noqa: ARG002 - the protocol
        if self.failures:
            self.failures -= 1
            raise KeyError("not today")
        return [{**key, "degrees": 1.0, "rain": False} for key in keys.to_pylist()[::2]]


def test_a_class_that_fails_is_asked_again_like_any_other() -> None:
    use = f"{__name__}.Moody"
    enrichment = Enrichment(use=use, parameters={"failures": 2}, keys=("city", "date"), columns=COLUMNS, pause=0.001)
    one = asking(enrichment)
    assert len(one.ask(many(10))) == 5
    assert dict(one.problems) == {"KeyError: 'not today'": 2}


class Picky:
    """Answers for all keys but those of some cities, for which it fails in a way of its own."""

    def __init__(self, bad: Sequence[str], error: str = "OverflowError") -> None:
        self.bad = set(bad)
        self.error = {**vars(builtins), "NoAnswer": NoAnswer, "EnrichmentError": EnrichmentError}.get(error)
        self.requests = 0

    def fetch(self, keys: pa.Table, day: str) -> list[dict[str, Any]] | None:  # noqa: ARG002 - the protocol
        self.requests += 1
        if self.bad & set(keys["city"].to_pylist()):
            if self.error is None:
                return None
            raise self.error("date value out of range")
        return [{**key, "degrees": 1.0, "rain": False} for key in keys.to_pylist()]


def picky(keys: pa.Table, bad: Sequence[str], error: str = "OverflowError") -> tuple[Asking, pa.Table, int]:
    """The asking of a `Picky` class, what it answered, and how many requests it took."""
    own = Enrichment(use=f"{__name__}.Picky", parameters={"bad": bad}, keys=("city", "date"), columns=COLUMNS)
    fetcher = Picky(bad, error)
    one = Asking(own.model_copy(update={"pause": 0.001, "cool_down": 0.001}), fetcher, SCHEMA, DAY)
    return one, one.ask(keys), fetcher.requests


ERRORS = ["OverflowError", "KeyError", "MemoryError", "SystemExit", "NoAnswer", "EnrichmentError", "no answer at all"]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("place", [0, 1, 499, 999, 1500])
def test_a_key_that_cannot_be_answered_costs_itself_and_is_named(error: str, place: int) -> None:
    one, answers, requests = picky(many(1700), [f"city {place:04d}"], error)
    assert len(answers) == 1699
    (named,) = [problem for problem in one.problems if "(key" in problem]
    assert named.endswith(f"(key city='city {place:04d}', date={DAY})")
    assert requests <= 2 + 3 + 2 * 11 + PROBES  # two batches, retries, two halves a level


def test_bad_keys_all_over_a_batch_cost_themselves_alone() -> None:
    bad = [f"city {place:04d}" for place in range(5, 1000, 37)]
    _, answers, requests = picky(many(1000), bad)
    assert len(answers) == 1000 - len(bad)
    assert requests < MOST_HALVES


def test_a_class_that_fails_for_every_key_is_asked_a_few_times_and_no_more() -> None:
    keys = many(100_000)
    one, answers, requests = picky(keys, keys["city"].to_pylist())
    assert len(answers) == 0
    assert requests <= 6 + PROBES  # failures in a row, a pause, one more; and whether it is there at all
    assert one.counts["not_asked"] == 98_000


def test_the_halves_of_a_day_are_bounded() -> None:
    keys = many(10_000)
    one, _, requests = picky(keys, keys["city"].to_pylist()[::2])
    assert requests <= MOST_HALVES + 10 * 4 + PROBES
    assert one.counts["not_asked"] > 0


def test_a_service_that_stumbles_over_a_key_answers_the_others(service: WeatherService) -> None:
    def behave(request: Request) -> Response:
        return Response(right(request.keys), 500 if any(key["city"] == "city 0013" for key in request.keys) else 200)

    service.behave = behave
    one = asking(http(service.url, batch=50, retries=1))
    assert len(one.ask(many(100))) == 99
    assert one.problems[f"status 500 (key city='city 0013', date={DAY})"] == 1


class Hanging:
    """Never answers."""

    def fetch(self, keys: pa.Table, day: str) -> list[dict[str, Any]]:  # noqa: ARG002 - the protocol
        threading.Event().wait()
        raise AssertionError


def test_a_class_that_hangs_is_left_when_the_time_of_the_day_is_over() -> None:
    use = f"{__name__}.Hanging"
    began = time.monotonic()
    one = asking(Enrichment(use=use, keys=("city", "date"), columns=COLUMNS, minutes=0.001), grace=0.3)
    assert len(one.ask(many(3000))) == 0
    assert dict(one.problems) == {"no answer when the time of the day was over": 1}
    assert (one.counts["failed"], one.counts["not_asked"]) == (1, 2000)
    assert time.monotonic() - began >= 0.3


# -- records with validity ---------------------------------------------------------------------------------------------

RECORDS = """city,degrees,rain,begins,ends,known
Rio,20.0,false,2026-01-01,2026-01-05,2026-01-01
Rio,30.0,true,2026-01-06,,2026-01-06
Rio,35.0,true,2026-01-06,,2026-01-20
Recife,,,2026-01-01,,2026-01-01
"""
DATED = {"at": "date", "valid_from": "begins", "valid_to": "ends", "known_from": "known"}


def table(folder: Path, content: str, **parameters: str) -> Callable[[pa.Table, str], list[dict[str, Any]]]:
    (folder / "weather.csv").write_text(content)
    enrichment = Enrichment(
        use="table", parameters={"file": "weather.csv", **parameters}, keys=("city", "date"), columns=COLUMNS
    )
    return lambda keys, day: asking(enrichment, folder=folder, day=day).ask(keys).to_pylist()


@pytest.mark.parametrize(
    ("date", "found"),
    [
        ("2025-12-31", []),
        ("2026-01-01", [20.0]),
        ("2026-01-05", [20.0]),
        ("2026-01-06", [30.0]),
        ("2026-01-19", [30.0]),
        ("2026-01-20", [35.0]),
    ],
)
def test_a_row_sees_the_record_that_held_and_was_known_on_its_date(
    tmp_path: Path, date: str, found: list[float]
) -> None:
    look_up = table(tmp_path, RECORDS, **DATED)
    assert [one["degrees"] for one in look_up(keys_of("Rio", date=date), "2026-02-01")] == found


def test_without_a_date_among_the_keys_the_day_decides(tmp_path: Path) -> None:
    (tmp_path / "weather.csv").write_text(RECORDS)
    parameters = {"file": "weather.csv", **DATED}
    del parameters["at"]
    enrichment = Enrichment(use="table", parameters=parameters, keys=("city",), columns=COLUMNS)
    schema = pa.schema([field for field in SCHEMA if field.name != "date"])
    for day, expected in (("2026-01-03", 20.0), ("2026-01-10", 30.0)):
        answers = asking(enrichment, schema, tmp_path, day).ask(keys_of("Rio").select(["city"]))
        assert answers["degrees"].to_pylist() == [expected]


def test_empty_fields_of_a_record_are_an_answer(tmp_path: Path) -> None:
    (found,) = table(tmp_path, RECORDS, **DATED)(keys_of("Recife"), DAY)
    assert (found["degrees"], found["rain"]) == (None, None)


def test_a_parquet_file_and_a_whole_path_do_as_well(tmp_path: Path) -> None:
    content = pa.table({"city": ["Rio"], "date": pa.array([dt.date(2026, 1, 10)]), "degrees": [3.0], "rain": [False]})
    pq.write_table(content, tmp_path / "weather.parquet")
    place = {"file": str(tmp_path / "weather.parquet")}
    enrichment = Enrichment(use="table", parameters=place, keys=("city", "date"), columns=COLUMNS)
    assert len(asking(enrichment).ask(ONE)) == 1


def test_a_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    look_up = table(tmp_path, RECORDS, **DATED)
    (tmp_path / "weather.csv").unlink()
    os.mkfifo(tmp_path / "weather.csv")
    with pytest.raises(EnrichmentError, match=r"weather\.csv: .*not a regular file"):
        look_up(keys_of("Rio"), DAY)


BAD_FILES = {
    "two records": ("city,degrees,rain\nRio,1,true\nRio,2,true\n", "two records that hold at once, such as"),
    "a column less": ("city,degrees\nRio,1\n", "rain"),
    "another type": ("city,degrees,rain\nRio,warm,true\n", "'warm'"),
    "nothing in it": ("", "weather.csv: "),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_wrong_is_told_by_its_name(tmp_path: Path, kind: str) -> None:
    content, said = BAD_FILES[kind]
    with pytest.raises(EnrichmentError, match="weather.csv: ") as error:
        table(tmp_path, content, at="date")(ONE, DAY)
    assert said in str(error.value)


def test_a_record_with_a_value_of_another_type_costs_that_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = "city,degrees,rain\nRecife,3,false\nRio,warm,true\nRoma,,\n"
    answers = table(tmp_path, content, at="date")(keys_of("Recife", "Rio", "Roma"), DAY)
    assert [(one["city"], one["degrees"]) for one in answers] == [("Recife", 3.0), ("Roma", None)]
    assert (
        "weather.csv: 1 records are left out, such as record 2: the column 'degrees' is no double: 'warm'"
        in caplog.text
    )


def test_a_record_whose_text_is_no_utf8_costs_that_key(tmp_path: Path) -> None:
    said = pa.Array.from_buffers(pa.string(), 2, pa.array([b"warm", b"\xff\xfe"], pa.binary()).buffers())
    pq.write_table(pa.table({"city": ["Rio", "Recife"], "said": said}), tmp_path / "weather.parquet")
    columns: dict[str, Any] = {"keys": ("city",), "columns": {"said": "string"}}
    enrichment = Enrichment(use="table", parameters={"file": "weather.parquet"}, **columns)
    schema = pa.schema({"city": pa.string(), "said": pa.string()})
    answers = asking(enrichment, schema, tmp_path).ask(pa.table({"city": ["Rio", "Recife"]}))
    assert answers.to_pylist() == [{"city": "Rio", "said": "warm"}]


def test_two_records_of_one_key_cost_that_key(tmp_path: Path) -> None:
    content = "city,degrees,rain\nRio,1,true\nRio,2,true\nRecife,3,false\nRoma,4,false\n"
    answers = table(tmp_path, content, at="date")(keys_of("Recife", "Rio", "Roma"), DAY)
    assert [one["city"] for one in answers] == ["Recife", "Roma"]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    enrichment = Enrichment(use="table", parameters={"file": "gone.csv"}, keys=("city", "date"), columns=COLUMNS)
    with pytest.raises(EnrichmentError, match="gone.csv: .*No such file"):
        asking(enrichment, folder=tmp_path).ask(ONE)


# -- a database --------------------------------------------------------------------------------------------------------


@pytest.fixture
def weather_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "weather.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE weather (place TEXT, begins TEXT, degrees REAL, rain BOOLEAN)")
        rows = [("Rio", "2026-01-01", 20.0, 0), ("Rio", "2026-01-06", 30.0, 1), ("Roma", "2026-01-01", 5.0, 1)]
        connection.executemany("INSERT INTO weather VALUES (?, ?, ?, ?)", rows)
    connection.close()
    monkeypatch.setenv("WEATHER_DATABASE", f"sqlite:///{path}")
    return path


def sql(query: str, **more: Any) -> Enrichment:
    parameters = {"query": query, "url_variable": "WEATHER_DATABASE", "at": "date", "valid_from": "begins", **more}
    return Enrichment(use="sql", parameters=parameters, keys=("city", "date"), columns=COLUMNS, batch=1, pause=0.001)


ALL = "SELECT place AS city, begins, degrees, rain FROM weather WHERE begins <= :day"


@pytest.mark.parametrize("query", [ALL, f"{ALL} AND place IN :city"])
def test_a_query_is_looked_up_like_a_file(weather_database: Path, query: str) -> None:
    answers = asking(sql(query)).ask(keys_of("Rio", "Recife", "Roma"))
    assert {one["city"]: one["degrees"] for one in answers.to_pylist()} == {"Rio": 30.0, "Roma": 5.0}


def test_a_value_that_a_query_finds_and_that_cannot_be_cast_costs_that_key(weather_database: Path) -> None:
    warm = ALL.replace("degrees,", "CASE place WHEN 'Rio' THEN 'warm' ELSE degrees END AS degrees,")
    answers = asking(sql(warm)).ask(keys_of("Rio", "Roma"))
    assert {one["city"]: one["degrees"] for one in answers.to_pylist()} == {"Roma": 5.0}


BAD_QUERIES = {
    "another table": ("SELECT * FROM climate", {}, "no such table: climate"),
    "a column less": ("SELECT place AS city, begins, degrees FROM weather", {}, "no column 'rain'; it finds: city"),
    "too much": (ALL, {"most_rows": 2}, "more than 2 records"),
    "another type": (ALL.replace("degrees,", "'warm' AS degrees,"), {}, "'degrees' is no double"),
}


@pytest.mark.parametrize("kind", BAD_QUERIES)
def test_a_query_that_is_wrong_is_told(weather_database: Path, kind: str) -> None:
    query, more, said = BAD_QUERIES[kind]
    one = asking(sql(query, **more))
    with pytest.raises(EnrichmentError, match=said):
        one.ask(ONE)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_texts_of_a_database_are_keys_and_answers_whatever_its_encoding(
    postgres: Server, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    with postgres.database(encoding) as url:
        monkeypatch.setenv("WEATHER_DATABASE", url)
        query(url, "CREATE TABLE weather (place TEXT, begins DATE, degrees REAL, rain BOOLEAN)")
        query(url, "INSERT INTO weather VALUES ('São Paulo', '2026-01-01', 20, false)")
        answers = asking(sql(f"{ALL} AND place IN :city")).ask(keys_of("São Paulo", "Roma"))
    assert [one["city"] for one in answers.to_pylist()] == ["São Paulo"]


@pytest.mark.parametrize(
    ("url", "said"), [("", "WEATHER_DATABASE is not set"), ("password@nowhere", "WEATHER_DATABASE holds no URL")]
)
def test_a_url_that_is_none_is_told_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv("WEATHER_DATABASE", url)
    with pytest.raises(EnrichmentError, match=said) as error:
        asking(sql(ALL)).ask(ONE)
    assert "nowhere" not in str(error.value)
