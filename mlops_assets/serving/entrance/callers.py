"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

RIGHTS = ("read", "predict", "write")
"""What a caller may be allowed to do."""


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes
    ----------
    name
        Name of the key, or of the user of this machine where no key is asked for.
    rights
        `read`, `predict`, `write`.
    """

    name: str
    rights: frozenset[str] = frozenset(RIGHTS)


LOCAL = Caller("local")
"""Whoever asks where no key is asked for: somebody on this machine."""

UNKNOWN = Caller("unknown", frozenset())
"""Whoever asks with no known key where one is asked for, or for what needs none."""
