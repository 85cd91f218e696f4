"""What a host that deploys is told: `.env` beside docker-compose.yml, and the environment, which wins."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.images import NAME, ROOT
from mlops_assets.events.signing import keys_of

ENV = ROOT / ".env"
IMAGE = "STACK_IMAGE"
"""The variable of docker-compose.yml that names the image of the platform."""

LOCAL = "mlops-assets:local"


class NotSet(ValueError):
    """A setting is missing, or is not what it should be."""


VARIABLE = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?P<name>\w+)[ \t]*=[ \t]*
    (?P<value>'[^'\r\n]*'|"[^"\r\n]*"|[^\r\n]*?)[ \t]*(?:(?<=[ \t])\#[^\r\n]*)?\r?$""",
    re.M | re.X,
)
"""A line as docker compose reads it: blanks, quotes and a remark after a blank are no part of the value."""


def _text(path: Path) -> str:
    """All of a file as it is: its ends of lines, and bytes that are no UTF-8, too; nothing where it is missing."""
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise NotSet(f"{path} cannot be read: {error.strerror}") from None


def read_env(path: Path) -> dict[str, str]:
    """The variables of a file of lines `NAME=VALUE`; none where it is missing.

    Parameters
    ----------
    path
        The file.
    """
    found = {one["name"]: one["value"] for one in VARIABLE.finditer(_text(path).removeprefix("\ufeff"))}
    return {
        name: value[1:-1] if value[:1] in ("'", '"') and value[1:].endswith(value[0]) else value
        for name, value in found.items()
    }


def set_in_env(path: Path, name: str, value: str) -> None:
    """Set one variable of such a file; every other line stays as it is, and the file is whole at any moment.

    It stays where a link leads, with its owner, and is read by nobody else.

    Parameters
    ----------
    path
        The file.
    name, value
        The variable.
    """
    path = path.resolve()
    text = _text(path)
    end = "\r\n" if "\r\n" in text else "\n"
    line = f"{name}={value}"
    text, found = re.subn(rf"^[ \t]*(?:export[ \t]+)?{name}[ \t]*=[^\r\n]*", lambda _: line, text, flags=re.M)
    if not found:
        text += ("" if not text or text.endswith("\n") else end) + line + end
    owner = path.stat() if path.exists() else None
    write_whole(path, text.encode(errors="surrogateescape"), owner=(owner.st_uid, owner.st_gid) if owner else None)


def write_whole(path: Path, content: bytes, owner: tuple[int, int] | None = None) -> None:
    """Write a file whole or not at all, onto the disk, for its owner alone.

    Parameters
    ----------
    path
        The file.
    content
        All of it.
    owner
        User and group that it belongs to; of whoever writes it by default, or where that is not allowed.
    """
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)  # left by a process that was killed
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            if owner is not None:
                with suppress(PermissionError):
                    os.fchown(file.fileno(), *owner)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


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
        try:
            keys_of(self.key)
        except ValueError as error:
            raise NotSet(f"DEPLOY_KEY in .env: {error}") from None
        return self.key


def _number(said: Mapping[str, str], name: str, default: int) -> int:
    text = said.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise NotSet(f"{name} must be a whole number, not {text!r}")
    return int(text)
