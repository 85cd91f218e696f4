"""Every command of docs/api.md is run as it stands there, against a real server; the example client, too."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, chdir
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlops_assets.cli import cli
from mlops_assets.serving.entrance.keys import new_key
from mlops_assets.tools.demo import ask_for_a_file
from mlops_assets.use_case import list_use_cases
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.fake_dagster import fake_dagster
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.served_home import YESTERDAY, copied_home, crown, served, served_home

TODAY = dt.datetime.combine(YESTERDAY, dt.time(), dt.UTC) + dt.timedelta(days=1)

PAGE = (ROOT / "docs" / "api.md").read_text()
BLOCKS = re.compile(
    r"<!-- test: (?P<expected>[^>]+) -->\n```sh\n(?P<command>.*?)\n```(?:\n\n```json\n(?P<answer>.*?)\n```)?", re.S
)
SAMPLES, *ASKED = BLOCKS.finditer(PAGE)
TOLD, DAY = "http://127.0.0.1:8000", "2026-01-03"


@dataclass
class Place:
    """A folder with sample files and a home with champions; a server is started when it is first asked."""

    folder: Path
    workspace: Workspace
    stack: ExitStack

    @cached_property
    def every(self) -> str:
        return self.stack.enter_context(served(self.workspace)).url

    @cached_property
    def topics_alone(self) -> str:
        return self.stack.enter_context(served(self.workspace, "topics")).url

    @cached_property
    def of_a_day(self) -> str:
        dagster = self.stack.enter_context(fake_dagster())
        workspace = self.stack.enter_context(copied_home(self.folder / "home", dagster.address))
        stores = workspace.find("transactions")
        crown(stores, self.folder / "second", seed=8)
        stores.registry.roll_back("transactions", "somebody", "to begin with")
        line = f"{YESTERDAY},transactions-0000000.csv,2,VAREJO,,{YESTERDAY}T23:59:59Z"
        (self.folder / "audit.csv").write_text(f"day,file,line,label,who,when\n{line}\n")
        return self.stack.enter_context(served(workspace)).url

    @cached_property
    def with_keys(self) -> str:
        self.token, key = new_key("shop", frozenset({"read", "predict"}))
        return self.stack.enter_context(served(self.workspace, keys=[key])).url

    def run(self, command: str, url: str) -> tuple[int, str, str]:
        """The exit code of a command, what the last request answered, and its status."""
        tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        given = {**os.environ, "PATH": tools, "CURL_HOME": str(self.folder), "API_KEY": getattr(self, "token", "")}
        command = command.replace(TOLD, url).replace(DAY, YESTERDAY.isoformat())
        done = subprocess.run(
            ["bash", "-ec", command], cwd=self.folder, env=given, capture_output=True, text=True, check=False
        )
        *_, answer, status = ["", *done.stdout.rsplit("\n", 1)]
        return done.returncode, answer, status


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("docs")
    (folder / ".curlrc").write_text('silent\nwrite-out = "\\n%{http_code}"\n')
    with served_home() as workspace, ExitStack() as stack:
        stack.enter_context(chdir(folder))
        first, command, _ = SAMPLES["command"].splitlines()  # a loop of the shell, which would start five processes
        for name in re.search(r"for u in (.*); do", first).group(1).split():  # type: ignore[union-attr]
            done = CliRunner().invoke(cli, shlex.split(command.replace("$u", name))[1:])
            assert done.exit_code == 0, done.output
        yield Place(folder, workspace, stack)


def see_shape(told: Any, found: Any, where: str = "answer") -> None:
    """See that an answer has the keys and kinds of what the page shows of it."""
    assert type(found) is type(told), where
    if isinstance(told, dict):
        assert told.keys() == found.keys(), where
        for key, value in told.items():
            see_shape(value, found[key], f"{where}.{key}")
    if isinstance(told, list) and told and isinstance(told[0], dict):
        see_shape(told[0], found[0], f"{where}[0]")


@pytest.mark.parametrize("block", ASKED, ids=[block["command"].replace("\n", " ")[:90] for block in ASKED])
def test_a_command_of_the_page_is_answered_as_the_page_says(place: Place, block: re.Match[str]) -> None:
    status, _, server = block["expected"].partition(", ")
    url = getattr(place, server.replace(" ", "_") or "every")
    code, answer, found = place.run(block["command"], url)
    assert (code, found) == (0, status), answer
    if block["answer"]:
        see_shape(json.loads(block["answer"]), json.loads(answer))
    if int(status) >= 400:
        assert json.loads(answer)["status"] == int(status)


def test_the_page_has_a_command_for_every_use_case(place: Place) -> None:
    commands = " ".join(block["command"] for block in ASKED)
    assert all(
        f"/v1/use-cases/{name}/predictions" in commands for name in list_use_cases(place.workspace.settings.use_cases)
    )


def test_the_example_is_a_client_of_thirty_lines(place: Place) -> None:
    example = ROOT / "examples" / "client.py"
    file = next((place.folder / "samples" / "transactions").rglob("*.csv"))
    given = {**os.environ, "MLOPS_API": place.every}
    command = [sys.executable, example, "transactions", file]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{file.name}: 3 rows, 0 rejected\n  line 1: ")


def test_the_example_of_a_page_is_of_at_most_eighty_lines_and_imports_nothing_of_ours() -> None:
    text = (ROOT / "examples" / "streamlit_app.py").read_text()
    assert len(text.splitlines()) <= 80
    compile(text, "streamlit_app.py", "exec")
    assert re.findall(r"^(?:import|from) (\w+)", text, re.M) == ["os", "pandas", "requests", "streamlit"]
    assert "examples/streamlit_app.py" in PAGE


def test_the_last_line_of_the_demo_is_answered(place: Place) -> None:
    every = [place.workspace.find(name) for name in ("santander", "transactions")]
    said = ask_for_a_file(every, TODAY)
    code, answer, status = place.run(said.splitlines()[-1].strip(), place.every)
    assert (code, status) == (0, "200")
    assert json.loads(answer)["files"][0]["rows"] > 0


def test_where_no_file_is_published_the_demo_shows_no_line(place: Place) -> None:
    assert ask_for_a_file([place.workspace.find("santander")], TODAY) == ""
