"""A home of its own: the use case `drill`, four quiet days, a champion, and a fifth day, damaged again and again."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.drill.damages import accent
from benchmarks.drill.webhook import Webhook
from mlops_assets.settings import OWN_USE_CASES

NAME = "drill"
"""Name of the use case: `transactions`, with a channel that is told, and two candidates to save time."""

FIRST = dt.date(2026, 1, 5)
QUIET = 4
KEPT = ("majority", "linear")
ROWS = 10
"""Rows a file, on average."""

COMMAND = Path(sys.executable).with_name("mlops-assets")


class CommandFailed(Exception):
    """A command that had to do its work did not."""


@dataclass(frozen=True)
class Seen:
    """What people see of a fifth day.

    Attributes
    ----------
    damage
        What happened to it.
    red
        Whether `drift --check` ended with 1.
    said
        All that `drift` printed.
    alerts
        What the webhook was told of lamps.
    """

    damage: str
    red: bool
    said: str
    alerts: list[dict[str, Any]]

    @property
    def first_line(self) -> str:
        """What is said first."""
        return self.said.partition("\n")[0]


@dataclass(frozen=True)
class Drill:
    """Runs the drill by the commands that people use.

    Attributes
    ----------
    folder
        Where everything lies.
    webhook
        Who is told.
    files
        Files a day.
    """

    folder: Path
    webhook: Webhook
    files: int

    @property
    def day(self) -> str:
        """The fifth day."""
        return str(FIRST + dt.timedelta(days=QUIET))

    def prepare(self) -> None:
        """Four quiet days, trained on and predicted; the fifth lies beside, as it would have come."""
        self._write_use_case()
        span = str(FIRST), str(FIRST + dt.timedelta(days=QUIET - 1))
        size = "--days", str(QUIET + 1), "--files", str(self.files), "--rows", str(ROWS)
        self.run("sample", NAME, "--day", span[0], *size)
        for folder in self._raw.iterdir():
            accent(folder)
        (self._raw / f"day={self.day}").rename(self._as_it_should_be)
        self.run("run", NAME, "--from", span[0], "--to", span[1], "--train")
        self.run("tell", NAME)
        self.webhook.take()
        shutil.copytree(self._home, self._before)

    def see(self, name: str, damage: Callable[[Path], None]) -> Seen:
        """Let the fifth day come damaged, and look at it as people do; what earlier ones left is forgotten."""
        shutil.rmtree(self._home)
        shutil.copytree(self._before, self._home)
        raw = self._raw / f"day={self.day}"
        shutil.rmtree(raw, ignore_errors=True)
        shutil.copytree(self._as_it_should_be, raw)
        damage(raw)
        self.run("run", NAME, "--from", self.day, "--to", self.day)
        code, said = self._ask("drift", NAME, "--day", self.day, "--check")
        if code not in (0, 1):
            raise CommandFailed(said)
        self.run("tell", NAME)
        return Seen(name, bool(code), said, [told for told in self.webhook.take() if told["event"] == "lamp"])

    def run(self, *arguments: str) -> None:
        """A command that must do its work."""
        code, said = self._ask(*arguments)
        if code:
            raise CommandFailed(f"mlops-assets {' '.join(arguments)} ended with {code}:\n{said}")

    @property
    def _home(self) -> Path:
        return self.folder / "home"

    @property
    def _before(self) -> Path:
        return self.folder / "before"

    @property
    def _raw(self) -> Path:
        return self.folder / "raw" / NAME

    @property
    def _as_it_should_be(self) -> Path:
        return self.folder / "fifth"

    def _write_use_case(self) -> None:
        folder = self.folder / "use_cases" / NAME
        shutil.copytree(OWN_USE_CASES / "transactions", folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        path = folder / "defs.yaml"
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
        attributes = written["attributes"]
        attributes["told"] = {"webhook": {"url": "{{ env.DRILL_WEBHOOK }}"}}
        candidates = attributes["training"]["candidates"]
        attributes["training"]["candidates"] = {name: candidates[name] for name in KEPT}
        path.write_text(yaml.safe_dump(written, allow_unicode=True, sort_keys=False), encoding="utf-8")

    def _ask(self, *arguments: str) -> tuple[int, str]:
        own = ("MLOPS_", "MLFLOW_", "DAGSTER_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        environment |= {
            "MLOPS_HOME": str(self._home),
            "MLOPS_RAW": str(self.folder / "raw"),
            "MLOPS_USE_CASES": str(self.folder / "use_cases"),
            "DRILL_WEBHOOK": self.webhook.url,
        }
        command = [str(COMMAND), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout or done.stderr
