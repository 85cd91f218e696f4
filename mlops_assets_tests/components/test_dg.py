"""What people who know Dagster's command `dg` do with the platform: scaffold, check, list, launch."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.tools.drafting import draft_use_case
from mlops_assets_tests.helpers.paths import ROOT

DG = Path(sys.executable).with_name("dg")
PROJECT = """[project]
name = "shop"
version = "0"
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "shop"
defs_module = "shop.defs"
code_location_target_module = "mlops_assets.definitions"
registry_modules = ["mlops_assets.components"]
"""
COMPONENT = "mlops_assets.components.MlUseCase"


def dg(folder: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "DAGSTER_", "MLFLOW_"))}
    told = {**kept, "MLOPS_HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run([str(DG), *words], cwd=folder, env=told, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of a newcomer, with a table."""
    (tmp_path / "shop" / "defs").mkdir(parents=True)
    for folder in ("shop", "shop/defs"):
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    rows = "".join(f"C{n},{n % 90},{'yes' if n % 90 < 30 else 'no'}\n" for n in range(200))
    (tmp_path / "customers.csv").write_text(f"customer,months,left\n{rows}")
    return tmp_path


def test_scaffold_writes_what_new_writes(project: Path) -> None:
    words = ("scaffold", "defs", COMPONENT, "churn", "--table", "customers.csv", "--label", "left")
    done = dg(project, project / "home", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mlops-assets run churn --train" in done.stdout
    other = draft_use_case(
        "churn", project / "customers.csv", "left", project / "other", None, dt.datetime.now(dt.UTC).date()
    )
    made = project / "shop" / "defs" / "churn"
    assert {one.name for one in made.iterdir()} == {"defs.yaml", "features.sql"}
    for name in ("defs.yaml", "features.sql"):
        assert (made / name).read_bytes() == (other.folder / name).read_bytes()


@pytest.mark.long
def test_scaffold_says_what_is_wrong_and_leaves_nothing_behind(project: Path) -> None:
    words = ("scaffold", "defs", COMPONENT, "churn", "--table", "customers.csv")
    for more, said in (
        (("--label", "nope"), "customers.csv has no such column; it has customer, months, left"),
        (
            ("--label", "left", "--format", "python"),
            "A use case is a folder of its own with defs.yaml and features.sql",
        ),
    ):
        done = dg(project, project / "home", *words, *more)
        assert done.returncode != 0
        assert said in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
    assert {one.name for one in (project / "shop" / "defs").iterdir()} == {"__init__.py"}


@pytest.mark.long
def test_list_defs_lists_what_there_is(tmp_path: Path) -> None:
    before = {one.name for one in ROOT.iterdir()}
    done = dg(ROOT, tmp_path / "home", "list", "defs", "--json")
    assert done.returncode == 0, done.stderr
    for name in ("transactions/predictions", "transactions_daily", "transactions_files", "transactions_daily_schedule"):
        assert name in done.stdout
    # dg opens Dagster's storage, which is that of the home, and columns are traced once: no day, no model is made
    made = {one.relative_to(tmp_path / "home").parts[:2] for one in (tmp_path / "home").rglob("*") if one.is_file()}
    assert {place[1] for place in made if place[0] not in ("dagster", "lineage")} == {"form.json"}
    assert {one.name for one in ROOT.iterdir()} == before


@pytest.mark.long
def test_launch_runs_a_day_without_the_ui(tmp_path: Path) -> None:
    day, home = "2026-01-03", tmp_path / "home"
    sample = [sys.executable, "-m", "mlops_assets.cli", "sample", "topics", "--day", day, "--files", "3"]
    subprocess.run(sample, env={**os.environ, "MLOPS_HOME": str(home)}, check=True, capture_output=True)
    done = dg(ROOT, home, "launch", "--assets", "key:topics/raw_files", "--partition", day)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (home / "lake" / "topics" / "raw_files" / f"day={day}").is_dir()
