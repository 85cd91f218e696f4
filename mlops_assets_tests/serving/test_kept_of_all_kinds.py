"""What was sent and kept in any form, pictures, ZIP files and rows of JSON, is said by its day as it was answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from mlops_assets.journey.score.day import Scorers, score_day
from mlops_assets.serving.answering.champions import Champions
from mlops_assets.serving.app import make_app
from mlops_assets.serving.keeping.stored import open_store
from mlops_assets.serving.service import Service
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.serving import Serving
from mlops_assets.views.answered import compare
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.workspace import Stores, Workspace
from mlops_assets_tests.helpers.asgi_client import Client
from mlops_assets_tests.helpers.asked import zipped
from mlops_assets_tests.helpers.days import DAY, ignore, read_raw
from mlops_assets_tests.helpers.served_home import YESTERDAY, copied_home

Published = set[tuple[str, int, str, bytes]]
"""File, line, class, and the bits of the probability."""

ROW = {"account_id": "7", "account_opened": 201910, "home_city": "OSASCO", "home_state": "SP", "age": 40, "sex": "F"}
ROW |= {"limit_total": 1000, "limit_available": 900.5, "date": DAY, "amount": 12.5}
ROW |= {"merchant_city": "OSASCO", "merchant_country": "BR"}
ROWS = [ROW, ROW | {"date": "no day"}, ROW | {"amount": 3000, "merchant_city": None}]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with copied_home(tmp_path_factory.mktemp("kept"), "http://127.0.0.1:9") as one:
        yield one


def keeping(stores: Stores) -> UseCase:
    """The use case with its requests kept, whose days are published however dirty they are."""
    checks = stores.use_case.checks.model_copy(update={"reject_rate": 1.0, "quarantine_rate": 1.0})
    return stores.use_case.model_copy(update={"serving": Serving(store=True), "checks": checks})


def files_of(workspace: Workspace, use_case: UseCase) -> dict[str, bytes]:
    """The raw files of the day that its champion learned from."""
    day = Path(str(workspace.settings.raw)) / use_case.name / f"day={YESTERDAY}"
    return {path.relative_to(day).as_posix(): path.read_bytes() for path in sorted(day.rglob("*")) if path.is_file()}


def requests_of(workspace: Workspace, use_case: UseCase) -> list[dict[str, Any]]:
    """Requests of every kind that the use case takes."""
    files = files_of(workspace, use_case)
    if use_case.name == "transactions":
        told = json.dumps({"files": [{"name": "a.csv", "rows": ROWS}, {"rows": ROWS[:1]}]})
        return [
            {"content": told, "headers": {"Content-Type": "application/json"}},
            {"content": zipped([*files.items()][:2]), "headers": {"Content-Type": "application/zip"}},
        ]
    pictures = {name: data for name, data in files.items() if name.endswith(".png")}
    first = next(iter(pictures.values()))
    return [
        {"content": first, "headers": {"Content-Type": "image/png"}},
        {"files": [("file", (name, data)) for name, data in [*pictures.items()][:2]]},
        {"files": [("file", (name, data)) for name, data in files.items()]},
        {"content": zipped([*files.items()]), "headers": {"Content-Type": "application/zip"}},
    ]


def as_answered(answers: list[httpx.Response]) -> tuple[Published, int]:
    """What was answered, by the paths that the day gives these files; and how many rejects."""
    said: Published = set()
    rejects = 0
    for answer in answers:
        assert answer.status_code == 200, answer.text
        told = answer.json()
        for file in told["files"]:
            rejects += file["rejected"]
            for row in file["predictions"]:
                bits = np.float32(row["probability"]).tobytes()
                said.add((f"api/{told['request']}/{file['file']}", row["line"], row["prediction"], bits))
    return said, rejects


@pytest.mark.parametrize("name", ["transactions", "compound_rings"])
def test_the_day_says_what_was_answered_to_requests_of_every_kind(workspace: Workspace, name: str) -> None:
    use_case = keeping(workspace.find(name))
    stores = workspace.of(use_case)
    served = {name: use_case}
    service = Service(workspace, served, Champions(workspace), store=open_store(workspace, served))
    with Client(make_app(service)) as client:
        path = f"/v1/use-cases/{name}/predictions?as_of={DAY}&version=1"
        answers = [client.post(path, **one) for one in requests_of(workspace, use_case)]
    said, rejects = as_answered(answers)
    assert len(said) > len(answers)
    read_raw(use_case, Path(str(workspace.settings.raw)), stores.lake, DAY)
    champion = stores.champion()
    assert champion is not None
    scorers = Scorers(stores.registry.prove(champion, use_case.training.trusted))
    score_day(use_case, stores.lake, DAY, scorers, LocalEngine(1), ignore, "the folder")
    rows = stores.lake.predictions.read_all([DAY]).to_pylist()
    found = {(one["file"], one["line"], one["prediction"], np.float32(one["probability"]).tobytes()) for one in rows}
    assert found == said
    assert stores.lake.rows.days()[DAY].accounting.rejected == rejects
    told = compare(stores.lake, DAY)
    assert (told.requests, told.same, told.differing, told.unpublished) == (len(answers), len(said), 0, 0)
