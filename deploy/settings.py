"""What a host that deploys is told: `.env` beside docker-compose.yml, and the environment, which wins."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.images import NAME, ROOT
from deploy.signing import SHORTEST

ENV = ROOT / ".env"
IMAGE = "STACK_IMAGE"
"""The variable of docker-compose.yml that names the image of the platform."""

LOCAL = "mlops-assets:local"


class NotSet(ValueError):
    """A setting is missing, or is not what it should be."""


def read_env(path: Path) -> dict[str, str]:
    """The variables of a file of lines `NAME=VALUE`; none where it is missing.

    Parameters
    ----------
    path
        The file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    return {name: value.strip().strip("'\"") for name, value in re.findall(r"^(\w+)=(.*)$", text, re.M)}


def set_in_env(path: Path, name: str, value: str) -> None:
    """Set one variable of such a file; every other line stays as it is, and the file is whole at any moment.

    Parameters
    ----------
    path
        The file.
    name, value
        The variable.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    line = f"{name}={value}"
    text, found = re.subn(rf"^{name}=.*$", line, text, flags=re.M)
    if not found:
        text += ("" if not text or text.endswith("\n") else "\n") + line + "\n"
    beside = path.with_name(f"{path.name}.new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


@dataclass(frozen=True)
class Settings:
    """What a host is told.

    Attributes
    ----------
    image
        The name of the image that it may run; a message brings no more than a digest.
    signer
        Who must have signed it: the address of the workflow, as a regular expression.
    key
        What the receiver and whoever asks it know.
    alert_url
        Where the owner is told.
    webserver
        Where Dagster's webserver answers.
    port
        Where the receiver listens, on loopback.
    patience
        Seconds that runs in flight have to end by themselves.
    profiles
        The profiles of docker-compose.yml that are on.
    env, state
        The file with the image that runs, and that of the rollout.
    """

    image: str
    signer: str
    webserver: str
    port: int
    patience: float
    key: str = field(default="", repr=False)
    alert_url: str = field(default="", repr=False)
    profiles: tuple[str, ...] = ()
    env: Path = ENV
    state: Path = ROOT / ".rollout.json"

    @classmethod
    def of_host(cls, env: Path = ENV, environment: Mapping[str, str] | None = None) -> Settings:
        """What `.env` and the environment say.

        Raises
        ------
        NotSet
            If one is missing or of no use; with its name.
        """
        said = {**read_env(env), **(os.environ if environment is None else environment)}
        for name in ("DEPLOY_IMAGE", "DEPLOY_SIGNER"):
            if not said.get(name):
                raise NotSet(f"{name}: set it in .env, see .env.example")
        if not NAME.fullmatch(said["DEPLOY_IMAGE"]):
            raise NotSet("DEPLOY_IMAGE must be a name without a tag, such as ghcr.io/owner/project")
        return cls(
            image=said["DEPLOY_IMAGE"],
            signer=said["DEPLOY_SIGNER"],
            webserver=f"http://127.0.0.1:{_number(said, 'STACK_WEBSERVER_PORT', 3000)}",
            port=_number(said, "DEPLOY_PORT", 8090),
            patience=60.0 * _number(said, "DEPLOY_PATIENCE_MINUTES", 30),
            key=said.get("DEPLOY_KEY", ""),
            alert_url=said.get("STACK_ALERT_URL", ""),
            profiles=tuple(filter(None, said.get("COMPOSE_PROFILES", "").split(","))),
            env=env,
            state=env.with_name(".rollout.json"),
        )

    def checked_key(self) -> str:
        """The key of the receiver.

        Raises
        ------
        NotSet
            If it is missing or could be guessed.
        """
        if len(self.key) < SHORTEST:
            raise NotSet(f"DEPLOY_KEY: set at least {SHORTEST} characters in .env: openssl rand -hex 32")
        return self.key


def _number(said: Mapping[str, str], name: str, default: int) -> int:
    text = said.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise NotSet(f"{name} must be a whole number, not {text!r}")
    return int(text)
