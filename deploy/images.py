"""Images by name and digest: what a message may name, what the files of the stack build on, and the tags of a push.

`python -m deploy.images name` and `tags` tell a workflow what the image of this commit is called.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = (ROOT / "deploy" / "Dockerfile", ROOT / "docker-compose.yml")
"""The files that name images of others."""

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
"""What a person reads; it decides nothing."""

NAME = re.compile(r"[a-z0-9]+(?:[._/-][a-z0-9]+|:\d+/[a-z0-9]+)*")
REFERENCE = re.compile(rf"{NAME.pattern}@{DIGEST.pattern}")
"""A registry with its port, and a path in it; `name@digest` leads to the same bytes for ever, a tag does not."""

PIN = re.compile(
    rf"^(?P<before>FROM |\s+image: )(?P<name>{NAME.pattern}):(?P<tag>(?!local$)[\w.-]+)"
    rf"(?:@(?P<digest>{DIGEST.pattern}))?",
    re.M,
)
"""Not the tag `local`, which images have that are built here."""


@dataclass(frozen=True)
class Pin:
    """An image of others that a file names.

    Attributes
    ----------
    name, tag
        What a person reads.
    digest
        What is used; empty where the file has none.
    """

    name: str
    tag: str
    digest: str


def pins(text: str) -> list[Pin]:
    """The images of others that a Dockerfile or a compose file names.

    Parameters
    ----------
    text
        Its text.

    Examples
    --------
    >>> pins("FROM python:3.11-slim AS base")
    [Pin(name='python', tag='3.11-slim', digest='')]
    """
    return [Pin(one["name"], one["tag"], one["digest"] or "") for one in PIN.finditer(text)]


def pinned(text: str, digests: Mapping[tuple[str, str], str]) -> str:
    """The same text with other digests.

    Parameters
    ----------
    text
        The text of a file.
    digests
        By name and tag.
    """

    def one(found: re.Match[str]) -> str:
        return f"{found['before']}{found['name']}:{found['tag']}@{digests[found['name'], found['tag']]}"

    return PIN.sub(one, text)


def name_of(repository: str) -> str:
    """How GitHub's registry calls the image of a repository: in small letters.

    Examples
    --------
    >>> name_of("Owner/Project")
    'ghcr.io/owner/project'
    """
    return f"ghcr.io/{repository.lower()}"


def tags_of(ref: str, commit: str) -> list[str]:
    """Under which tags people find the image of a commit; a deploy goes by digest.

    Parameters
    ----------
    ref
        Such as `refs/heads/main` or `refs/tags/v1.2.0`.
    commit
        The commit.

    Examples
    --------
    >>> tags_of("refs/heads/main", "0123456789abcdef")
    ['main', 'sha-0123456']
    >>> tags_of("refs/tags/v1.2.0", "0123456789abcdef")
    ['1.2.0', 'sha-0123456']
    """
    kind, _, name = ref.removeprefix("refs/").partition("/")
    return [name.removeprefix("v") if kind == "tags" else name.replace("/", "-"), f"sha-{commit[:7]}"]


def main(arguments: list[str]) -> int:
    """Print what is asked for, from what GitHub's variables say.

    Parameters
    ----------
    arguments
        `name` or `tags`.
    """
    if arguments == ["name"]:
        print(name_of(os.environ["GITHUB_REPOSITORY"]))
    elif arguments == ["tags"]:
        print(*tags_of(os.environ["GITHUB_REF"], os.environ["GITHUB_SHA"]))
    else:
        print("Usage: python -m deploy.images name | tags", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
