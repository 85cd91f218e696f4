"""`{{ env.NAME }}` is filled in for work, and stays as it is in what is stored, hashed or sent to a worker."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from mlops_assets.errors.redaction import redacted
from mlops_assets.use_case import as_written, load_use_case
from mlops_assets_tests.helpers.visits import VISITS, place_visits

SECRET = "rosebud-7c41-of-the-shop"
FILLED = (
    VISITS.replace("max_iter: 500}", 'max_iter: 500, solver: "{{ env.ROSE }}"}')
    + """\
  source:
    use: mlops_assets_tests.helpers.careless.Deliveries
    parameters: {key: "{{ env.ROSE }}"}
  enrichments:
    score:
      use: http
      parameters: {url: "http://127.0.0.1:9/{{ env.ROSE }}", headers: {X-Key: "Bearer {{ env.ROSE }}"}}
      keys: [channel]
      columns: {score: number}
  targets:
    own:
      use: mlops_assets_tests.helpers.careless.Warehouse
      parameters: {key: "{{ env.ROSE }}"}
"""
)


def test_a_use_case_is_filled_in_and_its_recipe_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROSE", SECRET)
    place_visits(tmp_path, FILLED)
    use_case = load_use_case(tmp_path / "visits")
    assert use_case.targets["own"].parameters == {"key": SECRET}
    assert use_case.recipe()["targets"]["own"]["parameters"] == {"key": "{{ env.ROSE }}"}
    assert SECRET not in json.dumps(use_case.recipe())
    assert use_case.recipe().keys() == use_case.model_dump(by_alias=True).keys()


def test_a_worker_gets_the_references_and_makes_the_same_fingerprints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSE", SECRET)
    place_visits(tmp_path, FILLED)
    use_case = load_use_case(tmp_path / "visits")
    sent = pickle.dumps(use_case)
    assert SECRET.encode() not in sent
    assert pickle.loads(sent).contract_fingerprint == use_case.contract_fingerprint
    assert redacted(f"no {SECRET}") == "no ***"
    monkeypatch.setenv("ROSE", "another")
    assert load_use_case(tmp_path / "visits").contract_fingerprint == use_case.contract_fingerprint


def test_only_texts_that_refer_are_as_they_were_written() -> None:
    made = {"a": "x", "b": ["y", ("z", 1)], "c": {"d": "v"}, "e": 5}
    written = {"a": "plain", "b": ["{{ env.Y }}", ["{{env.Z}}", 2]], "c": "{{ env.C }}", "e": "{{ env.FIVE }}", "f": 1}
    assert as_written(made, written) == {
        "a": "x",
        "b": ["{{ env.Y }}", ("{{env.Z}}", 1)],
        "c": "{{ env.C }}",
        "e": "{{ env.FIVE }}",
    }
