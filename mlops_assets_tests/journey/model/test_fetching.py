"""Whoever may write MLflow's store says where a version lies: only MLflow's own places are asked, for so much."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from mlops_assets.errors import MlopsError, ModelRefused
from mlops_assets.journey.model.fetching import FILES, fetch
from mlops_assets.journey.model.files import read_plain
from mlops_assets.journey.model.mlflow_client import create_version
from mlops_assets.settings import Settings
from mlops_assets.storage.places import parse_place

HASHES = ("a", "b", "c")
SERVER = "https://mlflow.example:5000"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    return Settings.from_environment()


@dataclass
class Listing:
    """A file of a repository of artifacts, as MLflow lists it."""

    path: str
    file_size: int | None
    is_dir: bool = False


@dataclass
class Repository:
    """Files of some sizes; those that are brought are remembered."""

    files: list[Listing]
    brought: list[str] = field(default_factory=list)

    def list_artifacts(self, folder: str | None) -> list[Listing]:
        return [file for file in self.files if file.path.rpartition("/")[0] == (folder or "")]

    def download_artifacts(self, path: str, folder: str) -> None:
        self.brought.append(path)
        place = Path(folder) / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"x")


def keep(monkeypatch: pytest.MonkeyPatch, *more: Listing) -> Repository:
    """Have MLflow's places hold a version and more."""
    repository = Repository([*(Listing(path, 1) for path in FILES if path not in {one.path for one in more}), *more])
    registry = "mlflow.store.artifact.artifact_repository_registry.get_artifact_repository"
    monkeypatch.setattr(registry, lambda *_: repository)
    return repository


@pytest.mark.parametrize(
    "source",
    [
        *("http://169.254.169.254/latest", "https://x/api/2.0/mlflow-artifacts/artifacts/x", "ftp://x/y", "sftp://x/y"),
        *(
            "s3://other/x",
            "gs://other/x",
            "dbfs:/x",
            "hdfs://x/y",
            "models:/visits/1",
            "runs:/1/x",
            "mlflow-artifacts:/x",
        ),
        *("../../..", ".", "", "C:\\models", "\\\\host\\share", "zz://x", "s3://[", "nonsense"),
    ],
)
def test_nothing_is_asked_where_mlflow_keeps_no_files(settings: Settings, source: str) -> None:
    with pytest.raises(ModelRefused, match="by the settings its files lie elsewhere. Nothing was asked there"):
        fetch("version 1", source, HASHES, settings)


@pytest.mark.parametrize(
    "source", ["file:///gone", "file://host/share", "//host/share", "//[", "/a\0b", "/" + "a" * 5000]
)
def test_a_folder_that_is_not_there_is_told(settings: Settings, source: str) -> None:
    with pytest.raises(ModelRefused, match="version 1 cannot be fetched: its files at .* are gone"):
        fetch("version 1", source, HASHES, settings)


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("mlflow-artifacts:/1/2/artifacts/version", True),
        ("mlflow-artifacts://mlflow.example:5000/1", True),
        ("mlflow-artifacts://elsewhere:5000/1", False),
        (f"{SERVER}/api/2.0/mlflow-artifacts/artifacts/1", True),
        ("http://mlflow.example:5000/api/2.0/mlflow-artifacts/artifacts/1", False),
        ("s3://bucket-of-the-server/1", True),
    ],
)
def test_a_server_of_mlflow_is_asked_and_no_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, source: str, asked: bool
) -> None:
    repository = keep(monkeypatch)
    with pytest.raises(ModelRefused, match="another SHA-256" if asked else "Nothing was asked there"):
        fetch("version 1", source, HASHES, replace(settings, tracking_uri=SERVER, artifacts=None))
    assert bool(repository.brought) == asked


@pytest.mark.parametrize(
    "forged",
    [
        Listing("serving/model.skops", 1 << 40),
        Listing("judged/features.sql", (1 << 20) + 1),
        Listing("about.json", 1 << 30),
        Listing("serving/meaning.json", None, is_dir=True),
    ],
)
def test_nothing_is_brought_of_a_version_with_a_file_that_is_too_large(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, forged: Listing
) -> None:
    repository = keep(monkeypatch, forged)
    with pytest.raises(ModelRefused, match=f"{forged.path} is no file of at most"):
        fetch("version 1", "s3://bucket/1", HASHES, replace(settings, artifacts=parse_place("s3://bucket/x")))
    assert not repository.brought


def test_only_what_belongs_to_a_version_is_brought(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = keep(monkeypatch, Listing("huge.bin", 1 << 50), Listing("serving/huge.bin", 1 << 50))
    with pytest.raises(ModelRefused, match="another SHA-256"):
        fetch("version 1", "s3://bucket/1", HASHES, replace(settings, artifacts=parse_place("s3://bucket/x")))
    assert repository.brought == sorted(FILES)


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (lambda path: path.symlink_to("/dev/zero"), "it is a link"),
        (os.mkfifo, "it is no plain file"),
        (Path.mkdir, "it is no plain file"),
        (lambda path: path.write_bytes(b"12345"), "it has 5 bytes, allowed are 4"),
        (Path.exists, "cannot be read: No such file"),
    ],
    ids=["a link to a device", "a pipe", "a folder", "too large", "nothing"],
)
def test_what_is_no_plain_file_is_neither_read_nor_waited_for(
    tmp_path: Path, forge: Callable[[Path], object], said: str
) -> None:
    forge(tmp_path / "about.json")
    with pytest.raises(ModelRefused, match=said):
        read_plain(tmp_path / "about.json", 4)


def test_no_registration_passes_over_more_numbers_than_anybody_registers() -> None:
    client = MagicMock()
    client.create_model_version.return_value.version = "3"
    with pytest.raises(MlopsError, match="the number 3, and the lake knows of a version 999999999. So many were never"):
        create_version(client, "visits", "file:///x", "run", {}, "", 999_999_999)
    client.create_model_version.assert_called_once()
    client.delete_model_version.assert_called_once_with("visits", "3")
