"""Dagster's webserver behind the guard: nothing that changes something can be asked by another page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from graphql import build_client_schema, get_introspection_query

from mlops_assets.components import webserver
from mlops_assets.components.own_processes import run_to_its_end
from mlops_assets.components.private_webserver import WorkspaceProcessContext
from mlops_assets.errors import UsageError
from mlops_assets.serving.entrance.guard import Guard
from mlops_assets.serving.entrance.listening import check_address, listen
from mlops_assets_tests.helpers.asgi import HOST, JSON, OWN, Answer, ask, talk
from mlops_assets_tests.helpers.attacks import REFUSED, Request, attacks

CHANGING = {
    "/graphql",
    "/report_asset_materialization/{asset_key:path}",
    "/report_asset_check/{asset_key:path}",
    "/report_asset_observation/{asset_key:path}",
}
"""The routes that take a POST. By GET, `/graphql` alone does more than read."""
READING = {
    *("/", "/{path:path}", "/server_info", "/dagit_info", "/logs/{path:path}", "/download_debug/{run_id:str}"),
    *("/notebook", "/dagit/notebook"),
}


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    """The guarded application, on a Dagster without code locations."""
    with (
        dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance,
        WorkspaceProcessContext(instance, workspace_load_target=None) as context,
    ):
        yield webserver.guarded(context, ())


def send(guard: Guard, request: Request) -> Answer:
    named = any(name == "Host" for name, _ in request.headers)
    return ask(guard, request.method, request.target, [*(() if named else (HOST,)), *request.headers], [request.body])


def own(guard: Guard, query: str) -> Any:
    """What a page of Dagster is answered."""
    answer = ask(guard, "POST", "/graphql", [HOST, OWN, JSON], [json.dumps({"query": query}).encode()])
    assert answer.status == 200, answer.text
    return json.loads(answer.text)["data"]


def test_no_mutation_of_the_schema_can_be_sent_by_another_page(guard: Guard) -> None:
    """The schema says which there are, so those of a later version are among them."""
    asked: list[Any] = []

    async def never(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope)
        raise AssertionError("the guard let it through")

    mutations = build_client_schema(own(guard, get_introspection_query())).mutation_type
    assert mutations is not None
    assert {"launchRun", "terminateRun", "deleteRun", "wipeAssets", "startSchedule"} <= mutations.fields.keys()
    alone = Guard(never, posted=("/graphql",))
    for name in mutations.fields:
        for how, request in attacks(f"mutation {{ {name} {{ __typename }} }}").items():
            assert send(alone, request).status in REFUSED, (name, how)
    assert asked == []


def test_the_guard_before_dagster_is_that_guard(guard: Guard) -> None:
    for how, request in attacks("mutation { reloadWorkspace { __typename } }").items():
        assert send(guard, request).status in REFUSED, how
    assert own(guard, "mutation { reloadWorkspace { __typename } }") == {"reloadWorkspace": {"__typename": "Workspace"}}


@pytest.mark.parametrize(
    "query",
    [
        "\ufeffmutation { reloadWorkspace { __typename } }",
        "# a comment\n\t mutation,{ a: reloadWorkspace { __typename } }",
        "query Q { version } mutation M { ...F } fragment F on Mutation { reloadWorkspace { __typename } }",
        "subscription { locationStateChangeEvents { __typename } }",
        "{ version }",
    ],
)
def test_a_link_runs_nothing_however_its_query_is_written(guard: Guard, query: str) -> None:
    assert send(guard, attacks(query)["link"]).status == 405


def test_a_websocket_runs_no_mutation_not_even_for_dagsters_own_page(guard: Guard) -> None:
    """Dagster takes subscriptions there alone; were it to take more, this would show it."""
    start = {"query": "mutation { reloadWorkspace { __typename } }", "operation_name": None, "variables": {}}
    messages = [{"type": "connection_init"}, {"type": "start", "id": "1", "payload": start}]
    sent = talk(guard, "/graphql", [HOST, OWN], *map(json.dumps, messages))
    told = [json.loads(one["text"]) for one in sent if one["type"] == "websocket.send"]
    assert [one["type"] for one in told] == ["connection_ack", "error"]
    assert "reloadWorkspace" in told[1]["payload"]["message"]


def test_a_websocket_of_another_page_is_not_opened(guard: Guard) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:14001"):
        sent = talk(guard, "/graphql", [HOST, ("Origin", origin)], json.dumps({"type": "connection_init"}))
        assert [one["type"] for one in sent] == ["websocket.close"]


@pytest.mark.parametrize(
    "path", ["/report_asset_materialization/a", "/report_asset_check/a", "/report_asset_observation/a"]
)
def test_an_event_of_an_asset_cannot_be_reported_by_a_form(guard: Guard, path: str) -> None:
    for kind in ([], [("Content-Type", "text/plain")], [JSON, ("Origin", "http://evil.example")]):
        assert ask(guard, "POST", f"{path}?metadata=x", [HOST, *kind]).status in REFUSED
    assert ask(guard, "GET", f"{path}?metadata=x").headers["content-type"].startswith("text/html")  # the page, no more


def test_each_route_of_dagster_was_looked_at(guard: Guard) -> None:
    known = [route for route in guard._app.routes if not str(route.name).endswith("_static")]
    methods = {route.path: getattr(route, "methods", {"GET"}) for route in known if route.name != "graphql-ws"}
    assert {path for path, by in methods.items() if by - {"GET", "HEAD"}} == CHANGING
    assert methods.keys() - CHANGING == READING


def test_files_outside_of_the_logs_are_not_served(guard: Guard, tmp_path: Path) -> None:
    (tmp_path / "secret.out").write_text("secret")
    with pytest.raises(ValueError, match="Invalid path"):
        ask(guard, "GET", f"/logs/../../../../../../../../..{tmp_path}/secret.out")


# -- where it listens ---------------------------------------------------------------------------------------------------


def test_an_address_that_others_reach_needs_a_name_by_which_they_may_call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLOPS_ALLOWED_HOSTS", raising=False)
    monkeypatch.setattr("sys.argv", ["webserver", "--host", "0.0.0.0", "--empty-workspace"])
    assert run_to_its_end(webserver.command, "DAGSTER_WEBSERVER") == 2
    assert "asks for no password" in (said := capsys.readouterr().err)
    assert "MLOPS_ALLOWED_HOSTS=dagster.example.com" in said
    assert [check_address(host, ()) for host in ("127.0.0.1", "localhost", "::1")] == [None] * 3


def test_a_taken_port_is_told_with_the_process_that_has_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr("sys.argv", ["webserver", "--port", str(port), "--empty-workspace"])
        assert run_to_its_end(webserver.command, "DAGSTER_WEBSERVER") == 2
    said = capsys.readouterr().err
    assert f"Port {port} of 127.0.0.1 is taken by process " in said
    assert f"--port {port + 1}" in said


def test_a_home_is_named_and_never_made_of_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["webserver", "--port", str(port), "--empty-workspace"])
    assert run_to_its_end(webserver.command, "DAGSTER_WEBSERVER") == 2
    assert "DAGSTER_HOME is not set" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 70000), ("127.0.0.1", -1), ("203.0.113.7", 0), ("no.such", 0)]
)
def test_an_address_that_is_none_is_told(host: str, port: int) -> None:
    with pytest.raises(UsageError, match="--port|--host"):
        listen(host, port)
