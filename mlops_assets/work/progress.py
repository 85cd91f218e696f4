"""How far long work is: share done, rate, an estimate of its end, and whether the deadline will hold."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from mlops_assets.work.shards import Report

log = logging.getLogger("mlops_assets.work.progress")

EVERY = 5.0
"""Seconds between two lines."""

ADVICE = "More processes (MLOPS_WORKERS), a cheaper model or Spark would help; docs/operations.md has the numbers."


@dataclass(frozen=True)
class Deadline:
    """When a run must be done.

    Attributes
    ----------
    minutes
        Minutes that it may take.
    began
        When it began, in seconds since 1970.
    later
        Seconds that its later steps are expected to take; None where they were never measured.
    """

    minutes: float
    began: float
    later: float | None = 0.0


class Listing:
    """Says how many files were listed so far, while a large day is being listed.

    Parameters
    ----------
    what
        Name of the step.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = self._said = time.monotonic()

    def __call__(self, files: int) -> None:
        """Take note of the number of files listed so far; how many there will be nobody knows."""
        now = time.monotonic()
        if now - self._said >= EVERY:
            self._said = now
            log.info("%s: %s files listed, %s files/s", self._what, f"{files:,}", f"{files / (now - self._began):,.0f}")


class Sending:
    """Says how many rows of a day are at a target, and when the rest will be.

    Parameters
    ----------
    what
        Name of the delivery and its day.
    rows
        How many there are.
    """

    def __init__(self, what: str, rows: int) -> None:
        self._what = what
        self._rows = rows
        self._sent = 0
        self._began = self._said = time.monotonic()

    def __call__(self, sent: int) -> None:
        """Take note of the number of rows that are there so far."""
        self._sent = sent
        # another run may have published more since the rows were counted
        self._rows = max(self._rows, sent)
        now = time.monotonic()
        if now - self._said >= EVERY and sent:
            self._said = now
            log.info(self.line())

    def line(self) -> str:
        """One line about the state of the delivery."""
        rate = self._sent / max(1e-9, time.monotonic() - self._began)
        share, left = self._sent / max(1, self._rows), self._rows - self._sent
        rest = f"{rate:,.0f} rows/s, done in {_clock(left / rate if rate else 0.0)}"
        return f"{self._what}: {share:.0%}, {self._sent:,} of {self._rows:,} rows, {rest}"


class Verifying:
    """Says how many of the stored bytes were looked at, and when the rest will be.

    Parameters
    ----------
    what
        Name of the work.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = self._said = 0.0

    def __call__(self, read: int, whole: int, files: int) -> None:
        """Take note of the bytes read so far, of how many in how many files."""
        now = time.monotonic()
        if not self._began:  # what was listed before tells nothing of how fast files are read
            self._began = self._said = now
        if now - self._said >= EVERY and read:
            self._said = now
            rate = read / (now - self._began)
            log.info(
                "%s: %.0f %% of %s MB in %s files, %s MB/s, done in %s",
                *(self._what, 100 * read / max(1, whole), f"{whole / 1e6:,.0f}", f"{files:,}", f"{rate / 1e6:,.0f}"),
                _clock((whole - read) / rate),
            )


class Progress:
    """Counts finished shards and says how one step of a run is going.

    Parameters
    ----------
    what
        Name of the step, such as `transactions rows`.
    files
        Files of all its days together, refused ones included: they are part of their shards.
    deadline
        When the run must be done, if that is asked.
    early
        Finished shards from which on the forecast is trusted enough to warn.
    """

    def __init__(self, what: str, files: int, deadline: Deadline | None = None, early: int = 4) -> None:
        self._what = what
        self._files = files
        self._deadline = deadline
        self._early = early
        self._reports = 0
        self._done = 0
        self._fresh = 0
        self._rows = 0
        self._warned = False
        self._began = self._said = time.monotonic()

    def __call__(self, report: Report) -> None:
        """Take note of one finished shard."""
        files = report.counts.get("files", 0)
        self._done += files
        # another run may have published more of a day since the files were counted
        self._files = max(self._files, self._done)
        # what an earlier run did took no time now, and would promise a speed that nobody has
        if not report.reused:
            self._reports += 1
            self._fresh += files
            self._rows += report.counts.get("rows", 0)
        now = time.monotonic()
        if now - self._said >= EVERY:
            self._said = now
            log.info(self.line())
        # once, and not by the rate of the very first shards
        if not self._warned and self._reports >= self._early and not self._holds():
            self._warned = True
            log.warning("%s: %s. %s", self._what, self._forecast(), ADVICE)

    def line(self) -> str:
        """One line about the state of the work."""
        passed = self._passed()
        share = self._done / max(1, self._files)
        line = (
            f"{self._what}: {share:.0%}, {self._done:,} of {self._files:,} files, {self._fresh / passed:,.0f} files/s, "
            f"{self._rows / passed:,.0f} rows/s, done in {_clock(self._left())}"
        )
        return f"{line}; {self._forecast()}" if self._deadline else line

    def numbers(self) -> dict[str, Any]:
        """The state of the work as numbers for a page."""
        passed = self._passed()
        rates = {"files_a_second": round(self._fresh / passed), "rows_a_second": round(self._rows / passed)}
        if self._deadline is None:
            return rates
        expected = {"expected_minutes": round(self._expected() / 60, 2), "deadline_minutes": self._deadline.minutes}
        return {**rates, **expected, "deadline_held": self._holds()}

    def _passed(self) -> float:
        return max(1e-9, time.monotonic() - self._began)

    def _left(self) -> float:
        """Seconds until this step is done, if it goes on as before."""
        rate = self._fresh / self._passed()
        return (self._files - self._done) / rate if rate else 0.0

    def _expected(self) -> float:
        """Seconds that the whole run is expected to take."""
        if self._deadline is None:
            return 0.0
        return time.time() - self._deadline.began + self._left() + (self._deadline.later or 0.0)

    def _holds(self) -> bool:
        return self._deadline is None or self._expected() <= 60 * self._deadline.minutes

    def _forecast(self) -> str:
        if self._deadline is None:
            return ""
        # a later step that was never measured has no forecast: what is known is a lower bound
        least = "at least " if self._deadline.later is None else ""
        verdict = "the deadline holds" if self._holds() else "THE DEADLINE WILL BE MISSED"
        return f"{verdict}, {least}{_clock(self._expected())} of {_clock(60 * self._deadline.minutes)} for the run"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02d} min"
