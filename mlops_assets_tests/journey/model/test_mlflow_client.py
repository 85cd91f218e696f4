"""MLflow as our commands open it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mlops_assets_tests.helpers.homes import give_stores

PROGRAM = """
from mlops_assets.journey.model.mlflow_client import open_client
from mlops_assets.settings import Settings
open_client(Settings.from_environment())
from mlflow.utils.git_utils import get_git_commit
print(get_git_commit("."))
"""


def test_on_a_machine_without_git_nothing_is_said_of_it(tmp_path: Path) -> None:
    """It asks for the commit as each run begins, and told a page of what to do about a program that we never need."""
    give_stores(tmp_path, "mlflow")
    (tmp_path / "empty").mkdir()
    environment = {
        **os.environ,
        "PATH": str(tmp_path / "empty"),
        "MLOPS_HOME": str(tmp_path),
        "MLFLOW_TRACKING_URI": "",
    }
    environment.pop("GIT_PYTHON_REFRESH", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "None\n"
    assert "git" not in done.stderr.lower()
