"""What a rollout asks of the place where the platform runs: containers, or in tests processes of two folders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class NotAllowed(Exception):
    """An image must not run here: it is not signed by whom it should be, or cannot be had."""


class Unwell(Exception):
    """What was started is not well, or does not take back the runs that were ended; the text says what."""


class Host(Protocol):
    """Where the platform runs. A rollout that was killed asks for everything once more."""

    def current(self) -> str:
        """The image that is set to run."""
        ...

    def fetch(self, image: str) -> None:
        """Have an image at hand; NotAllowed if it is not signed or cannot be had."""
        ...

    def pause(self) -> None:
        """Start no run from here on; what is asked for waits in the queue."""
        ...

    def in_flight(self, seconds: float) -> list[str]:
        """Wait so long for runs to end by themselves; those that are left."""
        ...

    def end(self, runs: Sequence[str], *, at_once: bool) -> None:
        """End runs; without waiting for them where they have no process any more."""
        ...

    def switch(self, image: str) -> None:
        """End the code that is there and run an image, all but what starts runs; Unwell if it does not become well."""
        ...

    def begin_again(self, runs: Sequence[str]) -> list[str]:
        """Put runs that were ended into the queue, each once; those of commands, which only a person can give again.

        Unwell if the queue does not take one.
        """
        ...

    def go_on(self) -> None:
        """Start runs again; Unwell if what does so is not well."""
        ...

    def tell(self, problem: str, errors: Sequence[str], what_to_do: str) -> None:
        """Tell the owner."""
        ...
