"""A version reaches workers elsewhere by the lake: under its hash, whole, kept on their disk, and checked wherever it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.carried import for_workers, near
from mlops_assets.journey.model.files import hash_folder
from mlops_assets.journey.model.version import ABOUT_FILE, REFERENCE_FILE, Version
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import Place, S3Path, write_whole
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.shards import Report
from mlops_assets_tests.helpers.models import ABOUT, a_model


class Elsewhere:
    """An engine whose workers have other disks."""

    elsewhere = True

    def start(self) -> None:
        """There is nothing to get ready."""

    def map(self, function: Callable[[Any], Report], tasks: Sequence[Any]) -> Iterator[Report]:
        return map(function, tasks)


@pytest.fixture
def version(tmp_path: Path) -> Version:
    """A version with a reference, on the disk of the driver."""
    folder = tmp_path / "driver"
    sha256 = a_model(9).save(folder / "serving")
    (folder / REFERENCE_FILE).write_bytes(b"what training saw")
    about = replace(ABOUT, reference=hashlib.sha256(b"what training saw").hexdigest())
    (folder / ABOUT_FILE).write_text(about.to_json(), encoding="utf-8")
    card = hashlib.sha256((folder / ABOUT_FILE).read_bytes()).hexdigest()
    return Version("toy", 1, folder, sha256, sha256, card, about.summary(), proven=True)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a worker keeps its copies."""
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "worker"))
    return tmp_path / "worker" / "cache" / "models"


def carried(version: Version, root: Place) -> Version:
    return for_workers(version, Lake(root, "toy"), Elsewhere())


def damage(place: Place) -> None:
    data = place.read_bytes()
    place.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def test_workers_of_this_machine_read_a_version_where_it_lies(version: Version, tmp_path: Path) -> None:
    assert for_workers(version, Lake(tmp_path / "lake", "toy"), LocalEngine(2)) is version
    assert not (tmp_path / "lake").exists()


def test_a_version_in_the_lake_has_all_that_scoring_reads(version: Version, tmp_path: Path) -> None:
    there = carried(version, tmp_path / "lake")
    assert replace(there, folder=version.folder) == version
    assert there.serving().classes == ("no", "yes")
    assert there.reference_bytes() == b"what training saw"
    assert [path.name for path in there.folder.parent.iterdir()] == [there.folder.name]
    assert len(there.folder.name) == 64


@pytest.mark.parametrize("name", ["serving/model.skops", "serving/meaning.json", ABOUT_FILE, REFERENCE_FILE])
def test_what_is_damaged_or_was_half_written_is_written_again(version: Version, tmp_path: Path, name: str) -> None:
    folder = carried(version, tmp_path / "lake").folder
    damage(folder / name)
    carried(version, tmp_path / "lake").serving()
    (folder / name).unlink()  # type: ignore[union-attr]
    assert carried(version, tmp_path / "lake").reference_bytes() == b"what training saw"
    assert (folder / name).exists()


def test_a_worker_keeps_a_copy_and_reads_the_lake_once(version: Version, bucket: S3Path, cache: Path) -> None:
    serving = carried(version, bucket / "lake").folder / "serving"
    copy = near(serving, version.serving_sha256)
    assert copy == cache / version.serving_sha256
    assert hash_folder(copy) == version.serving_sha256
    damage(serving / "model.skops")
    assert near(serving, version.serving_sha256) == copy  # the lake was not asked

    damage(copy / "model.skops")
    with pytest.raises(ModelRefused, match=r"^s3://.*/serving: the model is not the one that was registered"):
        near(serving, version.serving_sha256)
    assert [*cache.iterdir()] == []
    carried(version, bucket / "lake")
    assert hash_folder(near(serving, version.serving_sha256)) == version.serving_sha256


def test_a_worker_that_can_keep_nothing_reads_the_lake(
    version: Version, bucket: S3Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "file", b"")
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "file"))
    serving = carried(version, bucket / "lake").folder / "serving"
    assert near(serving, version.serving_sha256) == serving

    (tmp_path / "others" / "cache").mkdir(parents=True)
    (tmp_path / "others" / "cache").chmod(0o777)  # anybody could put another model there
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "others"))
    assert near(serving, version.serving_sha256) == serving
    assert [*(tmp_path / "others" / "cache").iterdir()] == []


def test_a_model_that_is_not_in_the_lake_is_told(bucket: S3Path, cache: Path) -> None:
    with pytest.raises(ModelRefused, match=r"^s3://.*/model\.skops: cannot be read: there is no such file\.$"):
        near(bucket / "lake/toy/models/0/serving", "0" * 64)
