"""The look-out for new files on S3: the same as on a folder, and with millions of keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mlops_assets.errors import S3Error
from mlops_assets.journey.read.arrivals import Lookout, Verdict
from mlops_assets.journey.read.looks import State
from mlops_assets.journey.read.sources import S3Source
from mlops_assets.storage import s3
from mlops_assets.storage.places import S3Path
from mlops_assets.use_case import Sensor
from mlops_assets_tests.helpers.arrivals import DAY, OLD, TODAY, Slow, World
from mlops_assets_tests.helpers.listing_server import ListingServer, listing_server

FIRST_DAY, SECOND_DAY = "2026-01-01", "2026-01-02"


class SlowBucket(Slow):
    """A prefix whose every key takes a second to list."""

    def __init__(self, root: S3Path) -> None:
        super().__init__(root)  # type: ignore[arg-type]
        self.folder = S3Source(root)  # type: ignore[assignment]


class Bucket(World):
    """Objects that come and go."""

    ticks = 20

    def __init__(self, root: S3Path, asked: Sensor | None = None) -> None:
        super().__init__(root, asked, SlowBucket)  # type: ignore[arg-type]
        self.root = root

    def put(self, day: str, name: str) -> None:
        self.changes += 1
        (self.root / f"day={day}" / name).write_bytes(f"{self.changes:05}".encode())

    def remove(self, day: str, name: str) -> None:
        s3.remove(self.root.bucket, [(self.root / f"day={day}" / name).key])


# -- a real server ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [0.5, 30])
def test_new_late_overwritten_and_deleted_objects_are_found_however_the_listing_is_cut(
    bucket: S3Path, budget: float
) -> None:
    world = Bucket(bucket / "raw" / "toy", Sensor(budget_seconds=budget))
    world.put(OLD, "a.csv")
    for name in ("a.csv", "a-b.csv", "a/b.csv", "é.csv", "z"):
        world.put(DAY, name)
    found = world.settle()
    assert {day: one.said for day, one in found.items() if one.verdict is Verdict.CHANGED} == {
        OLD: "new day with 1 file",
        DAY: "new day with 5 files",
    }
    for day in (OLD, DAY):
        world.run(day)
    assert {one.verdict for one in world.settle().values()} == {Verdict.SAME, Verdict.ABSENT}
    changes = {
        "6 files, 1 more than listed before": lambda: world.put(DAY, "a/late.csv"),
        "6 files, some other than those listed before": lambda: world.put(DAY, "a-b.csv"),
        "5 files, 1 fewer than listed before": lambda: world.remove(DAY, "é.csv"),
    }
    for said, change in changes.items():
        change()
        found = world.settle()
        assert {day: one.said for day, one in found.items() if one.verdict is Verdict.CHANGED} == {DAY: said}
        world.run(DAY)
    assert {one.verdict for one in world.settle().values()} == {Verdict.SAME, Verdict.ABSENT}


def test_a_mark_on_s3_makes_a_new_day_whole(bucket: S3Path) -> None:
    world = Bucket(bucket / "raw" / "toy", Sensor(marker="_SUCCESS"))
    world.put(TODAY, "a.csv")
    assert world.tick()[TODAY].verdict is Verdict.UNMARKED
    assert world.source.listed == []
    world.put(TODAY, "_SUCCESS")
    assert world.tick()[TODAY].said == "new day with 1 file"


def test_a_bucket_that_is_not_there_is_an_error_that_says_so(bucket: S3Path) -> None:
    world = Bucket(S3Path("no-such-bucket-here", "raw/toy"))
    with pytest.raises(S3Error, match="there is no such bucket"):
        world.tick()


# -- many keys ----------------------------------------------------------------------------------------------------------


class Clock:
    """Goes on by a hundredth of a second whenever it is looked at: after each key, and now and then."""

    seconds = 1_767_000_000.0

    def __call__(self) -> float:
        self.seconds += 0.01
        return self.seconds


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ListingServer]:
    """Seven thousand keys of one day, three of another."""
    with listing_server({f"toy/day={FIRST_DAY}/": 3, f"toy/day={SECOND_DAY}/": 7_000}) as running:
        for name, value in environment(running).items():
            monkeypatch.setenv(name, value)
        s3.store.cache_clear()
        yield running
    s3.store.cache_clear()


def environment(server: ListingServer) -> dict[str, str]:
    return {
        "S3_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "anybody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": "us-east-1",
    }


def test_thousands_of_keys_are_listed_page_by_page_over_many_ticks(server: ListingServer) -> None:
    source, asked, clock = S3Source(S3Path("bucket", "toy")), Sensor(settle_minutes=0), Clock()
    cursor, said = "", []
    for _ in range(4):
        lookout = Lookout(source, asked, [FIRST_DAY, SECOND_DAY], State.read(cursor, "toy"), clock)
        lookout.look({})
        said.append(lookout.findings({})[1].said)
        cursor = lookout.state.model_dump_json()
        assert len(cursor) < 500
    # 25 seconds are 2,500 keys
    assert [text.partition(" ")[0] for text in said[:2]] == ["2,500", "5,000"]
    assert said[2:] == ["new day with 7,000 files"] * 2
    assert server.pages <= 7 + 3 + 3 * 2, "no page is asked for much oftener than it must be"
    one_go = Lookout(source, Sensor(settle_minutes=0, budget_seconds=45), [SECOND_DAY], State(place="toy"), lambda: 0.0)
    one_go.look({})
    assert one_go.looks[SECOND_DAY].content == lookout.looks[SECOND_DAY].content


def ticks(server: ListingServer, day: str) -> list[dict[str, float | str]]:
    """What the driver tells of each tick."""
    command = [sys.executable, "-m", "mlops_assets_tests.helpers.arrivals_driver", "s3://bucket/toy", day]
    done = subprocess.run(command, env=os.environ | environment(server), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("keys", [20_000, pytest.param(2_000_000, marks=pytest.mark.long)])
def test_the_memory_and_time_of_a_tick_do_not_grow_with_the_keys(keys: int) -> None:
    with listing_server({f"toy/day={SECOND_DAY}/": keys}) as server:
        told = ticks(server, SECOND_DAY)
    assert told[-1]["said"] == f"new day with {keys:,} files"
    print(*told, sep="\n")  # noqa: T201 - shown with -s: numbers for the documents
    assert max(float(one["seconds"]) for one in told) < 30
    assert 0 < max(float(one["grown"]) for one in told) < 40
    assert max(float(one["cursor"]) for one in told) < 500
