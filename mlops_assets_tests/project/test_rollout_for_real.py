"""Rollouts of real code locations, webservers and daemons of folders, with a day in flight. Slow: `pytest -m long`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.rollout import Memory, Release, begin
from deploy.runs import INSTEAD_OF
from mlops_assets.serving.dagster import Dagster
from mlops_assets.storage.catalog import Lake
from mlops_assets.work.shards import read_report
from mlops_assets_tests.helpers.image_folders import SIGNATURE, FolderHost, make_image
from mlops_assets_tests.helpers.readme import shown
from mlops_assets_tests.helpers.stack import ROWS, USE_CASE, customers, until

pytestmark = pytest.mark.long
FIRST, IN_FLIGHT, LAST = "2026-02-01", "2026-02-02", "2026-02-03"
FILES = 6
HELD = """def score_shard(task: ScoreTask) -> Report:
    import os, time
    while Path(task.rows).name >= "00003" and os.path.exists(os.environ["HOLD"]):
        time.sleep(0.1)
"""
"""Code that stands still in the middle of a day, after the first shards, until a file is gone."""


class Place:
    """A host with a champion, and what a person does on it."""

    def __init__(self, folder: Path) -> None:
        self.home, self.hold = folder / "home", folder / "hold"
        use_case = folder / "use_cases" / USE_CASE
        use_case.mkdir(parents=True)
        (use_case / "defs.yaml").write_text(shown("defs.yaml") + "  scale: {files_a_shard: 1}\n")
        (use_case / "features.sql").write_text(shown("features.sql"))
        self.environment = {
            "MLOPS_HOME": str(self.home),
            "MLOPS_RAW": str(folder / "raw"),
            "MLOPS_LAKE": str(folder / "lake"),
            "MLOPS_USE_CASES": str(use_case.parent),
            "MLOPS_DATABASE_URL": "",
            "MLFLOW_TRACKING_URI": "",
            "DAGSTER_HOME": str(self.home / "dagster"),
            "MLOPS_ALLOWED_HOSTS": "localhost",
            "HOLD": str(self.hold),
        }
        for day in (FIRST, IN_FLIGHT, LAST):
            raw = folder / "raw" / USE_CASE / f"day={day}"
            raw.mkdir(parents=True)
            for number in range(FILES):
                (raw / f"{number}.csv").write_bytes(customers(number))
        self.lake = Lake(folder / "lake", USE_CASE)
        self.host = FolderHost(folder, self.environment)
        self.memory = Memory(folder / "state")
        self.dagster = Dagster(self.host.address)

    def command(self, *words: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "DAGSTER_"))}
        program = str(Path(sys.executable).with_name("mlops-assets"))
        given = {name: value for name, value in self.environment.items() if value}
        subprocess.run([program, *words], env={**kept, **given}, check=True, capture_output=True)

    def run_day(self, day: str) -> str:
        return self.dagster.launch(f"{USE_CASE}_daily", {"dagster/partition": day})

    def state(self, run: str) -> str:
        found = self.dagster.run(run)
        assert found is not None
        return found.status

    def rows(self, day: str) -> int:
        table = self.lake.predictions
        return table.read_all([day]).num_rows if day in table.days() else 0

    def codes_of_files(self, day: str) -> dict[str, str]:
        """By which code each file of the day's predictions was made, published or not."""
        parts = sorted((self.lake.predictions.folder / f"day={day}").glob("*.parquet"))
        return {part.name: str((read_report(part) or {}).get("code")) for part in parts}

    def codes_of_day(self, day: str) -> set[str]:
        """By which code the published predictions of a day were made."""
        made = self.codes_of_files(day)
        return {made[Path(part).name] for part in self.lake.predictions.parts(day)}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Release]:
    """The one that is there, the next, one whose code cannot be loaded, one of each other form, one nobody signed."""
    folder = tmp_path_factory.mktemp("images")
    held = {"journey/score/day.py": ("def score_shard(task: ScoreTask) -> Report:\n", HELD)}
    broken = {"definitions.py": ("from __future__ import annotations", "import nowhere")}
    form = "FIRST, FORM = 1, 2"
    made = {
        "before": make_image(folder / "before", {"storage/form.py": (form, "FIRST, FORM = 0, 1")}),
        "after": make_image(folder / "after", {"storage/form.py": (form, "FIRST, FORM = 1, 3")}),
        "held": make_image(folder / "held", held),
        "new": make_image(folder / "new"),
        "broken": make_image(folder / "broken", broken),
        "unsigned": make_image(folder / "unsigned"),
    }
    (made["unsigned"] / SIGNATURE).unlink()
    return {name: Release(str(path), name) for name, path in made.items()}


