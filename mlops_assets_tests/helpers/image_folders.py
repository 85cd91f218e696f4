"""Images as folders, and the host of a rollout with processes of them: what containers are there, processes are here."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.host import DockerHost, Failed, NotAllowed
from deploy.services import compose
from deploy.services.process import PATIENCE
from deploy.services.s3 import free_port
from deploy.services.stack import KEPT, asked
from deploy.settings import Settings
from mlops_assets.tools.processes import Process
from mlops_assets_tests.helpers.paths import ROOT

SIGNATURE = "signature"
STARTED = ("code", "webserver", "daemon")
"""The services that there are here; the database is SQLite, and raw files and lake are folders."""


def make_image(folder: Path, changes: dict[str, tuple[str, str]] | None = None) -> Path:
    """A copy of the package with what the image has beside it, signed; `changes` replaces a text in a file."""
    shutil.copytree(ROOT / "mlops_assets", folder / "mlops_assets", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "deploy", folder / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, (old, new) in (changes or {}).items():
        file = folder / "mlops_assets" / name
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
    (folder / SIGNATURE).write_text(digest_of(folder))
    return folder


def digest_of(folder: Path) -> str:
    """A hash of all of its code."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


class FolderHost(DockerHost):
    """The host of docker-compose.yml, but for its two programs: it starts its services as processes of a folder.

    Parameters
    ----------
    folder
        Where logs go.
    environment
        What the services are told beside what docker-compose.yml tells them.
    """

    ending = 10.0  # a shard that a test holds is never finished

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        port = {name: str(free_port()) for name in ("STACK_WEBSERVER_PORT", "STACK_CODE_PORT")}
        self._variables = {**port, "STACK_LISTEN": "127.0.0.1", "STACK_CODE_HOST": "127.0.0.1"}
        self._folder, self._more = folder, environment
        self.address = f"http://127.0.0.1:{port['STACK_WEBSERVER_PORT']}"
        self.running: dict[str, _Service] = {}
        self.told: list[str] = []
        super().__init__(Settings("-", "-", self.address, 0, 0, env=folder / ".env", state=folder / "state"))

    def fetch(self, image: str) -> None:
        """Look at the signature of a folder."""
        folder = Path(image)
        if not (folder / SIGNATURE).exists() or (folder / SIGNATURE).read_text() != digest_of(folder):
            raise NotAllowed("it is not signed")

    def command(self, image: str, *words: str) -> tuple[int, str]:
        """Run a command of a folder."""
        done = subprocess.run(
            words, cwd=image, env=self._environment("code", image), capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def tell(self, problem: str, errors: Sequence[str], what_to_do: str) -> None:
        """Note it."""
        self.told.append(f"{problem}: {'; '.join(errors)} {what_to_do}")

    def compose(self, *words: str) -> None:
        """Stop a service, or start some that do not run with the image that is set, and wait until they are well."""
        for name in STARTED:
            if name not in words:
                continue
            found = self.running.get(name)
            if found and (words[0] == "stop" or found.image != self.current()):
                self.running.pop(name).stop()
            if words[0] == "up" and name not in self.running:
                self._start(name)

    def _start(self, name: str) -> None:
        service = compose.services(self._variables)[name]
        environment = self._environment(name, self.current())
        with (self._folder / f"{name}.log").open("ab") as log:
            process = _Service(self.current(), service.command, name=name, environment=environment, output=log)
            process.start()
        self.running[name] = process
        if name == "daemon":
            return
        for _ in range(int(PATIENCE)):
            if asked(service, environment):
                return
            if process.ended_within(1):
                raise Failed(f"{name} ended with code {process.code}")
        raise Failed(f"{name} was not well after {PATIENCE:.0f} seconds")

    def _environment(self, name: str, image: str) -> dict[str, str]:
        environment = {one: os.environ[one] for one in KEPT if one in os.environ and one != "PYTHONPATH"}
        said = compose.services(self._variables)[name].environment
        environment |= {one: value for one, value in said.items() if not one.endswith("_FILE")}
        environment |= {**self._more, "PYTHONPATH": image}
        environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return environment

    def end_all(self) -> None:
        """End all services."""
        for name in [*self.running]:
            self.running.pop(name).kill()


class _Service(Process):
    """A service, and the image that it runs."""

    def __init__(self, image: str, command: Sequence[str], **more: Any) -> None:
        super().__init__(command, folder=Path(image), **more)
        self.image = image
