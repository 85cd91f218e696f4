"""Enrichments in the life of a day: asked for once, stored as they were known then, and never in the way of the day."""

from __future__ import annotations

import datetime as dt
import logging
import multiprocessing
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from mlops_assets.errors import ConfigError
from mlops_assets.journey.enrich.answers import NotEnriched, find_answers
from mlops_assets.journey.enrich.day import enrich_day
from mlops_assets.journey.explain.why import explain
from mlops_assets.journey.features.day import aggregate_day
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.read.listing import list_day
from mlops_assets.journey.read.rows import read_day
from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.journey.train.splitting import TooLittleData
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.running import RunFailed
from mlops_assets.settings import Settings
from mlops_assets.storage.accounting import EnrichmentAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase, load_use_case
from mlops_assets.views.previewing import preview_days
from mlops_assets.views.status import collect, render
from mlops_assets.views.why import to_text
from mlops_assets.work.code import forget
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.days import ignore
from mlops_assets_tests.helpers.shops import (
    ATTRIBUTES,
    CITIES,
    FILES,
    ROWS,
    SQL,
    asking,
    deliver,
    write_use_case,
)
from mlops_assets_tests.helpers.stage import Stage
from mlops_assets_tests.helpers.weather_service import Request, Response, WeatherService, degrees, right

FIRST, SECOND, THIRD = "2026-01-01", "2026-01-02", "2026-01-03"
SECRET = "5ecret-t0ken"


@pytest.fixture
def service() -> Iterator[WeatherService]:
    with WeatherService.open() as one:
        yield one


@pytest.fixture
def shops(tmp_path: Path, service: WeatherService) -> UseCase:
    return asking(write_use_case(tmp_path), parameters={"url": service.url, "timeout": 5})


@pytest.fixture
def lake(settings: Settings) -> Lake:
    return Lake(settings.lake, "shops")


@pytest.fixture
def read(shops: UseCase, settings: Settings, lake: Lake) -> Any:
    """Deliver files of a day, and read them."""

    def deliver_and_read(day: str, files: int = FILES, first: int = 0, city: str | None = None) -> None:
        deliver(settings.raw, day, files, first, city)
        source = FolderSource(settings.raw / "shops", ".csv")
        manifest = list_day(shops, source, lake.table("raw_files"), day)
        read_day(shops, source, lake, manifest, LocalEngine(1), ignore)

    return deliver_and_read


def answers(lake: Lake, day: str) -> dict[str, dict[str, Any]]:
    """What is stored for the cities on a day."""
    return {one["city"]: one for one in lake.table("enrichment_weather").read_all([day]).to_pylist()}


# -- a day that is asked for -------------------------------------------------------------------------------------------


def test_every_key_of_the_rows_is_asked_for_once_and_stored_with_its_answer(
    shops: UseCase, lake: Lake, service: WeatherService, read: Any
) -> None:
    read(FIRST)
    told = enrich_day(shops, lake, "weather", FIRST)
    expected = {
        name: told.numbers()[name] for name in ("keys", "fetched", "asked", "cached", "missing", "rows", "rows_fetched")
    }
    rows = FILES * ROWS
    counted = {"keys": 4, "fetched": 4, "asked": 4, "cached": 0, "missing": 0, "rows": rows, "rows_fetched": rows}
    assert expected == counted
    assert set(service.asked().values()) == {1}
    for city, one in answers(lake, FIRST).items():
        assert one["degrees"] == degrees({"city": city, "date": FIRST})
        assert (one["weather_status"], one["weather_day"]) == ("fetched", dt.date(2026, 1, 1))


def test_a_rerun_asks_nothing_and_publishes_nothing(
    shops: UseCase, lake: Lake, service: WeatherService, read: Any
) -> None:
    read(FIRST)
    first = enrich_day(shops, lake, "weather", FIRST)
    state = lake.table("enrichment_weather").days()[FIRST]
    asked = len(service.requests)
    assert enrich_day(shops, lake, "weather", FIRST) == first
    assert (len(service.requests), lake.table("enrichment_weather").days()[FIRST]) == (asked, state)


