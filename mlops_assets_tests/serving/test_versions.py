"""Versions that answer: what only MLflow may have is found by a process of its own, and a process imports little."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.score.loaded import load_cached
from mlops_assets.serving.answering import versions
from mlops_assets.serving.answering.versions import Wanted, find, read_version
from mlops_assets.settings import Settings
from mlops_assets_tests.helpers.served import NAME, TOY, model_of, plant, promote, workspace_in


def in_a_process_of_its_own(settings: Settings, use_case: str, wanted: Wanted) -> Version:
    assert multiprocessing.parent_process() is not None
    return find(settings, use_case, wanted)


def test_what_only_mlflow_may_have_is_found_by_a_process_of_its_own_and_so_is_why_it_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = workspace_in(tmp_path)
    folder = plant(workspace, 2, model_of(0))
    here = read_version(workspace, TOY, Wanted(2))
    monkeypatch.setattr(versions, "is_here", lambda *_: False)
    monkeypatch.setattr(versions, "find", in_a_process_of_its_own)
    elsewhere = read_version(workspace, TOY, Wanted(2))
    assert (elsewhere.loaded.version, elsewhere.sha256) == (2, here.sha256)
    shutil.rmtree(folder)
    with pytest.raises(MlopsError) as said:
        read_version(workspace, TOY, Wanted(2))
    assert f"version 2 of {NAME}" in str(said.value)


def test_a_model_that_a_process_holds_is_not_loaded_a_second_time(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    plant(workspace, 2, model_of(0))
    answering = read_version(workspace, TOY, Wanted(2)).loaded
    version = workspace.registry.prove(find(workspace.settings, NAME, Wanted(2)), ())
    assert load_cached(version, TOY) is answering.model  # a row's page explains by what answers


# -- what it costs -----------------------------------------------------------------------------------------------------

STARTS = """
import sys
from pathlib import Path
from mlops_assets.serving.app import make_app
from mlops_assets.serving.service import Service
from mlops_assets.serving.answering.champions import Champions
from mlops_assets_tests.helpers.served import NAME, TOY, workspace_in

if __name__ == "__main__":
    service = Service(workspace_in(Path(sys.argv[1])), {NAME: TOY}, Champions(workspace_in(Path(sys.argv[1]))))
    make_app(service)
    service.champions.load([TOY])
    assert service.champions.choose(TOY).version == 1
    print(*sorted(sys.modules))
"""


def test_what_only_training_and_days_need_is_not_imported(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    plant(workspace, 1, model_of(0))
    promote(workspace, 1)
    command = [sys.executable, "-c", STARTS, str(workspace.settings.home)]
    modules = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert not {"mlflow", "matplotlib", "dagster", "click", "boto3", "pyspark", "sqlalchemy"} & {*modules}
