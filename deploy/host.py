"""The place where the platform runs: what a rollout asks of it, and the machine of docker-compose.yml that does it.

Images come by `docker`, signatures are looked at by `cosign`, runs by Dagster's webserver.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Protocol

from deploy.images import ROOT
from deploy.runs import Dagster, NoAnswer, wait_until_none_is_in_flight
from deploy.settings import IMAGE, LOCAL, NotSet, Settings, read_env, set_in_env


class NotAllowed(Exception):
    """An image must not run here: not signed by whom it should be, not to be had, or not fit for what is stored."""


class Unwell(Exception):
    """What was started is not well, or does not take back the runs that were ended; the text says what."""


class Host(Protocol):
    """Where the platform runs. A rollout that was killed asks for everything once more."""

    def current(self) -> str:
        """The image that is set to run."""
        ...

    def fetch(self, image: str) -> None:
        """Have an image at hand; NotAllowed if it is not signed or cannot be had."""
        ...

    def see_stores(self, image: str) -> None:
        """See that an image can work with what is stored; NotAllowed if it is known that it cannot."""
        ...

    def pause(self) -> None:
        """Start no run from here on; what is asked for waits in the queue."""
        ...

    def in_flight(self, seconds: float) -> list[str]:
        """Wait so long for runs to end by themselves; those that are left. Unwell where nobody can tell."""
        ...

    def end(self, runs: Sequence[str], *, at_once: bool) -> None:
        """End runs; without waiting for them where they have no process any more."""
        ...

    def switch(self, image: str) -> None:
        """End the code that is there and run an image, all but what starts runs; Unwell if it does not become well."""
        ...

    def begin_again(self, runs: Sequence[str]) -> list[str]:
        """Put runs that were ended into the queue, each once; those of commands, which only a person can give again.

        Unwell if the queue does not take one.
        """
        ...

    def go_on(self) -> None:
        """Start runs again; Unwell if what does so is not well."""
        ...

    def tell(self, problem: str, errors: Sequence[str], what_to_do: str) -> None:
        """Tell the owner."""
        ...


# -- the machine of docker-compose.yml ---------------------------------------------------------------------------------

ISSUER = "https://token.actions.githubusercontent.com"
"""Who vouches for the workflow that signed: GitHub."""

STARTS_RUNS = "daemon"
OTHERS = ("mlflow", "code", "webserver")
"""The services of the platform: the one that starts runs, and those that must be well before it."""

OF_PROFILES = {"api": ("api",), "spark": ("spark-master", "spark-worker")}
"""Those of the same image that are there where `COMPOSE_PROFILES` says so."""

STARTING, COMMAND = 600, 900.0
"""Seconds that services have to become well, and a command in all."""

LATER, TO_DO = 3, "To do: "
"""How `mlops-assets upgrade --check` ends where something is of a later version, and how its lines begin."""

UPGRADES = "see 'Upgrades' in docs/platforms.md"

LOADING = 120.0
"""Seconds that the webserver has to load the code of a code server that is well."""


class DockerHost:
    """The machine that this runs on.

    Parameters
    ----------
    settings
        What it is told.
    """

    ending = 240.0
    """Seconds that runs have to end once they are told to: the shards that are at work are finished first."""

    silence = 30.0
    """Seconds for which the webserver may not answer before that counts."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._dagster = Dagster(settings.webserver)

    def current(self) -> str:
        """The image that is set to run."""
        return read_env(self._settings.env).get(IMAGE) or LOCAL

    def fetch(self, image: str) -> None:
        """See who signed an image, and only then fetch it."""
        identity = ["--certificate-identity-regexp", self._settings.signer, "--certificate-oidc-issuer", ISSUER]
        try:
            _run(["cosign", "verify", *identity, image])
        except Failed as error:
            raise NotAllowed(f"it is not signed by the workflow that DEPLOY_SIGNER names ({error})") from None
        try:
            _run(["docker", "pull", "--quiet", image])
        except Failed as error:
            raise NotAllowed(f"it cannot be fetched ({error})") from None

    def see_stores(self, image: str) -> None:
        """Ask the image's own `upgrade`, which changes nothing; what else is wrong is seen by what starts."""
        try:
            code, said = self.command(image, "mlops-assets", "upgrade", "--check")
        except Failed as error:
            code, said = 0, ""
            print(f"rollout: nobody asked whether {image} fits what is stored: {error}", file=sys.stderr, flush=True)
        if code == LATER:
            raise NotAllowed(f"what is stored was upgraded to a later version since. {_last_line(said)}")
        todo = [line for line in said.splitlines() if line.startswith(TO_DO)]
        if code and todo:
            raise NotAllowed(f"what is stored must be upgraded first ({'; '.join(todo)}); {UPGRADES}")
        if code:
            last = _last_line(said)
            print(f"rollout: {image} does not say whether it fits what is stored: {last}", file=sys.stderr, flush=True)

    def command(self, image: str, *words: str) -> tuple[int, str]:
        """Run a command in a container of an image, beside what runs: how it ended, and what it said."""
        run = ["run", "--rm", "--no-deps", "--no-TTY", "code"]
        done = _done(["docker", "compose", *run, *words], image)
        return done.returncode, done.stdout + done.stderr

    def pause(self) -> None:
        """Stop the daemon: it alone takes runs out of the queue."""
        self.compose("stop", STARTS_RUNS)

    def in_flight(self, seconds: float) -> list[str]:
        """Wait for runs; a webserver that is silent for a moment is asked again."""
        try:
            return wait_until_none_is_in_flight(self._dagster, seconds, silence=self.silence)
        except NoAnswer as error:
            raise Unwell(str(error)) from None

    def end(self, runs: Sequence[str], *, at_once: bool) -> None:
        """End runs; those that do not listen go with the container of the code, which `switch` stops."""
        try:
            self._dagster.end(runs, at_once=at_once)
            if left := wait_until_none_is_in_flight(self._dagster, self.ending, silence=self.silence):
                self._dagster.end(left, at_once=True)
        except NoAnswer as error:
            raise Unwell(f"runs cannot be ended: {error}") from None

    def switch(self, image: str) -> None:
        """Stop the code that is there, set the image, and start all but the daemon with it."""
        self.compose("stop", "code")
        if self.current() != image:
            try:
                set_in_env(self._settings.env, IMAGE, image)
            except (OSError, NotSet) as error:
                raise Unwell(f"{self._settings.env} cannot be written: {error}") from None
        on = [name for profile in self._settings.profiles for name in OF_PROFILES.get(profile, ())]
        self._up(*OTHERS, *on)
        deadline = time.monotonic() + LOADING
        while True:
            try:
                return self._dagster.check_code()
            except NoAnswer as error:
                if time.monotonic() > deadline:
                    raise Unwell(str(error)) from None
            time.sleep(2)

    def begin_again(self, runs: Sequence[str]) -> list[str]:
        """Put runs into Dagster's queue again; those that were never in it."""
        left = []
        for run in runs:
            try:
                if not self._dagster.begin_again(run):
                    left.append(run)
            except NoAnswer as error:
                raise Unwell(f"the run {run} that was ended cannot be begun again: {error}") from None
        return left

    def go_on(self) -> None:
        """Start the daemon."""
        self._up(STARTS_RUNS)

    def tell(self, problem: str, errors: Sequence[str], what_to_do: str) -> None:
        """Say it here, and to the webhook that is told of failed runs, in the form of its alerts."""
        print("\n".join([problem, *errors, what_to_do]).strip(), flush=True)
        if self._settings.alert_url and (failed := post(self._settings.alert_url, problem, errors, what_to_do)):
            print(f"rollout: STACK_ALERT_URL was not told: {failed}", file=sys.stderr, flush=True)

    def _up(self, *services: str) -> None:
        try:
            wait = ["--wait", "--wait-timeout", str(STARTING)]
            self.compose("up", "--detach", "--no-build", "--pull", "never", *wait, *services)
        except Failed as error:
            raise Unwell(str(error)) from None

    def compose(self, *words: str) -> None:
        """Run a command of compose; raises where it fails."""
        _run(["docker", "compose", *words])


