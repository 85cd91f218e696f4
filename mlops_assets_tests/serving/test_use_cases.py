"""What is served: contracts, champions and versions; and the short paths where one use case is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.tree import DecisionTreeClassifier

from mlops_assets.journey.model.about import About
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.registry import Registry
from mlops_assets.serving.answering.champions import Champions
from mlops_assets.serving.app import make_app
from mlops_assets.serving.service import Service
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asgi import Answer, ask
from mlops_assets_tests.helpers.asked import HOST, told
from mlops_assets_tests.helpers.homes import give_stores, state_in
from mlops_assets_tests.helpers.models import ABOUT_FILE, MATRIX
from mlops_assets_tests.helpers.toy import toy

HTML = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
AMOUNT = "CREATE VIEW model_input AS SELECT file, line, amount FROM rows"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A home in which `toy` has two versions, of which the second is champion."""
    home = tmp_path_factory.mktemp("home")
    give_stores(home, "mlflow")
    with state_in(home):
        workspace = Workspace.from_environment()
        for number in (1, 2):
            crown(workspace.registry, tmp_path_factory.mktemp("made"), boundary=number)
        yield workspace


def crown(registry: Registry, folder: Path, boundary: float) -> None:
    """Register a version that tells purchases apart by their amount, and make it champion."""
    estimator = DecisionTreeClassifier(max_depth=1).fit(MATRIX, (MATRIX[:, 0] > boundary).astype(int))
    for kind in ("judged", "serving"):
        Model(estimator, {"amount": None}, ("no", "yes"), AMOUNT).save(folder / kind)
    run = registry.client().create_run(registry.experiment("toy")).info.run_id
    registry.promote(
        registry.register("toy", run, folder, About.from_json(ABOUT_FILE.read_bytes())), "somebody", "a test"
    )


def served(workspace: Workspace, *use_cases: UseCase) -> Any:
    named = {use_case.name: use_case for use_case in use_cases}
    return make_app(Service(workspace, named, Champions(workspace)))


@pytest.fixture(scope="module")
def both(workspace: Workspace, loan_approval: UseCase) -> Any:
    return served(workspace, toy(), loan_approval)


@pytest.fixture(scope="module")
def alone(workspace: Workspace) -> Any:
    return served(workspace, toy())


def get(app: Any, path: str, *headers: tuple[str, str]) -> Answer:
    return ask(app, "GET", path, (HOST, *headers))


def test_all_use_cases_each_with_its_champion_or_why_there_is_none(both: Any) -> None:
    first, second = told(get(both, "/v1/use-cases"))["use_cases"]
    assert first["links"].pop("models") == "/v1/use-cases/toy/models"
    del first["links"]
    assert first == {
        "name": "toy",
        "description": "Kind of a purchase.",
        "owner": "team:ml",
        "champion": 2,
        "why_none": None,
        "newest_day": None,
    }
    assert (second["champion"], second["why_none"]) == (None, "no champion: nothing was trained yet")


def test_what_is_damaged_hides_no_other(workspace: Workspace, loan_approval: UseCase) -> None:
    history = Path(str(workspace.settings.lake)) / "loan_approval" / "history"
    history.mkdir(parents=True)
    (history / "000001.json").write_text("{", encoding="utf-8")
    answer = get(served(workspace, toy(), loan_approval), "/v1/use-cases")
    (history / "000001.json").unlink()
    first, second = told(answer)["use_cases"]
    assert first["champion"] == 2
    assert "`mlops-assets status loan_approval` says why" in second["error"]
    assert str(history) not in answer.text


def test_a_use_case_with_its_contract_and_classes(both: Any) -> None:
    said = told(get(both, "/v1/use-cases/toy"))
    assert said["classes"] == ["no", "yes"]
    columns = {column["name"]: column for column in said["contract"]["columns"]}
    assert [*columns] == ["account", "date", "amount", "city", "kind"]
    assert (columns["amount"]["type"], columns["kind"]["optional_column"]) == ("number", True)
    assert said["limits"]["files"] == 1_000
    loan = told(get(both, "/v1/use-cases/loan_approval"))
    assert loan["classes"] == ["0", "1"]
    assert loan["contract"]["columns"][1]["header"] == "Age"


