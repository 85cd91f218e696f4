"""Where the `mlops-assets dev` of a home has its pages, or had them last: commands in another shell link to them."""

from __future__ import annotations

import json
import re
from pathlib import Path

LOCK = "dev.lock"
"""File of Dagster's home that a running `dev` holds; it says which process that is, and where its pages are."""

ADDRESS = re.compile(r"http://(\[[0-9a-f:.]+\]|[\w.-]+):\d{1,5}")
"""What such an address looks like."""


def pages_of_dev(home: Path) -> dict[str, str]:
    """Addresses by what is there: `dagster` and `api`; none where there was no `dev`, or nobody knows.

    Parameters
    ----------
    home
        Dagster's home.
    """
    try:
        told = json.loads((home / LOCK).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there is none yet, or it is just being written
        return {}
    found = {name: told.get(name) for name in ("dagster", "api")} if isinstance(told, dict) else {}
    return {name: at for name, at in found.items() if isinstance(at, str) and ADDRESS.fullmatch(at)}
