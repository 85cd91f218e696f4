"""Secrets stay where they are: planted in every place that may hold one, and found in no file, output or store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import make_url

from mlops_assets_tests.helpers.planted import found, leaks
from mlops_assets_tests.helpers.postgres import Server
from mlops_assets_tests.helpers.shop import Done, Shop
from mlops_assets_tests.helpers.visits import VISITS, place_visits
from mlops_assets_tests.helpers.weather_service import Request, Response, WeatherService

DAYS = ("2026-01-01", "2026-01-02")
LATER = "2026-01-03"
NOBODY = "127.0.0.1:9"
"""Where nothing listens."""

PLACES = """\
  told:
    oncall: {url: "{{ env.TOLD_URL }}", secret: "{{ env.TOLD_SIGNS }}", from: info}
    mail: {url: "{{ env.TOLD_MAIL }}", from: info}
  enrichments:
    score:
      use: http
      parameters:
        url: "{{ env.LOOKUP }}?token={{ env.LOOKUP_TOKEN }}"
        headers: {X-Key: "Bearer {{ env.LOOKUP_KEY }}"}
        secret_headers: {X-Other: LOOKUP_HEADER}
      keys: [channel]
      columns: {score: number}
      retries: 0
    past:
      use: sql
      parameters: {url_variable: PAST_URL, query: "SELECT 'web' AS channel, 1.5 AS ranked"}
      keys: [channel]
      columns: {ranked: number}
      retries: 0
  targets:
    warehouse:
      use: sql
      retries: 0
      parameters: {url_variable: WAREHOUSE_URL}
    bus:
      use: kafka
      retries: 0
      parameters:
        servers: 127.0.0.1:9
        topic: said
        timeout: 0.2
        options: {client.id: "{{ env.BUS_CLIENT }}", log_level: 0}
        secrets: {sasl.password: BUS_PASSWORD}
    own:
      use: mlops_assets_tests.helpers.careless.Warehouse
      retries: 0
      parameters: {key: "{{ env.OWN_KEY }}"}
"""
KEYED = """\
      keyed:
        use: mlops_assets_tests.helpers.careless.KeyedClassifier
        parameters: {key: "{{ env.MODEL_KEY }}"}
        prepare:
          - {use: sklearn.preprocessing.StandardScaler, columns: numbers}
    trusted: [mlops_assets_tests.helpers.careless.KeyedClassifier]
    gate:
