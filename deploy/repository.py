"""What git knows of a proposal: the commit that it began with, the use cases that differ, their files."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path

from mlops_assets.errors import MlopsError


def top_of(folder: Path) -> Path:
    """The top of the repository that a folder is in.

    Raises
    ------
    MlopsError
        If it is in none.
    """
    return Path(os.fsdecode(_git(folder, "rev-parse", "--show-toplevel")).rstrip("\n"))


def changed_use_cases(root: Path, base: str, folder: str) -> list[str]:
    """Names of the use cases in whose folders something differs between a commit and the files at hand.

    Parameters
    ----------
    root
        Of the repository.
    base
        The commit.
    folder
        Where the use cases lie.
    """
    said = _git(root, "diff", "--name-only", "-z", "--no-renames", base, "--", folder)
    said += _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", folder)  # not added yet, but there
    depth = len(Path(folder).parts)
    parts = [Path(path).parts for path in os.fsdecode(said).split("\0") if path]
    return sorted({each[depth] for each in parts if len(each) > depth + 1})


def take_out(root: Path, commit: str, to: Path) -> None:
    """Lay the files of a commit into a folder; nothing of git is with them."""
    with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", commit))) as files:
        files.extractall(to, filter="data")


def find_base(root: Path, name: str) -> str:
    """The commit that a proposal began with: what came to the base since then is no part of it.

    Parameters
    ----------
    root
        Of the repository.
    name
        Of the base, such as `origin/main`.

    Raises
    ------
    MlopsError
        If there is no such commit.
    """
    try:
        base = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except MlopsError:
        raise MlopsError(f"there is no commit {name!r} here: fetch it, or name another one with --base.") from None
    with suppress(MlopsError):  # a clone may hold too little of their past to have a commit of both
        base = _git(root, "merge-base", base.decode().strip(), "HEAD")
    return base.decode().strip()


def _git(root: Path, *command: str) -> bytes:
    done = subprocess.run(["git", "-C", str(root), *command], capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"it ended with {done.returncode}"
        raise MlopsError(f"git {command[0]}: {said.splitlines()[-1]}")
    return done.stdout
