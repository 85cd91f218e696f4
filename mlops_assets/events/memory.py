"""What is known of what was told: a list of documents in the lake, of which the newest says how it stands.

Each has the next number and is written only if nobody took that. So of two daemons that see the same news one writes it
down, and that one tells. Who writes a message down holds it for `HELD` seconds; a process that is killed between the
telling and the note of it has the message told once more, after that time.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mlops_assets.events.message import Message
from mlops_assets.storage import places
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import told_of_room
from mlops_assets.storage.integrity import document, read_json, understanding
from mlops_assets.storage.places import create

HELD = 120.0
"""Seconds for which a message is in the hands of one process."""

KEPT = 100
"""Documents that are kept behind the newest, for people who look."""

PATIENCE = 86_400.0
"""Seconds after which a message that no channel took is given up."""

LONGEST_PAUSE = 3_600.0
"""Seconds between two tries, at most; they begin with half a minute, and double."""

FIRST_PAUSE = 30.0

MOST_LOST = 50
"""Messages that were given up, and are still known."""

MOST_WAITING = 500
"""Messages that wait; the oldest are given up where there are more."""


@dataclass(frozen=True)
class Waiting:
    """A message on its way to one channel.

    Attributes
    ----------
    channel
        Name of the channel.
    message
        What is told.
    since
        When it came up, in seconds since 1970.
    tries
        How often it was refused.
    after
        When it may be tried next.
    why
        What the channel said last.
    id
        Names it.
    held
        Until when it is in the hands of a process that tells it.
    """

    channel: str
    message: Message
    since: float
    tries: int = 0
    after: float = 0.0
    why: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    held: float = 0.0

    def refused(self, why: str, now: float) -> Waiting:
        """The same after a try that failed."""
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**self.tries)
        return replace(self, tries=self.tries + 1, after=now + pause, why=why, held=0.0)


@dataclass(frozen=True)
class Memory:
    """What is known.

    Attributes
    ----------
    began
        When the first look was taken, in seconds since 1970; 0 before it.
    published
        The publication of each day that was seen.
    champion
        Number of changes of the champion that were seen.
    training
        The last training that was seen.
    standing
        What was told and is not over, by its cause.
    waiting
        What is still to be told.
    lost
        What was given up: channel, sentence, why, and when, in seconds since 1970.
    """

    began: float = 0.0
    published: Mapping[str, str] = field(default_factory=dict)
    champion: int = 0
    training: str = ""
    standing: Mapping[str, Message] = field(default_factory=dict)
    waiting: tuple[Waiting, ...] = ()
    lost: tuple[Mapping[str, Any], ...] = ()

    def tell(self, channel: str, message: Message, now: float) -> Memory:
        """The same with a message on its way."""
        known = replace(self, waiting=(*self.waiting, Waiting(channel, message, now)))
        if len(known.waiting) <= MOST_WAITING:
            return known
        oldest = known.waiting[0]
        return replace(known, waiting=known.waiting[1:]).lose(oldest, "too much waits", now)

    def lose(self, waiting: Waiting, why: str, now: float) -> Memory:
        """The same with a message that is given up."""
        entry = {"channel": waiting.channel, "sentence": waiting.message.sentence, "why": why, "when": now}
        return replace(self, lost=(*self.lost, entry)[-MOST_LOST:])

    def due(self, now: float) -> list[Waiting]:
        """What may be told now: all that waits for a channel, the oldest first, as soon as one of it may be tried.

        Nobody shall hear that a cause is over, and of the cause after that: so a channel to which another process is
        telling waits for it, too. The channel that refused least comes first: one that hangs keeps no other from its
        news.
        """
        tries: dict[str, int] = {}
        for one in self.waiting:
            tries[one.channel] = max(one.tries, tries.get(one.channel, 0))
        ready = {one.channel for one in self.waiting if one.after <= now}
        ready -= {one.channel for one in self.waiting if one.held > now}
        return sorted((one for one in self.waiting if one.channel in ready), key=lambda one: tries[one.channel])

    def hold(self, ids: Iterable[str], now: float) -> Memory:
        """The same with some messages in the hands of who writes this."""
        held = {*ids}
        waiting = tuple(replace(one, held=now + HELD) if one.id in held else one for one in self.waiting)
        return replace(self, waiting=waiting)

    def settle(self, outcomes: Mapping[str, str | None], now: float) -> Memory:
        """The same after some messages were in our hands: by their ids, why they were refused.

        It is nothing where they were told, and None where they were not tried.
        """
        known = replace(self, waiting=())
        for one in self.waiting:
            why = outcomes.get(one.id)
            if one.id not in outcomes:
                known = replace(known, waiting=(*known.waiting, one))
            elif why is None:
                known = replace(known, waiting=(*known.waiting, replace(one, held=0.0)))
            elif why and now - one.since > PATIENCE:
                known = known.lose(one, why, now)
            elif why:
                known = replace(known, waiting=(*known.waiting, one.refused(why, now)))
        return known

    def to_json(self) -> dict[str, Any]:
        """What is stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Memory:
        """Read what was stored."""
        waiting = (Waiting(**{**one, "message": Message.from_json(one["message"])}) for one in written["waiting"])
        standing = {cause: Message.from_json(message) for cause, message in written["standing"].items()}
        own = {name: written[name] for name in ("began", "published", "champion", "training")}
        return cls(**own, standing=standing, waiting=tuple(waiting), lost=tuple(written["lost"]))


class Memories:
    """The documents of a use case.

    Parameters
    ----------
    lake
        Its tables and documents.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def newest(self) -> tuple[int, Memory]:
        """The number of the newest, and what it says; 0 before there is one.

        Raises
        ------
        Damaged
            If it is not as it was written.
        """
        # by one listing; the number is the whole name
        numbers = [int(name[:6]) for name in places.sizes(self._lake.told) if name[:6].isdigit()]
        number = max(numbers, default=0)
        if not number:
            return 0, Memory()
        path = self._lake.telling(number)
        written = read_json(path)
        with understanding(path):
            return number, Memory.from_json(written)

    def add(self, number: int, memory: Memory) -> bool:
        """Write the next one; whether nobody else has written one of that number.

        Parameters
        ----------
        number
            Of the one that it follows.
        memory
            What it says.
        """
        # two processes may want to say the same, and one of them must see that it was not the first
        said = {**memory.to_json(), "writer": uuid.uuid4().hex}
        path = self._lake.telling(number + 1)
        try:
            with told_of_room(path):
                create(path, document(said))
        except FileExistsError:
            return False
        if number > KEPT:
            places.remove(self._lake.told, [self._lake.telling(number - KEPT).name])
        return True