def test_a_late_file_asks_only_for_its_new_keys_and_touches_only_its_shard(
    shops: UseCase, lake: Lake, service: WeatherService, read: Any
) -> None:
    read(FIRST)
    enrich_day(shops, lake, "weather", FIRST)
    before = lake.table("enrichment_weather").parts(FIRST)
    read(FIRST, files=1, first=100, city="Manaus")
    told = enrich_day(shops, lake, "weather", FIRST)
    assert (told.asked, told.cached) == (1, 4)
    assert set(service.asked().values()) == {1}
    after = lake.table("enrichment_weather").parts(FIRST)
    assert len(after) == len(before)
    assert len(after - before) == 1


def test_without_rows_there_is_nothing_to_ask_for(shops: UseCase, lake: Lake) -> None:
    with pytest.raises(NotEnriched, match="weather of 2026-01-01: there are no rows"):
        enrich_day(shops, lake, "weather", FIRST)


def test_a_row_without_a_key_is_not_asked_for_and_counted(
    shops: UseCase, lake: Lake, service: WeatherService, read: Any
) -> None:
    read(FIRST)
    read(FIRST, files=1, first=100, city="")
    told = enrich_day(shops, lake, "weather", FIRST)
    assert (told.rows_without_key, told.keys, told.rows) == (ROWS, 4, (FILES + 1) * ROWS)


def test_more_keys_than_are_allowed_are_not_asked_for(
    shops: UseCase, lake: Lake, service: WeatherService, read: Any
) -> None:
    read(FIRST)
    with pytest.raises(NotEnriched, match="the rows have 4 distinct keys, more than `most_keys`, 3"):
        enrich_day(asking(shops, most_keys=3), lake, "weather", FIRST)
    assert not service.requests


BY_HAND = """
class Weather:
    def fetch(self, keys, day):
        return [{**key, "degrees": 1.0, "rain": True} for key in keys.to_pylist()]
"""


class DiesInTheMiddle:
    """Answers for one batch, and then the process is gone."""

    def __init__(self, good: int = 1) -> None:
        self.good = good

    def fetch(self, keys: pa.Table, day: str) -> list[dict[str, Any]]:  # noqa: ARG002 - the protocol
        if not self.good:
            os._exit(9)
        self.good -= 1
        return [{**key, "degrees": 1.0, "rain": True} for key in keys.to_pylist()]


def _enrich(use_case: UseCase, root: Path, day: str) -> None:
    enrich_day(use_case, Lake(root, use_case.name), "weather", day)


def test_what_was_answered_before_a_kill_is_not_asked_for_again(shops: UseCase, lake: Lake, read: Any) -> None:
    read(FIRST)
    dying = asking(shops, use=f"{__name__}.DiesInTheMiddle")
    process = multiprocessing.get_context("spawn").Process(target=_enrich, args=(dying, lake.root, FIRST))
    process.start()
    process.join(300)
    assert process.exitcode == 9
    assert FIRST not in lake.table("enrichment_weather").days()
    told = enrich_day(dying, lake, "weather", FIRST)
    assert (told.cached, told.asked, told.fetched) == (2, 2, 4)


def test_the_answers_of_a_damaged_part_are_asked_for_again_and_stored_as_they_were(
    shops: UseCase, lake: Lake, read: Any, caplog: pytest.LogCaptureFixture
) -> None:
    read(FIRST)
    first, known = enrich_day(shops, lake, "weather", FIRST), answers(lake, FIRST)
    table = lake.table("enrichment_weather")
    place = table.folder / min(table.parts(FIRST))
    place.write_bytes(place.read_bytes()[:-1])
    again = enrich_day(shops, lake, "weather", FIRST)
    assert (again.keys, again.fetched) == (first.keys, first.fetched)
    assert answers(lake, FIRST) == known
    assert f"the file {place} is damaged: " in caplog.text
    assert "its keys are asked for again" in caplog.text


@pytest.mark.parametrize(("within", "degrees_then"), [(None, 2.0), (100_000, 1.0)])
def test_a_class_that_changed_is_asked_again_if_it_knows_the_past(
    shops: UseCase,
    lake: Lake,
    read: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    within: int | None,
    degrees_then: float,
) -> None:
    def enrich(text: str) -> EnrichmentAccounting:
        (tmp_path / "toy_weather.py").write_text(text)
        monkeypatch.delitem(sys.modules, "toy_weather", raising=False)
        forget()
        return enrich_day(asking(shops, use="toy_weather.Weather", ask_within_days=within), lake, "weather", FIRST)

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a changed file of the same second must be read again
    read(FIRST)
    assert enrich(BY_HAND).asked == 4
    before = lake.table("enrichment_weather").days()[FIRST].version
    enrich(f"# by hand\n{BY_HAND}")
    assert lake.table("enrichment_weather").days()[FIRST].version == before
    enrich(BY_HAND.replace("1.0", "2.0"))
    assert {one["degrees"] for one in answers(lake, FIRST).values()} == {degrees_then}


