"""The events: what may happen to a use case that somebody wants to hear of, each with the words that tell it."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from mlops_assets.events.message import LENGTH, Message
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.told import Kind, Severity


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened."""

    kind: ClassVar[Kind]
    severity: ClassVar[Severity]

    @property
    def cause(self) -> str:
        """What is behind it; an event whose cause stands already is no news."""
        raise NotImplementedError

    def words(self, use_case: str) -> Message:
        """What is told of it, as it comes."""
        raise NotImplementedError

    def message(self, use_case: UseCase) -> Message:
        """What is told of it, as it may be shown."""
        return replace(self.words(use_case.name), owner=use_case.owner).cleaned()

    def _message(self, use_case: str, sentence: str, **more: object) -> Message:
        return Message(use_case, "", self.kind, self.severity, self.cause, sentence, **more)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class DaysPublished(Event):
    """Days can be read, for the first time; `numbers` are of their accounting, added up."""

    kind: ClassVar[Kind] = "published"
    severity: ClassVar[Severity] = "info"
    days: tuple[str, ...]
    numbers: Mapping[str, float] = field(default_factory=dict)
    publication: str = ""

    @property
    def cause(self) -> str:
        """The publication."""
        return f"{self.kind}:{self.days[-1]}:{self.publication}"

    def words(self, use_case: str) -> Message:
        """How many, and of what."""
        return self._message(use_case, f"{_days(self.days)} published.", days=_ends(self.days), numbers=self.numbers)


@dataclass(frozen=True, kw_only=True)
class DaysReplaced(DaysPublished):
    """Days that could be read before say something else now."""

    kind: ClassVar[Kind] = "replaced"

    def words(self, use_case: str) -> Message:
        """How many, and what they were before."""
        todo = f"Who has read them reads them again; before: mlops-assets predictions {use_case} --as-published-on TIME"
        sentence = f"{_days(self.days)} published again, with other content."
        return self._message(use_case, sentence, days=_ends(self.days), numbers=self.numbers, what_to_do=todo)


@dataclass(frozen=True, kw_only=True)
class RunRed(Event):
    """A run failed for good; `subject` is the day that it failed on, or the name of its job."""

    kind: ClassVar[Kind] = "red"
    severity: ClassVar[Severity] = "error"
    subject: str
    is_day: bool
    errors: tuple[str, ...]
    run_id: str
    readable: bool = False

    @property
    def cause(self) -> str:
        """The subject, and what was said without its numbers: they differ from run to run, and tell nothing new."""
        said = re.sub(r"\d+", "", "".join(error[:LENGTH] for error in self.errors[:3]))
        return f"red:{self.subject}:{hashlib.sha256(said.encode()).hexdigest()[:12]}"

    def words(self, use_case: str) -> Message:
        """Which day or job, what its steps said, and how it is run again."""
        if not self.is_day:
            return self._message(use_case, f"{self.subject} failed.", details=self.errors, run_id=self.run_id)
        state = "what was published before is read meanwhile" if self.readable else "it is not published"
        todo = f"Mend what is named above, then: mlops-assets run {use_case} --from {self.subject} --to {self.subject}"
        return self._message(
            use_case,
            f"{self.subject} is red; {state}.",
            details=self.errors,
            what_to_do=todo,
            days=(self.subject,),
            run_id=self.run_id,
        )


@dataclass(frozen=True, kw_only=True)
class DayLate(Event):
    """A day is not published and its deadline is over, or will be missed; `expected` is when it may be ready."""

    kind: ClassVar[Kind] = "late"
    day: str
    deadline: str
    moment: dt.datetime
    state: str
    expected: dt.datetime | None = None

    @property
    def severity(self) -> Severity:  # type: ignore[override]
        """Worse once it is over."""
        return "warning" if self.expected else "error"

    @property
    def cause(self) -> str:
        """The day, and whether it is only foreseen."""
        return f"{'soon' if self.expected else 'late'}:{self.day}"

    def words(self, use_case: str) -> Message:
        """By when it should be there, and how far it is."""
        due = f"{self.deadline} ({self.moment:%Y-%m-%d %H:%M} UTC)"
        if self.expected:
            sentence = f"{self.day} will be late: due by {due}, expected at {self.expected:%Y-%m-%d %H:%M} UTC."
        else:
            sentence = f"{self.day} is late: it was due by {due}."
        todo = f"See `mlops-assets status {use_case}`; docs/operations.md has 'A day is missing'."
        return self._message(use_case, sentence, details=(self.state,), what_to_do=todo, days=(self.day,))


