"""Runs over the network: each is started once, in somebody's name, and what cannot be done is told before."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import requests
from dagster_graphql.schema import create_schema
from graphql import parse, validate

from mlops_assets.journey.model.history import History
from mlops_assets.serving.answering.champions import Champions
from mlops_assets.serving.dagster import ANSWERING, CONNECTING, FAILURES, LAUNCH, RUN, RUNS, Dagster
from mlops_assets.serving.service import Service
from mlops_assets.settings import Settings
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asgi import Answer
from mlops_assets_tests.helpers.asked_api import Api, problem
from mlops_assets_tests.helpers.fake_dagster import FakeDagster, fake_dagster
from mlops_assets_tests.helpers.toy import DAY, toy
from mlops_assets_tests.helpers.versions import copy_of, decided_home

BASE = "/v1/use-cases/toy"
RUN_DAY = f"{BASE}/days/{DAY}/run"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with versions that wait for a person."""
    home = tmp_path_factory.mktemp("decided")
    with decided_home(home):
        return home


@pytest.fixture
def dagster() -> Iterator[FakeDagster]:
    with fake_dagster() as fake:
        yield fake


@pytest.fixture
def api(settings: Settings, dagster: FakeDagster) -> Api:
    folder = Path(str(settings.raw)) / "toy" / f"day={DAY}"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("account,date,amount,city,kind\n")
    return Api.of(Workspace(replace(settings, dagster_url=dagster.address)), toy())


def started(answer: Answer) -> str:
    """The run that an answer tells of."""
    assert answer.status == 202, answer.text
    told = json.loads(answer.text)
    assert answer.headers["location"] == f"/v1/runs/{told['run']}"
    assert told["link"].endswith(f"/runs/{told['run']}")
    return str(told["run"])


def tags(dagster: FakeDagster, run: str) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in dagster.runs[run]["tags"]}


def test_the_queries_fit_the_schema_of_the_dagster_that_is_installed() -> None:
    schema = create_schema().graphql_schema
    for query in (LAUNCH, RUNS, RUN, FAILURES):
        assert validate(schema, parse(query)) == []


def test_a_day_is_run_in_the_name_of_who_asks(api: Api, dagster: FakeDagster) -> None:
    run = started(api.post(RUN_DAY))
    assert dagster.runs[run]["jobName"] == "toy_daily"
    known = tags(dagster, run)
    assert (known["dagster/partition"], known["mlops_assets/who"]) == (DAY, "local (API)")


def test_who_asks_for_a_day_that_is_under_way_gets_that_run(api: Api, dagster: FakeDagster) -> None:
    first = started(api.post(RUN_DAY))
    assert started(api.post(RUN_DAY)) == first
    dagster.end(first, "SUCCESS")
    assert started(api.post(RUN_DAY)) != first


def test_a_key_answers_with_its_run_also_when_that_has_ended_and_is_for_one_body(
    api: Api, dagster: FakeDagster
) -> None:
    first = started(api.post(f"{BASE}/train", Idempotency_Key="k"))
    dagster.end(first, "FAILURE")
    assert started(api.post(f"{BASE}/train", Idempotency_Key="k")) == first
    assert started(api.post(f"{BASE}/train", Idempotency_Key="another")) != first
    told = problem(api.post(RUN_DAY, Idempotency_Key="k"), 422)
    assert told["run"] == first


def test_many_at_once_start_one_run(api: Api, dagster: FakeDagster) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = {*pool.map(lambda _: started(api.post(RUN_DAY)), range(16))}
    assert runs == dagster.runs.keys()
    assert len(runs) == 1


def test_a_training_is_told_which_days_to_score_again(api: Api, dagster: FakeDagster) -> None:
    run = started(api.post(f"{BASE}/train", {"retro_score": {"from": "2026-01-01", "to": DAY}}))
    assert dagster.runs[run]["jobName"] == "toy_training"
    assert tags(dagster, run)["mlops_assets/retro_score"] == f"2026-01-01/{DAY}"


def test_a_rollback_is_told_why_and_by_whom(api: Api, dagster: FakeDagster, settings: Settings) -> None:
    history = History(settings.lake, "toy")
    for version in (1, 2):
        history.append("promote", version, "ann", "better", "passed")
    run = started(api.post(f"{BASE}/rollback", {"why": "worse"}))
    (op,) = dagster.runs[run]["config"]["ops"].values()
    assert (dagster.runs[run]["jobName"], op) == ("toy_rollback", {"config": {"why": "worse", "who": "local (API)"}})