@pytest.fixture(scope="module")
def place(images: dict[str, Release], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    found = Place(tmp_path_factory.mktemp("host"))
    try:
        found.command("run", USE_CASE, "--from", FIRST, "--to", FIRST, "--train")
        found.host.switch(images["held"].image)
        found.host.go_on()
        yield found
    finally:
        found.host.end_all()


def test_a_day_in_flight_is_ended_begun_again_and_made_by_the_new_code_alone(
    place: Place, images: dict[str, Release]
) -> None:
    place.hold.touch()
    run = place.run_day(IN_FLIGHT)
    until(lambda: len(place.codes_of_files(IN_FLIGHT)) >= 3, "the first shards of the day")
    waiting = place.run_day(IN_FLIGHT)  # waits in the queue, or for its place beside the other
    (old,) = set(place.codes_of_files(IN_FLIGHT).values())
    assert begin(place.host, place.memory, images["new"], 0)
    place.hold.unlink()
    assert place.state(run) == "CANCELED"
    again = place.dagster.find({INSTEAD_OF: run})
    assert again is not None
    until(lambda: place.state(again.run_id) == "SUCCESS", "the run that was begun again")
    assert place.rows(IN_FLIGHT) == FILES * ROWS
    (new,) = place.codes_of_day(IN_FLIGHT)
    assert new != old
    assert old in place.codes_of_files(IN_FLIGHT).values(), "the old code had begun to make the day"
    ended = {"SUCCESS", "CANCELED"}
    until(lambda: place.state(waiting) in ended, "the run that waited")
    left = place.state(waiting) == "SUCCESS" or place.dagster.find({INSTEAD_OF: waiting}) is not None
    assert left, "a run is lost"
    (told,) = place.host.told
    assert told.startswith("new is in service instead of the one before: ")
    assert "runs were ended for it and begun again" in told


def test_code_that_does_not_come_up_gives_way_to_the_former_and_a_day_goes_on(
    place: Place, images: dict[str, Release]
) -> None:
    assert not begin(place.host, place.memory, images["broken"], 0)
    assert place.host.current() == images["new"].image
    assert place.host.told[-1].startswith(
        "broken is not well: new is back: code ended with code 1; no run was in flight"
    )
    run = place.run_day(LAST)
    until(lambda: place.state(run) == "SUCCESS", "a day after the way back")
    assert place.rows(LAST) == FILES * ROWS
    assert place.codes_of_day(LAST) == place.codes_of_day(IN_FLIGHT)


def test_code_that_is_not_signed_is_not_started(place: Place, images: dict[str, Release]) -> None:
    before = {name: process.pid for name, process in place.host.running.items()}
    assert not begin(place.host, place.memory, images["unsigned"], 0)
    assert {name: process.pid for name, process in place.host.running.items()} == before
    assert "it is not signed" in place.host.told[-1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("before", "before is not deployed: what is stored was upgraded to a later version since. Error: "),
        ("after", "after is not deployed: what is stored must be upgraded first (To do: the lake: from form 2 to 3"),
    ],
)
def test_code_of_another_form_is_asked_before_it_is_started(
    name: str, said: str, place: Place, images: dict[str, Release]
) -> None:
    before = {name: process.pid for name, process in place.host.running.items()}
    assert not begin(place.host, place.memory, images[name], 0)
    assert {name: process.pid for name, process in place.host.running.items()} == before
    assert place.host.told[-1].startswith(said)
