"""Waiting files are answered together: one call of reading, features and model for all that came meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mlops_assets.journey.score.online import Answered, Loaded, Sent, answer_files


class Busy(Exception):
    """Too many rows wait already; `seconds` is how long to wait before asking again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many rows wait; ask again in {seconds} s")
        self.seconds = seconds


class Batcher:
    """Answers files of one process.

    Parameters
    ----------
    most_waiting
        Most rows (lines of files) that wait; beyond them `ask` raises Busy.
    """

    def __init__(self, most_waiting: int = 500_000) -> None:
        self.most_waiting = most_waiting

    async def ask(self, loaded: Loaded, files: Sequence[Sent], day: str) -> list[Answered]:
        """What the model says of some files, one item a file; answered together with what else waits for it.

        Raises
        ------
        Busy
            If too many rows wait.
        MlopsError
            If these files cannot be answered.
        """
        return await asyncio.to_thread(answer_files, loaded, files, day)

    async def drain(self) -> None:
        """Answer what waits, and take nothing more."""