TOMORROW = (dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)).isoformat()


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/days/2025-12-31/run", None, 422, "2025-12-31 cannot be run: days of toy run from 2026-01-01"),
        (f"/days/{TOMORROW}/run", None, 422, "which is today by UTC"),
        ("/days/2026-01-05/run", None, 404, "toy has no raw files of 2026-01-05"),
        ("/train", {"retro_score": {"from": DAY, "to": "2026-01-01"}}, 422, "are no days"),
        ("/train", {"retro_score": {"from": "2025-01-01", "to": DAY}}, 422, "2025-01-01 cannot be run"),
        ("/promote", {"version": 9, "why": "x"}, 404, "There is no version 9 of toy; there are: none"),
        ("/rollback", {"why": "x"}, 409, "no champion before this one"),
        ("/refuse", {"version": 9, "why": "x"}, 404, "There is no version 9 of toy; there are: none"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_is_started(
    api: Api, dagster: FakeDagster, path: str, body: Any, status: int, said: str
) -> None:
    assert said in problem(api.post(BASE + path, body), status)["detail"]
    assert dagster.runs == {}


def test_a_refusal_starts_nothing_is_kept_with_who_and_why_and_is_said_once(
    first: Path, tmp_path: Path, dagster: FakeDagster
) -> None:
    with copy_of(first, tmp_path / "home") as workspace:
        api = Api.of(Workspace(replace(workspace.settings, dagster_url=dagster.address)), toy())
        told = json.loads(api.post(f"{BASE}/refuse", {"version": 4, "why": "worse on rare kinds"}).text)
        kept = workspace.of(toy()).history.refusals()[4]
        again = problem(api.post(f"{BASE}/refuse", {"version": 4, "why": "again"}), 409)
        champion = problem(api.post(f"{BASE}/refuse", {"version": 2, "why": "x"}), 409)
        assert told == {"use_case": "toy", **asdict(kept)}
        assert (kept.who, kept.why) == ("local (API)", "worse on rare kinds")
        assert "was refused already" in again["detail"]
        assert "is champion" in champion["detail"]
        assert dagster.runs == {}


@pytest.mark.parametrize("body", [{}, {"why": ""}, {"why": "x", "version": "2"}, {"why": "x", "version": 2, "more": 1}])
def test_a_promotion_that_lacks_something_or_has_too_much_starts_nothing(
    api: Api, dagster: FakeDagster, body: Any
) -> None:
    assert api.post(f"{BASE}/promote", body).status == 422
    assert dagster.runs == {}


def test_a_run_is_told_with_what_its_failed_steps_said_and_no_place_of_the_machine(
    api: Api, dagster: FakeDagster, settings: Settings
) -> None:
    run = started(api.post(RUN_DAY))
    assert json.loads(api.get(f"/v1/runs/{run}").text)["state"] == "started"
    dagster.end(run, "FAILURE")
    cause = {"message": "KeyError: 'x'\n  File y\n", "className": "KeyError"}
    dagster.events = [
        {"__typename": "LogMessageEvent"},
        {"__typename": "ExecutionStepFailureEvent", "stepKey": "a", "failureMetadata": {"description": "no files"}},
        {
            "__typename": "ExecutionStepFailureEvent",
            "stepKey": "b",
            "failureMetadata": None,
            "error": {"message": f"{settings.home}/x is gone\n  File z", "className": "E", "causes": []},
        },
        {"__typename": "ExecutionStepFailureEvent", "stepKey": "c", "error": {"message": "E: e", "causes": [cause]}},
        {"__typename": "RunFailureEvent", "message": "Steps failed", "error": None},
    ]
    told = json.loads(api.get(f"/v1/runs/{run}").text)
    assert told["failed"] == [
        {"step": "a", "said": "no files"},
        {"step": "b", "said": "x is gone"},
        {"step": "c", "said": "KeyError: 'x'"},
    ]
    assert told["days"] == {"from": DAY, "to": DAY}
    assert (told["use_case"], told["state"], told["started"][:4], told["ended"][:4]) == (
        "toy",
        "failure",
        *["1970"] * 2,
    )


def test_a_run_that_is_none_of_a_served_use_case_is_not_told(api: Api, dagster: FakeDagster) -> None:
    run = started(api.post(RUN_DAY))
    dagster.runs[run]["jobName"] = "other_daily"
    for unknown in (run, "x"):
        assert "no run" in problem(api.get(f"/v1/runs/{unknown}"), 404)["detail"]


def test_a_run_that_dagster_does_not_take_is_told_by_its_reason(api: Api, dagster: FakeDagster) -> None:
    dagster.refusal = {"__typename": "PipelineNotFoundError", "message": "no job toy_daily\n  File x"}
    assert problem(api.post(RUN_DAY), 503)["detail"].endswith("a run of toy_daily: no job toy_daily")


def test_where_dagster_does_not_answer_it_is_told_what_to_start(settings: Settings) -> None:
    api = Api.of(Workspace(replace(settings, dagster_url="http://127.0.0.1:9")), toy())
    for answer in (api.post(f"{BASE}/train"), api.get("/v1/runs/x")):
        told = problem(answer, 503)
        assert "`mlops-assets dev`" in told["detail"]
        assert "MLOPS_DAGSTER_URL" in told["detail"]
        assert answer.headers["retry-after"] == "30"


def test_a_silent_dagster_is_not_waited_for_long_and_nobody_says_that_nothing_was_started_if_that_is_not_known(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, post = list[tuple[str, Any]](), requests.post
    silent = RUNS

    def ask(address: str, **how: Any) -> Any:
        asked.append((how["json"]["query"], how["timeout"]))
        if how["json"]["query"] == silent:
            raise requests.ReadTimeout
        return post(address, **how)

    monkeypatch.setattr(requests, "post", ask)
    said = problem(api.post(RUN_DAY), 503)["detail"]
    assert said.startswith("Nothing was started. Dagster's webserver at")
    assert asked == [(RUNS, (CONNECTING, ANSWERING))]
    silent = LAUNCH
    said = problem(api.post(RUN_DAY), 503)["detail"]
    assert "did not say within 30 seconds whether it took a run of toy_daily: look at its runs" in said
    assert "Nothing was started" not in said


def test_links_lead_to_where_people_open_dagster(dagster: FakeDagster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_DAGSTER_PAGES", "https://dagster.example.com/")
    monkeypatch.setenv("MLOPS_DAGSTER_URL", dagster.address)
    found = Settings.from_environment()
    service = Service(Workspace(found), {}, Champions(Workspace(found)))
    assert service.starter.dagster.link("one") == "https://dagster.example.com/runs/one"
    assert service.starter.dagster.run("one") is None
    assert Dagster("http://127.0.0.1:3000").link("one") == "http://127.0.0.1:3000/runs/one"
