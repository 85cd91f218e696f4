"""With which day Dagster's pages begin: the first one that has anything, so that a few days are not lost in grey."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.components import MlUseCase
from mlops_assets.components.arrivals import _request
from mlops_assets.components.beginning import beginning, beginning_sensor, with_beginning
from mlops_assets.components.private import ASSET_PARTITION_RANGE_START_TAG, PARTITION_NAME_TAG
from mlops_assets.definitions import definitions_of
from mlops_assets.journey.read.arrivals import Finding, Verdict
from mlops_assets.settings import OWN_USE_CASES, Settings
from mlops_assets.use_case import UseCase, load_use_case
from mlops_assets.use_case.partitions import Partitions
from mlops_assets.workspace import Stores, Workspace

TODAY = dt.datetime.now(dt.UTC).date()


def day_before(days: int) -> str:
    return (TODAY - dt.timedelta(days=days)).isoformat()


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    return Workspace(Settings.from_environment())


@pytest.fixture
def stores(workspace: Workspace) -> Stores:
    """Of a use case without a sensor, which may predict from 2019 on."""
    return workspace.of(load_use_case(OWN_USE_CASES / "topics"))


def put(stores: Stores, *days: str, table: bool = False) -> None:
    """Folders of days: of raw files, or of the table that lists them."""
    for day in days:
        root = stores.lake.raw_files.folder if table else Path(str(stores.settings.raw)) / stores.use_case.name
        (Path(str(root)) / f"day={day}").mkdir(parents=True)


def drawn(use_case: UseCase) -> list[str]:
    (raw_files,) = (
        one
        for one in MlUseCase(use_case).build_defs().assets or ()
        if isinstance(one, dg.AssetsDefinition) and one.keys == {dg.AssetKey([use_case.name, "raw_files"])}
    )
    assert raw_files.partitions_def is not None
    return [*raw_files.partitions_def.get_partition_keys()]


def test_days_are_drawn_from_the_first_that_has_files(stores: Stores) -> None:
    put(stores, day_before(4), day_before(2))
    assert drawn(with_beginning(stores.use_case, stores.settings)) == [day_before(back) for back in (4, 3, 2, 1, 0)]


def test_a_day_whose_files_are_gone_is_drawn_as_long_as_it_is_in_the_lake(stores: Stores) -> None:
    put(stores, day_before(9), table=True)
    put(stores, day_before(3))
    assert beginning(stores) == day_before(9)


def test_where_nothing_lies_yet_yesterday_and_today_are_drawn(stores: Stores) -> None:
    assert beginning(stores) == day_before(1)


def test_days_that_a_sensor_watches_are_drawn_once_they_have_files(workspace: Workspace) -> None:
    """Four days of files are four of five, and not four of seven that look as if something had gone wrong."""
    flagship = workspace.of(load_use_case(OWN_USE_CASES / "transactions"))
    assert flagship.use_case.sensor is not None
    assert beginning(flagship) == day_before(1)
    put(flagship, day_before(4))
    assert beginning(flagship) == day_before(4)


def test_what_lies_before_the_start_or_is_no_day_is_not_drawn(stores: Stores) -> None:
    put(stores, "2018-12-31", "2026-13-01", day_before(3))
    assert beginning(stores) == day_before(3)


def with_rhythm(stores: Stores, every: str, zone: str = "UTC") -> Stores:
    rhythm = Partitions.model_validate({"every": every, "timezone": zone})
    return stores.workspace.of(stores.use_case.model_copy(update={"partitions": rhythm}))


@pytest.mark.parametrize(
    ("every", "folder", "first"),
    [
        ("hour", "2026-01-07T05", "2026-01-07T05"),
        ("hour", "2025-10-26T02%2B0100", "2025-10-26T02+0100"),
        ("week", "2026-01-05", "2026-01-05"),
        ("hour", "2026-01-07", "2026-01-07T00"),
        ("day", "2026-01-07T05", "2026-01-07"),
    ],
)
def test_of_hours_and_weeks_the_first_one_that_has_files_is_drawn_whatever_rhythm_made_the_table(
    stores: Stores, every: str, folder: str, first: str
) -> None:
    other = with_rhythm(stores, every, "Europe/Berlin" if "%" in folder else "UTC")
    put(other, folder, table=True)
    assert beginning(other) == first


def test_of_hours_those_since_the_last_one_are_drawn_and_not_two_days_of_grey(stores: Stores) -> None:
    assert beginning(with_rhythm(stores, "hour")) == (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).strftime(
        "%Y-%m-%dT%H"
    )


def test_where_nobody_can_tell_what_lies_there_days_are_drawn_from_the_start(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    place = Path(str(stores.lake.raw_files.folder))
    place.parent.mkdir(parents=True)
    place.write_text("no folder")
    assert with_beginning(stores.use_case, stores.settings).drawn_from == stores.use_case.first_day
    assert "topics: drawn from its start, 2019-01-01" in caplog.text


def test_it_is_no_part_of_a_recipe(stores: Stores) -> None:
    """What versions store and what decides a fingerprint stays as it is."""
    ours = with_beginning(stores.use_case, stores.settings)
    assert ours.drawn_from
    assert ours.recipe() == stores.use_case.recipe()


def test_a_run_of_a_day_that_is_not_drawn_is_asked_for_nevertheless(stores: Stores) -> None:
    """Dagster knows no such partition before it loads the code again; the process of the run does."""
    ours = with_beginning(stores.use_case, stores.settings)
    old, new = (_request(ours, Finding(day, Verdict.CHANGED, "new files")) for day in ("2026-01-01", day_before(0)))
    assert (old.partition_key, old.tags[ASSET_PARTITION_RANGE_START_TAG]) == (None, "2026-01-01")
    assert new.partition_key == day_before(0)
    assert PARTITION_NAME_TAG not in old.tags


def test_earlier_days_have_the_code_location_loaded_again_once(stores: Stores) -> None:
    ours = with_beginning(stores.use_case, stores.settings)
    repository = definitions_of(ours, workspace=stores.workspace).get_repository_def()
    stores.settings.dagster_home.mkdir()

    def tick() -> str:
        with dg.build_sensor_context(repository_def=repository, resources={"workspace": stores.workspace}) as context:
            return str(beginning_sensor()(context).skip_message)

    assert tick() == "every day that has files is drawn"
    assert not stores.settings.wanted_reload.exists()
    put(stores, "2026-01-01")
    assert tick().startswith("topics begins with 2026-01-01")
    assert stores.settings.wanted_reload.exists()
