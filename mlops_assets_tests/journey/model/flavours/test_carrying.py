"""Wherever a model goes, its parts go: to workers elsewhere, out of MLflow's places, into an export, through a journey."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sklearn.pipeline import Pipeline

from mlops_assets.cli import cli
from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.about import Summary
from mlops_assets.journey.model.carried import for_workers
from mlops_assets.journey.model.fetching import fetch
from mlops_assets.journey.model.files import hash_folder
from mlops_assets.journey.model.flavours import FLAVOURS, releases_of
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.version import Version, libraries_of
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import S3Path
from mlops_assets.tools.exporting.modules import pins
from mlops_assets.work.shards import Report
from mlops_assets_tests.helpers.flavoured import ROWS, fitted
from mlops_assets_tests.helpers.homes import give_stores
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.visits import VISITS, place_visits

SERVER = "https://mlflow.example:5000"


class Elsewhere:
    """An engine whose workers have other disks."""

    elsewhere = True

    def start(self) -> None:
        """There is nothing to get ready."""

    def map(self, function: Callable[[Any], Report], tasks: Sequence[Any]) -> Iterator[Report]:
        return map(function, tasks)


@pytest.fixture
def version(tmp_path: Path) -> Version:
    """A version whose models have a part of LightGBM each."""
    columns = {"a": None, "b": None, "c": None, "d": None}
    model = Model(Pipeline([("model", fitted("lightgbm"))]), columns, ("w", "x", "y", "z"), "-- SQL")
    sha256 = model.save(tmp_path / "driver" / "serving")
    shutil.copytree(tmp_path / "driver" / "serving", tmp_path / "driver" / "judged")
    return Version("toy", 1, tmp_path / "driver", sha256, sha256, "", Summary(), proven=True)


def test_a_worker_elsewhere_gets_the_part(version: Version, tmp_path: Path) -> None:
    carried = for_workers(version, Lake(tmp_path / "lake", "toy"), Elsewhere())
    shutil.rmtree(tmp_path / "driver")
    assert carried.serving().probabilities(ROWS).shape == (len(ROWS), 4)
    (carried.folder / "serving" / "part-0.txt").unlink()
    with pytest.raises(ModelRefused, match=r"part-0\.txt: cannot be read"):
        carried.serving()


@dataclass
class Repository:
    """A folder as MLflow's places list and bring it."""

    folder: Path
    brought: list[str] = field(default_factory=list)

    def list_artifacts(self, below: str | None) -> list[Any]:
        found = sorted((self.folder / (below or "")).iterdir())
        return [Listing(str(one.relative_to(self.folder)), one.stat().st_size, one.is_dir()) for one in found]

    def download_artifacts(self, path: str, folder: str) -> None:
        self.brought.append(path)
        (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.folder / path, Path(folder) / path)


@dataclass
class Listing:
    """A file of it."""

    path: str
    file_size: int
    is_dir: bool