@dataclass(frozen=True, kw_only=True)
class LampTurned(Event):
    """A lamp of the monitoring turned red, or green again; `name` says which, `sentence` what it saw.

    One that likely `follows` from another is no news of its own. All that turn red at a time are one event: that of the
    first, and `others` names the rest.
    """

    kind: ClassVar[Kind] = "lamp"
    severity: ClassVar[Severity] = "warning"
    name: str
    red: bool
    sentence: str
    day: str
    advice: str = ""
    follows: bool = False
    others: tuple[str, ...] = ()

    @property
    def cause(self) -> str:
        """The lamp, on whatever day."""
        return f"lamp:{self.name}"

    def words(self, use_case: str) -> Message:
        """What the lamp says, and how many others turned red with it."""
        more, names = len(self.others), (self.name, *self.others)
        said = f" {more} more {'is' if more == 1 else 'are'} red." if more else ""
        todo = f"{self.advice} See `mlops-assets drift {use_case} --day {self.day}`.".strip()
        sentence = f"{self.day}: {self.sentence}{said}"
        return self._message(use_case, sentence, what_to_do=todo, days=(self.day,), lamps=names)


@dataclass(frozen=True, kw_only=True)
class ChampionChanged(Event):
    """Another version predicts from now on."""

    kind: ClassVar[Kind] = "champion"
    severity: ClassVar[Severity] = "info"
    number: int
    action: str
    version: int
    before: int | None
    who: str
    why: str

    @property
    def cause(self) -> str:
        """The change."""
        return f"champion:{self.number}"

    def words(self, use_case: str) -> Message:
        """Which version, after which one, by whom."""
        after = f" after version {self.before}" if self.before else ""
        sentence = f"version {self.version} is champion{after}, by {self.action} of {self.who}."
        todo = f"mlops-assets card {use_case} {self.version}; undone by: mlops-assets rollback {use_case}"
        return self._message(use_case, sentence, details=(self.why,), what_to_do=todo, change=self.number)


@dataclass(frozen=True, kw_only=True)
class TrainingRefused(Event):
    """The gate let no version of a training through; with `waits`, it did, and a person decides."""

    kind: ClassVar[Kind] = "refused"
    severity: ClassVar[Severity] = "warning"
    run: str
    version: int | None
    reason: str
    waits: str = ""

    @property
    def cause(self) -> str:
        """The training."""
        return f"refused:{self.run}"

    def words(self, use_case: str) -> Message:
        """What the gate said."""
        made = f"version {self.version}" if self.version else "a training that made no version"
        sentence = f"the gate refused {made}; the champion stays."
        todo = f"mlops-assets history {use_case} shows the versions, card its figures."
        if self.waits:
            sentence = f"{made} passed the gate and waits for a person."
            todo = f"mlops-assets promote {use_case} {self.version} --why REASON, or leave it."
        return self._message(
            use_case, sentence, details=tuple(filter(None, (self.reason, self.waits))), what_to_do=todo
        )


@dataclass(frozen=True, kw_only=True)
class DaysHeld(Event):
    """Past days were scored again after a promotion, and stay as they were, for too many of their rows change."""

    kind: ClassVar[Kind] = "refused"
    severity: ClassVar[Severity] = "warning"
    number: int
    version: int
    before: int
    days: tuple[str, ...]
    why: str

    @property
    def cause(self) -> str:
        """The change of the champion."""
        return f"held:{self.number}"

    def words(self, use_case: str) -> Message:
        """How many days, and what a person may do."""
        days = "1 day was" if len(self.days) == 1 else f"{len(self.days)} days were"
        sentence = f"{days} scored again by version {self.version} and not published; what was published stays."
        todo = (
            f"mlops-assets diff {use_case} --from {self.days[0]} --to {self.days[-1]} --candidate {self.version} "
            f"--against {self.before}; then mlops-assets retro-score {use_case} --publish REASON, or mlops-assets "
            f"rollback {use_case} --why REASON"
        )
        return self._message(
            use_case, sentence, details=(self.why,), what_to_do=todo, days=_ends(self.days), change=self.number
        )


@dataclass(frozen=True, kw_only=True)
class ServesOlder(Event):
    """The API cannot serve the champion, and answers with an older version, or not at all."""

    kind: ClassVar[Kind] = "serving"
    severity: ClassVar[Severity] = "error"
    version: int | None
    serves: int | None
    why: str

    @property
    def cause(self) -> str:
        """The champion that is not served: several processes that cannot serve it are one cause."""
        return f"serving:champion:{self.version or '?'}"

    def words(self, use_case: str) -> Message:
        """Which version answers, in whose place."""
        instead = f"answers with version {self.serves}" if self.serves else "answers nothing"
        what = f"load version {self.version}, the champion" if self.version else "see who is champion"
        todo = f"Mend what is named above, or take another version: mlops-assets rollback {use_case} --why REASON"
        return self._message(
            use_case, f"the API {instead}, for it cannot {what}.", details=(self.why,), what_to_do=todo
        )


def over(message: Message, sentence: str) -> Message:
    """What is told once the cause of a message is gone."""
    return replace(message, over=True, sentence=sentence, details=(message.sentence,), what_to_do="").cleaned()


def _days(days: tuple[str, ...]) -> str:
    return f"{days[0]} is" if len(days) == 1 else f"{len(days)} days, {days[0]} to {days[-1]}, are"


def _ends(days: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((days[0], days[-1])))
