"""Whether a page answers: `python -m deploy.healthy URL` ends with 0 if it does. For images without curl."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request


def is_healthy(url: str) -> bool:
    """Whether the page answers with 200 within five seconds."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the address comes from our own files
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


if __name__ == "__main__":
    sys.exit(not is_healthy(sys.argv[1]))
