"""In: the tables of a use case. Out: whether yesterday can be trusted, why not, and what to do next, for anybody.

Who reads this need not know what a lamp or a champion is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from mlops_assets.journey.read.replay import open_rejects
from mlops_assets.use_case.partitions import Partitions, folder_of
from mlops_assets.views.brought import IN_A_SENTENCE
from mlops_assets.views.days import MEANS, Known, record
from mlops_assets.views.timing import Pace, pace
from mlops_assets.views.use_cases import why_none
from mlops_assets.workspace import Stores

DAYS = 30
"""Days whose times are shown."""

Answer = Literal["yes", "care", "no", "none"]

WORDS: Mapping[Answer, str] = {"no": "no", "care": "with care", "yes": "yes", "none": "not begun"}
"""Whether a day can be trusted, as people say it; in the order in which somebody should read it."""


@dataclass(frozen=True)
class Trust:
    """Whether a day can be trusted.

    Attributes
    ----------
    answer
        `yes`; `care`, where there is something to know beside it; `no`; `none`, where there is no day yet.
    why
        A sentence without its full stop.
    """

    answer: Answer
    why: str

    @property
    def words(self) -> str:
        """The answer as people say it."""
        return WORDS[self.answer]


@dataclass(frozen=True)
class Next:
    """What to do next.

    Attributes
    ----------
    says
        A sentence.
    command
        What to run; empty where there is nothing to.
    path
        Which page of the use case shows more, such as `days/2026-01-31`; empty where none does.
    """

    says: str
    command: str = ""
    path: str = ""


@dataclass(frozen=True)
class Line:
    """How a use case stands.

    Attributes
    ----------
    name
        The use case.
    trust
        Whether yesterday can be trusted.
    following
        What to do next.
    day, state
        Its last day that is over, and how that stands; None where it has none.
    pace
        How long its last days took; None where it has none.
    champion, age, why_none
        The champion, for how many days it is, and why there is none.
    red
        The lamps that are red on the last day; None where nobody looked.
    rows, open
        Rows of the last day, and its rejects that nobody has mended.
    """

    name: str
    trust: Trust
    following: Next
    day: str | None = None
    state: str | None = None
    pace: Pace | None = None
    champion: int | None = None
    age: int | None = None
    why_none: str | None = None
    red: Sequence[str] | None = None
    rows: int | None = None
    open: int | None = None


def broken(name: str) -> Line:
    """A use case of which nothing can be read."""
    trust = Trust("no", "what is known of it cannot be read")
    return Line(name, trust, Next("Find out what is wrong with its files.", f"mlops-assets status {name}"))


def look(stores: Stores, now: dt.datetime) -> Line:
    """How a use case stands.

    Parameters
    ----------
    stores
        What there is of it.
    now
        The moment; yesterday is the day, hour or week that is over then, by the clock of the use case.
    """
    known, name = Known.of(stores, now), stores.use_case.name
    yesterday = stores.use_case.partitions.over(now)
    change = stores.history.latest()
    champion: dict[str, Any] = {
        "champion": change.version if change else None,
        # never below 0: the clock of who promoted it may be ahead
        "age": max(0, (now - dt.datetime.fromisoformat(change.when)).days) if change else None,
        "why_none": None if change else why_none(stores),
    }
    days = known.days(last=yesterday)
    if not days:
        return Line(name, Trust("none", "it has no day yet that is over"), _first(stores, known), **champion)
    told = record(known, days[0])
    found = trust_of(known, told)
    still_open = open_rejects(stores.source, stores.lake, days[0]).get(days[0], told["rejected"])
    return Line(
        name,
        found if days[0] == yesterday else _without_yesterday(stores, days[0], yesterday, found, now),
        next_of(told, name, champion["champion"], still_open or 0),
        days[0],
        told["state"],
        pace(known, sorted(days[:DAYS]), now),
        red=None if told["drift"] is None else [one["name"] for one in told["drift"]["red_lamps"]],
        rows=told["rows"],
        open=still_open,
        **champion,
    )


def _first(stores: Stores, known: Known) -> Next:
    """How a use case gets its first day."""
    name, today = stores.use_case.name, known.days()
    if today:
        says = "Files of today are there. Run the day once it is over, or now."
        return Next(says, f"mlops-assets run {name} --from {today[0]} --to {today[0]}", f"days/{today[0]}")
    folder = folder_of(stores.use_case.first_day)
    says = f"Put files into a folder such as {folder} below the raw files of {name}, then train and predict."
    return Next(says, f"mlops-assets run {name} --train")


def _without_yesterday(stores: Stores, day: str, yesterday: str, found: Trust, now: dt.datetime) -> Trust:
    """There is nothing of yesterday; what can be said of the last day that there is."""
    deadline = stores.use_case.due
    due = deadline.of(yesterday) if deadline else None
    nothing = f"nothing of {stores.use_case.partitions.last_one} ({yesterday}) has come"
    if due and due > now:
        nothing += f", which is due by {due:%Y-%m-%d %H:%M} UTC"
    last = "cannot be trusted, for" if found.answer == "no" else "can be trusted:"
    return Trust("no", f"{nothing}; the last day is {day}, which {last} {found.why}")


def trust_of(known: Known, told: Mapping[str, Any]) -> Trust:
    """Whether a day can be trusted.

    Parameters
    ----------
    known
        What is known of the days.
    told
        Its `record`.
    """
    if told["state"] != "done":
        return Trust("no", _why_not(known, told))
    care = _care(known, told)
    good = f"each of its {told['rows']:,} rows has a prediction, and nothing is red{_refused(told)}"
    return Trust("care", "; ".join(care)) if care else Trust("yes", good)


def _refused(told: Mapping[str, Any]) -> str:
    """What of a good day has no prediction, for it could not be read: few lines, and perhaps whole files."""
    lines = f"{told['rejected']:,} of {told['lines']:,} lines" if told["rejected"] else ""
    files = f"{told['files_refused']:,} of {told['files']:,} files" if told["files_refused"] else ""
    both = " and ".join(one for one in (lines, files) if one)
    return f"; {both} were refused" if both else ""


def _why_not(known: Known, told: Mapping[str, Any]) -> str:
    """Why a day cannot be trusted."""
    state, use_case = told["state"], known.stores.use_case
    if state == "red":
        return _why_red(told)
    if known.stores.history.champion() is None:
        return "there is no model yet that may predict"
    came = "its files came and were not all worked on" if told["day"] in known.delivered else "no files of it came"
    if state == "late" and use_case.due:
        due = use_case.due.of(told["day"])
        return f"there are no predictions of it, though they were due by {due:%Y-%m-%d %H:%M} UTC: {came}"
    return f"there are no predictions of it yet: {came}"


def _why_red(told: Mapping[str, Any]) -> str:
    failed = [one for one in told["checks"] if not (one["passed"] or one["warns"])]
    published = "its predictions are out, but" if told["predictions"] is not None else "it was kept back, for"
    if failed:
        return f"{published} {' and '.join(_meaning(one) for one in failed)}"
    return f"{published} its rows are not like those that the model learned from: {_bare(told['drift']['sentence'])}"


def _meaning(check: Mapping[str, Any]) -> str:
    """What it means that a check is red, with its numbers where these are for people."""
    meaning, numbers = MEANS.get(check["name"], check["name"]), check["name"] not in ("rows_are_current", "noticed")
    return f"{meaning} ({check['found']})" if numbers else meaning


def _care(known: Known, told: Mapping[str, Any]) -> list[str]:
    """What there is to know of a day that is done."""
    found = []
    if told["current"] is False:
        found.append("its rows were read again since, and what is published is of the older ones")
    if told["without_prediction"]:
        found.append(f"{told['without_prediction']:,} of its rows have no prediction")
    if told["drift"] is None and known.stores.use_case.drift.watch:
        found.append("it was not compared with what the model learned from")
    if told["drift"] and not _is_judged(told):
        found.append(f"it could not be compared with what the model learned from ({_bare(told['drift']['sentence'])})")
    if told["drift"] and told["drift"]["doubt"]:
        found.append(_bare(told["drift"]["doubt"]))
    # a use case may have many targets, and what is wrong is on the page of the day
    without = [name for name, one in told["deliveries"].items() if one["delivered"] in ("no", "begun")]
    before = [name for name, one in told["deliveries"].items() if one["delivered"] == "old"]
    found += [f"it was not brought to {', '.join(without)}, or not whole"] if without else []
    return [*found, *([f"{', '.join(before)} has it {IN_A_SENTENCE['old']}"] if before else [])]


def _is_judged(told: Mapping[str, Any]) -> bool:
    """Whether any lamp of a day says something."""
    return any(state != "grey" for state in told["drift"]["lamps"].values())


def _bare(sentence: str) -> str:
    return sentence.strip().removesuffix(".")


def next_of(told: Mapping[str, Any], name: str, champion: int | None, still_open: int) -> Next:
    """What to do about a day.

    Parameters
    ----------
    told
        Its `record`.
    name
        The use case.
    champion
        The champion; None where there is none.
    still_open
        Its rejects that nobody has mended.
    """
    day, state, asked = told["day"], told["state"], urlencode({"day": told["day"]})
    page, again = f"days/{day}", f"mlops-assets run {name} --from {day} --to {day}"
    failed = [one for one in told["checks"] if not (one["passed"] or one["warns"])]
    if state == "red" and failed:
        advice = failed[0]["advice"]
        rejects = f"data/rejects?{asked}" if "rate" in failed[0]["name"] else page
        return Next(f"{advice[:1].upper()}{advice[1:]}.", again, rejects)
    if state == "red":
        lamps = told["drift"]["red_lamps"]
        says = lamps[0]["advice"] if lamps else "See what is red."
        return Next(says, f"mlops-assets drift {name} --day {day}", f"drift?{asked}")
    if state != "done" and champion is None:
        says = "See why no model may predict yet; then train one."
        return Next(says, f"mlops-assets run {name} --train", "models")
    if state == "late":
        return Next("See whether its files are there, and run the day.", again, page)
    if state == "missing" or told["current"] is False:
        return Next("Run the day.", again, page)
    return _next_of_done(told, name, still_open)


def _next_of_done(told: Mapping[str, Any], name: str, still_open: int) -> Next:
    day, asked = told["day"], urlencode({"day": told["day"]})
    if told["drift"] and told["drift"]["doubt"]:
        return Next("Have rows of the day labelled, and see how many answers are right.", path="label")
    if told["drift"] is None or not _is_judged(told):
        says = "See what can be said of its rows beside those that the model learned from."
        return Next(says, f"mlops-assets drift {name} --day {day}", f"drift?{asked}")
    behind = [target for target, one in told["deliveries"].items() if one["delivered"] != "yes"]
    if behind:
        return Next("Bring it there.", f"mlops-assets deliver {name} --day {day}", f"days/{day}")
    if still_open:
        lines = "1 refused line" if still_open == 1 else f"{still_open:,} refused lines"
        command = f"mlops-assets rejects {name} --day {day} -o rejects.csv"
        return Next(f"Nothing that hurries. {lines} can be mended.", command, f"data/rejects?{asked}")
    return Next("Nothing.")


def headline(lines: Sequence[Line], every: Iterable[Partitions]) -> str:
    """Of how many use cases what is over can be trusted; of which days, hours and weeks, `clock` says.

    Parameters
    ----------
    lines
        How each stands.
    every
        Their days, hours or weeks.
    """
    if not lines:
        return "No use case is served here."
    good, care, none = (sum(one.trust.answer == answer for one in lines) for answer in ("yes", "care", "none"))
    begun = len(lines) - none
    if not begun:
        return "No use case has a day yet that is over."
    number = "1 use case" if begun == 1 else f"{begun} use cases"
    with_care = f", and with care in {care} more" if care else ""
    waiting = f" {none} more {'has' if none == 1 else 'have'} no day yet." if none else ""
    words = [*dict.fromkeys(one.last_one for one in every)]
    over = words[0] if len(words) == 1 else "what is over"
    return f"{over[0].upper()}{over[1:]} can be trusted in {good} of {number}{with_care}.{waiting}"


def clock(every: Iterable[Partitions], now: dt.datetime) -> str:
    """What yesterday is: by each clock, and of use cases of hours or weeks the last one of these.

    Examples
    --------
    >>> hours = Partitions(every="hour", timezone="Europe/Berlin")
    >>> clock([Partitions(), hours], dt.datetime(2026, 1, 31, 4, 30, tzinfo=dt.UTC))
    'Yesterday is 2026-01-30, by UTC. The last hour is 2026-01-31T04, by Europe/Berlin.'
    """
    told = {(one.every, one.timezone): f"{one.last_one} is {one.over(now)}, by {one.timezone}." for one in every}
    return " ".join(f"{text[0].upper()}{text[1:]}" for text in told.values())


def in_order(lines: Sequence[Line]) -> list[Line]:
    """Those first that cannot be trusted, and those last that have not begun."""
    return sorted(lines, key=lambda one: [*WORDS].index(one.trust.answer))
