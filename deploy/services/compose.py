"""Reads docker-compose.yml: variables replaced as Docker Compose replaces them, services as they would be started."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
OURS = "deploy/Dockerfile"
"""What the services are built from that are processes of this project."""

BEGIN = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?P<operator>:-|:\?|:\+|\}))")


class NotSet(ValueError):
    """A variable that must be set is not."""


@dataclass(frozen=True)
class Service:
    """What docker-compose.yml says of one service.

    Attributes
    ----------
    name
        Its name, which is also its host name.
    ours
        Whether it is a process of this project.
    command
        Its command; empty for the image's own.
    environment
        Its environment.
    health
        The command that tells whether it is healthy.
    needs
        The services that must be healthy before it starts.
    profiles
        It is started where one of them is named in `COMPOSE_PROFILES`; always, if it has none.
    interval, timeout, retries
        How often the health check is made, how many seconds it may take, and how many bad answers make it unhealthy.
    """

    name: str
    ours: bool
    command: tuple[str, ...]
    environment: Mapping[str, str]
    health: tuple[str, ...]
    needs: tuple[str, ...]
    profiles: tuple[str, ...] = ()
    interval: float = 10.0
    timeout: float = 10.0
    retries: int = 6


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Replace `${NAME}`, `${NAME:-default}`, `${NAME:+instead}`, `${NAME:?message}`, `$$`; both may hold further ones.

    Raises
    ------
    NotSet
        If a variable with `:?` is unset or empty.

    Examples
    --------
    >>> interpolate("http://${HOST:-${NAME}:80}/$$", {"NAME": "s3"})
    'http://s3:80/$'
    """
    done = ""
    while match := BEGIN.search(text):
        done, rest = done + text[: match.start()], text[match.end() :]
        if match["name"] is None:
            done, text = done + "$", rest
            continue
        other = ""
        if match["operator"] != "}":
            end = _closing(rest)
            other, rest = rest[:end], rest[end + 1 :]
        value = variables.get(match["name"], "")
        if not value and match["operator"] == ":?":
            raise NotSet(f"{match['name']}: {other}")
        if bool(value) == (match["operator"] == ":+"):
            value = interpolate(other, variables)
        done, text = done + value, rest
    return done + text


def _closing(text: str) -> int:
    """Where the brace closes that was opened before the text."""
    depth = 1
    for place, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if not depth:
            return place
    raise ValueError(f"a brace is not closed before {text!r}")


def read(variables: Mapping[str, str], file: Path = FILE) -> dict[str, Any]:
    """The whole file with its variables replaced.

    Parameters
    ----------
    variables
        What `.env` and the environment would hold.
    file
        The file.
    """
    found: dict[str, Any] = _replaced(yaml.safe_load(file.read_text(encoding="utf-8")), variables)
    return found


def _replaced(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, variables) for item in value]
    return interpolate(value, variables) if isinstance(value, str) else value


def services(variables: Mapping[str, str], file: Path = FILE) -> dict[str, Service]:
    """The services of the profiles that are on, in an order in which each comes after those that it needs.

    Parameters
    ----------
    variables, file
        See `read`.
    """
    on = set(variables.get("COMPOSE_PROFILES", "").split(","))
    every = {name: _service(name, said) for name, said in read(variables, file)["services"].items()}
    found = {name: one for name, one in every.items() if not one.profiles or on & set(one.profiles)}
    order = TopologicalSorter({name: service.needs for name, service in found.items()}).static_order()
    return {name: found[name] for name in order}


def _service(name: str, said: Mapping[str, Any]) -> Service:
    return Service(
        name=name,
        ours=said.get("build", {}).get("dockerfile") == OURS,
        command=tuple(said.get("command", ())),
        environment={key: str(value) for key, value in said.get("environment", {}).items()},
        health=tuple(said["healthcheck"]["test"][1:]),
        needs=tuple(said.get("depends_on", ())),
        profiles=tuple(said.get("profiles", ())),
        interval=float(said["healthcheck"]["interval"].removesuffix("s")),
        timeout=float(said["healthcheck"]["timeout"].removesuffix("s")),
        retries=int(said["healthcheck"]["retries"]),
    )
