"""One look: what is new is written down, and told to the channels that want it; nobody is held up by one that fails."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.events.channels import Channel, NotTold, Unfit, open_channel
from mlops_assets.events.facts import Lamps, Runs, gather
from mlops_assets.events.memory import Memories, Memory, Waiting
from mlops_assets.events.message import Message
from mlops_assets.events.news import news
from mlops_assets.use_case.told import Told
from mlops_assets.workspace import Stores

log = logging.getLogger("mlops_assets.told")

BUDGET = 20.0
"""Seconds after which a look begins no further message; the others come with the next one."""

OPENS = Callable[[Told], Channel]


@dataclass(frozen=True)
class Look:
    """What came of a look.

    Attributes
    ----------
    news
        Messages that were new.
    told
        How many were told, each to one channel.
    waiting
        Those that are still to be told.
    lost
        What was given up so far: channel, sentence, why, and when.
    by_others
        Whether another process was faster, and tells.
    """

    news: tuple[Message, ...] = ()
    told: int = 0
    waiting: tuple[Waiting, ...] = ()
    lost: tuple[Mapping[str, Any], ...] = ()
    by_others: bool = False

    def __str__(self) -> str:
        if self.by_others:
            return "another process tells"
        parts = [f"{len(self.news)} news", f"{self.told} told"]
        refused = sorted({f"{one.channel}: {one.why}" for one in self.waiting if one.why})
        parts += [f"{len(self.waiting)} to be told"] if self.waiting else []
        parts += [f"{len(self.lost)} given up"] if self.lost else []
        return ", ".join(parts) + "".join(f"; {why}" for why in refused)


def look(
    stores: Stores,
    runs: Runs,
    lamps: Lamps = lambda _: (),
    *,
    now: Callable[[], float] = time.time,
    opens: OPENS = open_channel,
) -> Look:
    """Look at a use case, and tell what is new and what is still to be told.

    Parameters
    ----------
    stores
        What there is of the use case.
    runs
        What is known of its runs.
    lamps
        Reads the lamps of a day.
    now
        The clock.
    opens
        Opens a channel.

    Raises
    ------
    MlopsError
        If the lake cannot be read.
    """
    channels, memories = stores.use_case.told, Memories(stores.lake)
    number, before = memories.newest()
    moment = dt.datetime.fromtimestamp(now(), dt.UTC)
    known, messages = news(stores.use_case, before, gather(stores, runs, moment, lamps))
    for message in messages:
        log.info("%s: %s", stores.use_case.name, message.sentence)
        wanted = [name for name, told in channels.items() if told.wants(message.event, message.severity)]
        for name in wanted:
            known = known.tell(name, message, now())
    due = known.due(now())
    if known == before and not due:
        return Look(waiting=known.waiting, lost=known.lost)
    # written before anybody is told: of two processes that see the same, one may write
    if not memories.add(number, known.hold((one.id for one in due), now())):
        return Look(by_others=True)
    outcomes = _tell(channels, due, now, opens)
    known = _settle(memories, outcomes, now)
    told = sum(why == "" for why in outcomes.values())
    return Look(tuple(messages), told, known.waiting, known.lost)


def _tell(
    channels: Mapping[str, Told], due: Sequence[Waiting], now: Callable[[], float], opens: OPENS
) -> dict[str, str | None]:
    """Tell some messages: by their ids, why they were refused; empty where they were told, None for want of time."""
    began = now()
    outcomes: dict[str, str | None] = dict.fromkeys(one.id for one in due)
    refused: dict[str, str] = {}
    for one in due:
        told = channels.get(one.channel)
        if told is None or not told.url:
            outcomes[one.id] = ""  # taken out of the configuration: nobody waits for it
        elif one.channel in refused:  # what comes after is not told before
            outcomes[one.id] = refused[one.channel]
        elif now() - began <= BUDGET:
            outcomes[one.id] = _told(opens(told), one, refused)
    return outcomes


def _told(channel: Channel, waiting: Waiting, refused: dict[str, str]) -> str:
    """Why a message was refused, or nothing; a channel that takes none now is one of the `refused`."""
    try:
        channel.tell(waiting.message, waiting.id)
    except NotTold as error:
        log.warning("%s was not told, and is tried again: %s", waiting.channel, error)
        if not isinstance(error, Unfit):
            refused[waiting.channel] = str(error)
        return str(error)
    return ""


def _settle(memories: Memories, outcomes: Mapping[str, str | None], now: Callable[[], float]) -> Memory:
    """Note what was told, upon what others may have written meanwhile."""
    while True:
        number, newest = memories.newest()
        settled = newest.settle(outcomes, now())
        if settled == newest or memories.add(number, settled):
            return _warn(newest, settled)


def _warn(before: Memory, after: Memory) -> Memory:
    for one in after.lost:
        if one not in before.lost:
            log.error("%s was never told, and is given up: %s (%s)", one["channel"], one["sentence"], one["why"])
    return after


def test_message(stores: Stores) -> Message:
    """A message that tells of nothing, to see whether channels take one."""
    name, owner = stores.use_case.name, stores.use_case.owner
    sentence = "this is a test: whoever reads it is told of what happens."
    return Message(name, owner, "published", "info", "test", sentence, details=("Nothing happened.",)).cleaned()


def try_channels(stores: Stores, opens: OPENS = open_channel) -> list[tuple[str, bool, str]]:
    """Send a test message to every channel: its name, whether it took it, and what it answered."""
    answers = []
    for name, told in stores.use_case.told.items():
        if not told.url:
            answers.append((name, False, "its variable is empty, so it is off"))
            continue
        try:
            answers.append((name, True, opens(told).tell(test_message(stores))))
        except NotTold as error:
            answers.append((name, False, str(error)))
    return answers
