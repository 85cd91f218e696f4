"""Secrets by file: where `NAME_FILE` is set, the file has the value of `NAME`; read once, as a process begins."""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from pathlib import Path

from mlops_assets.errors import UsageError
from mlops_assets.errors.redaction import NAMED

ENDING = "_FILE"

OURS = re.compile(r"MLOPS_\w+|MLFLOW_(BACKEND_STORE|TRACKING)_URI|POSTGRES_PASSWORD")
"""Variables whose value may be a secret though their name does not say so."""

THEIRS = frozenset({"AWS_SHARED_CREDENTIALS", "AWS_WEB_IDENTITY_TOKEN"})
"""What libraries read from a file themselves."""

MOUNTED = "/run/secrets/"
"""Where Docker lays secrets: there a file is one whatever its variable is called, such as that of a use case."""

LARGEST = 64 << 10
"""Bytes that a secret may have."""


def read_secret_files(environment: MutableMapping[str, str] | None = None) -> list[str]:
    """Set each variable whose value is given by a file; the names of those that were set.

    Parameters
    ----------
    environment
        The variables, by default those of this process.

    Raises
    ------
    UsageError
        If a file cannot be read, or both are set.
    """
    known = os.environ if environment is None else environment
    named = {name.removesuffix(ENDING): name for name in known if name.endswith(ENDING) and known[name]}
    found = sorted(name for name, variable in named.items() if _is_secret(name, known[variable]))
    for name in found:
        if known.get(name):
            raise UsageError(f"{name} and {named[name]} are both set: leave one of them.")
        known[name] = _read(named[name], Path(known[named[name]]))
        del known[named[name]]  # what is started from here finds the value, and not both
    return found


def _is_secret(name: str, file: str) -> bool:
    if name in THEIRS:
        return False
    return file.startswith(MOUNTED) or OURS.fullmatch(name) is not None or NAMED.search(name) is not None


def _read(variable: str, file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise UsageError(f"{variable}: its file cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{variable}: its file is no text.") from None
    if not text or len(content) > LARGEST or "\0" in text:
        raise UsageError(f"{variable}: its file holds no secret: one line of text, up to {LARGEST:,} bytes.")
    return text