"""
YAML = VISITS.replace("    gate:\n", KEYED) + PLACES


def word(name: str) -> str:
    """A secret."""
    return f"tulip-{name}-7f3e51a9c2"


SECRETS = [
    word(name)
    for name in (
        *("lookup", "token", "bearer", "header", "past", "warehouse", "client", "bus", "own", "model"),
        *("s3", "aws", "session", "database", "tracking", "proxy", "alert"),
        *("oncall", "signature", "mail", "heartbeat"),
    )
]


def told(said: str) -> list[str]:
    """The secrets that stand in what was said."""
    return found(said.encode(), SECRETS)


@dataclass
class Planted:
    """A home whose environment is full of secrets, and its commands."""

    shop: Shop
    service: WeatherService
    environment: dict[str, str]

    def __call__(self, *arguments: str, **environment: str) -> Done:
        """Run a command in this environment, but for what is given besides."""
        return self.shop(*arguments, **{**self.environment, **environment})


def answer(request: Request) -> Response:
    """What the service knows."""
    return Response(json.dumps([{**key, "score": 1.0} for key in request.keys]).encode())


@pytest.fixture(scope="module")
def planted(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """Two days, trained and delivered as far as that goes."""
    folder = tmp_path_factory.mktemp("planted")
    place_visits(folder / "use_cases", YAML)
    with postgres.database() as url, WeatherService.open() as service:
        service.behave = answer
        database = make_url(url)

        def with_password(name: str) -> str:
            return database.set(password=word(name)).render_as_string(hide_password=False)

        environment = {
            "LOOKUP": f"{service.url}/{word('lookup')}",
            "LOOKUP_TOKEN": word("token"),
            "LOOKUP_KEY": word("bearer"),
            "LOOKUP_HEADER": word("header"),
            "PAST_URL": with_password("past"),
            "WAREHOUSE_URL": with_password("warehouse"),
            "BUS_CLIENT": word("client"),
            "BUS_PASSWORD": word("bus"),
            "OWN_KEY": word("own"),
            "MODEL_KEY": word("model"),
            "S3_ENDPOINT_URL": f"http://me:{word('s3')}@{NOBODY}",
            "MLOPS_S3_PATIENCE": "0",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": word("aws"),
            "AWS_SESSION_TOKEN": word("session"),
            "HTTP_PROXY": f"http://me:{word('proxy')}@{NOBODY}",
            "HTTPS_PROXY": f"http://me:{word('proxy')}@{NOBODY}",
            "NO_PROXY": "127.0.0.1",
            "TOLD_SIGNS": word("signature"),
            "TOLD_URL": f"http://me:{word('oncall')}@{NOBODY}/{word('oncall')}",
            "TOLD_MAIL": f"mailto://me:{word('mail')}@{NOBODY}?from=a@example.org&to=b@example.org&mode=insecure",
            "MLOPS_HEARTBEAT_URL": f"http://me:{word('heartbeat')}@{NOBODY}/{word('heartbeat')}",
            "MLOPS_ALERT_URL": f"http://me:{word('alert')}@{NOBODY}/{word('alert')}",
        }
        made = Planted(Shop(folder / "home"), service, environment)
        assert made("sample", "visits", "--day", DAYS[0], "--days", "2", "--files", "2", "--rows", "60").code == 0
        done = made("run", "visits", "--train")
        assert all(f"not delivered to {name}" in done.err for name in ("bus", "own")), done.err
        yield made


JOURNEY = [
    "status visits --format json",
    "status",
    "card visits",
    "history visits --format json",
    "rebuild visits 1",
    "preview visits",
    "verify visits",
    f"predictions visits --day {DAYS[0]} --format json",
    f"diff visits --day {DAYS[0]} --candidate 1 --against 1",
    f"drift visits --day {DAYS[0]} --format json",
    "profile visits --format json",
    "feedback visits --accuracy",
    "deliver visits --target warehouse",
]


@pytest.mark.parametrize("command", JOURNEY)
def test_what_goes_well_tells_none(planted: Planted, command: str) -> None:
    done = planted(*command.split())
    assert done.code == 0, done.err
    assert told(done.out + done.err) == []


def test_why_tells_none(planted: Planted) -> None:
    (row, *_) = json.loads(planted("predictions", "visits", "--day", DAYS[0], "--format", "json").out)
    done = planted("why", "visits", "--day", DAYS[0], "--file", row["file"], "--line", str(row["line"]))
    assert done.code == 0, done.err
    assert told(done.out + done.err) == []


ADDRESS = f"me:{word('s3')}@{NOBODY}"
DATABASE = f"me:{word('database')}@{NOBODY}/all"
TRACKING = f"me:{word('tracking')}@{NOBODY}"
FAILING: list[tuple[str, dict[str, str]]] = [
    ("status visits", {"MLOPS_RAW": "s3://bucket/raw"}),
    ("status visits", {"MLOPS_RAW": "s3://bucket/raw", "S3_ENDPOINT_URL": f"ftp://{ADDRESS}"}),
    ("run visits", {"MLOPS_LAKE": "s3://bucket/lake"}),
    ("verify visits", {"MLOPS_LAKE": "s3://bucket/lake"}),
    ("status visits", {"MLOPS_LAKE": f"http://{ADDRESS}"}),
    ("status visits", {"MLOPS_HOME": f"http://{ADDRESS}"}),
    ("status visits", {"MLOPS_USE_CASES": f"http://{ADDRESS}"}),
    ("run visits", {"MLOPS_DATABASE_URL": f"postgresql://{DATABASE}"}),
    ("run visits", {"MLOPS_DATABASE_URL": f"postgresql://{DATABASE.replace(':9', ':9x')}"}),
    ("run visits", {"MLOPS_DATABASE_URL": f"postgresql://a@{DATABASE}"}),
    ("run visits", {"MLOPS_DATABASE_URL": f"mysql://{DATABASE}"}),
    ("register visits models:/visits/1", {"MLFLOW_TRACKING_URI": f"http://{TRACKING}"}),
    ("register visits models:/visits/1", {"MLFLOW_TRACKING_URI": f"postgresql://{TRACKING}/all"}),
    ("register visits models:/visits/1", {"MLFLOW_TRACKING_URI": f"strange://{TRACKING}/all"}),
    ("run visits --train", {"MLFLOW_TRACKING_URI": f"strange://{TRACKING}/all"}),
    ("run visits --train", {"MLOPS_ARTIFACTS": "s3://bucket/artifacts"}),
    ("run visits", {"MLOPS_ENGINE": "spark", "MLOPS_SPARK_MASTER": f"spark://{ADDRESS}"}),
    ("deliver visits --again --target warehouse", {"WAREHOUSE_URL": f"postgresql://me:{word('warehouse')}@{NOBODY}/x"}),
    ("deliver visits --target own", {}),
    ("deliver visits --target bus", {}),
]


@pytest.mark.parametrize(("command", "environment"), FAILING)
def test_what_fails_tells_none_nor_does_its_traceback(
    planted: Planted, command: str, environment: dict[str, str]
) -> None:
    done = planted("--debug", *command.split(), **environment)
    assert done.code in (1, 2)
    assert "Traceback" in done.err
    assert told(done.out + done.err) == []


def test_a_channel_that_nobody_answers_tells_none(planted: Planted) -> None:
    done = planted("tell", "visits", "--test")
    assert done.code == 1
    assert done.out.count("NOT TOLD") == 2
    assert told(done.out + done.err) == []


@pytest.mark.parametrize("reached", [True, False])
def test_a_lookup_that_fails_tells_none(planted: Planted, *, reached: bool) -> None:
    """A service that answers with an error, or is asked through a proxy that is not there, as the database is not."""
    planted("sample", "visits", "--day", LATER, "--files", "1", "--rows", "5")
    planted.service.behave = lambda _: Response(word("token").encode(), 500)
    nobody = {"NO_PROXY": "localhost", "PAST_URL": f"postgresql://me:{word('past')}@{NOBODY}/x"}
    try:
        done = planted("run", "visits", "--from", LATER, "--to", LATER, **({} if reached else nobody))
    finally:
        planted.service.behave = answer
    assert "0 of 2 keys answered" in done.err, done.err
    assert told(done.out + done.err) == []


def test_afterwards_no_file_of_the_home_has_one(planted: Planted) -> None:
    """Tables, archives and databases are searched unfolded; Dagster's events and MLflow's store are among them."""
    assert leaks(planted.shop.home, SECRETS) == []
    assert any("model.skops" in str(path) for path in planted.shop.home.rglob("*"))


def test_what_is_stored_has_the_references(planted: Planted) -> None:
    stored, *_ = planted.shop.home.glob("mlflow/artifacts/visits/*/artifacts/version/about.json")
    recipe = json.loads(stored.read_text())["recipe"]
    lookup = recipe["enrichments"]["score"]["parameters"]
    assert lookup["url"] == "{{ env.LOOKUP }}?token={{ env.LOOKUP_TOKEN }}"
    assert lookup["headers"] == {"X-Key": "Bearer {{ env.LOOKUP_KEY }}"}
    assert recipe["training"]["candidates"]["keyed"]["parameters"] == {"key": "{{ env.MODEL_KEY }}"}
    fitted, *_ = planted.shop.home.glob("lake/visits/training/*/candidates.json")
    parameters = {one["name"]: one["parameters"] for one in json.loads(fitted.read_text())["candidates"]}
    assert parameters["keyed"] == {"key": "{{ env.MODEL_KEY }}"}


def test_a_model_is_made_again_with_another_secret_to_the_byte(planted: Planted) -> None:
    done = planted("rebuild", "visits", "1", MODEL_KEY=word("another"), OWN_KEY="x", LOOKUP_KEY="y")
    assert done.code == 0, done.err
    assert "the same" in done.out


@pytest.mark.parametrize("name", ["MODEL_KEY", "LOOKUP_TOKEN"])
def test_a_variable_that_is_not_set_is_told_by_its_line_and_name(planted: Planted, name: str) -> None:
    environment = {variable: value for variable, value in planted.environment.items() if variable != name}
    done = planted.shop("rebuild", "visits", "1", **environment)
    assert done.code == 1
    assert re.search(rf"visits/defs\.yaml:\d+: [\w.]+: the environment variable {name} is not set", done.err), done.err


def test_a_card_is_filled_in_with_what_the_configuration_refers_to_and_nothing_else(planted: Planted) -> None:
    """Else a forged card could have any variable of the environment handed to a class."""
    path = planted.shop.home.parent / "use_cases" / "visits" / "defs.yaml"
    written = path.read_text()
    path.write_text(written.replace("{{ env.MODEL_KEY }}", "plain"))
    try:
        done = planted("rebuild", "visits", "1")
    finally:
        path.write_text(written)
    assert done.code == 1
    assert "refers to the environment variable MODEL_KEY, and the configuration of the use case does not" in done.err


def test_new_secrets_do_nothing_again(planted: Planted) -> None:
    """No shard, no question, no delivery: none of their fingerprints has a value of the environment."""
    planted("deliver", "visits", "--target", "warehouse")
    asked = len(planted.service.requests)
    changed = {name: word("new") for name in ("LOOKUP_TOKEN", "LOOKUP_KEY", "OWN_KEY", "BUS_CLIENT", "MODEL_KEY")}
    done = planted("preview", "visits", "--from", DAYS[0], "--to", DAYS[1], **changed)
    assert "Nothing to do" in done.out, done.out
    done = planted("deliver", "visits", "--target", "warehouse", **changed)
    assert done.err.count("it is there already") >= 2, done.err
    assert " rows\n" not in done.err
    assert len(planted.service.requests) == asked
