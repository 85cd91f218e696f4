"""A day through all services of docker-compose.yml, started as processes by its commands: by itself, late, killed, side by side.

Slow: `pytest -m long`. Each process is killed in the middle of a day; what came of it is printed and lies in kills.md.
"""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg2
import pytest

from deploy.services.s3 import is_installed
from mlops_assets_tests.helpers.attacks import REFUSED, attacks, send
from mlops_assets_tests.helpers.receiver import SECRET_PATH, Receiver, webhook
from mlops_assets_tests.helpers.stack import ROWS, SECRET, USE_CASE, Platform, platform, until

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not is_installed(), reason="the S3 server is not installed: ceph-mon, ceph-osd, radosgw"),
]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with webhook() as known:
        yield known


@pytest.fixture(scope="module")
def running(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(tmp_path_factory.mktemp("stack"), receiver.url) as found:
        yield found
        for name, process in found.stack.processes.items():
            print(f"{name}: {process.memory() / 1e6:.0f} MB at the end")


def days_back(number: int) -> str:
    return (dt.datetime.now(dt.UTC).date() - dt.timedelta(days=number)).isoformat()


# -- by itself ----------------------------------------------------------------------------------------------------------


def test_files_that_arrive_on_s3_become_predictions_by_themselves_and_late_ones_change_their_day_alone(
    running: Platform,
) -> None:
    early, late = days_back(2), days_back(1)
    expected = {day: running.upload(day, *range(5)) for day in (early, late)}
    for day in (early, late):
        until(lambda day=day: running.rows(day) == expected[day], f"the predictions of {day}", 400)
    other = running.table("predictions").days()[late].version
    running.upload(early, 99)
    until(lambda: running.rows(early) == expected[early] + ROWS, f"the late file of {early}", 400)
    assert running.table("predictions").days()[late].version == other
    assert running.rows(late) == expected[late]


def test_runs_and_their_output_are_in_postgresql_and_on_s3(running: Platform) -> None:
    connection = psycopg2.connect(running.stack.postgres.url().replace("+psycopg2", ""))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM runs WHERE status = 'SUCCESS'")
        (successes,) = cursor.fetchone() or (0,)
        cursor.execute("SELECT count(*) FROM mlflow.model_versions")
        (versions,) = cursor.fetchone() or (0,)
    connection.close()
    assert successes >= 3
    assert versions == 1
    assert not list(Path(running.stack.environment["DAGSTER_HOME"]).rglob("*.db"))


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
def test_a_person_sees_the_days_in_a_browser(running: Platform, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    pages = running.stack.addresses["Dagster"]
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.goto(f"{pages}/runs")
        page.get_by_text(f"{USE_CASE}_daily").first.wait_for(timeout=60_000)
        page.get_by_text("Success", exact=False).first.wait_for(timeout=60_000)
        page.screenshot(path=str(tmp_path / "runs.png"))
        page.goto(f"{pages}/assets/{USE_CASE}/predictions?view=overview")
        page.get_by_text("One prediction for every row of a day", exact=False).first.wait_for(timeout=60_000)
        page.screenshot(path=str(tmp_path / "predictions.png"))
        page.goto(running.stack.addresses["MLflow"])
        page.get_by_text(USE_CASE, exact=False).first.wait_for(timeout=60_000)
        page.screenshot(path=str(tmp_path / "mlflow.png"))
        browser.close()


def test_no_page_of_another_site_starts_a_run(running: Platform) -> None:
    port = int(running.stack.variables["STACK_WEBSERVER_PORT"])
    before = len(running.instance.get_run_records())
    query = """mutation { launchRun(executionParams: {mode: "default", selector: {
        repositoryName: "__repository__", repositoryLocationName: "mlops_assets", jobName: "JOB"}}) { __typename } }"""
    for how, request in attacks(query.replace("JOB", f"{USE_CASE}_training")).items():
        assert send(port, request)[0] in REFUSED, how
    assert len(running.instance.get_run_records()) == before


def test_a_failed_day_is_told_to_the_webhook(running: Platform, receiver: Receiver) -> None:
    run = running.run_day("2026-02-20")
    assert run.status == dg.DagsterRunStatus.FAILURE
    (told,) = until(lambda: [one for one in receiver.got if one["run_id"] == run.run_id], "the alert", 120)
    assert told["days"] == ["2026-02-20"]
    assert "No raw files of 2026-02-20" in told["errors"][0]


# -- killed -------------------------------------------------------------------------------------------------------------

KILLS = (
    *("postgres", "postgres worker", "ceph-mon", "ceph-osd", "radosgw"),
    *("mlflow", "mlflow worker", "code", "run", "webserver", "daemon"),
)
"""Every process of the stack, and those that three of them start; `run` is the process of the run itself."""


@pytest.mark.parametrize("name", KILLS)
def test_a_day_one_of_whose_processes_is_killed_ends_well_and_within_a_minute_all_are_healthy(
    running: Platform, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    day, service = f"2026-03-{KILLS.index(name) + 1:02}", name.partition(" ")[0]
    expected = running.upload(day, *range(200))
    run_id = running.launch("daily", day)
    until(lambda: running.begun(run_id, "rows"), "the step rows")
    told, since, line = len(running.told), time.monotonic(), "none, for Dagster sees it"
    family = running.stack.processes["code" if name == "run" else service].family()
    running.victim(name).kill()
    if name != "run":
        until(lambda: any(f"{service} is well again" in one for one in running.told[told:]), f"{service} again", 60)
        line = next(one for one in running.told[told:] if f" {service} " in one)
        assert not [one for one in family if one.is_running()], "something of it was left"
    running.stack.supervisor.until_well(60)
    well = time.monotonic() - since
    assert all(process.is_healthy() for process in running.stack.processes.values())
    chain = running.ended(run_id)
    reasons = [running.errors(run.run_id) for run in chain if run.status != dg.DagsterRunStatus.SUCCESS]
    outcome = " -> ".join(run.status.value for run in chain)
    said = reasons[0][0].strip().splitlines()[0][:160] if reasons else ""
    row = f"| `{name}` | {well:.1f} | {outcome} | {said} | {line} |"
    print(row)
    with (tmp_path_factory.getbasetemp() / "kills.md").open("a") as table:
        table.write(row + "\n")
    assert chain[-1].status == dg.DagsterRunStatus.SUCCESS, reasons
    assert running.rows(day) == expected


# -- side by side -------------------------------------------------------------------------------------------------------


def test_two_days_in_parallel_ten_times_lose_and_lock_nothing(running: Platform) -> None:
    days = ("2026-04-01", "2026-04-02")
    for number in range(10):
        for day in days:
            running.upload(day, number)
        runs = {day: running.launch("daily", day) for day in days}
        for day, run_id in runs.items():
            chain = running.ended(run_id)
            assert [run.status.value for run in chain] == ["SUCCESS"], running.errors(run_id)
            assert running.rows(day) == ROWS * (number + 1)


# -- secrets ------------------------------------------------------------------------------------------------------------


def test_no_secret_was_written_anywhere(running: Platform) -> None:
    """Logs of all processes, everything in PostgreSQL, and all objects on S3 but the files that tests put there."""
    secrets = [SECRET.encode(), SECRET_PATH.encode(), running.stack.s3.secret_key.encode()]
    written = {str(path): path.read_bytes() for path in running.stack.folder.rglob("*.log")}
    written |= {
        str(path): path.read_bytes()
        for path in Path(running.stack.environment["DAGSTER_HOME"]).rglob("*")
        if path.is_file()
    }
    written |= dict(all_tables(running))
    written |= dict(all_objects(running))
    assert len(written) > 50
    assert sum(map(len, written.values())) > 100_000
    leaks = [(place, secret) for place, data in written.items() for secret in secrets if secret in data]
    assert leaks == []


def test_nothing_that_was_written_can_be_read_by_others(running: Platform) -> None:
    """But the sockets of PostgreSQL, which lie in its closed folder."""
    written = [path for path in running.stack.folder.rglob("*") if path.is_file()]
    assert len(written) > 50
    assert [str(path) for path in written if path.stat().st_mode & 0o077] == []


def all_tables(running: Platform) -> Iterator[tuple[str, bytes]]:
    connection = psycopg2.connect(running.stack.postgres.url().replace("+psycopg2", ""))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'mlflow')")
        for schema, table in cursor.fetchall():
            cursor.execute(f'SELECT row_to_json(one)::text FROM "{schema}"."{table}" one')
            yield f"{schema}.{table}", "\n".join(line for (line,) in cursor.fetchall()).encode()
    connection.close()


def all_objects(running: Platform) -> Iterator[tuple[str, bytes]]:
    import boto3

    from deploy.services.stack import BUCKET

    client = boto3.client("s3", endpoint_url=running.stack.s3.url, region_name="us-east-1")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for one in page.get("Contents", []):
            if not one["Key"].startswith("raw/"):
                yield one["Key"], client.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
    client.close()
