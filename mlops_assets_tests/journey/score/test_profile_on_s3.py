"""A watched day on S3: counted, kept, damaged and restored as on a disk; documents of watching and telling too."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.errors import ModelRefused
from mlops_assets.events.memory import Memories, Memory
from mlops_assets.journey.model.fetching import fetch
from mlops_assets.journey.model.version import REFERENCE_FILE
from mlops_assets.journey.score.profile.reference import read_reference
from mlops_assets.journey.score.restoring import restore_day
from mlops_assets.monitoring.kept import Judged, keep, read_verdict
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.settings import Settings
from mlops_assets.storage.places import S3Path
from mlops_assets.storage.verification import verify
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.watched import of_said_alone, told
from mlops_assets_tests.helpers.watched_home import NEXT, Home, open_home


@pytest.fixture
def home(transactions: UseCase, tmp_path: Path, bucket: S3Path) -> Home:
    """Made on the disk, which is much quicker, and laid into a bucket."""
    on_disk = open_home(transactions, tmp_path)
    for path in on_disk.root.rglob("*"):  # type: ignore[attr-defined]
        if path.is_file():
            (bucket / "lake" / path.relative_to(on_disk.root).as_posix()).write_bytes(path.read_bytes())
    return replace(on_disk, root=bucket / "lake")


def test_a_day_on_s3_is_counted_and_what_was_damaged_counted_again(home: Home) -> None:
    """A small version of the next one."""
    home.score()
    first = told(home.watched().profile)
    assert told(of_said_alone(home.watched().profile)) == told(home.recount())
    kept = home.lake.profile(NEXT)
    kept.write_bytes(kept.read_bytes()[:-9] + b"123456789")
    assert told(home.watched().profile) == first


@pytest.mark.long
def test_a_day_on_s3_is_watched_as_on_a_disk(home: Home) -> None:
    home.score()
    first, then = told(home.watched().profile), home.lake.predictions.publications()[NEXT][0]
    assert told(of_said_alone(home.watched().profile)) == told(home.recount())
    kept = home.lake.profile(NEXT)
    assert kept.exists()
    kept.write_bytes(kept.read_bytes()[:-9] + b"123456789")
    assert [finding.table for finding in verify(home.lake).findings] == ["profiles_of_days"]
    assert told(home.watched().profile) == first
    assert verify(home.lake).findings == []
    home.add_late_file()
    home.score()
    assert home.watched().late_files == 1
    assert told(of_said_alone(home.watched().profile)) == told(home.recount())
    restore_day(home.lake, NEXT, then, "somebody")
    home.lake.clean(keep_days=0)
    assert told(home.watched().profile) == first


def test_verdicts_and_what_was_told_are_kept_on_s3(
    transactions: UseCase, settings: Settings, bucket: S3Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_LAKE", str(bucket / "lake"))
    stores = Workspace.from_environment().of(transactions)
    verdict = DayVerdict(NEXT, "the training rows", (Lamp("files", "green", "volume", 0.1, 0.25, 0.1),))
    judged = Judged(verdict, version=1)
    assert read_verdict(transactions, stores.lake, NEXT) is None
    keep(transactions, stores.lake, judged)
    assert read_verdict(transactions, stores.lake, NEXT) == judged
    stores.lake.verdict(NEXT).write_bytes(b"{")
    assert read_verdict(transactions, stores.lake, NEXT) is None
    memories = Memories(stores.lake)
    assert memories.add(0, Memory(began=1.0))
    assert not memories.add(0, Memory(began=1.0))
    assert memories.newest() == (1, Memory(began=1.0))


def test_a_version_that_is_fetched_brings_its_reference_along(
    transactions: UseCase, tmp_path: Path, settings: Settings, bucket: S3Path
) -> None:
    version, source = open_home(transactions, tmp_path).version, bucket / "mlflow" / "1"
    shutil.copytree(version.folder / "serving", version.folder / "judged")
    for path in version.folder.rglob("*.*"):
        (source / path.relative_to(version.folder).as_posix()).write_bytes(path.read_bytes())
    hashes = version.serving_sha256, version.judged_sha256, version.about_sha256
    copy = fetch("version 1", str(source), hashes, replace(settings, artifacts=bucket / "mlflow"))
    here, there = read_reference(replace(version, folder=copy)), read_reference(version)
    assert here is not None
    assert there is not None
    assert told(here.profile) == told(there.profile)
    (copy / REFERENCE_FILE).write_bytes(b"another")
    with pytest.raises(ModelRefused, match="not the one that was registered"):
        read_reference(replace(version, folder=copy))
