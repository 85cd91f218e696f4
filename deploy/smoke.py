"""Starts the whole stack and lets it do a day: `python -m deploy.smoke IMAGE`, or `--processes FOLDER` without Docker.

Services healthy, raw files of one day, a training, a promotion, the day from files to predictions through API, queue,
daemon and code, and one file answered by the API. The questions are the same for containers and for processes.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from deploy.healthy import DIRECT
from deploy.images import ROOT
from deploy.new_secrets import of_database, of_store, write

USE_CASE, DAY, ROWS = "loan_approval", "2026-01-31", 300
COLUMNS = ",Age,Annual_Income,Credit_Score,Loan_Amount,Loan_Duration_Years,Number_of_Open_Accounts,Had_Past_Default"
FILE = f"{COLUMNS},Loan_Approval\n0,56,64869,666,19853,16,6,1,1\n1,34,,596,41672,18,8,1,0\n".encode()
"""Two applications for loans, one of them without an income."""

STARTING, RUN, ANSWER = 600, 600.0, 60.0
"""Seconds for the services to be healthy, for a run, and for an answer."""

PROJECT = "mlops-smoke"
"""The name under which compose keeps it, so that it meets no other stack of the machine."""


class Failed(Exception):
    """Something did not do what it should; the text says what."""


class Stack(Protocol):
    """The running stack."""

    @property
    def api(self) -> str:
        """The address of the API."""
        ...

    @property
    def key(self) -> str:
        """A key with all rights."""
        ...

    def command(self, *words: str) -> None:
        """Run `mlops-assets` beside the services."""
        ...


def check(stack: Stack) -> list[str]:
    """Let a stack do a day of a small use case.

    Parameters
    ----------
    stack
        The stack, all of it healthy.

    Returns
    -------
    list of str
        What was seen, a line each.

    Raises
    ------
    Failed
        At the first thing that is not as it should be.
    """
    base = f"/v1/use-cases/{USE_CASE}"
    stack.command("sample", USE_CASE, "--day", DAY, "--files", "1", "--rows", str(ROWS))
    # the sample's labels are noise, so the gate refuses what learned of them; here a person overrules it
    promotion = {"version": 1, "override": True, "why": "to see that the stack works"}
    steps: tuple[tuple[str, Mapping[str, Any]], ...] = (
        (f"days/{DAY}/run", {}),
        ("train", {}),
        ("promote", promotion),
        (f"days/{DAY}/run", {}),
    )
    for path, asked in steps:
        run = _ask(stack, f"{base}/{path}", asked, 202)["run"]
        _wait(stack, run, path)
    rows = len(_ask(stack, f"{base}/days/{DAY}/predictions?limit=1000", None, 200)["rows"])
    answered = _ask(stack, f"{base}/predictions", FILE, 200)["files"][0]
    if not rows or answered["rows"] != 2 or len(answered["predictions"]) != 2:
        raise Failed(f"{rows} predictions of {DAY}, and of a file of two rows {answered}")
    return [f"{len(steps)} runs went well", f"{rows} predictions of {DAY}", "a file of two rows is answered"]


def _wait(stack: Stack, run: str, what: str) -> None:
    deadline = time.monotonic() + RUN
    while (found := _ask(stack, f"/v1/runs/{run}", None, 200))["state"] != "success":
        if found["state"] in ("failure", "canceled") or time.monotonic() > deadline:
            raise Failed(f"the run of {what} is {found['state']}: {json.dumps(found)[:1500]}")
        time.sleep(2)


def _ask(stack: Stack, path: str, content: Mapping[str, Any] | bytes | None, expected: int) -> Any:
    """Ask the API: GET where there is no content, a file where it is bytes, and JSON else."""
    headers = {"Authorization": f"Bearer {stack.key}", "Content-Type": "application/json"}
    body = content if isinstance(content, bytes) else None if content is None else json.dumps(content).encode()
    if isinstance(content, bytes):
        headers |= {"Content-Type": "text/csv", "X-File-Name": "smoke.csv"}
    request = urllib.request.Request(stack.api + path, body, headers)  # noqa: S310 - our own API
    try:
        with DIRECT.open(request, timeout=ANSWER) as answer:
            status, said = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, said = error.code, error.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{path}: the API does not answer: {error!r}") from None
    shown = said[:1500].decode(errors="replace")
    if status != expected:
        raise Failed(f"{path}: the API answered with {status}: {shown}")
    try:
        return json.loads(said)
    except ValueError:
        raise Failed(f"{path}: the API answered with {status} and no JSON: {shown}") from None


# -- containers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Containers:
    """The stack of docker-compose.yml, of one image."""

    key: str = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    api: str = "http://127.0.0.1:8000"

    def command(self, *words: str) -> None:
        """Run it in the container of the code."""
        self.compose("exec", "-T", "code", "mlops-assets", *words)

    def compose(self, *words: str) -> None:
        """Run a command of compose, which says itself what is wrong."""
        # a `.env` beside docker-compose.yml is for another stack: it may name a database that people work with
        command = ["docker", "compose", "--project-name", PROJECT, "--env-file", os.devnull, *words]
        if subprocess.run(command, cwd=ROOT, env=dict(self.environment), check=False).returncode:
            raise Failed(f"docker compose {words[0]} failed")


@contextmanager
def containers(image: str) -> Iterator[Containers]:
    """Start the stack with an image, and remove all of it at the end.

    Parameters
    ----------
    image
        The image; it is at hand.
    """
    token, entry = _new_key(image)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STACK_", "COMPOSE_"))}
    with tempfile.TemporaryDirectory() as folder:
        values = {**of_database(secrets.token_hex(24)), **of_store(secrets.token_hex(12), secrets.token_hex(24))}
        write(Path(folder), {**values, "api_keys": entry})
        said = {"STACK_IMAGE": image, "COMPOSE_PROFILES": "api", "STACK_SECRETS": folder}
        stack = Containers(token, {**kept, **said})
        try:
            stack.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", str(STARTING))
            yield stack
        except BaseException as error:
            # what went wrong is told, and not that something else failed after it
            with suppress(Failed):
                if not isinstance(error, KeyboardInterrupt):
                    stack.compose("logs", "--tail", "60")
            raise
        finally:
            with _uninterrupted():
                try:
                    stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")
                except Failed as error:  # beside what went wrong before, and not instead of it
                    print(f"smoke: {error}: containers of {PROJECT} may be left", file=sys.stderr)


def _new_key(image: str) -> tuple[str, str]:
    """A key of the API with all rights, and its entry; the image makes it, so a platform of another kind is noticed."""
    words = ["docker", "run", "--rm", image, "mlops-assets", "serve", "--new-key", "smoke"]
    try:
        made = subprocess.run(
            [*words, "--rights", "read,predict,write"], capture_output=True, text=True, timeout=ANSWER * 2, check=False
        )
    except FileNotFoundError:
        raise Failed("docker is not installed") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"the image makes no key within {ANSWER * 2:.0f} seconds") from None
    token = re.search(r"^ *(mlops_\S+)$", made.stderr + made.stdout, re.M)
    if made.returncode or token is None:
        raise Failed(f"the image makes no key: {made.stderr.strip()[-300:]}")
    return token[1], made.stdout.strip().rpartition("\n")[2].strip()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let a second Ctrl-C leave nothing lying about."""
    before = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


