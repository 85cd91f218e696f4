"""Targets that are configured to get the probabilities of every class get them by name; all others get what they got."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from sqlalchemy import text

from mlops_assets.errors import MlopsError
from mlops_assets.journey.deliver.delivery import Deliveries, deliver_day
from mlops_assets.journey.deliver.targets import open_target
from mlops_assets.journey.score.vectors import NotKept
from mlops_assets.plugins.targets import Delivery, TargetError
from mlops_assets.settings import Settings
from mlops_assets.storage.accounting import ListingAccounting
from mlops_assets.storage.catalog import MANIFEST, Lake
from mlops_assets.storage.database import open_database
from mlops_assets.use_case import Delivering, UseCase
from mlops_assets_tests.helpers.deliveries import messages
from mlops_assets_tests.helpers.models import as_version
from mlops_assets_tests.helpers.toy import DAY, purchases, put, toy
from mlops_assets_tests.helpers.vectors import HOSTILE, keeping, says, score

CLASSES = HOSTILE[:3]


class Own:
    """A target of a user's own that notes what it is given."""

    taken: ClassVar[list[dict[str, Any]]] = []

    def guarantee(self) -> str:
        return "at least once"

    def deliver(self, delivery: Delivery) -> Mapping[str, Any]:
        assert delivery.schema.names == next(delivery.batches()).schema.names
        Own.taken = [row for batch in delivery.batches() for row in batch.to_pylist()]
        return {}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A toy day with the probabilities of three classes."""
    lake = Lake(tmp_path / "lake", "toy")
    put(lake, toy(), purchases(12), parts=2)
    lake.raw_files.publish(DAY, [], MANIFEST, ListingAccounting(), set())
    score(keeping("all"), lake, as_version(says(CLASSES), tmp_path / "model"))
    return lake


def wanting(use: str, parameters: Mapping[str, Any], *, probabilities: bool = True) -> UseCase:
    target = Delivering(use=use, parameters=dict(parameters), probabilities=probabilities)
    return keeping("all", targets={"there": target})


def deliver(use_case: UseCase, lake: Lake, settings: Settings) -> None:
    deliver_day(use_case, lake, DAY, "there", open_target(use_case, "there", settings))


def stored(lake: Lake) -> list[dict[str, float]]:
    """What is stored of each row, by class, with six decimals."""
    rows = lake.predictions.read_all([DAY])["probabilities"].to_pylist()
    return [{name: round(value, 6) for name, value in zip(CLASSES, row, strict=True)} for row in rows]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_files_have_a_column_for_each_class(lake: Lake, settings: Settings, tmp_path: Path, form: str) -> None:
    given = {"place": str(tmp_path / "out"), "format": form, "one_file_a": "shard"}
    deliver(wanting("files", given), lake, settings)
    found: list[dict[str, Any]] = []
    for path in sorted((tmp_path / "out" / "toy" / f"day={DAY}").glob(f"*.{form}")):
        found += (
            [*csv.DictReader(io.StringIO(path.read_bytes().decode()))]
            if form == "csv"
            else pq.read_table(path).to_pylist()
        )
    names = [f"probability_{name}" for name in CLASSES]
    assert [*found[0]][-4:] == ["model_version", *names]
    assert [[round(float(row[name]), 6) for name in names] for row in found] == [
        [*row.values()] for row in stored(lake)
    ]


@pytest.mark.parametrize("mode", ["replace", "upsert"])
@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_a_database_has_them_as_json(
    lake: Lake,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    kind: str,
    mode: str,
) -> None:
    url = request.getfixturevalue("database") if kind == "postgresql" else f"sqlite:///{tmp_path / 'shop.db'}"
    monkeypatch.setenv("SHOP_URL", url)
    deliver(wanting("sql", {"url_variable": "SHOP_URL", "mode": mode}), lake, settings)
    published = lake.predictions.read_all([DAY]).select(["file", "line"]).to_pylist()
    expected = {(row["file"], row["line"]): said for row, said in zip(published, stored(lake), strict=True)}
    with open_database("SHOP_URL") as engine, engine.connect() as connection:
        found = connection.execute(text("SELECT file, line, probabilities FROM toy_predictions")).all()
    assert {(file, line): json.loads(said) for file, line, said in found} == expected


def test_a_table_that_was_made_without_them_is_left_alone_and_told_what_it_lacks(
    lake: Lake, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path / 'shop.db'}")
    deliver(wanting("sql", {"url_variable": "SHOP_URL"}, probabilities=False), lake, settings)
    with pytest.raises(
        TargetError,
        match=r'probabilities is missing. Mend it \(ALTER TABLE "toy_predictions" ADD COLUMN "probabilities" TEXT\), or ',
    ):
        deliver(wanting("sql", {"url_variable": "SHOP_URL"}), lake, settings)


def test_a_message_has_them_by_class(lake: Lake, settings: Settings) -> None:
    kafka = pytest.importorskip("confluent_kafka")
    cluster = kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = cluster.list_topics(timeout=20).brokers.values()
    servers = f"{broker.host}:{broker.port}"
    deliver(wanting("kafka", {"servers": servers, "topic": "said"}), lake, settings)
    found = [said for _, said in messages(servers, "said", 12)]
    assert {frozenset(row["probabilities"]) for row in found} == {frozenset(CLASSES)}
    assert all(abs(sum(row["probabilities"].values()) - 1) < 1e-4 for row in found)


def test_a_class_of_ones_own_gets_class_and_probability(lake: Lake, settings: Settings) -> None:
    deliver(wanting(f"{__name__}.Own", {}), lake, settings)
    given = [{name: round(value, 6) for name, value in row["probabilities"]} for row in Own.taken]
    assert given == stored(lake)


def test_who_does_not_ask_gets_what_it_always_got(lake: Lake, settings: Settings) -> None:
    deliver(wanting(f"{__name__}.Own", {}, probabilities=False), lake, settings)
    names = ["day", "file", "line", "account_id", "prediction", "probability", "model_version"]
    assert [*Own.taken[0]] == names


def test_who_asks_is_delivered_to_again_and_nobody_else(lake: Lake) -> None:
    one, other = (wanting(f"{__name__}.Own", {}, probabilities=asked) for asked in (False, True))
    before = toy().model_copy(update={"targets": {"there": Delivering(use=f"{__name__}.Own")}})
    marks = [Deliveries(use_case, lake, "there").configuration for use_case in (before, one, other)]
    assert marks[0] == marks[1] != marks[2]


def test_a_day_that_keeps_none_is_refused_with_what_to_do(lake: Lake, settings: Settings, tmp_path: Path) -> None:
    score(keeping("said"), lake, as_version(says(CLASSES), tmp_path / "model"))
    with pytest.raises(NotKept, match=f"Of {DAY} the probabilities of the said classes alone are stored"):
        deliver(wanting(f"{__name__}.Own", {}), lake, settings)
    assert issubclass(NotKept, MlopsError)


def test_a_use_case_that_keeps_none_has_none_to_deliver() -> None:
    given = {
        **toy().model_dump(by_alias=True, exclude_none=True),
        "targets": {"there": {"use": f"{__name__}.Own", "probabilities": True}},
    }
    with pytest.raises(ValidationError, match="there are none to deliver: say `scoring: "):
        UseCase.model_validate(given)
    UseCase.model_validate({**given, "scoring": {"probabilities": {"top": 2}}})


@pytest.mark.parametrize("wrong", ["most", 3, None, [], {"top": 0}, {"top": True}, {"top": "3"}, {"most": 3}, {}])
def test_a_choice_that_there_is_not_is_told_with_what_there_is(wrong: object) -> None:
    given = {**toy().model_dump(by_alias=True, exclude_none=True), "scoring": {"probabilities": wrong}}
    with pytest.raises(ValidationError, match=r"expected `said`, `all` or `\{top: N\}` with a whole number from 1 on"):
        UseCase.model_validate(given)
