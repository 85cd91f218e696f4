"""A home that cannot be used is told in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.errors import UsageError
from mlops_assets.settings import Settings, sqlite_url
from mlops_assets_tests.helpers.shop import Shop


@pytest.mark.parametrize("name", ["x%20y", "home?x", "a#b", "br[a]c"])
def test_a_home_whose_path_would_be_another_one_as_a_url_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / name))
    with pytest.raises(UsageError, match="tables cannot lie under a path with"):
        Settings.from_environment()


@pytest.mark.parametrize("name", ["a b", "o'k", "sta*r", "ação"])
def test_other_homes_are_taken_and_mlflow_finds_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / name))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings = Settings.from_environment()
    assert settings.sqlite_file == tmp_path / name / "mlflow" / "mlflow.db"
    assert settings.tracking_uri == sqlite_url(settings.sqlite_file)


@pytest.mark.parametrize("command", ["sample visits --day 2026-01-01", "status", "history topics", "run topics"])
def test_a_home_that_is_a_file_is_told_and_nothing_else(tmp_path: Path, command: str) -> None:
    (tmp_path / "use_cases").mkdir()
    (tmp_path / "home").write_text("a file")
    done = Shop(tmp_path / "home")(*command.split())
    assert done.code in (0, 1, 2)
    assert "not expected" not in done.err
    assert "Traceback" not in done.err