# -- answers that do not come ------------------------------------------------------------------------------------------


def only_for(*cities: str) -> Any:
    return lambda request: Response(right([key for key in request.keys if key["city"] in cities]))


def test_without_an_answer_the_columns_are_empty_and_flagged(
    shops: UseCase, lake: Lake, service: WeatherService, read: Any
) -> None:
    service.behave = only_for("Rio")
    read(FIRST)
    told = enrich_day(shops, lake, "weather", FIRST)
    assert (told.fetched, told.missing, told.rows_missing) == (1, 3, FILES * ROWS * 3 // 4)
    found = answers(lake, FIRST)
    assert {city: one["weather_status"] for city, one in found.items()} == {
        **dict.fromkeys(CITIES, "missing"),
        "Rio": "fetched",
    }
    assert {one["degrees"] for city, one in found.items() if city != "Rio"} == {None}


def test_a_rerun_asks_again_for_what_was_not_answered_and_for_nothing_else(
    shops: UseCase, lake: Lake, service: WeatherService, read: Any
) -> None:
    service.behave = only_for("Rio")
    read(FIRST)
    enrich_day(shops, lake, "weather", FIRST)
    service.behave = lambda request: Response(right(request.keys))
    told = enrich_day(shops, lake, "weather", FIRST)
    assert (told.fetched, told.missing, told.cached) == (4, 0, 1)
    asked = service.asked()
    assert asked[FIRST, "Rio", FIRST] == 1
    assert asked[FIRST, "Recife", FIRST] == 2


@pytest.fixture
def place(shops: UseCase) -> UseCase:
    """Weather by city alone: a key that comes back every day."""
    return asking(shops, keys=["city"], missing="last_known", max_age_days=2)


def city_weather(request: Request) -> Response:
    keys = [{**key, "date": request.day} for key in request.keys]
    body = right(keys)
    return Response(body)


def test_the_last_known_answer_serves_while_it_is_not_too_old(
    place: UseCase, lake: Lake, service: WeatherService, read: Any
) -> None:
    service.behave = city_weather
    days = [FIRST, SECOND, THIRD, "2026-01-04"]
    for day in days:
        read(day)
    enrich_day(place, lake, "weather", FIRST)
    service.behave = lambda _: Response(b"", 500)
    told = {day: enrich_day(place, lake, "weather", day) for day in days[1:]}
    assert [(one.last_known, one.missing) for one in told.values()] == [(4, 0), (4, 0), (0, 4)]
    for one in answers(lake, THIRD).values():
        assert (one["weather_status"], one["weather_day"]) == ("last known", dt.date(2026, 1, 1))
        assert one["degrees"] == degrees({"city": one["city"], "date": FIRST})


def test_the_last_known_answer_is_never_one_of_a_later_day(
    place: UseCase, lake: Lake, service: WeatherService, read: Any
) -> None:
    service.behave = city_weather
    read(FIRST)
    read(SECOND)
    enrich_day(place, lake, "weather", SECOND)
    service.behave = lambda _: Response(b"", 500)
    assert enrich_day(place, lake, "weather", FIRST).missing == 4


def test_with_stop_a_key_without_answer_publishes_nothing_and_says_why(
    shops: UseCase, lake: Lake, service: WeatherService, read: Any
) -> None:
    service.behave = lambda request: Response(right(request.keys), 200 if request.number == 0 else 503)
    read(FIRST)
    stops = asking(shops, missing="stop", retries=1)
    with pytest.raises(
        NotEnriched, match=r"2 of 4 keys have no answer, and `missing` is `stop`. status 503 \(2 times\)"
    ):
        enrich_day(stops, lake, "weather", FIRST)
    assert not lake.table("enrichment_weather").days()
    service.behave = lambda request: Response(right(request.keys))
    assert enrich_day(stops, lake, "weather", FIRST).cached == 2


def test_a_source_that_knows_only_the_present_is_not_asked_for_the_past(
    shops: UseCase, lake: Lake, service: WeatherService, read: Any
) -> None:
    today = dt.datetime.now(dt.UTC).date().isoformat()
    present = asking(shops, ask_within_days=2)
    for day in (FIRST, today):
        read(day)
    past = enrich_day(present, lake, "weather", FIRST)
    assert (past.missing, past.not_asked, service.requests) == (4, 4, [])
    assert "asked for later than 2 days after the day" in past.problems
    assert enrich_day(present, lake, "weather", today).fetched == 4


# -- what was known then -----------------------------------------------------------------------------------------------


def learned(shops: UseCase, lake: Lake) -> dict[tuple[str, str, int], float]:
    """The temperature that training sees for each row."""
    rows = build_training_set(shops, lake).load().to_pylist()
    return {(row["_day"], row["_file"], row["_line"]): row["degrees"] for row in rows}


def test_training_sees_what_was_stored_for_a_day_not_what_became_known_later(
    shops: UseCase, lake: Lake, service: WeatherService, read: Any
) -> None:
    read(FIRST)
    enrich_day(shops, lake, "weather", FIRST)
    before = learned(shops, lake)

    def other_now(request: Request) -> Response:
        return Response(right(request.keys).replace(b'"degrees": ', b'"degrees": 9'))

    service.behave = other_now
    read(SECOND)
    enrich_day(shops, lake, "weather", SECOND)
    enrich_day(shops, lake, "weather", FIRST)
    after = learned(shops, lake)
    assert {row: value for row, value in after.items() if row[0] == FIRST} == before
    assert all(value > 90 for row, value in after.items() if row[0] == SECOND)
    enrich_day(shops, lake, "weather", FIRST, refetch=True)  # only who asks for it by name gets it
    assert all(value > 90 for value in learned(shops, lake).values())


def test_training_leaves_out_a_day_that_was_not_enriched_and_says_so(
    shops: UseCase, lake: Lake, service: WeatherService, read: Any
) -> None:
    read(FIRST)
    with pytest.raises(TooLittleData, match="Left out: 2026-01-01: shops: the enrichment 'weather' was not asked for"):
        build_training_set(shops, lake)
    enrich_day(shops, lake, "weather", FIRST)
    asked = len(service.requests)
    read(SECOND)
    found = build_training_set(shops, lake)
    assert found.days == (FIRST, FIRST)
    assert found.left_out.startswith("Left out: 2026-01-02: ")
    assert len(service.requests) == asked, "training asks nobody"


def test_a_day_whose_rows_were_read_again_waits_for_its_enrichment(shops: UseCase, lake: Lake, read: Any) -> None:
    read(FIRST)
    enrich_day(shops, lake, "weather", FIRST)
    aggregate_day(shops, lake, FIRST, LocalEngine(1), ignore)
    read(FIRST, files=1, first=100, city="Manaus")
    with pytest.raises(
        NotEnriched, match="not asked for the rows of 2026-01-01 as they are now; materialise shops/enr"
    ):
        aggregate_day(shops, lake, FIRST, LocalEngine(1), ignore)


def test_an_answer_that_changes_redoes_the_shards_that_have_its_key_and_no_other(
    shops: UseCase, settings: Settings, lake: Lake, service: WeatherService, read: Any
) -> None:
    for number, city in enumerate(CITIES):
        deliver(settings.raw, FIRST, files=1, first=number, city=city)
    read(FIRST, files=4, first=100, city="Manaus")
    enrich_day(shops, lake, "weather", FIRST)
    aggregate_day(shops, lake, FIRST, LocalEngine(1), ignore)
    rows = lake.table("rows")
    before = find_answers(shops, lake, FIRST, rows.days()[FIRST], ["weather"])

    def warmer_in_rio(request: Request) -> Response:
        return Response(
            right(request.keys).replace(
                b'"city": "Rio", "date": "2026-01-01", "degrees": ',
                b'"city": "Rio", "date": "2026-01-01", "degrees": 9',
            )
        )

    service.behave = warmer_in_rio
    enrich_day(shops, lake, "weather", FIRST, refetch=True)
    after = find_answers(shops, lake, FIRST, rows.days()[FIRST], ["weather"])
    touched = [shard for shard in before.shards if before.shards[shard] != after.shards[shard]]
    assert len(touched) == 1 < len(before.shards)
    told = aggregate_day(shops, lake, FIRST, LocalEngine(1), ignore)
    assert (told.shards - told.reused, told.shards) == (1, len(before.shards))


# -- through Dagster ---------------------------------------------------------------------------------------------------


def unreliable(request: Request) -> Response:
    """Fails three times in ten, and answers garbage two times in ten."""
    garbage = [
        Response(b"<html>busy</html>"),
        Response(right(request.keys).replace(b'"degrees": ', b'"degrees": "warm", "was": ')),
        Response(right([{**key, "city": "Atlantis"} for key in request.keys])),
        Response(b"[" + b"1," * 3_000_000 + b"1]"),
    ]
    turn = request.number % 10
    if turn in (1, 4, 7):
        return Response(b"", 503)
    if turn in (2, 8):
        return garbage[request.number // 5 % len(garbage)]
    return Response(right(request.keys))


@pytest.fixture
def stage(shops: UseCase, tmp_path: Path) -> Iterator[Stage]:
    with Stage.of(asking(shops, parameters={"largest": 1_000_000}, batch=1, retries=1), tmp_path / "home") as one:
        yield one


def test_a_day_completes_with_a_service_that_fails_and_answers_garbage(
    stage: Stage, service: WeatherService, tmp_path: Path
) -> None:
    service.behave = unreliable
    raw = tmp_path / "home" / "raw"
    for number in range(30):
        deliver(raw, FIRST, files=1, first=number, city=f"{'a' * (number % 8)}{number:02d}")
    stage.run(FIRST, train=True)
    rows, found = stage.published("rows", FIRST), answers(Lake(tmp_path / "home" / "lake", "shops"), FIRST)
    assert len(stage.published("predictions", FIRST)) == len(rows) == 30 * ROWS
    right_ones = {city for city, one in found.items() if one["degrees"] == degrees({"city": city, "date": FIRST})}
    missing = {city for city, one in found.items() if one["weather_status"] == "missing"}
    assert missing
    assert len(right_ones) > 20
    assert right_ones | missing == {row["city"] for row in rows}, "an answer is right, or it is none"
    shown = stage.metadata("enrichment_weather", FIRST)
    assert (shown["keys"], shown["fetched"], shown["missing"]) == (30, len(right_ones), len(missing))
    assert shown["rows_missing"] == len(missing) * ROWS
    assert shown["failed"] > 5
    assert shown["refused"] > 0
    assert "status 503" in shown["problems"]
    assert stage.metadata("predictions", FIRST)["weather_missing"] == len(missing) * ROWS
    assert not stage.check("enrichment_weather", "every_key_answered").passed
    assert stage.check("predictions", "enrichment_missing").passed
    with stage.settings() as settings:
        state = collect(Workspace(settings).of(stage.use_case))
        (day,) = state["days"]
        assert day["flagged"] == {"weather": {"last_known": 0, "missing": len(missing) * ROWS}}
        assert "flagged" in render(state)


def test_a_day_with_too_many_rows_without_answer_is_not_published(
    shops: UseCase, service: WeatherService, tmp_path: Path
) -> None:
    deliver(tmp_path / "home" / "raw", FIRST)
    with Stage.of(shops, tmp_path / "home") as stage:
        stage.run(FIRST, train=True)
    deliver(tmp_path / "home" / "raw", SECOND)
    service.behave = lambda _: Response(b"", 404)
    with Stage.of(asking(shops, most_missing=0.5), tmp_path / "home") as stage:
        with pytest.raises(RunFailed, match="enrichment_missing: rows without an answer.*weather 100.00% of 50.00%"):
            stage.run(SECOND)
        assert SECOND not in stage.table("predictions").days()
        service.behave = lambda request: Response(right(request.keys))
        stage.run(SECOND)
        assert SECOND in stage.table("predictions").days()


def test_in_a_range_of_days_one_that_stops_leaves_the_others_alone(
    shops: UseCase, service: WeatherService, tmp_path: Path
) -> None:
    for day in (FIRST, SECOND, THIRD):
        deliver(tmp_path / "home" / "raw", day)
    with Stage.of(asking(shops, missing="stop", retries=0), tmp_path / "home") as stage:
        stage.run(FIRST, train=True)
        service.behave = lambda request: Response(right(request.keys), 503 if request.day == SECOND else 200)
        with pytest.raises(
            RunFailed, match="not published: 2026-01-02\n2026-01-02: enrichments_are_current: .*weather"
        ):
            stage.run(FIRST, THIRD)
        assert list(stage.table("predictions").days()) == [FIRST, THIRD]
        assert list(stage.table("enrichment_weather").days()) == [FIRST, THIRD]
        with pytest.raises(RunFailed, match="4 of 4 keys have no answer, and `missing` is `stop`"):
            stage.run(SECOND)


@pytest.fixture
def done(stage: Stage, tmp_path: Path) -> Stage:
    """A day with a champion, that was enriched and scored."""
    deliver(tmp_path / "home" / "raw", FIRST)
    stage.run(FIRST, train=True)
    return stage


def test_a_run_again_asks_nothing_and_redoes_nothing(done: Stage, service: WeatherService) -> None:
    tables = ("rows", "enrichment_weather", "features", "predictions")
    before, asked = [done.table(name).parts(FIRST) for name in tables], len(service.requests)
    done.run(FIRST)
    assert [done.table(name).parts(FIRST) for name in tables] == before
    assert len(service.requests) == asked


def test_why_shows_what_was_known_elsewhere_and_recomputes_to_the_bit(done: Stage) -> None:
    with done.settings() as settings:
        source = FolderSource(settings.raw / "shops", ".csv")
        registry, lake = Registry(settings), Lake(settings.lake, "shops")

        def version(number: int) -> Version:
            return registry.prove(registry.version("shops", number))

        told = explain(done.use_case, source, lake, version, FIRST, "shop0.csv", 1)
    assert told.agrees
    (one,) = told.enriched
    assert (one.name, one.status, one.of_day) == ("weather", "fetched", FIRST)
    assert one.keys == {"city": "Rio", "date": dt.date(2026, 1, 1)}
    assert one.values["degrees"] == degrees({"city": "Rio", "date": FIRST})
    assert "what was known elsewhere" in to_text(told)
    assert "weather" in to_text(told)


def test_preview_sees_a_day_that_would_be_asked_for(done: Stage, shops: UseCase) -> None:
    with done.settings() as settings:
        (nothing,) = preview_days(Workspace(settings).of(done.use_case), FIRST, FIRST)
        assert not nothing.reasons
        source = FolderSource(settings.raw / "shops", ".csv")
        deliver(settings.raw, FIRST, files=1, first=100, city="Manaus")
        lake = Lake(settings.lake, "shops")
        manifest = list_day(done.use_case, source, lake.table("raw_files"), FIRST)
        read_day(done.use_case, source, lake, manifest, LocalEngine(1), ignore)
        (one,) = preview_days(Workspace(settings).of(done.use_case), FIRST, FIRST)
    assert one.reasons == {"an enrichment was not asked for the rows as they are now": one.shards}
    assert one.redo == {"rows": 0, "features": one.shards, "predictions": one.shards}


def test_a_version_whose_enrichment_is_gone_from_the_configuration_is_told(done: Stage, tmp_path: Path) -> None:
    sql = "CREATE VIEW model_input AS SELECT file, line, amount FROM rows"
    without = done.use_case.model_copy(update={"enrichments": {}, "features_sql": sql})
    deliver(tmp_path / "home" / "raw", SECOND)
    with Stage.of(without, tmp_path / "home") as stage, pytest.raises(RunFailed) as error:
        stage.run(SECOND)
    assert "weather" in str(error.value)
    assert "may need a column or an enrichment that defs.yaml no longer has" in str(error.value)


def test_no_secret_is_stored_logged_or_shown(
    shops: UseCase,
    service: WeatherService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("WEATHER_TOKEN", SECRET)
    service.behave = lambda request: Response(right(request.keys), 500 if request.number % 2 else 200)
    deliver(tmp_path / "home" / "raw", FIRST)
    secret = asking(shops, parameters={"secret_headers": {"X-Token": "WEATHER_TOKEN"}}, retries=0)
    with caplog.at_level(logging.DEBUG), Stage.of(secret, tmp_path / "home") as stage:
        stage.run(FIRST, train=True)
        events = [str(record) for record in stage.instance.all_logs(stage.instance.get_runs()[0].run_id)]
    assert service.requests[0].headers["X-Token"] == SECRET
    assert SECRET not in caplog.text
    assert not any(SECRET in event for event in events)
    stored = [
        path for path in (tmp_path / "home").rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()
    ]
    assert not stored


# -- the configuration -------------------------------------------------------------------------------------------------

WEATHER = ATTRIBUTES["enrichments"]["weather"]
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no address": ({"parameters": {}}, "enrichments.weather.use: parameters.url: Field required"),
    "a password in it": ({"parameters": {"url": "http://a:b@c/"}}, "enrichments.weather.use: parameters.url: String"),
    "another parameter": (
        {"parameters": {"url": "http://c/", "token": "x"}},
        "enrichments.weather.use: parameters.token: Extra inputs are not permitted",
    ),
    "a secret for its variable": (
        {"parameters": {"url": "http://c/", "secret_headers": {"A": "Bearer x"}}},
        "enrichments.weather.use: parameters.secret_headers.A: String should match pattern",
    ),
    "another kind": ({"use": "ftp"}, "enrichments.weather.use: 'ftp' is neither one of table, sql, http nor"),
    "a class that is not there": (
        {"use": "shop.Weather"},
        "enrichments.weather.use: 'shop.Weather' cannot be imported",
    ),
    "a class that cannot fetch": (
        {"use": "decimal.Decimal", "parameters": {}},
        "enrichments.weather.use: decimal.Decimal has no method fetch(keys, day)",
    ),
    "arguments that a class does not take": (
        {"use": f"{__name__}.DiesInTheMiddle"},
        "DiesInTheMiddle cannot be made with the parameters url",
    ),
    "a key that is no column": ({"keys": ["town"]}, "weather.keys: 'town' is not one of the columns: shop, city"),
    "the label as a key": ({"keys": ["busy"]}, "weather.keys: 'busy' cannot be a key: it is what is predicted"),
    "an amount as a key": ({"keys": ["amount"]}, "weather.keys: 'amount' cannot be a key: numbers with decimals"),
    "a key twice": ({"keys": ["city", "city"]}, "enrichments.weather.keys: a key stands there twice"),
    "a column of the rows": ({"columns": {"shop": "string"}}, "weather.columns: 'shop' is a column of the rows"),
    "a column of the platform": ({"columns": {"line": "integer"}}, "enrichments.weather.columns: 'line' is a key, or"),
    "a name that SQL cannot use": ({"columns": {"a b": "integer"}}, "'a b' is not a name SQL can use unquoted"),
    "another type": (
        {"columns": {"degrees": "float"}},
        "enrichments.weather.columns.degrees: Input should be 'string'",
    ),
    "another policy": ({"missing": "guess"}, "enrichments.weather.missing: Input should be 'empty', 'last_known' or"),
    "no date to look up": (
        {"use": "table", "parameters": {"file": "a.csv", "at": "city"}},
        "weather.parameters.at: 'city' is not a date among the keys: city, date",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_by_file_line_and_key(tmp_path: Path, mistake: str) -> None:
    changes, said = MISTAKES[mistake]
    place = tmp_path / "shops"
    place.mkdir()
    attributes = {**ATTRIBUTES, "enrichments": {"weather": {**WEATHER, **changes}}}
    (place / "defs.yaml").write_text(yaml.safe_dump({"type": "MlUseCase", "attributes": attributes}, sort_keys=False))
    (place / "features.sql").write_text(SQL)
    with pytest.raises(ConfigError, match=r"defs.yaml:\d+: enrichments") as error:
        load_use_case(place)
    assert said in str(error.value)


@pytest.mark.parametrize("name", ["rows", "file_features", "Weather", "_weather", "the weather"])
def test_a_name_must_be_free_for_a_table(shops: UseCase, name: str) -> None:
    given = {**shops.model_dump(by_alias=True), "enrichments": {name: WEATHER}}
    with pytest.raises(ValueError, match="is no name for a table in SQL"):
        UseCase.model_validate(given)


def test_a_use_case_without_enrichments_has_nothing_of_it(shops: UseCase, tmp_path: Path) -> None:
    plain = shops.model_copy(
        update={"enrichments": {}, "features_sql": "CREATE VIEW model_input AS SELECT file, line, amount FROM rows"}
    )
    with Stage.of(plain, tmp_path / "home") as stage:
        graph = stage.definitions.resolve_asset_graph()
        assert not [key for key in graph.get_all_asset_keys() if "enrichment" in key.path[-1]]
        assert not [key for key in graph.asset_check_keys if "enrich" in key.name]