def test_out_of_mlflows_places_the_parts_that_a_model_names_are_brought(
    version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(version.folder, Path)
    (version.folder / "serving" / "part-1.txt").write_text("nobody names it")
    repository = Repository(version.folder)
    places = "mlflow.store.artifact.artifact_repository_registry.get_artifact_repository"
    monkeypatch.setattr(places, lambda *_: repository)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    copy = fetch("version 1", "mlflow-artifacts:/1", astuple(version.hashes), Settings.from_environment())
    assert hash_folder(copy / "serving") == version.serving_sha256
    assert [name for name in repository.brought if "part" in name] == ["judged/part-0.txt", "serving/part-0.txt"]


def test_a_version_is_known_by_the_release_of_its_library(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    releases = releases_of({"part-0.txt": "lightgbm"})
    assert version.libraries() == releases
    assert libraries_of(version, None) == [*releases.items()]
    assert {"lightgbm"} == {*releases}
    assert [line for line in pins({}, version.libraries()) if line.startswith("lightgbm==")]
    monkeypatch.setattr(type(FLAVOURS["lightgbm"]), "distributions", ("no-such-package",))
    assert releases_of({"part-0.txt": "lightgbm"}) == {"no-such-package": ""}


# -- a whole journey ---------------------------------------------------------------------------------------------------

BOOSTED = VISITS.replace(
    "    gate:\n",
    """\
      boosted:
        use: xgboost.XGBClassifier
        parameters: {n_estimators: 8, max_depth: 3}
        search: {learning_rate: [0.1, 0.5]}
      vote:
        use: sklearn.ensemble.VotingClassifier
        parameters: {voting: soft}
        members: [boosted, linear]
    gate:
""",
)


@pytest.mark.long
def test_a_boosted_candidate_goes_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    monkeypatch.setenv("MLOPS_WORKERS", "1")
    monkeypatch.setenv("MLOPS_USE_CASES", str(place_visits(tmp_path / "cases", BOOSTED)))
    give_stores(tmp_path, "mlflow")
    _done("sample", "visits", "--day", "2026-01-01", "--days", "2")
    assert "champion: version 1" in _done("run", "visits", "--train").output
    assert "| xgboost-cpu |" in _done("card", "visits").output
    assert "byte by byte" in _done("rebuild", "visits", "1").output
    told = _done("why", "visits", "--day", "2026-01-02", "--file", "visits-0000000.csv", "--line", "1").output
    assert "the recomputed answer is the published one, to the bit" in told
    assert "intact" in _done("verify", "visits").output
    _done("export", "visits", "1", "-o", str(tmp_path / "served"))
    assert [*(tmp_path / "served").rglob("part-0.ubj")]


SCALED = "prepare: [{use: sklearn.preprocessing.StandardScaler, columns: numbers}]"
NETWORK = "mlops_assets_tests.helpers.networks.Net"
NET = f"module: {NETWORK}, epochs: 40, batch_size: 32, learning_rate: 0.02"
OF_FLAVOUR = {
    "xgboost": "{use: xgboost.XGBClassifier, parameters: {n_estimators: 8, max_depth: 3}}",
    "lightgbm": "{use: lightgbm.LGBMClassifier, parameters: {n_estimators: 8, num_leaves: 5}}",
    "catboost": "{use: catboost.CatBoostClassifier, parameters: {iterations: 8, depth: 3}}",
    "torch": f"{{use: mlops_assets.estimators.TorchClassifier, parameters: {{{NET}}}, {SCALED}}}",
    "onnx": f"{{use: sklearn.linear_model.LogisticRegression, {SCALED}}}",
}
"""The candidate beside the baseline; of ONNX, what stands before the file that is registered."""


@pytest.mark.long
@pytest.mark.parametrize("flavour", OF_FLAVOUR)
def test_where_all_lies_on_s3_a_machine_with_an_empty_disk_scores_and_says_why(
    flavour: str, bucket: S3Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _, behind = VISITS.partition("      linear:\n")
    cases = before + f"      the_one: {OF_FLAVOUR[flavour]}\n" + "    gate:" + behind.partition("    gate:")[2]
    if flavour == "torch":
        cases += f"    trusted: [{NETWORK}]\n"
    home = tmp_path / "first"
    for name, place in {"HOME": home, "RAW": f"{bucket}/raw", "LAKE": f"{bucket}/lake"}.items():
        monkeypatch.setenv(f"MLOPS_{name}", str(place))
    monkeypatch.setenv("MLOPS_ARTIFACTS", f"{bucket}/artifacts")
    monkeypatch.setenv("MLOPS_WORKERS", "1")
    monkeypatch.setenv("MLOPS_USE_CASES", str(place_visits(tmp_path / "cases", cases)))
    home.mkdir()
    give_stores(home, "mlflow", "dagster")
    _done("sample", "visits", "--day", "2026-01-01", "--days", "2")
    _done("run", "visits", "--from", "2026-01-01", "--to", "2026-01-01", "--train")
    if flavour == "onnx":
        _register(tmp_path / "model.onnx")
    # databases are what machines share beside S3
    second = tmp_path / "second"
    for name in ("mlflow", "dagster"):
        shutil.copytree(home / name, second / name)
    home.rename(tmp_path / "gone")
    monkeypatch.setenv("MLOPS_HOME", str(second))
    assert "2026-01-02" in _done("run", "visits", "--from", "2026-01-02", "--to", "2026-01-02").output
    told = _done("why", "visits", "--day", "2026-01-02", "--file", "visits-0000000.csv", "--line", "1").output
    assert "the recomputed answer is the published one, to the bit" in told
    assert "intact" in _done("verify", "visits").output
    parts = [str(path) for path, _ in bucket.files() if "/serving/part-0." in str(path)]
    assert any(part.endswith(FLAVOURS[flavour].suffix) for part in parts), parts


def _register(file: Path) -> None:
    """Export a model of one's own as ONNX, and make a champion of it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", ROOT / "examples" / "export_onnx.py", "visits", file]
    subprocess.run(command, env=environment, check=True)
    number = _done("register", "visits", str(file)).output.split("is version ")[1].split(" ")[0]
    _done("promote", "visits", number, "--why", "it is of ONNX", "--override")


def _done(*arguments: str) -> Result:
    done = CliRunner().invoke(cli, [*arguments])
    assert done.exit_code == 0, done.output
    return done
