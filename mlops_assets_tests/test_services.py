"""Services as processes: started by the commands of docker-compose.yml, waited for, killed with all they started."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from deploy.healthy import is_healthy
from deploy.services import compose
from deploy.services.s3 import free_port
from deploy.services.stack import NotHealthy, Process

CHILD = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
PAGE = CHILD + "import http.server as s; s.test(s.SimpleHTTPRequestHandler, bind='127.0.0.1', port=int(sys.argv[1]))"


@contextmanager
def process(
    folder: Path, command: Sequence[str], health: Sequence[str], environment: dict[str, str] | None = None
) -> Iterator[Process]:
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder)}
    path["PYTHONPATH"] = str(compose.ROOT)
    one = compose.Service("page", ours=True, command=tuple(command), environment={}, health=tuple(health), needs=())
    found = Process(one, folder / "page.log", path | (environment or {}))
    found.start()
    yield found
    found.kill()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Process]:
    """A service with a page and a child process."""
    port = str(free_port())
    health = ["python", "-m", "deploy.healthy", f"http://127.0.0.1:{port}/"]
    with process(tmp_path, ["python", "-c", PAGE, port], health) as found:
        yield found


def test_a_service_is_waited_for_until_its_health_check_is_content(page: Process) -> None:
    page.wait()
    assert page.code is None
    assert page.memory() > 1_000_000


def test_a_killed_service_leaves_no_process_and_comes_back(page: Process) -> None:
    page.wait()
    family = [psutil.Process(page.pid), *psutil.Process(page.pid).children(recursive=True)]
    assert len(family) == 2
    page.kill()
    assert not any(one.is_running() for one in family)
    assert not page.is_healthy()
    page.start()
    page.wait()


def test_a_service_that_ends_at_once_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with (
        process(tmp_path, ["python", "-c", "raise SystemExit('no room for me')"], ["false"]) as found,
        pytest.raises(NotHealthy, match="page does not come up: no room for me"),
    ):
        found.wait()


def test_a_page_that_does_not_answer_is_not_healthy() -> None:
    assert not is_healthy(f"http://127.0.0.1:{free_port()}/")


def test_the_code_location_comes_up_by_the_command_of_the_compose_file(tmp_path: Path) -> None:
    variables = {
        "STACK_POSTGRES_PASSWORD": "tulip",
        "STACK_S3_ACCESS_KEY": "rose",
        "STACK_S3_SECRET_KEY": "poppy",
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
