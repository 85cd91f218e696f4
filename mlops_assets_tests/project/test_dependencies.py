"""What `pyproject.toml` declares is what the package imports; what few need comes with an extra and says so."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from mlops_assets.plugins.loading import EXTRAS
from mlops_assets_tests.helpers.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TOOLS = {"dagster-webserver", "dagster-dg-cli"}
"""Commands, not modules: what `make dev` starts, and `dg`."""
NAMED = {"jupyterlab", "dagster-postgres", "dagster-aws", "psycopg2-binary", "fastapi-swagger", "mlops-assets"}
NAMED |= {"lightgbm", "catboost", "onnxruntime", "torch", "safetensors"}
"""Loaded by a name in a `dagster.yaml`, in the URL of a database or as files, and the extras that an extra is made of."""
THROUGH_OTHERS = {"py4j": "pyspark", "dagster_shared": "dagster", "botocore": "boto3", "kubernetes": "dagster-k8s"}
"""Modules that are part of what another package is, or that it is made of."""


def names(requirements: list[str]) -> set[str]:
    """The names of some requirements."""
    return {re.match(r"[\w-]+", one)[0].lower() for one in requirements}  # type: ignore[index]


DECLARED = names(PROJECT["dependencies"])
OPTIONAL = set().union(*(names(extra) for extra in PROJECT["optional-dependencies"].values()))


def imported() -> set[str]:
    """The distributions whose modules the package imports, wherever in its files."""
    modules = set()
    for path in (ROOT / "mlops_assets").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add(str(node.module).partition(".")[0])
    outside = modules - set(sys.stdlib_module_names) - {"mlops_assets"}
    known = packages_distributions()
    # `mlflow` comes in three distributions, of which one brings the others
    return {THROUGH_OTHERS.get(name, min(known[name], key=len)).lower().replace("_", "-") for name in outside}


def test_what_is_declared_is_what_is_imported() -> None:
    assert imported() | TOOLS | NAMED == DECLARED | OPTIONAL
    assert not DECLARED & OPTIONAL


def test_what_running_needs_is_locked_without_what_only_tests_need_and_in_the_same_versions() -> None:
    running, everything = (
        dict(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,-]+\])?==(\S+)", (ROOT / name).read_text(), re.M))
        for name in ("requirements.lock", "requirements-dev.lock")
    )
    assert running.keys() >= DECLARED
    assert (
        not {"pytest", "ruff", "pyspark", "polars", "playwright", "moto", "boto3", "psycopg2-binary"} & running.keys()
    )
    assert {name: one for name, one in running.items() if everything[name] != one} == {}


@pytest.mark.parametrize(
    ("module", "variable", "value", "code"),
    [
        ("psycopg2", "MLOPS_DATABASE_URL", "postgresql://u:p@localhost/d", 2),
        # the lake has the changes that are asked for
        ("boto3", "MLOPS_ARTIFACTS", "s3://bucket/models", 0),
    ],
)
def test_a_package_of_an_extra_that_is_missing_is_told_with_the_extra(
    tmp_path: Path, module: str, variable: str, value: str, code: int
) -> None:
    program = f"import sys; sys.modules[{module!r}] = None; from mlops_assets.cli import main; main()"
    (tmp_path / "lake" / "loan_approval" / "history").mkdir(parents=True)
    change = {"number": 1, "when": "2026-01-01", "who": "a", "action": "promote", "version": 1, "before": None}
    text = json.dumps({**change, "why": "", "verdict": ""})
    (tmp_path / "lake" / "loan_approval" / "history" / "000001.json").write_text(text)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "MLFLOW_", "DAGSTER_"))}
    done = subprocess.run(
        [sys.executable, "-c", program, "history", "loan_approval"],
        env={**kept, "MLOPS_HOME": str(tmp_path), variable: value},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert f"pip install 'mlops-assets[{EXTRAS[module]}]' brings it" in done.stderr
    assert "Traceback" not in done.stderr
