"""What wakes every process of the API on a machine: a folder in the home, in which each call leaves a file once.

The processes look at its time of change each second; so none has to know of the others, and one that starts anew hears,
too. The files are named by the ids of calls: what comes again within the tolerance finds its file there.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from mlops_assets.events.signing import TOLERANCE

LASTS = 2 * TOLERANCE
"""Seconds for which a file stays."""


class Bell:
    """A bell; each process has one of its own on the same folder.

    Parameters
    ----------
    home
        The home of the installation.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "bell"
        self._heard = self._changed()

    def ring(self, name: str, now: float) -> bool:
        """Ring for a call; whether it rang for that one before, and is silent now.

        Parameters
        ----------
        name
            The id of the call.
        now
            The moment, in seconds since 1970.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._tidy(now)
        path = self._folder / hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return True
        os.utime(path, (now, now))
        return False

    def heard(self) -> bool:
        """Whether it rang since this process asked last."""
        before, self._heard = self._heard, self._changed()
        return self._heard != before

    def _changed(self) -> int:
        try:
            return self._folder.stat().st_mtime_ns
        except OSError:  # nobody has rung yet; or the home is gone, and then the history is told to be
            return 0

    def _tidy(self, now: float) -> None:
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):  # another process tidies, too
                if entry.stat().st_mtime < now - LASTS:
                    Path(entry).unlink()
