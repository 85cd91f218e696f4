"""In: where MLflow says that a version lies. Out: its folder on this machine, fetched once where it lies elsewhere.

Whoever may write MLflow's store says where that is. So it is asked for where MLflow keeps files by the settings and
nowhere else; only the files that are needed are fetched, and none that is larger than it may be.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.files import LARGEST, LARGEST_SCORER, MEANING_FILE, SCORER_FILE, hash_folder, part_files
from mlops_assets.journey.model.version import ABOUT_FILE, LARGEST_CARD, LARGEST_REFERENCE, REFERENCE_FILE
from mlops_assets.settings import Settings
from mlops_assets.storage.places import S3Path
from mlops_assets.storage.s3 import need_boto3, tell_mlflow

FILES = {
    f"{model}/{name}": most
    for model in ("serving", "judged")
    for name, most in {**LARGEST, SCORER_FILE: LARGEST_SCORER}.items()
}
"""The files of the two models of a version, and the bytes that each may have."""


def fetch(name: str, source: str, hashes: Sequence[str], settings: Settings) -> Path:
    """The folder of a version: where it was stored, or a copy that is fetched once.

    A copy is known by the hashes of what it holds, and checked when it is loaded like any other.

    Parameters
    ----------
    name
        The version, for messages.
    source
        Its address in MLflow.
    hashes
        Of its models `serving` and `judged`, and of what is known of it.
    settings
        Where copies are kept, and MLflow's store.

    Raises
    ------
    ModelRefused
        If it cannot be fetched, or is not the one that was registered.
    """
    copy = copy_place(hashes, settings.home)
    if copy.exists():
        return copy
    # read where it lies: no copy of what this machine has
    if (here := folder_here(name, source)) is not None:
        return here
    copy.parent.mkdir(parents=True, exist_ok=True)
    # beside its place, so that a rename makes it whole at once
    with TemporaryDirectory(prefix=".", dir=copy.parent) as folder:
        fetched = Path(folder) / "version"
        beside = {ABOUT_FILE: LARGEST_CARD, REFERENCE_FILE: LARGEST_REFERENCE}
        download(name, source, {**FILES, **beside}, fetched, settings)
        if parts := _parts(fetched):
            download(name, source, parts, fetched, settings)
        if [hash_folder(fetched / model) for model in ("serving", "judged")] != list(hashes[:2]):
            raise ModelRefused(f"{name} at {source} is not the one that was registered (another SHA-256).")
        with suppress(OSError):  # another process was faster
            fetched.rename(copy)
    return copy


def _parts(fetched: Path) -> dict[str, int]:
    """The further files of the two models of a version, and the bytes that each may have."""
    return {
        f"{model}/{name}": most
        for model in ("serving", "judged")
        if (meaning := fetched / model / MEANING_FILE).exists()
        for name, most in part_files(meaning.read_bytes()).items()
    }


def is_here(source: str, hashes: Sequence[str], settings: Settings) -> bool:
    """Whether `fetch` has nothing to fetch; parameters as there."""
    return source.startswith(("/", "file:")) or copy_place(hashes, settings.home).exists()


def copy_place(hashes: Sequence[str], home: Path) -> Path:
    """Where the copy of a version lies in a home, by the hashes of what it holds."""
    # named by its content: the same number in another store is another folder
    return home / "models" / hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:32]


def folder_here(name: str, source: str) -> Path | None:
    """The folder of this machine that an address of MLflow's names; None if it names another place.

    Raises
    ------
    ModelRefused
        If there is no such folder.
    """
    if not source.startswith(("/", "file:")):
        return None
    with suppress(ValueError, OSError):  # what is no path
        here = Path(unquote(urlsplit(source).path))
        if source.startswith(("/", "file:///")) and here.is_dir():
            return here
    raise ModelRefused(f"{name} cannot be fetched: its files at {unquote(source.removeprefix('file://'))} are gone.")


def download(name: str, source: str, files: Mapping[str, int], folder: Path, settings: Settings) -> None:
    """Fetch some files of a place where MLflow keeps files.

    Parameters
    ----------
    name
        What is fetched, for messages.
    source
        The place.
    files
        Their paths in it, each with the most bytes that it may have; what is not there is passed over.
    folder
        Where to.
    settings
        Say where MLflow keeps files.

    Raises
    ------
    ModelRefused
        If it is another place, does not answer, or a file is too large.
    """
    if not _keeps_files(source, settings):
        raise ModelRefused(
            f"{name} cannot be fetched: MLflow's store says that it lies at {source[:200]!a}, and by the settings its "
            "files lie elsewhere. Nothing was asked there. Set MLOPS_ARTIFACTS or MLFLOW_TRACKING_URI if they did; "
            "else somebody changed the store: bring it back from a backup."
        )
    # only what lies elsewhere needs MLflow, whose import takes seconds
    tell_mlflow()
    if source.startswith("s3:"):
        need_boto3()
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    folder.mkdir(exist_ok=True)
    try:
        repository = get_artifact_repository(source, settings.tracking_uri)
        listed = [one for part in {*map(posixpath.dirname, files)} for one in repository.list_artifacts(part or None)]
        for file in listed:
            if file.path not in files:
                continue
            if file.is_dir or (file.file_size or 0) > files[file.path]:
                raise ModelRefused(
                    f"{name} cannot be fetched: {file.path} is no file of at most {files[file.path]:,} bytes."
                )
        for path in sorted({file.path for file in listed} & {*files}):
            repository.download_artifacts(path, str(folder))
    except Exception as error:  # MLflow hands on what boto3, requests and others raise
        if not _is_of_a_store(error):
            raise
        raise ModelRefused(f"{name} cannot be fetched: {error}.") from None


def _keeps_files(source: str, settings: Settings) -> bool:
    """Whether MLflow may keep files at an address, by the settings; a server of MLflow decides on the bucket itself."""
    try:
        scheme, server, *_ = urlsplit(source)
        ours = urlsplit(settings.tracking_uri)
    except ValueError:  # it is no address
        return False
    if scheme == "s3":
        return settings.artifacts is None or isinstance(settings.artifacts, S3Path)
    if ours.scheme not in ("http", "https"):
        return False
    if scheme == "mlflow-artifacts":
        return server in ("", ours.netloc)  # where none is named, MLflow asks its own
    return (scheme, server) == (ours.scheme, ours.netloc)


def _is_of_a_store(error: Exception) -> bool:
    """Whether an error is one of MLflow, of a file system, or of S3, and none of ours."""
    from mlflow.exceptions import MlflowException

    return isinstance(error, (MlflowException, OSError)) or type(error).__module__.split(".")[0] == "botocore"
