"""In: where MLflow says that a version lies. Out: its folder on this machine, fetched once where it lies elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.archive import hash_folder
from mlops_assets.settings import Settings
from mlops_assets.storage.s3 import need_boto3, tell_mlflow


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
    # named by its content: the same number in another store is another folder
    copy = settings.home / "models" / hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:32]
    if copy.exists():
        return copy
    here = Path(unquote(urlsplit(source).path))
    # read where it lies: no copy of what this machine has
    if source.startswith(("/", "file:///")) and here.is_dir():
        return here
    if source.startswith(("/", "file:")):
        raise ModelRefused(f"{name} cannot be fetched: its files at {here} are gone.")
    # only a version that lies elsewhere needs MLflow, whose import takes seconds
    tell_mlflow()
    if source.startswith("s3:"):
        need_boto3()
    try:
        return _download(name, source, hashes, copy, settings.tracking_uri)
    except Exception as error:  # MLflow hands on what boto3, requests and others raise
        if not _is_of_a_store(error):
            raise
        raise ModelRefused(f"{name} cannot be fetched: {error}.") from None


def _download(name: str, source: str, hashes: Sequence[str], copy: Path, tracking_uri: str) -> Path:
    from mlflow.artifacts import download_artifacts

    copy.parent.mkdir(parents=True, exist_ok=True)
    # beside its place, so that a rename makes it whole at once
    with TemporaryDirectory(prefix=".", dir=copy.parent) as folder:
        download_artifacts(source, dst_path=folder, tracking_uri=tracking_uri)
        (fetched,) = Path(folder).iterdir()
        if [hash_folder(fetched / model) for model in ("serving", "judged")] != list(hashes[:2]):
            raise ModelRefused(f"{name} at {source} is not the one that was registered (another SHA-256).")
        with suppress(OSError):  # another process was faster
            fetched.rename(copy)
    return copy


def _is_of_a_store(error: Exception) -> bool:
    """Whether an error is one of MLflow, of a file system, or of S3, and none of ours."""
    from mlflow.exceptions import MlflowException

    return isinstance(error, (MlflowException, OSError)) or type(error).__module__.split(".")[0] == "botocore"
