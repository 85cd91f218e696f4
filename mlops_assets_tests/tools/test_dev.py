"""`mlops-assets dev` as a process: alone on its home and its port, closed to other pages, watched, and ended whole."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from deploy.services.s3 import free_port
from mlops_assets.storage.last_dev import LOCK
from mlops_assets.tools.dev import load_again
from mlops_assets.tools.keeping import ENDS, Ended, Service, look_after
from mlops_assets.tools.processes import Process
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asgi import Answer
from mlops_assets_tests.helpers.asked_api import Api
from mlops_assets_tests.helpers.attacks import REFUSED, Request, attacks, post, send
from mlops_assets_tests.helpers.homes import give_stores
from mlops_assets_tests.helpers.shop import Shop
from mlops_assets_tests.helpers.stack import until
from mlops_assets_tests.helpers.visits import place_visits

DAY = "2026-01-02"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
LAUNCH = """mutation($job: String!, $day: String!, $by: String!) { launchRun(executionParams: {
  selector: {repositoryName: "__repository__", repositoryLocationName: "mlops_assets", jobName: $job},
  mode: "default", runConfigData: "{}",
  executionMetadata: {tags: [{key: "dagster/partition", value: $day}, {key: "by", value: $by}]}}) { __typename } }"""
BY = {"job": "visits_daily", "day": DAY}


@dataclass
class Dev:
    """A running `dev`, its output in a file."""

    process: subprocess.Popen[bytes]
    port: int
    shop: Shop
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def named(self, part: str) -> psutil.Process:
        """Its process with some word in its command, which is not a watcher."""
        found = [one for one in self.family() if part in " ".join(line := one.cmdline()) and "-I" not in line]
        return found[0]

    def is_there(self) -> bool:
        """Whether the pages know the code location."""
        assert self.process.poll() is None, self.said
        try:
            found = post(self.port, "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }")
        except (ConnectionError, AssertionError):
            return False
        return found["repositoriesOrError"] == {"nodes": [{"name": "__repository__"}]}

    def runs(self) -> list[str]:
        """Who started the runs that there are."""
        found = post(self.port, "{ runsOrError { ... on Runs { results { tags { key value } } } } }")
        return [tag["value"] for run in found["runsOrError"]["results"] for tag in run["tags"] if tag["key"] == "by"]

    def last_run(self) -> str:
        found = post(self.port, "{ runsOrError { ... on Runs { results { runId } } } }")
        return str(found["runsOrError"]["results"][0]["runId"])


def folder_of_a_stranger(folder: Path) -> Path:
    """A folder in which Python or Dagster would find something of somebody else."""
    folder.mkdir(exist_ok=True)
    for module in ("yaml", "multiprocessing", "mlops_assets", "dagster_webserver"):
        (folder / f"{module}.py").write_text(
            f"open({str(folder / 'loaded')!r}, 'a').write({module!r}); raise ImportError"
        )
    (folder / ".env").write_text("MLOPS_ALLOWED_HOSTS=evil.example\n")
    return folder


def start(shop: Shop, port: int, *arguments: str, log: Path | None = None) -> subprocess.Popen[bytes]:
    state = ("MLOPS_", "MLFLOW_", "DAGSTER_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(state)}
    program = str(Path(sys.executable).with_name("mlops-assets"))
    command = [program, "dev", "--port", str(port), "--api-port", str(free_port()), *arguments]
    with (log or Path(os.devnull)).open("ab") as out:
        where = folder_of_a_stranger(shop.home.parent / "stranger")
        return subprocess.Popen(command, env=kept | shop.environment, stdout=out, stderr=out, cwd=where)


@contextmanager
def running(folder: Path) -> Iterator[Dev]:
    place_visits(folder / "use_cases")
    shop = Shop(folder / "home")
    shop.home.mkdir()
    give_stores(shop.home, "dagster", "mlflow")
    port, log = free_port(), folder / "dev.log"
    dev = Dev(start(shop, port, log=log), port, shop, log)
    try:
        yield dev
    finally:
        if dev.process.poll() is None:
            dev.process.terminate()
        dev.process.wait()


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with running(tmp_path_factory.mktemp("dev")) as found:
        for day in (DAY, dt.datetime.now(dt.UTC).date().isoformat()):
            assert found.shop("sample", "visits", "--day", day, "--files", "2", "--rows", "30").code == 0
        until(found.is_there, "the pages")
        yield found


def outcome(shop: Shop, port: int, *arguments: str) -> tuple[int, str]:
    """What a `dev` says that does not come up."""
    log = shop.home.parent / f"second-{port}-{len(arguments)}.log"
    return start(shop, port, *arguments, log=log).wait(), log.read_text()


# -- alone --------------------------------------------------------------------------------------------------------------


def test_a_second_one_on_the_home_is_refused_with_the_way_to_the_first(dev: Dev) -> None:
    code, said = outcome(dev.shop, free_port())
    assert code == 2
    assert f"(process {dev.process.pid}): http://127.0.0.1:{dev.port}" in said
    assert f"end it (kill {dev.process.pid})" in said
    assert "MLOPS_HOME=FOLDER" in said


def test_notices_of_dagster_that_are_not_for_people_are_not_shown(dev: Dev) -> None:
    """Neither of Python, nor of its daemon, which looks for the first time in this home."""
    until(lambda: "EventLogConsumerDaemon" in dev.said, "the list of its daemons")
    until(lambda: "Checking for new runs" in dev.said, "its first round")
    assert "warning" not in dev.said.lower()


def test_a_taken_port_is_refused_with_the_process_that_has_it(dev: Dev, tmp_path: Path) -> None:
    code, said = outcome(Shop(tmp_path / "another"), dev.port)
    assert code == 2
    assert f"Port {dev.port} of 127.0.0.1 is taken by process {dev.named('components.webserver').pid} " in said
    assert f"choose another port: --port {dev.port + 1}" in said


def test_an_address_that_others_reach_is_refused_without_names(tmp_path: Path) -> None:
    code, said = outcome(Shop(tmp_path / "home"), free_port(), "--host", "0.0.0.0")
    assert code == 2
    assert "MLOPS_ALLOWED_HOSTS=dagster.example.com" in said


@pytest.mark.parametrize("reason", ["second", "port"])
def test_a_refusal_imports_nothing_heavy(reason: str, dev: Dev, tmp_path: Path) -> None:
    """Seconds depend on the machine; what is imported does not."""
    program = "import sys; from mlops_assets.cli import main\ntry: main()\nexcept SystemExit as end: print(end.code, sorted(sys.modules))"
    home = dev.shop.home if reason == "second" else tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-c", program, "dev", "--port", str(dev.port), "--api-port", str(free_port())],
        env={**os.environ, **Shop(home).environment, "DAGSTER_HOME": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("2 ["), done.stderr
    assert not {"'dagster'", "'mlflow'", "'pyarrow'", "'uvicorn'", "'mlops_assets.running'"} & {
        *done.stdout.split(", ")
    }


# -- closed to other pages ----------------------------------------------------------------------------------------------


def test_no_other_page_starts_a_run_and_dagsters_own_does(dev: Dev) -> None:
    for how, request in attacks(LAUNCH, {**BY, "by": "evil"}).items():
        assert send(dev.port, request)[0] in REFUSED, how
    assert dev.runs() == []
    assert post(dev.port, LAUNCH, {**BY, "by": "me"}) == {"launchRun": {"__typename": "LaunchRunSuccess"}}
    assert dev.runs() == ["me"]


def test_a_long_body_is_refused_by_the_server_too(dev: Dev) -> None:
    headers = (("Content-Type", "application/json"), ("Content-Length", str(11 << 20)))
    status, text = send(dev.port, Request("POST", "/graphql", headers))
    assert (status, text[:4]) == (413, b"413:")


# -- asked by the API ---------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_day_a_training_a_rollback_and_a_promotion_are_runs_in_the_name_of_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole round against the real webserver; what follows a training is asked for by the daemon."""
    day, later = "2026-01-02", "2026-01-03"
    base = "/v1/use-cases/visits"

    def ended(answer: Answer) -> dict[str, Any]:
        assert answer.status == 202, answer.text
        run = answer.headers["location"]
        until(lambda: api.read(run)["state"] in {"success", "failure"}, "the end of a run")
        found: dict[str, Any] = api.read(run)
        return found

    with running(tmp_path) as dev:
        for one in (day, later):
            assert dev.shop("sample", "visits", "--day", one, "--files", "4", "--rows", "40").code == 0
        until(dev.is_there, "the pages")
        for name, value in {**dev.shop.environment, "MLOPS_DAGSTER_URL": f"http://127.0.0.1:{dev.port}"}.items():
            monkeypatch.setenv(name, value)
        workspace = Workspace.from_environment()
        api = Api.of(workspace, workspace.find("visits").use_case)
        assert ended(api.post(f"{base}/days/{day}/run"))["state"] == "success"
        scored = {"retro_score": {"from": day, "to": later}}
        assert ended(api.post(f"{base}/train", scored, Idempotency_Key="one"))["who"] == "local (API)"
        until(lambda: len([*workspace.find("visits").lake.predictions.days()]) == 2, "the days that are scored again")
        assert ended(api.post(f"{base}/train"))["state"] == "success"
        assert ended(api.post(f"{base}/rollback", {"why": "no good"}))["state"] == "success"
        assert ended(api.post(f"{base}/promote", {"version": 2, "why": "good"}))["state"] == "success"
        changes = workspace.find("visits").history.changes()
        assert [(one.action, one.version, one.why) for one in changes[2:]] == [
            ("rollback", 1, "no good"),
            ("promote", 2, "good"),
        ]
        assert [one.who for one in changes[2:]] == ["local (API)"] * 2
        assert all(one.who.startswith("gate, asked by local (API), Dagster run ") for one in changes[:2])
        for path in dev.shop.day(later).glob("*"):
            path.write_bytes(b"")
        (failed,) = ended(api.post(f"{base}/days/{later}/run"))["failed"]
        assert failed["step"] == "visits__rows"
        assert "look in day=2026-01-03, then run the day again" in failed["said"]  # no path of the machine