class Failed(Unwell):
    """A command ended with an error; the last line of what it said."""


def _run(command: Sequence[str]) -> None:
    done = _done(command)
    if done.returncode:
        last = _last_line(done.stderr or done.stdout) or f"ended with code {done.returncode}"
        raise Failed(f"{command[0]} {command[1]}: {last}")


def _done(command: Sequence[str], image: str = "") -> subprocess.CompletedProcess[str]:
    """What became of a command; `image` is the one of the platform instead of that in `.env`."""
    # STACK_IMAGE of our own environment would win over `.env`
    environment = {name: value for name, value in os.environ.items() if name != IMAGE}
    if image:
        environment[IMAGE] = image
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND,
            check=False,
        )
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise Failed(f"{command[0]} {'is not installed' if missing else f'cannot be run: {error.strerror}'}") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"{command[0]} {command[1]} took longer than {COMMAND:.0f} seconds") from None


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2][:300]


def post(url: str, problem: str, errors: Sequence[str], what_to_do: str) -> str:
    """Post an alert; why it was not taken, or nothing. The address is often a secret, so no text has it.

    Parameters
    ----------
    url
        The webhook.
    problem, errors, what_to_do
        As in the alerts of failed runs.
    """
    said = {"job": "deploy", "days": [], "run_id": "", "problem": problem, "errors": [*errors]}
    text = "\n".join(filter(None, [problem, *errors, what_to_do]))
    body = json.dumps({"text": text, **said, "what_to_do": what_to_do}).encode()
    try:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - the owner's own
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return f"it answered with {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return type(error).__name__