# -- processes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Processes:
    """The same services as processes of this machine."""

    api: str
    key: str = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)

    def command(self, *words: str) -> None:
        """Run it with the environment of the code."""
        program = str(Path(sys.executable).with_name("mlops-assets"))
        environment = dict(self.environment)
        done = subprocess.run([program, *words], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"mlops-assets {words[0]}: {done.stderr.strip()[-500:]}")


@contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    """Start the services as processes, and end them.

    Parameters
    ----------
    folder
        Where logs and data go; a new one, or that of an earlier stack.
    """
    # only here: where there are containers, nothing of this is installed
    from deploy.services.process import NotHealthy
    from deploy.services.stack import stack
    from deploy.services.supervisor import GaveUp

    try:
        with stack(folder, lambda line: print(line, flush=True)) as running:
            yield Processes(running.addresses["API"], running.key, {**os.environ, **running.environment})
    except (NotHealthy, GaveUp) as error:
        raise Failed(str(error)) from None


def main(arguments: list[str]) -> int:
    """Start a stack and check it.

    Parameters
    ----------
    arguments
        An image, or `--processes` and a folder.

    Returns
    -------
    int
        0 if all went well, 1 if not, 2 where nothing was started, 130 after Ctrl-C.
    """
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        started: Any = containers(arguments[0])
    elif len(arguments) == 2 and arguments[0] == "--processes":
        started = processes(Path(arguments[1]).absolute())
    else:
        print("Usage: python -m deploy.smoke IMAGE | --processes FOLDER", file=sys.stderr)
        return 2
    for one in (signal.SIGINT, signal.SIGTERM):  # ended in any way, nothing of it stays
        signal.signal(one, signal.default_int_handler)
    try:
        with started as stack:
            for line in check(stack):
                print(line, flush=True)
    except Failed as error:
        print(f"smoke: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("smoke: it was ended; what it had started is gone", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
