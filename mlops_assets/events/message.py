"""In: what happened, in words that may come from anybody's file. Out: a message that may be shown anywhere.

It is bounded, one line a line, without secrets of the environment; where a chat program shows it, it calls nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from io import StringIO
from itertools import islice
from typing import Any

from mlops_assets.errors.redaction import redacted
from mlops_assets.use_case.told import Kind, Severity
from mlops_assets.work.printable import printable, printable_lines

LINES, LENGTH = 10, 400
"""Lines of an error that are told, and the characters of a line."""

SECRET = 4096
"""Characters behind the end of a line that are looked at, too: a secret that is cut in two would not be found."""

MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "@\u200b", "](": "]\u200b("}
"""What chat programs would call people by, or hide an address behind, and how it is only shown (Slack, Teams)."""

PLAIN = {"<": "<\u200b", "@": "@\u200b", "](": "]\u200b("}
"""The same for a text that may as well be an e-mail, where `&lt;` would be read as it stands."""


def shown_by_chats(text: str, markup: Mapping[str, str] = MARKUP) -> str:
    """A text with the signs that chat programs obey as they are only shown."""
    for sign, shown in markup.items():
        text = text.replace(sign, shown)
    return text


def first_lines(texts: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The first lines of some texts, cut to a bounded size, without any secret of the environment.

    Parameters
    ----------
    texts
        What steps or checks said.
    environment
        Has the secrets, by default that of this process.

    Examples
    --------
    >>> first_lines(["no answer from postgresql://dagster:tulip@db/x"], {})
    ('no answer from postgresql://***@db/x',)
    >>> first_lines(["the key is rosebud42"], {"AWS_SECRET_ACCESS_KEY": "rosebud42"})
    ('the key is ***',)
    """
    # what chat programs show may come from a file: a sign that turns the line round, an escape
    every = (line.strip() for text in texts for line in StringIO(text, newline=None))
    lines = islice((line for line in every if line), LINES)
    return tuple(redacted(printable_lines(line[: LENGTH + SECRET]), environment)[:LENGTH] for line in lines)


def first_line(text: str) -> str:
    """A text as one bounded line in which every sign is seen, an end of a line, too, and no secret."""
    return redacted(printable(text[: LENGTH + SECRET]))[:LENGTH]


@dataclass(frozen=True)
class Message:
    """What somebody is told.

    Attributes
    ----------
    use_case, owner
        Whose, and who is asked.
    event
        What kind of thing happened.
    severity
        How bad it is.
    cause
        Names what is behind it: one cause is told once, and once more when it is over.
    sentence
        What happened.
    details
        More of it, a few lines.
    what_to_do
        The next step; may be empty.
    days
        The days that it is about; of several, the first and the last.
    numbers
        Of the accounting.
    run_id
        Dagster's id of the run behind it, if there is one.
    over
        Whether it says that the cause is gone.
    lamps
        Names of the lamps that it is about.
    change
        Number of the history, of a change of the champion; 0 of all else.
    """

    use_case: str
    owner: str
    event: Kind
    severity: Severity
    cause: str
    sentence: str
    details: tuple[str, ...] = ()
    what_to_do: str = ""
    days: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    run_id: str = ""
    over: bool = False
    lamps: tuple[str, ...] = ()
    change: int = 0

    def cleaned(self) -> Message:
        """The same as it may be shown."""
        return replace(
            self,
            sentence=first_line(self.sentence),
            details=first_lines(self.details),
            what_to_do=first_line(self.what_to_do),
        )

    @property
    def title(self) -> str:
        """One line, such as the subject of an e-mail."""
        sign = "ok" if self.over else self.severity
        return f"[{sign}] {self.use_case}: {self.sentence}"

    @property
    def body(self) -> str:
        """What follows it."""
        numbers = ", ".join(f"{name}: {value:,}" for name, value in self.numbers.items())
        return "\n".join(filter(None, [*self.details, numbers, self.what_to_do, f"owner: {self.owner}"]))

    def to_json(self) -> dict[str, Any]:
        """What is stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Message:
        """Read what was stored."""
        lists = {name: tuple(written.get(name, ())) for name in ("details", "days", "lamps")}
        return cls(**{**written, **lists})

    def to_post(self) -> dict[str, Any]:
        """What a webhook gets: the names of an alert, and more; all of it as `text`, which chat programs show."""
        return {
            "text": shown_by_chats(f"{self.title}\n{self.body}"),
            "job": f"{self.use_case}_daily",
            "days": list(self.days),
            "run_id": self.run_id,
            "problem": self.sentence,
            "errors": list(self.details),
            "what_to_do": self.what_to_do,
            "use_case": self.use_case,
            "owner": self.owner,
            "event": self.event,
            "severity": self.severity,
            "cause": self.cause,
            "change": self.change,
            "over": self.over,
            "numbers": dict(self.numbers),
        }
