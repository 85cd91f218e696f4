"""What machines ask of a process, and the pages of the API: they need no network, and run no foreign script."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlops_assets.errors import LakeError
from mlops_assets.serving import meters
from mlops_assets.serving.answering.bell import Bell
from mlops_assets.serving.answering.champions import Champions, NoChampion
from mlops_assets.serving.app import make_app, make_entrance, make_service
from mlops_assets.serving.entrance.keys import VARIABLE, new_key
from mlops_assets.serving.service import Service
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asgi_client import Client
from mlops_assets_tests.helpers.homes import state_in


@dataclass
class Stub:
    """Champions that are what a test says: a version, why there is none, or what is wrong."""

    found: dict[str, int | Exception]
    bell: Bell
    loaded: list[str] = field(default_factory=list)
    watched: bool = False

    def load(self, use_cases: Iterable[UseCase]) -> None:
        self.loaded += [one.name for one in use_cases]

    def start(self) -> None:
        self.watched = True

    def stop(self) -> None:
        self.watched = False

    def versions(self) -> dict[str, int]:
        return {name: found for name, found in self.found.items() if isinstance(found, int)}

    def without(self) -> dict[str, str]:
        return {name: str(found) for name, found in self.found.items() if isinstance(found, NoChampion)}

    def troubles(self) -> dict[str, str]:
        troubles = {name: str(found) for name, found in self.found.items() if isinstance(found, LakeError)}
        return troubles | (
            {"topics": "version 3 cannot be loaded from /srv/lake/x; 2 answers"} if 2 in self.found.values() else {}
        )


def serving(home: Path, **found: int | Exception) -> Service:
    with state_in(home):
        service = make_service(Workspace.from_environment(), tuple(found))
    return Service(service.workspace, service.use_cases, cast("Champions", Stub(dict(found), Bell(home))))


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(make_app(serving(tmp_path, topics=2)))


def test_ready_names_versions_and_what_has_none_and_what_is_wrong(tmp_path: Path) -> None:
    service = serving(tmp_path, topics=2, loan_approval=NoChampion("loan_approval has no champion: bias."))
    with Client(make_app(service)) as client:
        answer = client.get("/ready")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "versions": {"topics": 2},
        "without": {"loan_approval": "loan_approval has no champion: bias."},
        "troubles": {"topics": "version 3 cannot be loaded from x; 2 answers"},
    }


def test_champions_are_loaded_before_the_first_request_and_watched_until_the_end(tmp_path: Path) -> None:
    service = serving(tmp_path, topics=1, santander=1)
    champions = cast("Stub", service.champions)
    with Client(make_app(service)):
        assert (champions.loaded, champions.watched) == (["topics", "santander"], True)
    assert not champions.watched


def test_one_that_cannot_be_loaded_makes_it_not_ready_until_it_can(tmp_path: Path) -> None:
    service = serving(tmp_path, topics=LakeError("/srv/lake/topics: cannot be read"))
    client = Client(make_app(service))
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["troubles"]) == (503, {"topics": "topics: cannot be read"})
    cast("Stub", service.champions).found["topics"] = 1
    assert client.get("/ready").json()["versions"] == {"topics": 1}


def test_a_process_that_ends_is_alive_and_not_ready(client: Client) -> None:
    assert client.get("/ready").status_code == 200
    cast("Any", client.app).state.readiness.draining = True
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "ending")
    assert client.get("/health").status_code == 200


def metered(client: Client) -> dict[str, float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value for one in families for sample in one.samples
    }


def test_meters_count_requests_by_route_and_rejects_by_rule(client: Client) -> None:
    before = metered(client)
    for path in ("/health", "/health", "/made-up-1", "/made-up-2"):
        client.get(path)
    meters.count_answer("topics", 7, 10, {"empty": 2, "link": 1})
    after = metered(client)
    grown = {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}
    assert grown["mlops_requests_total['/health', '200']"] == 2
    assert grown["mlops_requests_total['404', 'unmatched']"] == 2
    assert grown["mlops_rows_total['topics']"] == 10
    assert grown["mlops_rejects_total['empty', 'topics']"] == 2
    assert after["mlops_version['topics']"] == 7
    assert grown["mlops_stage_seconds_count['whole']"] == 5
    assert not [name for name in after if "made-up" in name]


def test_rules_beyond_some_are_counted_together(client: Client) -> None:
    meters.count_answer("topics", 1, 0, {f"rule {number}": 1 for number in range(3 * meters.MOST_RULES)})
    rules = [name for name in metered(client) if name.startswith("mlops_rejects_total[")]
    assert len(rules) <= meters.MOST_RULES + 1
    assert "mlops_rejects_total['other', 'topics']" in rules


def test_the_page_loads_only_what_is_served_here(client: Client) -> None:
    page = client.get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 3
    assert not [address for address in loaded if "//" in address]
    for address in loaded:
        assert client.get(f"/{address}").status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "'unsafe-inline'" not in policy.partition("style-src")[0]
    assert "//cdn" not in page.text


def test_the_schema_tells_of_problems_and_of_keys_where_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, key = new_key("reader", frozenset({"read"}))
    monkeypatch.setenv(VARIABLE, key.entry)
    service = serving(tmp_path, topics=1)
    app = make_app(service, make_entrance(service))
    schema = Client(app).get("/openapi.json", headers={"X-Api-Key": token}).json()
    operation = schema["paths"]["/v1/use-cases/topics/predictions"]["post"]
    assert operation["security"] == [{"HTTPBearer": []}]
    assert "application/problem+json" in operation["responses"]["503"]["content"]
    assert "security" not in make_app(service).openapi()["paths"]["/health"]["get"]
