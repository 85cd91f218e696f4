"""Notebooks are committed without what running them left, and frames say what they lack before anything is read."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from mlops_assets import notebook
from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.notebook.finding import MOST_ROWS, choose_shards
from mlops_assets_tests.helpers.paths import ROOT
from scans import notebooks

BOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_what_is_committed_has_no_outputs(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(BOOKS) == 6
    assert notebooks.main(["--check"]) == 0
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert "scans.notebooks" in next(hook for hook in hooks if hook["id"] == "notebooks")["entry"]


def test_the_hook_takes_out_what_a_run_left_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    committed, file = BOOKS[0].read_text(encoding="utf-8"), tmp_path / "run.ipynb"
    book = json.loads(committed)
    for number, cell in enumerate(book["cells"]):
        cell["metadata"] = {"execution": {"iopub.execute_input": "2026-01-01"}, "scrolled": True}
        cell["source"] = "".join(cell["source"])  # as other editors write it
        if cell["cell_type"] == "code":
            cell |= {"execution_count": number, "outputs": [{"output_type": "stream", "name": "stdout", "text": "42"}]}
    book["metadata"] |= {"widgets": {}, "language_info": {"name": "python", "version": "3.11.7"}}
    file.write_text(json.dumps(book), encoding="utf-8")
    assert notebooks.main(["--check", str(file)]) == 1
    assert json.loads(file.read_text()) == book  # it was only looked at
    assert notebooks.main([str(file)]) == 1
    assert file.read_text(encoding="utf-8") == committed
    assert notebooks.main([str(file)]) == 0
    assert capsys.readouterr().out.count(str(file)) == 2


@pytest.mark.parametrize("text", ["", "[]", '{"cells": 3}', '{"cells": [], "nbformat": 3, "nbformat_minor": 0}'])
def test_a_file_that_is_no_notebook_is_told_and_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "a.ipynb"
    file.write_text(text)
    assert notebooks.main([str(file)]) == 1
    assert f"{file}: it " in capsys.readouterr().out
    assert file.read_text() == text


def test_a_home_without_days_says_what_makes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLOPS_RAW", "MLOPS_LAKE", "MLFLOW_TRACKING_URI", "MLOPS_USE_CASES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "nowhere"))
    for what in ("rows", "features", "predictions", "judged"):
        with pytest.raises(MlopsError, match="published in .*nowhere/lake yet. `mlops-assets run transactions`"):
            notebook.load_day("transactions", what)
    for ask in (notebook.load_profile, notebook.load_drift):
        with pytest.raises(MlopsError, match="MLOPS_HOME names another home"):
            ask("transactions")
    for ask in (notebook.load_candidates, notebook.load_training_set, notebook.load_training_rows):
        with pytest.raises(MlopsError, match="--train"):
            ask("transactions")
    for ask in (notebook.load_days, notebook.load_versions, notebook.load_training_sets):
        for frame in ("pandas", "polars"):
            empty = ask("transactions", frame=frame)
            assert len(empty) == 0 < len(list(empty.columns))
    assert not (tmp_path / "nowhere").exists()  # looking makes nothing


def test_polars_that_is_not_installed_is_told_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(UsageError, match=r"Polars is not installed; pip install 'mlops-assets\[notebooks\]' brings it"):
        notebook.load_days("transactions", frame="polars")


def test_a_large_day_is_read_by_shards_that_are_asked_for() -> None:
    assert choose_shards("a", "2026-01-01", MOST_ROWS, range(40), None) == {*range(40)}
    with pytest.raises(UsageError, match="has 20,000,000 rows in 40 shards. shards=4 reads .*; shards=40 all"):
        choose_shards("a", "2026-01-01", 10 * MOST_ROWS, range(40), None)
    assert choose_shards("a", "2026-01-01", 10 * MOST_ROWS, range(40), 4) == {0, 10, 20, 30}
    assert choose_shards("a", "2026-01-01", 10 * MOST_ROWS, [3, 7], 99) == {3, 7}


def test_jupyter_is_started_on_loopback_by_a_program_that_is_there() -> None:
    (command,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if "/jupyter-lab" in line]
    assert "--ServerApp.ip=127.0.0.1" in command
    assert "token" not in command  # a process list shows arguments: it comes from the environment, or by chance
    assert shutil.which("jupyter-lab", path=str(Path(sys.executable).parent))
