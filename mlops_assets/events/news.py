"""In: what was known, and how a use case stands. Out: what is known now, and the messages that are new.

A cause is told once and stands until it is over, which is told, too. At the first look nothing that happened before is
news, but what is wrong at that moment is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mlops_assets.events.facts import Facts
from mlops_assets.events.happened import (
    ChampionChanged,
    DayLate,
    DaysPublished,
    DaysReplaced,
    Event,
    RunRed,
    ServesOlder,
    TrainingRefused,
    over,
)
from mlops_assets.events.memory import Memory
from mlops_assets.events.message import Message
from mlops_assets.use_case import UseCase

TOGETHER = 3
"""Days that are told one by one; more of them at once are one message."""

BEFORE = 86_400.0
"""Seconds before the first look in which a run may have failed, or a deadline passed, that is told."""

NUMBERS = ("files", "files_refused", "lines", "rows", "rejected", "predictions", "model_version")


def news(use_case: UseCase, memory: Memory, facts: Facts) -> tuple[Memory, list[Message]]:
    """What is known after a look, and what is to be told.

    Parameters
    ----------
    use_case
        The use case.
    memory
        What was known.
    facts
        What was seen.
    """
    now = facts.now.timestamp()
    first = not memory.began
    began = memory.began or now
    happened = [] if first else [*_days(memory, facts), *_champion(memory, facts), *_training(memory, facts)]
    standing = dict(memory.standing)
    messages = [event.message(use_case) for event in happened]
    for event in [*_wrong(use_case, facts, began - BEFORE), *_lamps(memory, facts)]:
        # of one subject only the newest cause stands: another error, or what was foreseen and has come
        if event.cause not in standing:
            standing = {cause: told for cause, told in standing.items() if _subject(cause) != _subject(event.cause)}
            standing[event.cause] = event.message(use_case)
            messages.append(standing[event.cause])
    for cause, told in list(standing.items()):
        if sentence := _is_over(cause, told, facts):
            del standing[cause]
            messages.append(over(told, sentence))
    known = replace(
        memory,
        began=began,
        published={**memory.published, **facts.publications()},
        champion=memory.champion if facts.changes is None else len(facts.changes),
        training=facts.training,
        standing=standing,
    )
    return known, messages


def _subject(cause: str) -> str:
    kind, _, rest = cause.partition(":")
    if kind == "lamp":
        return cause
    return ("late:" if kind in ("soon", "late") else f"{kind}:") + rest.partition(":")[0]


def _days(memory: Memory, facts: Facts) -> Iterator[Event]:
    fresh = {day: name for day, name in facts.publications().items() if memory.published.get(day) != name}
    for kind, days in (
        (DaysPublished, sorted(day for day in fresh if day not in memory.published)),
        (DaysReplaced, sorted(day for day in fresh if day in memory.published)),
    ):
        groups = [[day] for day in days] if len(days) <= TOGETHER else [days]
        for group in groups:
            yield kind(days=tuple(group), numbers=_numbers(facts, group), publication=fresh[group[-1]])


def _numbers(facts: Facts, days: Sequence[str]) -> dict[str, float]:
    """Of the accounting of some days: sums, and the version of the last one."""
    every = [facts.published[day].accounting for day in days]
    sums: dict[str, float] = {name: sum(getattr(one, name) for one in every) for name in NUMBERS[:-1]}
    return {**sums, NUMBERS[-1]: every[-1].model_version}


def _champion(memory: Memory, facts: Facts) -> Iterator[Event]:
    for change in (facts.changes or ())[memory.champion :]:
        yield ChampionChanged(
            number=change.number,
            action=change.action,
            version=change.version,
            before=change.before,
            who=change.who,
            why=change.why,
        )


def _training(memory: Memory, facts: Facts) -> Iterator[Event]:
    made = facts.made
    if made is not None and facts.training != memory.training and (not made.passed or made.waits):
        yield TrainingRefused(run=facts.training, version=made.version, reason=made.reason, waits=made.waits)


def _wrong(use_case: UseCase, facts: Facts, since: float) -> Iterator[Event]:
    """All that is wrong at this moment, news or not."""
    for subject, run in facts.runs.last.items():
        if run.errors and run.ended >= since:
            readable = subject in facts.published
            yield RunRed(subject=subject, is_day=run.is_day, errors=run.errors, run_id=run.run_id, readable=readable)
    for due in facts.due:
        late = due.moment <= facts.now
        if (late and due.moment.timestamp() >= since) or (due.expected and not late and due.expected > due.moment):
            yield DayLate(
                day=due.day,
                deadline=use_case.deadline or "",
                moment=due.moment,
                state=due.state,
                expected=None if late else due.expected,
            )
    if facts.held is not None:
        yield facts.held
    for behind in facts.behind[-1:]:  # the processes of the API say the same, sooner or later
        yield ServesOlder(version=behind.version, serves=behind.serves, why=behind.why)


def _lamps(memory: Memory, facts: Facts) -> Iterator[Event]:
    """The lamps that turned red, as one event: where a file is broken, that may be hundreds."""
    known = {name for message in memory.standing.values() for name in message.lamps}
    fresh = [lamp for lamp in facts.lamps if lamp.red and not lamp.follows and lamp.name not in known]
    if fresh:
        yield replace(fresh[0], others=tuple(lamp.name for lamp in fresh[1:]))


def _is_over(cause: str, told: Message, facts: Facts) -> str:
    """How the end of a cause is told; empty while it stands, and where nobody can tell."""
    kind = cause.partition(":")[0]
    subject = told.days[0] if told.days else _subject(cause).partition(":")[2]
    if kind in ("late", "soon"):
        published = facts.published.get(subject)
        return f"{subject} is published now." if published else ""
    if kind == "red":
        run = facts.runs.last.get(subject)
        well = run is not None and not run.errors and run.run_id != told.run_id
        # a run may have done other steps of a day than the one that failed
        return f"{subject} is well again." if well and (not told.days or subject in facts.published) else ""
    if kind == "held":
        return "" if facts.held is not None and facts.held.cause == cause else "the past days were decided on."
    if kind == "serving":
        return "" if facts.behind else "the API answers with the champion."
    return _green_again(told, facts)


def _green_again(told: Message, facts: Facts) -> str:
    """How it is told that lamps are green again, once all that can be judged are."""
    seen = [lamp for lamp in facts.lamps if lamp.name in told.lamps]
    if not seen or any(lamp.red for lamp in seen):
        return ""
    more = len(told.lamps) - 1
    besides = f" and {more} more are" if more else " is"
    return f"{seen[0].day}: {told.lamps[0]}{besides} green again."
