"""Late files on S3 that a queue tells of: the sensor's next tick asks for their days, whatever else is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.journey.model.changing import REASON_TAG
from mlops_assets.journey.read.listing import list_day
from mlops_assets.settings import Settings
from mlops_assets.storage.places import S3Path
from mlops_assets.use_case import Messages, Sensor
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.account_files import ROW, account_file
from mlops_assets_tests.helpers.days import back
from mlops_assets_tests.helpers.queues import SomeQueue, event, handed_on, new_queue, notification, queue_server
from mlops_assets_tests.helpers.stage import Stage, small

ASKED = Sensor(settle_minutes=0, relist_minutes=30, messages=Messages(queue_url_variable="NEW_FILES"))
"""What is found is taken for whole; a day without news is listed every half an hour, unless messages name it."""


@dataclass
class OnS3:
    """A use case whose raw files lie in a bucket, and whose sensor is evaluated tick by tick."""

    stage: Stage
    root: S3Path
    queue: SomeQueue
    cursor: str | None = None

    def put(self, day: str, name: str) -> str:
        """Store an object; its key."""
        place = self.root / f"day={day}" / name
        place.write_bytes(account_file([ROW]))
        return place.key

    def workspace(self) -> Workspace:
        return Workspace(replace(Settings.from_environment(), raw=self.root.parent))

    def tick(self) -> Any:
        definitions = self.stage.definitions.get_repository_def()
        with (
            self.stage.settings(),
            dg.build_sensor_context(
                instance=self.stage.instance,
                cursor=self.cursor,
                repository_def=definitions,
                resources={"workspace": self.workspace()},
            ) as context,
        ):
            told = definitions.get_sensor_def("transactions_files").evaluate_tick(context)
        self.cursor = told.cursor
        return told


@pytest.fixture
def on_s3(bucket: S3Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OnS3]:
    """A day of the window and one long before it, listed into the lake."""
    use_case = small().model_copy(update={"sensor": ASKED})
    with queue_server() as server, new_queue(server) as queue, Stage.of(use_case, tmp_path / "home") as stage:
        monkeypatch.setenv("NEW_FILES", queue.url)
        watched = OnS3(stage, bucket / "raw" / "transactions", queue)
        for day in (back(3), back(40)):
            watched.put(day, "a.csv")
            with stage.settings():
                stores = watched.workspace().of(use_case)
                list_day(use_case, stores.source, stores.lake.raw_files, day)
        assert not watched.tick().run_requests
        yield watched


def test_late_files_are_asked_for_at_the_next_tick_and_the_messages_deleted_after_it(on_s3: OnS3) -> None:
    bucket = on_s3.root.bucket
    late = [on_s3.put(day, "São Paulo late.csv") for day in (back(3), back(40))]
    assert not on_s3.tick().run_requests, "without a message they are found when their days are listed again"
    on_s3.queue.send(
        notification(bucket, late[0]),
        notification(bucket, late[0]),  # doubled
        handed_on(event(bucket, late[1])),
        event(bucket, f"raw/transactions/day={back(5)}/forged.csv"),
        event("elsewhere", late[0]),
        "no JSON",
    )
    told = on_s3.tick()
    assert [one.partition_key for one in told.run_requests] == [back(40), back(3)]
    for request in told.run_requests:
        assert request.tags[REASON_TAG].startswith("2 files, 1 more than listed before; listed last 20")
    assert on_s3.queue.counts() == (0, 6), "hidden, for nobody knows yet that the tick is kept"
    again = on_s3.tick()
    assert on_s3.queue.counts() == (0, 0)
    asked = {one.run_key for one in told.run_requests}
    assert {one.run_key for one in again.run_requests} == asked, "of a key Dagster makes one run"


def test_a_queue_that_does_not_answer_stops_no_look(on_s3: OnS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEW_FILES", "http://127.0.0.1:9/1/q")
    on_s3.put(back(2), "a.csv")
    told = on_s3.tick()
    assert [one.partition_key for one in told.run_requests] == [back(2)]
    said = on_s3.tick().skip_message or ""
    assert not said or "the queue of NEW_FILES: it does not answer" in said


def test_a_tick_tells_what_it_dropped(on_s3: OnS3) -> None:
    on_s3.queue.send("no JSON")
    said = on_s3.tick().skip_message
    assert said.endswith("; messages dropped: 1 (no JSON)")