EVIL = """<!doctype html><img src="{link}"><script>
const address = "{address}", body = JSON.stringify({{query: {query!r}, variables: {{}}}});
for (const type of ["application/json", "text/plain", "application/x-www-form-urlencoded"])
  for (const mode of ["cors", "no-cors"])
    fetch(address + "/graphql", {{method: "POST", mode, body, headers: {{"Content-Type": type}}}}).catch(() => 0);
const socket = new WebSocket(address.replace("http", "ws") + "/graphql", "graphql-ws");
socket.onopen = () => document.title = "open"; socket.onerror = () => document.title = "refused";
</script><iframe src="{address}/runs" onload="document.body.append('framed')"></iframe>
<form method="post" enctype="text/plain" action="{link}" target="hidden"><input name="a" value="b"></form>
<iframe name="hidden"></iframe><script>document.forms[0].submit()</script>"""


@contextmanager
def page_of_another_site(text: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}/evil.html"
        server.shutdown()


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
def test_in_a_browser_a_person_materialises_an_asset_while_another_page_gets_nowhere(dev: Dev, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    address = f"http://127.0.0.1:{dev.port}"
    query = LAUNCH.replace("$job: String!, $day: String!, $by: String!", "$none: String")
    query = (
        query.replace("$job", '"visits_daily"').replace("$day", f'"{DAY}"').replace("$by", '"evil"').replace("\n", " ")
    )
    evil = EVIL.format(address=address, query=query, link=f"{address}/graphql?query={quote(query)}")
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--host-resolver-rules=MAP evil.example 127.0.0.1",
    ]
    with sync_playwright() as tools, page_of_another_site(evil) as foreign:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=flags)
        person = browser.new_context(viewport={"width": 1500, "height": 1000})
        page, other = person.new_page(), person.new_page()
        asked: list[str] = []
        answers: list[tuple[str, int]] = []
        other.on("request", lambda one: asked.append(one.url))
        other.on("response", lambda one: answers.append((one.url, one.status)))
        other.goto(foreign)
        other.wait_for_function("document.title == 'refused'")
        other.wait_for_load_state("networkidle")
        assert len([url for url in asked if url.startswith(address)]) >= 4
        assert {status for url, status in answers if url.startswith(address)} <= REFUSED
        rebound = other.goto(f"http://evil.example:{dev.port}/runs")
        assert rebound is not None
        assert rebound.status == 403
        assert "evil" not in dev.runs()

        sockets: list[str] = []
        page.on("websocket", lambda one: one.on("framereceived", lambda frame: sockets.append(str(frame))))
        page.goto(f"{address}/assets/visits/raw_files?view=overview")
        page.get_by_role("button", name="Materialize").first.click(timeout=60_000)
        page.get_by_role("button", name="Latest").click(timeout=60_000)
        page.screenshot(path=str(tmp_path / "dialog.png"))
        page.get_by_role("button", name="Launch").last.click(timeout=60_000)
        page.get_by_text("Launched run").first.wait_for(timeout=60_000)
        page.goto(f"{address}/runs/{dev.last_run()}")
        page.get_by_text("Success", exact=True).first.wait_for(timeout=240_000)
        page.get_by_text("RUN_SUCCESS").first.wait_for(timeout=60_000)
        page.screenshot(path=str(tmp_path / "run.png"))
        assert any("RunSuccessEvent" in frame for frame in sockets), "the log came by the websocket"
        browser.close()


