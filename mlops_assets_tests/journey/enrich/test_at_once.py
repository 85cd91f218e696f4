"""Asking for the keys of a request: within its time, as a day would, and from a source that may do whatever it likes."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.journey.enrich.answers import NOTHING, NotEnriched
from mlops_assets.journey.enrich.at_once import AtOnce, enrich_rows
from mlops_assets.journey.enrich.day import enrich_day
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.days import read_raw
from mlops_assets_tests.helpers.shops import CITIES, asking, deliver, write_use_case
from mlops_assets_tests.helpers.stack import until
from mlops_assets_tests.helpers.weather_service import Response, WeatherService, degrees, right

DAY, BEFORE = "2026-01-02", "2026-01-01"
SECONDS = 20.0
"""Longer than any answer takes; tests of the time say another one."""


@pytest.fixture
def service() -> Iterator[WeatherService]:
    with WeatherService.open() as one:
        yield one


@pytest.fixture
def shops(tmp_path: Path, service: WeatherService) -> UseCase:
    return asking(write_use_case(tmp_path), parameters={"url": service.url}, batch=100, retries=0, give_up_after=5)


@pytest.fixture
def lake(settings: Settings) -> Lake:
    return Lake(settings.lake, "shops")


def rows_of(use_case: UseCase, *files: Sequence[str | None]) -> pa.Table:
    """Rows of files, each of which has some cities."""
    records = [
        {"file": f"{number}.csv", "line": line, "shop": "s", "city": city, "date": dt.date.fromisoformat(DAY)}
        for number, cities in enumerate(files)
        for line, city in enumerate(cities, 1)
    ]
    return pa.Table.from_pylist(records, rows_schema(use_case)).unify_dictionaries().combine_chunks()


def ask(
    use_case: UseCase, lake: Lake, *cities: str | None, kept: AtOnce | None = None, seconds: float = SECONDS
) -> dict[str, Any]:
    """By city, what is known of it and how."""
    rows = rows_of(use_case, cities)
    table = (kept or AtOnce()).ask_now(use_case, lake, ["weather"], rows, DAY, seconds)["weather"]
    return {one["city"]: (one["degrees"], one["weather_status"], one["weather_day"]) for one in table.to_pylist()}


def fetched(city: str) -> tuple[float, str, dt.date]:
    return degrees({"city": city, "date": DAY}), "fetched", dt.date.fromisoformat(DAY)


MISSING = (None, "missing", None)


def test_each_distinct_key_is_asked_for_once_and_rows_without_one_are_not(
    shops: UseCase, lake: Lake, service: WeatherService
) -> None:
    assert ask(shops, lake, "Rio", "Recife", "Rio", None) == {city: fetched(city) for city in ("Rio", "Recife")}
    assert [len(request.keys) for request in service.requests] == [2]
    assert not lake.folder.exists()


def test_the_answers_are_those_of_the_day(
    shops: UseCase, lake: Lake, settings: Settings, service: WeatherService
) -> None:
    deliver(settings.raw, DAY)
    read_raw(shops, settings.raw, lake, DAY)
    stored = lake.enrichment("weather").read_all([DAY]).drop_columns(["day"]).to_pylist()
    of_the_day = {one["city"]: one for one in stored}
    asked = len(service.requests)
    again = AtOnce().ask_now(shops, lake, ["weather"], rows_of(shops, CITIES), DAY, SECONDS)["weather"]
    assert {one["city"]: one for one in again.to_pylist()} == of_the_day
    assert len(service.requests) == asked  # it was asked for this day
    empty = Lake(settings.home / "empty", "shops")
    anew = AtOnce().ask_now(shops, empty, ["weather"], rows_of(shops, CITIES), DAY, SECONDS)["weather"]
    assert {one["city"]: one for one in anew.to_pylist()} == of_the_day
    assert anew.schema.equals(again.schema)


def test_what_was_answered_is_not_asked_for_again_for_a_while(
    shops: UseCase, lake: Lake, service: WeatherService
) -> None:
    service.behave = lambda request: Response(right([key for key in request.keys if key["city"] != "Rio"]))
    kept = AtOnce()
    first = ask(shops, lake, "Rio", "Recife", kept=kept)
    assert first == {"Rio": MISSING, "Recife": fetched("Recife")}
    assert ask(shops, lake, "Recife", "Rio", kept=kept) == first
    assert len(service.requests) == 1
    assert ask(shops, lake, "Recife", "Manaus", kept=kept)["Manaus"] == fetched("Manaus")
    assert [key["city"] for key in service.requests[1].keys] == ["Manaus"]


def test_a_failure_is_no_answer_and_the_next_request_asks_again(
    shops: UseCase, lake: Lake, service: WeatherService
) -> None:
    service.behave = lambda request: Response(right(request.keys), 500 if request.number == 0 else 200)
    kept = AtOnce()
    assert ask(shops, lake, "Rio", kept=kept) == {"Rio": MISSING}
    assert ask(shops, lake, "Rio", kept=kept) == {"Rio": fetched("Rio")}


def test_another_configuration_is_another_question(shops: UseCase, lake: Lake, service: WeatherService) -> None:
    kept = AtOnce()
    ask(shops, lake, "Rio", kept=kept)
    ask(asking(shops, columns={"degrees": "number"}), lake, "Rio", kept=kept)
    assert len(service.requests) == 2


# -- a source that is slow, or hangs -----------------------------------------------------------------------------------


def test_a_service_that_hangs_is_missing_when_the_time_is_over_and_then_left_alone(
    shops: UseCase, lake: Lake, service: WeatherService
) -> None:
    service.behave = lambda _: Response(stall=True)
    patient = asking(shops, give_up_after=2, cool_down=3600)
    patient = patient.model_copy(update={"serving": patient.serving.model_copy(update={"enrich_seconds": 0.2})})
    kept = AtOnce()
    for _ in range(2):
        began = time.monotonic()
        assert ask(patient, lake, "Rio", kept=kept, seconds=0.2) == {"Rio": MISSING}
        assert time.monotonic() - began < 10  # not the 30 s of the service
    until(lambda: len(service.requests) == 2, "both requests, which nobody waits for any more", 60)
    for _ in range(50):
        assert ask(patient, lake, "Rio", kept=kept, seconds=0.2) == {"Rio": MISSING}
    assert len(service.requests) == 2


class Hanging:
    """A class that never answers."""

    def fetch(self, keys: pa.Table, day: str) -> list[dict[str, Any]]:  # noqa: ARG002 - the protocol
        threading.Event().wait()
        raise AssertionError


def test_a_class_that_hangs_holds_one_thread_however_often_it_is_asked(shops: UseCase, lake: Lake) -> None:
    hanging = asking(shops, use=f"{__name__}.Hanging", parameters={}, give_up_after=1000)
    kept = AtOnce()
    ask(hanging, lake, "Rio", kept=kept, seconds=0.1)
    before = threading.active_count()
    for number in range(10):
        assert ask(hanging, lake, f"city {number}", kept=kept, seconds=0.05)[f"city {number}"] == MISSING
    deadline = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < deadline:
        threading.Event().wait(0.01)  # those that waited for their turn end by themselves
    assert threading.active_count() <= before


# -- what holds where no answer comes ----------------------------------------------------------------------------------


def test_last_known_takes_the_newest_answer_of_the_lake(
    shops: UseCase, lake: Lake, settings: Settings, service: WeatherService
) -> None:
    use_case = asking(shops, keys=["city"], missing="last_known")
    service.behave = lambda request: Response(
        right([{**key, "date": DAY} for key in request.keys]).replace(b'"date": "2026-01-02", ', b"")
    )
    deliver(settings.raw, BEFORE)
    read_raw(use_case, settings.raw, lake, BEFORE)
    service.behave = lambda _: Response(b"", 500)
    found = ask(use_case, lake, "Rio", "Manaus")
    assert found == {
        "Rio": (degrees({"city": "Rio", "date": DAY}), "last known", dt.date.fromisoformat(BEFORE)),
        "Manaus": MISSING,
    }


def test_a_day_that_is_too_long_ago_is_asked_for_in_the_lake_alone(
    shops: UseCase, lake: Lake, settings: Settings, service: WeatherService
) -> None:
    deliver(settings.raw, DAY)
    read_raw(shops, settings.raw, lake, DAY)
    late = asking(shops, ask_within_days=0)
    with pytest.raises(NotEnriched, match="most_keys"):
        ask(asking(late, most_keys=1), lake, "Rio", "Recife")
    enrich_day(shops, lake, "weather", DAY)
    asked = len(service.requests)
    assert ask(late, lake, "Rio", "Manaus") == {"Rio": fetched("Rio"), "Manaus": MISSING}
    assert len(service.requests) == asked


def test_files_whose_day_would_be_stopped_are_refused_and_no_others(
    shops: UseCase, lake: Lake, service: WeatherService
) -> None:
    service.behave = lambda request: Response(right([key for key in request.keys if key["city"] != "Rio"]))
    strict = asking(shops, missing="stop")
    kept = AtOnce()
    rows = rows_of(strict, ["Recife"], ["Rio", "Recife", "Rio"], ["Recife", None])
    left, answers, refusals = enrich_rows(
        strict, rows, lambda some: kept.ask_now(strict, lake, ["weather"], some, DAY, SECONDS)
    )
    assert np.unique(left["file"].combine_chunks().indices).tolist() == [0, 2]
    assert len(answers["weather"]) == 2
    assert [(one.file, one.line, one.rule) for one in refusals] == [(1, None, "enrichment")]
    assert refusals[0].message.startswith("weather has no answer for 2 of its rows, and `missing` is `stop`")


def test_a_source_that_cannot_be_asked_at_all_refuses_every_file_and_tells_no_secret(
    shops: UseCase, lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    broken = asking(shops, parameters={"secret_headers": {"Authorization": "SHOPS_TOKEN"}})
    left, answers, refusals = enrich_rows(
        broken,
        rows_of(broken, ["Rio"], ["Recife"]),
        lambda some: AtOnce().ask_now(broken, lake, ["weather"], some, DAY, SECONDS),
    )
    assert (len(left), answers) == (0, NOTHING)
    assert [one.message for one in refusals] == ["weather cannot be asked; the log of the server says why"] * 2
    assert "SHOPS_TOKEN is not set" in caplog.text


# -- files of records --------------------------------------------------------------------------------------------------


def test_a_file_of_records_is_read_once_and_again_when_it_changed(shops: UseCase, lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "weather.csv"
    path.write_text(f"city,date,degrees,rain\nRio,{DAY},20.5,false\n")
    table = asking(shops, use="table", parameters={"file": str(path)}, batch=None)
    kept = AtOnce()
    day = dt.date.fromisoformat(DAY)
    assert ask(table, lake, "Rio", "Recife", kept=kept) == {"Rio": (20.5, "fetched", day), "Recife": MISSING}
    path.write_text(f"city,date,degrees,rain\nRio,{DAY},20.5,false\nManaus,{DAY},30.25,false\n")
    assert ask(table, lake, "Manaus", kept=kept) == {"Manaus": (30.25, "fetched", day)}
    path.unlink()
    assert ask(table, lake, "Belem", kept=kept) == {"Belem": MISSING}
