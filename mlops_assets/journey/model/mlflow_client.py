"""What is asked of MLflow by its own client, whose import takes seconds; what it raises becomes an error for people."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.registered import Registered
from mlops_assets.journey.model.store import StoreDown, look, shown
from mlops_assets.settings import Settings
from mlops_assets.storage.database import prepare_database
from mlops_assets.storage.places import S3Path
from mlops_assets.storage.s3 import need_boto3, tell_mlflow
from mlops_assets.storage.spellings import sqlite_address

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger("mlops_assets.registry")

PLACEHOLDER = "mlops_assets.placeholder"
"""Tag of a version that only takes a number in MLflow which another model has."""

MOST_PASSED_OVER = 10_000
"""Numbers that are passed over in a store that was made anew; each is asked for."""


def open_client(settings: Settings) -> MlflowClient:
    """MLflow's client on the store of the settings.

    Raises
    ------
    StoreDown
        If the store does not answer.
    """
    # making a store tells every migration of its tables, and nobody asked
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow import MlflowClient

    prepare_database(settings.database, for_mlflow=settings.tracks_in_database)
    if isinstance(settings.artifacts, S3Path):
        need_boto3()
    tell_mlflow()
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # else a server that is gone is asked for minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")  # and one that hangs, for two minutes each time
    # without git MLflow would warn of it at length as a run begins: the version keeps what made it, and needs none
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    look(settings)
    if settings.sqlite_file is not None:
        # SQLite makes its file, but no folder
        settings.sqlite_file.parent.mkdir(parents=True, exist_ok=True)
        sqlite_address(settings.sqlite_file.parent)
    with told(settings):
        return MlflowClient(settings.tracking_uri)


@contextmanager
def told(settings: Settings) -> Iterator[None]:
    """Turn what MLflow raises inside into `StoreDown`."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except Exception as error:  # MLflow hands on what SQLAlchemy, requests and others raise
        if not isinstance(error, (MlflowException, OSError)) and not type(error).__module__.startswith("sqlalchemy"):
            raise
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise StoreDown(f"MLflow's store {shown(settings)} refused: {reason}") from None


def find_version(client: MlflowClient, settings: Settings, use_case: str, number: int) -> Registered | None:
    """A version as MLflow has it, or None."""
    from mlflow.exceptions import MlflowException

    with told(settings):
        try:
            return _registered(client.get_model_version(use_case, str(number)))
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return None


def find_versions(client: MlflowClient, settings: Settings, use_case: str) -> list[Registered]:
    """All versions as MLflow has them, the oldest first."""
    with told(settings):
        versions = [_registered(version) for version in client.search_model_versions(f"name = '{use_case}'")]
    real = [version for version in versions if PLACEHOLDER not in version.tags]
    return sorted(real, key=lambda version: version.version)


def create_version(
    client: MlflowClient, use_case: str, source: str, run_id: str, tags: Mapping[str, str], reason: str, newest: int
) -> int:
    """Register a version under a number that no model has; the number.

    Parameters
    ----------
    client
        MLflow's.
    use_case, source, run_id, tags, reason
        What MLflow keeps.
    newest
        The highest number that a model has. A store that was lost and made anew, or is an older copy, would give
        numbers again.

    Raises
    ------
    MlopsError
        If more numbers had to be passed over than anybody registers.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(use_case)
    except MlflowException as error:
        # only the first version finds it missing
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(use_case, source, run_id, tags=dict(tags), description=reason)
    if int(made.version) > newest:
        return int(made.version)
    if newest - int(made.version) > MOST_PASSED_OVER:
        client.delete_model_version(use_case, made.version)
        raise MlopsError(
            f"{use_case}: MLflow gave a new version the number {made.version}, and the lake knows of a version "
            f"{newest}. So many were never registered: delete what tells of it in the lake's folder `versions`, or use "
            "the store of before."
        )
    log.warning(
        "%s: MLflow gave a new version the number %s, which another model has: %d were registered before. The store "
        "was made anew, or is an older copy; their numbers are passed over.",
        use_case,
        made.version,
        newest,
    )
    client.set_model_version_tag(use_case, made.version, PLACEHOLDER, "true")
    passed = [made.version]
    while int(passed[-1]) < newest:
        passed.append(client.create_model_version(use_case, source, tags={PLACEHOLDER: "true"}).version)
    made = client.create_model_version(use_case, source, run_id, tags=dict(tags), description=reason)
    for number in passed:
        client.delete_model_version(use_case, number)
    return int(made.version)


def _registered(version: ModelVersion) -> Registered:
    """What is kept of a version as MLflow has it."""
    return Registered(int(version.version), str(version.source), dict(version.tags))
