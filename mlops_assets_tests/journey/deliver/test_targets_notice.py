"""That a day is done, for other pipelines: once for each publication where the target can, with the accounting."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from mlops_assets.journey.deliver.targets.notice import NoticeTarget
from mlops_assets.plugins.targets import Delivery, TargetDown, TargetError
from mlops_assets.use_case import Delivering
from mlops_assets.use_case.targets import DAYS_DONE
from mlops_assets.use_case.targets import NoticeTarget as Parameters
from mlops_assets_tests.helpers.deliveries import delivery, messages
from mlops_assets_tests.helpers.stage import Stage, small

NUMBERS = {"files": 3, "rows": 4, "rejected": 1}
DAY = "2026-01-01"


def done(published: int = 1, **marks: Any) -> Delivery:
    return replace(delivery(published=published, **marks), numbers=NUMBERS)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DONE_URL", f"sqlite:///{tmp_path / 'done.db'}")
    return tmp_path / "done.db"


def rows(database: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(database)
    try:
        names = "use_case, day, publication, model_version, predictions, numbers"
        return connection.execute(f"SELECT {names} FROM {DAYS_DONE} ORDER BY published, use_case").fetchall()
    finally:
        connection.close()


def test_a_row_for_each_publication_however_often_it_is_told(database: Path) -> None:
    target = NoticeTarget(Parameters(url_variable="DONE_URL"))
    assert target.guarantee() == "exactly once"
    assert target.deliver(done())["changed"] == 1
    assert target.deliver(done(again=True))["changed"] == 0
    target.deliver(done(2))
    target.deliver(done(2, use_case="other"))
    told = json.dumps(NUMBERS, sort_keys=True)
    assert rows(database) == [
        ("shop", DAY, "publication 1", 1, 4, told),
        ("other", DAY, "publication 2", 2, 4, told),
        ("shop", DAY, "publication 2", 2, 4, told),
    ]


def test_a_table_that_is_another_is_not_touched(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute(f"CREATE TABLE {DAYS_DONE} (day DATE)")
    connection.close()
    with pytest.raises(TargetError, match="is not as it must be"):
        NoticeTarget(Parameters(url_variable="DONE_URL")).deliver(done())


def test_an_object_that_is_whole_and_says_the_newest_publication(tmp_path: Path) -> None:
    target = NoticeTarget(Parameters(place=str(tmp_path)))
    for published in (1, 2):
        target.deliver(done(published))
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert path == tmp_path / "shop" / f"day={DAY}.json"
    said = json.loads(path.read_text())
    assert (said["publication"], said["numbers"], said["predictions"]) == ("publication 2", NUMBERS, 4)


def test_a_place_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("in the way")
    with pytest.raises(TargetDown, match="cannot be written"):
        NoticeTarget(Parameters(place=str(tmp_path))).deliver(done())


def test_a_message_with_the_use_case_as_its_key() -> None:
    confluent_kafka = pytest.importorskip("confluent_kafka")
    cluster = confluent_kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})
    servers = ",".join(f"{one.host}:{one.port}" for one in cluster.list_topics(timeout=20).brokers.values())
    target = NoticeTarget(Parameters(kafka={"servers": servers, "topic": "done", "timeout": 20}))
    assert target.guarantee() == "at least once"
    assert target.deliver(done())["messages"] == 1
    ((key, said),) = messages(servers, "done", 1)
    assert (key, said["numbers"]) == (b"shop", NUMBERS)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"place": "done", "url_variable": "DONE_URL"}, {"place": "done", "schema": "x"}, {"place": "ftp://x"}],
)
def test_a_notice_goes_to_one_place(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Parameters.model_validate(parameters)
    with pytest.raises(ValidationError):
        Delivering(use="notice", parameters=parameters)


class Rows:
    """A target of rows that looks whether the notice is there before it, and fails as long as it shall."""

    notice: ClassVar[Path]
    was_there: ClassVar[list[bool]] = []
    fails: ClassVar[list[bool]] = []

    def guarantee(self) -> str:
        return "at least once"

    def deliver(self, delivery: Delivery) -> Mapping[str, Any]:
        self.was_there.append(self.notice.exists())
        if self.fails and self.fails.pop():
            raise TargetError("it is full")
        return {"rows": delivery.rows}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A use case whose notice is named before the target of its rows."""
    Rows.notice = tmp_path / "done" / "transactions" / f"day={DAY}.json"
    Rows.was_there.clear()
    targets = {
        "done": Delivering(use="notice", parameters={"place": str(tmp_path / "done")}),
        "rows": Delivering(use=f"{__name__}.Rows"),
    }
    with Stage.of(small().model_copy(update={"targets": targets}), tmp_path / "home") as stage:
        stage.sample(DAY)
        yield stage


def test_a_notice_comes_after_the_rows_and_not_where_they_failed(stage: Stage) -> None:
    Rows.fails.append(True)
    with pytest.raises(Exception, match="not delivered to rows") as error:
        stage.run(DAY, train=True)
    assert not Rows.notice.exists()
    # the advice brings both
    assert f"mlops-assets deliver transactions --from {DAY} --to {DAY}" in str(error.value)
    assert "--target" not in str(error.value)
    stage.run(DAY)
    assert json.loads(Rows.notice.read_text())["predictions"] > 0
    assert Rows.was_there == [False, False]
