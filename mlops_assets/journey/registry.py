"""In: the winner of an evaluation. Out: a registered version behind the alias `champion`, and its way back to workers.

A version is a folder of MLflow's artifacts with two models: `serving`, fitted on all labelled rows, and `judged`, the
one that was measured. A later candidate is compared with `judged`, which never saw held-out rows.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model import Model, hash_folder
from mlops_assets.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALIAS = "champion"


@dataclass(frozen=True)
class Version:
    """A registered model version.

    Attributes
    ----------
    use_case
        The use case it serves; also the name of the registered model.
    version
        Its number, from 1.
    folder
        Where its two models lie on this machine.
    serving_sha256, judged_sha256
        Their hashes, as the registry knows them.
    about
        Name of the candidate, metrics, training set, verdict.
    """

    use_case: str
    version: int
    folder: Path
    serving_sha256: str
    judged_sha256: str
    about: dict[str, Any]

    def serving(self, trusted: Sequence[str] = ()) -> Model:
        """The model that makes predictions, after its hash and allow-list were checked."""
        return Model.load(self.folder / "serving", self.serving_sha256, trusted)

    def judged(self, trusted: Sequence[str] = ()) -> Model:
        """The model that the metrics belong to."""
        return Model.load(self.folder / "judged", self.judged_sha256, trusted)


class Registry:
    """The model versions of all use cases, in MLflow.

    Parameters
    ----------
    settings
        Say where MLflow's store is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def client(self) -> MlflowClient:
        """MLflow's client on the store of the settings."""
        import logging

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        from mlflow import MlflowClient

        uri = self._settings.tracking_uri
        if uri.startswith("sqlite:///"):
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        return MlflowClient(uri)

    def experiment(self, use_case: str) -> str:
        """Id of the use case's experiment, made if it is missing, with its artifacts beside the other state."""
        client = self.client()
        found = client.get_experiment_by_name(use_case)
        if found is not None:
            return str(found.experiment_id)
        local = self._settings.tracking_uri.startswith("sqlite:")
        place = (self._settings.artifacts / use_case).as_uri() if local else None
        return str(client.create_experiment(use_case, artifact_location=place))

    def champion(self, use_case: str) -> Version | None:
        """The version behind the alias `champion`, or None."""
        from mlflow.exceptions import MlflowException

        client = self.client()
        try:
            found = client.get_model_version_by_alias(use_case, ALIAS)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return self._version(use_case, found)

    def register(self, use_case: str, run_id: str, serving: Model, judged: Path, about: dict[str, Any]) -> Version:
        """Store a new version and put the alias `champion` on it.

        Parameters
        ----------
        use_case
            Name of the use case.
        run_id
            MLflow run that the version belongs to.
        serving
            The model that shall make predictions.
        judged
            Folder of the model that was measured.
        about
            What to remember of it.
        """
        client = self.client()
        with TemporaryDirectory() as temporary:
            folder = Path(temporary) / "version"
            hashes = {"serving_sha256": serving.save(folder / "serving")}
            shutil.copytree(judged, folder / "judged")
            hashes["judged_sha256"] = hash_folder(folder / "judged")
            (folder / "about.json").write_text(json.dumps(about, indent=1, default=str), encoding="utf-8")
            client.log_artifacts(run_id, str(folder), "version")
        source = f"{client.get_run(run_id).info.artifact_uri}/version"
        self._ensure_model(client, use_case)
        tags = {**hashes, "about": json.dumps(_short(about), default=str)}
        made = client.create_model_version(use_case, source, run_id, tags=tags, description=about.get("reason", ""))
        client.set_registered_model_alias(use_case, ALIAS, made.version)
        return self._version(use_case, client.get_model_version(use_case, made.version))

    def _ensure_model(self, client: MlflowClient, use_case: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(use_case)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _version(self, use_case: str, found: Any) -> Version:
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            folder = Path(download_artifacts(found.source, tracking_uri=self._settings.tracking_uri))
        except (MlflowException, OSError) as error:
            raise ModelRefused(f"version {found.version} of {use_case} cannot be fetched: {error}.") from None
        try:
            hashes = found.tags["serving_sha256"], found.tags["judged_sha256"]
        except KeyError:
            raise ModelRefused(
                f"version {found.version} of {use_case} has no registered hash; train it again."
            ) from None
        return Version(use_case, int(found.version), folder, *hashes, json.loads(found.tags["about"]))


def _short(about: dict[str, Any]) -> dict[str, Any]:
    """What fits into a tag of MLflow."""
    return {name: value for name, value in about.items() if name != "conditions"}