def test_versions_and_who_was_champion_when(both: Any) -> None:
    said = told(get(both, "/v1/use-cases/toy/models"))
    assert (said["champion"], [each["version"] for each in said["versions"]]) == (2, [1, 2])
    assert [change["version"] for change in said["changes"]] == [1, 2]
    link = said["versions"][0]["links"]["self"]
    card = told(get(both, link))
    assert (card["version"], card["champion"]) == (1, False)
    assert card["metrics"].keys() >= {"accuracy", "macro_f1"}
    assert get(both, link, HTML).text.startswith("<!doctype html>")
    assert get(both, link, ("Accept", "text/markdown")).text.startswith("# ")


def test_the_deployed_version(both: Any) -> None:
    said = told(get(both, "/v1/use-cases/toy/deployed-version"))
    assert (said["version"], said["before"], said["who"]) == (2, 1, "somebody")
    answer = get(both, "/v1/use-cases/loan_approval/deployed-version")
    assert answer.status == 404
    assert told(answer)["detail"] == "loan_approval has no champion: nothing was trained yet."


@pytest.mark.parametrize("path", ["", "/models", "/models/1", "/deployed-version"])
def test_what_there_is_not_is_told_with_what_there_is(both: Any, path: str) -> None:
    answer = get(both, f"/v1/use-cases/other{path}")
    assert (answer.status, "there are: toy, loan_approval" in told(answer)["detail"]) == (404, True)
    answer = get(both, f"/v1/use-cases/toy{path}?limit=3")
    assert (answer.status, told(answer)["errors"][0]["where"]) == (422, "query.limit")


def test_a_version_that_there_is_not(both: Any) -> None:
    answer = get(both, "/v1/use-cases/toy/models/3")
    assert (answer.status, "there are: 1, 2" in told(answer)["detail"]) == (404, True)


def test_links_and_for_a_browser_a_page(both: Any, alone: Any) -> None:
    links = told(get(both, "/"))["links"]
    assert links["use_cases"] == "/v1/use-cases"
    assert "predict" not in links
    assert told(get(alone, "/"))["links"].items() >= {("predict", "/predict/"), ("models", "/models/")}
    led = get(both, "/", HTML)
    assert (led.status, led.headers["location"]) == (303, "/pages/")
    assert '<a href="/pages/toy/days">toy</a>' in get(both, led.headers["location"], HTML).text


def test_short_paths_where_one_use_case_is_served(alone: Any, both: Any) -> None:
    assert told(get(alone, "/models/")) == told(get(alone, "/v1/use-cases/toy/models"))
    assert told(get(alone, "/deployed_version/")) == told(get(alone, "/v1/use-cases/toy/deployed-version"))
    assert get(both, "/models/").status == 404
    body = [b"account,date,amount,city,kind\nA1,2026-01-02,1.5,C1,\n"]
    paths = "/predict/", "/v1/use-cases/toy/predictions"
    first, second = (told(ask(alone, "POST", path, (HOST,), body))["files"] for path in paths)
    assert first == second
    assert first[0]["rows"] == 1
    assert ask(both, "POST", "/predict/", (HOST,), body).status == 404


def operations(app: Any) -> dict[tuple[str, str], Any]:
    paths = json.loads(get(app, "/openapi.json").text)["paths"]
    return {(method, path): each for path, methods in paths.items() for method, each in methods.items()}


def test_the_schema_has_a_path_of_its_own_for_each_use_case(both: Any, alone: Any) -> None:
    found = operations(both)
    assert ("post", "/v1/use-cases/toy/predictions") in found
    assert ("post", "/v1/use-cases/loan_approval/predictions") in found
    assert ("post", "/v1/use-cases/{use_case}/predictions") not in found
    parameter = found["get", "/v1/use-cases/{use_case}"]["parameters"][0]
    assert parameter["schema"]["enum"] == ["toy", "loan_approval"]
    assert ("post", "/predict/") in operations(alone)
    names = [each["operationId"] for each in found.values()]
    assert len(names) == len(set(names))


def test_the_schema_tells_the_contract(both: Any) -> None:
    body = operations(both)["post", "/v1/use-cases/loan_approval/predictions"]["requestBody"]["content"]
    assert {"multipart/form-data", "application/json", "text/csv", "application/zip"} <= {*body}
    schema = body["application/json"]["schema"]
    age = schema["properties"]["files"]["items"]["properties"]["rows"]["items"]["properties"]["age"]
    assert age == {
        "type": ["number", "string", "null"],
        "description": "Age of the applicant in years. From 0. To 130.",
        "examples": [1.0],
    }
