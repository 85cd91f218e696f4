"""`engine: auto`: the cheapest engine that holds the deadline does a day, one for all its steps, and the log says why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest

from mlops_assets.settings import ENGINES, Settings
from mlops_assets.storage.accounting import ListingAccounting, ReadingAccounting
from mlops_assets.storage.catalog import MANIFEST, Lake
from mlops_assets.storage.tables import write_part
from mlops_assets.use_case import Scale, UseCase
from mlops_assets.work.costs import Step, Work
from mlops_assets.work.engines import Engines
from mlops_assets.work.engines.choosing import plan
from mlops_assets.work.engines.kinds import AUTO, KINDS, PIPES, RUNS, set_up
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.engines.spark import SparkEngine
from mlops_assets.work.shards import Made, finish

BEFORE, DAY, LATER = "2026-01-01", "2026-01-02", "2026-01-03"
BYTES, SHARDS, SECONDS = 5_000, 10, 600.0

EMR = {"kind": "emr", "cluster_id": "j-1", "bundle": f"s3://bank/bundles/mlops-assets-{'0' * 64}.tar.gz"}
ECS = {"kind": "ecs", "cluster": "c", "task": "t", "container": "j", "subnets": ["s"]}

Auto = Callable[..., tuple[Engines, UseCase]]


@pytest.fixture
def lake(settings: Settings, transactions: UseCase) -> Lake:
    """Two days are listed."""
    lake = Lake(settings.lake, transactions.name)
    for day in (DAY, LATER):
        listed = ListingAccounting(files=10, bytes=BYTES, shards=SHARDS, fingerprint="f", content="c")
        part = write_part(lake.raw_files, day, "manifest-f", MANIFEST.empty_table())
        lake.raw_files.publish(day, [part], MANIFEST, listed, set())
    return lake


def read(lake: Lake, day: str, seconds: float = SECONDS) -> None:
    """Publish rows of a day that took so long to read."""
    data = pa.table({"x": [1]})
    report = finish(lake.rows, day, 0, "m", lambda: Made({lake.rows: data}, {"files": 1, "rows": 100, "bytes": BYTES}))
    parts = [replace(part, seconds=seconds) for part in report.parts]
    lake.rows.publish(day, parts, data.schema, ReadingAccounting(), set())


@pytest.fixture
def auto(settings: Settings, transactions: UseCase, monkeypatch: pytest.MonkeyPatch) -> Auto:
    """The engines of a run, for a use case that leaves the choice to them."""

    def engines(minutes: float, cluster: bool = True) -> tuple[Engines, UseCase]:
        monkeypatch.delenv("MLOPS_ENGINE", raising=False)
        if cluster:
            monkeypatch.setenv("MLOPS_SPARK_MASTER", "spark://127.0.0.1:7077")
        scale = Scale(engine="auto", minutes=minutes)
        return Engines(Settings.from_environment()), transactions.model_copy(update={"scale": scale})

    return engines


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if ": engine " in message]


def test_the_names_are_the_same_wherever_they_are_listed() -> None:
    assert set(ENGINES) == {AUTO, RUNS, PIPES, *KINDS} == set(get_args(Scale.model_fields["engine"].annotation))


def test_before_anything_was_measured_it_is_this_machine(
    lake: Lake, auto: Auto, caplog: pytest.LogCaptureFixture
) -> None:
    engines, use_case = auto(1e-9)
    with caplog.at_level(logging.INFO), engines:
        assert isinstance(engines.of(use_case, DAY), LocalEngine)
        read(lake, DAY)  # the day itself is none that could tell how long it takes
        assert isinstance(engines.of(use_case, DAY), LocalEngine)
    with caplog.at_level(logging.INFO), Engines(Settings.from_environment()) as later:
        assert isinstance(later.of(use_case, DAY), LocalEngine)
    assert said(caplog) == [f"transactions {DAY}: engine local, for no other day was measured yet"] * 2  # once a run


# 12 s and 600 s of one core; by Spark 18 s, 0.4 s, and one round of 60.03 s on three machines of four cores, which costs
# less than three rounds on one, for a machine beside them is paid as well: 4 x 78.4 s, not 2 x 198.5 s
@pytest.mark.parametrize(
    ("minutes", "engine", "why"),
    [
        (30, LocalEngine, "local: 10.2 of 30 min for 0.008 USD, the cheapest of local, spark that holds the deadline"),
        (10, SparkEngine, "spark: 1.3 of 10 min for 0.02 USD, the cheapest of local, spark that holds the deadline"),
        (1, SparkEngine, "spark: 1.3 of 1 min for 0.02 USD, the fastest of local, spark, for NONE HOLDS THE DEADLINE"),
    ],
    ids=["time enough", "too long for one core", "too long for all"],
)
def test_the_cheapest_that_holds_the_deadline_is_chosen_and_the_log_says_why(
    lake: Lake, auto: Auto, caplog: pytest.LogCaptureFixture, minutes: float, engine: type, why: str
) -> None:
    read(lake, BEFORE)
    engines, use_case = auto(minutes)
    with caplog.at_level(logging.INFO), engines:
        assert isinstance(engines.of(use_case, DAY), engine)
    (message,) = said(caplog)
    assert message.startswith(f"transactions {DAY}: engine {why} (prices of ")


def test_without_a_cluster_nothing_else_is_set_up(
    lake: Lake, auto: Auto, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLOPS_SPARK_MASTER", raising=False)
    read(lake, BEFORE)
    engines, use_case = auto(1, cluster=False)
    assert set_up(Settings.from_environment()) == ["local"]
    with caplog.at_level(logging.INFO), engines:
        assert isinstance(engines.of(use_case, DAY), LocalEngine)
    assert "which DOES NOT HOLD THE DEADLINE; no other engine is set up" in said(caplog)[0]


def test_every_step_of_a_day_has_the_engine_that_was_chosen_once(
    lake: Lake, auto: Auto, caplog: pytest.LogCaptureFixture
) -> None:
    read(lake, BEFORE)
    engines, use_case = auto(10)
    with caplog.at_level(logging.INFO), engines:
        first = engines.of(use_case, DAY)
        read(lake, DAY, seconds=1.0)  # what was learned meanwhile changes nothing for this day
        assert engines.of(use_case, DAY) is first
        assert isinstance(engines.of(use_case, LATER), LocalEngine), "by what is known now, the next one is cheap"
    assert len(said(caplog)) == 2


def test_what_is_done_beside_days_stays_on_this_machine(lake: Lake, auto: Auto) -> None:
    read(lake, BEFORE)
    engines, use_case = auto(10)
    engines.start(use_case)
    with engines:
        assert isinstance(engines.of(use_case), LocalEngine)


def test_prices_of_ones_own_decide(
    lake: Lake, auto: Auto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "prices.yaml"
    own.write_text("dated: 2026-02-03\nways: {local: {core_hour: 10}}\n")
    monkeypatch.setenv("MLOPS_PRICES", str(own))
    read(lake, BEFORE)
    engines, use_case = auto(30)
    with caplog.at_level(logging.INFO), engines:
        assert isinstance(engines.of(use_case, DAY), SparkEngine)
    assert said(caplog)[0].endswith("(prices of 2026-02-03)")


# ten shards of a minute, by MLOPS_WORKERS = 2: start, and what a step adds, are those of `costs.yaml`
@pytest.mark.parametrize(
    ("scale", "seconds"),
    [
        ({"engine": "local"}, 12 + 5 * 60),
        ({"engine": "runs", "ranges": 3}, 12 + 12 + 2 * 60),
        ({"engine": "pipes"}, 12 + 5 * 60),
        ({"engine": "pipes", "client": {"kind": "spark_submit"}}, 18 + 0.4 + 5 * 60.03),
        ({"engine": "pipes", "client": EMR}, 500 + 0.4 + 5 * 60.03),
        ({"engine": "pipes", "client": ECS}, None),
    ],
    ids=["local", "all ranges work", "a job here", "a job by Spark", "EMR", "a platform without prices"],
)
def test_minutes_are_those_of_the_engine_that_is_named(
    settings: Settings, transactions: UseCase, scale: dict[str, object], seconds: float | None
) -> None:
    named = transactions.model_copy(update={"scale": Scale.model_validate(scale)})
    planned = plan(replace(settings, workers=2), named, Work(0.0, (Step(10, 600.0),)))
    assert planned.minutes == (None if seconds is None else pytest.approx(seconds / 60))
    assert planned.sources.keys() == {"", *(offer.way for offer in planned.offers)}