def test_nothing_of_the_folder_where_it_is_started_is_loaded(dev: Dev) -> None:
    """All tests here start it in a folder of a stranger; below, its processes are there or start workers."""
    assert not (dev.shop.home.parent / "stranger" / "loaded").exists()
    assert "Loaded environment variables" not in dev.said
    assert "BetaWarning" not in dev.said
    assert not any("MLOPS_ALLOWED_HOSTS" in one.environ() for one in dev.family())


def test_workers_of_a_command_load_nothing_of_the_current_folder(tmp_path: Path) -> None:
    """Python starts them with `-c`, which means to look in the current folder first."""
    driver = tmp_path / "driver.py"
    driver.write_text(
        "import sys; from mlops_assets.cli import process; from multiprocessing import get_context\n"
        "if __name__ == '__main__':\n"
        "    try: process()\n"
        "    except SystemExit: print(get_context('forkserver').Pool(1).map(len, ['two', 'worker']))\n"
    )
    command = [sys.executable, str(driver), "--version"]
    where = folder_of_a_stranger(tmp_path / "stranger")
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("[3, 6]\n"), done.stderr
    assert not (where / "loaded").exists()


def test_a_reload_asks_the_pages_for_the_code_location_and_needs_nobody_there() -> None:
    asked: list[tuple[str, str]] = []

    class Pages(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        load_again(f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
    ((path, body),) = asked
    assert path == "/graphql"
    assert "reloadRepositoryLocation" in body
    assert '"location": "mlops_assets"' in body
    load_again(f"http://127.0.0.1:{free_port()}")  # nobody is there, which is no error


# -- watched and ended --------------------------------------------------------------------------------------------------


def test_a_process_that_is_killed_is_started_again(dev: Dev) -> None:
    killed = dev.named("components.webserver")
    killed.kill()
    until(lambda: "The webserver was ended by SIGKILL, and is started again." in dev.said, "a word of it")
    until(dev.is_there, "the pages again")
    assert dev.named("components.webserver").pid != killed.pid


def test_what_ends_three_times_is_not_started_again() -> None:
    service, told = Service("It", Process(["sh", "-c", "exit 7"])), []
    service.process.start()
    with pytest.raises(Ended, match="It ended with code 7; what it said stands above"):
        all(look_after(service, told.append) in (True, False) for _ in count())
    assert told == ["It ended with code 7, and is started again."] * (ENDS - 1)


def test_it_ends_on_term_with_all_that_it_started_and_frees_port_and_home(dev: Dev) -> None:
    """The last test of those that share one `dev`: to start another for this takes as long as all the others."""
    family = dev.family()
    dev.process.send_signal(signal.SIGTERM)
    assert dev.process.wait(timeout=120) == 0
    assert len(family) >= 7
    assert not any(one.is_running() for one in family)
    with socket.create_server(("127.0.0.1", dev.port)), (dev.shop.home / "dagster" / LOCK).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.long
def test_killed_and_begun_again_it_takes_all_that_it_started_along(tmp_path: Path) -> None:
    """Of one process and its watcher, `test_processes` tells this in the suite."""
    with running(tmp_path) as dev:
        until(dev.is_there, "the pages")
        dev.process.send_signal(signal.SIGTERM)
        assert dev.process.wait(timeout=120) == 0
        again = Dev(start(dev.shop, dev.port, log=dev.log), dev.port, dev.shop, dev.log)
        until(partial(said_again, dev.log), "its start on the same port")
        until(lambda: len(again.family()) > 1, "its code server")
        family = again.family()
        line = again.named("code-server").cmdline()
        folder = Path(line[line.index("--socket") + 1]).parent
        again.process.kill()
        again.process.wait()
        _, alive = psutil.wait_procs(family, timeout=60)
        assert alive == []
        assert not folder.exists()


def said_again(log: Path) -> bool:
    return log.read_text(errors="replace").count("Dagster comes up on") == 2
