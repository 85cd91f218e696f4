"""How far long work is: share done, rate, and an estimate of its end, said now and then through `logging`."""

from __future__ import annotations

import logging
import time

from mlops_assets.journey.shards import Report

log = logging.getLogger("mlops_assets.progress")

EVERY = 5.0
"""Seconds between two lines."""


class Progress:
    """Counts finished shards and says how the work is going.

    Parameters
    ----------
    what
        Name of the work, such as `transactions rows`.
    files
        Files of all days together.
    """

    def __init__(self, what: str, files: int) -> None:
        self._what = what
        self._files = files
        self._done = 0
        self._fresh = 0
        self._rows = 0
        self._began = self._said = time.monotonic()

    def __call__(self, report: Report) -> None:
        """Take note of one finished shard."""
        self._done += report.counts.get("files", 0)
        self._rows += report.counts.get("rows", 0)
        self._fresh += 0 if report.reused else report.counts.get("files", 0)
        now = time.monotonic()
        if now - self._said >= EVERY:
            self._said = now
            log.info(self.line())

    def line(self) -> str:
        """One line about the state of the work."""
        passed = max(1e-9, time.monotonic() - self._began)
        rate = self._fresh / passed
        share = self._done / max(1, self._files)
        left = (self._files - self._done) / rate if rate else 0.0
        return (
            f"{self._what}: {share:.0%}, {self._done:,} of {self._files:,} files, {rate:,.0f} files/s, "
            f"{self._rows / passed:,.0f} rows/s, done in {_clock(left)}"
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02d} min"
