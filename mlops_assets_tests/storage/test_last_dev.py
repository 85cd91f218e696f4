"""Commands link to the pages of the `dev` that their home has, or had last, on whatever port."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.services.s3 import free_port
from mlops_assets.settings import Settings
from mlops_assets.storage.last_dev import LOCK
from mlops_assets.tools.dev import reserved


def test_a_home_knows_the_pages_of_its_dev_also_after_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"MLOPS_HOME": str(tmp_path), "DAGSTER_HOME": "", "MLOPS_API_PAGES": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLOPS_DAGSTER_URL", raising=False)
    first = Settings.from_environment()
    assert (first.dagster_url, first.api_pages) == ("http://127.0.0.1:3000", "http://127.0.0.1:8000")
    port, api_port = free_port(), free_port()
    at = (f"http://127.0.0.1:{port}", f"http://127.0.0.1:{api_port}")
    with reserved(first, "127.0.0.1", port, api_port):
        meanwhile = Settings.from_environment()
    after = Settings.from_environment()
    assert (meanwhile.dagster_url, meanwhile.api_pages) == (after.dagster_url, after.api_pages) == at
    monkeypatch.setenv("MLOPS_API_PAGES", "https://predictions.example.com")
    assert Settings.from_environment().api_pages == "https://predictions.example.com"


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{",
        "7",
        "[]",
        '{"process": 1, "address": "http://127.0.0.1:1"}',
        '{"api": 7}',
        '{"api": "javascript:alert(1)"}',
    ],
)
def test_a_note_that_says_nothing_of_use_is_none(said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / LOCK).write_text(said)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    for name in ("DAGSTER_HOME", "MLOPS_API_PAGES"):
        monkeypatch.delenv(name, raising=False)
    assert Settings.from_environment().api_pages == "http://127.0.0.1:8000"
