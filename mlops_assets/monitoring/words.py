"""What is said of a lamp: a sentence with the numbers that were judged, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.journey.score.profile.counts import TOP, Bins, Column, Counts
from mlops_assets.work.printable import printable

NAMED = 3
"""Values that a sentence names."""

SMALLEST = 1e-300
"""Smaller is told as 0: where very many values are 0, their bin ends at the next number that there is."""

ADVICE = {
    "nulls": "Look whether the column is still delivered and still called so; mend the files and run the day again.",
    "unseen": "Look at the new values: a broken encoding or spelling is mended in the files, "
    "what is really new has to be labelled and learned.",
    "shift": "Compare the example rows with the files: a unit, a decimal sign or a scale that changed is mended there; "
    "if the world changed, train anew.",
    "mean": "Look at the largest and the smallest values: one that is wrong by many digits is mended in the files; "
    "if they are right, large ones come more often: have rows of the day labelled and train anew.",
    "psi": "Look at the values that grew: if the files are right, the world changed; have rows of the day labelled and "
    "train anew.",
    "class_mix": "Look at red columns first; if there are none, the classes themselves may come otherwise than before: "
    "have rows of the day labelled.",
    "confidence": "Look at red columns first; if there are none, have rows of the day labelled before its answers are "
    "trusted.",
    "volume": "Ask whoever delivers whether all files came, and each once; run the day again when they are there.",
    "rejects": "Look at the rejects of the day and at the first raw lines; mend the files or the contract, and run the "
    "day again.",
}
"""What to do, by the figure of a red lamp."""


@dataclass(frozen=True)
class Beside:
    """The counts of a column, and those that it is compared with.

    Attributes
    ----------
    column, bins
        Which column, and how it was counted.
    today, usual
        The counts.
    there
        Where the others are from, such as "in training".
    hidden
        Whether values may name people: then none is told, for a sentence goes to whoever reads a chat.
    """

    column: Column
    bins: Bins
    today: Counts
    usual: Counts
    there: str
    hidden: bool = False

    def pair(self, now: str, then: str) -> str:
        """Both numbers."""
        return f"{now} ({then} {self.there})"


WHERE = {"model_input": " of the model's input", "answers": ", what the model says,"}
"""What is said behind the name of a column that is none of the files."""


def advice_on(what: str, source: str) -> str:
    """What to do about a red lamp."""
    if source == "model_input":
        return f"Look at the raw columns and at features.sql. {ADVICE[what]}"
    if source == "answers":
        return "Look at the columns that moved as well; if none did, the features do not say what changed: label rows."
    return ADVICE[what]


def of_column(what: str, effect: float, beside: Beside, bins: Sequence[int]) -> str:
    """What there is to see of a column, in a sentence.

    Parameters
    ----------
    what, effect
        The figure that was judged, and its size.
    beside
        What was counted.
    bins
        Positions in `Counts.spread` where the day has more.
    """
    source, name = beside.column
    said = f"`{printable(name)}`{WHERE.get(source, '')}"
    today, usual = beside.today, beside.usual
    if what == "nulls":
        return f"{said} is empty in {beside.pair(_of(today.nulls, today) + ' of rows', _of(usual.nulls, usual))}."
    if what == "unseen":
        new = ", ".join(f"`{printable(value)}` {number:,}" for value, number in _most(beside))
        share = beside.pair(_of(today.unseen, today) + " of rows", _of(usual.unseen, usual))
        return f"{said} has values that training never saw in {share}" + (f": {new}." if new else ".")
    if what == "shift":
        means = beside.pair(_mean(today, beside.bins), _mean(usual, beside.bins))
        return f"{said} has moved by {effect:.2f} standard deviations: its mean is {means}."
    if what == "mean":
        means, most = beside.pair(_mean(today, beside.bins), _mean(usual, beside.bins)), _ends(beside)
        return f"The mean of {said} has moved by {effect:.2f} standard deviations: it is {means}; {most}."
    told = [position for position in bins[:NAMED] if not beside.hidden or position >= beside.bins.number]
    grown = ", ".join(f"{name_of(beside.bins, position)} {_two(beside, position)}" for position in told)
    return f"{said} is spread otherwise (PSI {effect:.2f} against the rows {beside.there})" + (
        f": {grown}." if grown else "."
    )


def name_of(bins: Bins, position: int) -> str:
    """A bin in words.

    Parameters
    ----------
    bins
        How the column is counted.
    position
        In `Counts.spread`.
    """
    if position >= bins.number:
        return "new values" if position == bins.number else "empty"
    if bins.kind == "category":
        return "rarer values" if position >= min(TOP, len(bins.values)) else f"`{printable(bins.values[position])}`"
    return _reach(bins, position) + (" signs" if bins.kind == "text" else "")


def _reach(bins: Bins, position: int) -> str:
    """From where to where the values of a bin go."""
    if not bins.edges:
        return "any value"
    if position == 0:
        return f"below {number(bins.edges[0])}"
    if position == len(bins.edges):
        return f"at least {number(bins.edges[-1])}"
    low, high = number(bins.edges[position - 1]), number(bins.edges[position])
    return low if low == high else f"{low} to {high}"


def number(value: float) -> str:
    """A number with as many digits as somebody reads."""
    if abs(value) < SMALLEST:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def percent(share: float) -> str:
    """A share in per cent; small ones are not told as none."""
    if 0 < share < 0.0005:
        return "less than 0.1 %"
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _of(part: int, counts: Counts) -> str:
    return percent(part / counts.rows if counts.rows else 0.0)


def _two(beside: Beside, position: int) -> str:
    now, then = int(beside.today.spread[position]), int(beside.usual.spread[position])
    return beside.pair(_of(now, beside.today), _of(then, beside.usual))


def _mean(counts: Counts, bins: Bins) -> str:
    there = int(counts.bins.sum())
    return number(counts.total * bins.unit / there) if there else "not known"


def _ends(beside: Beside) -> str:
    """The smallest and the largest value of both."""
    day, training = (
        [number(value or 0.0) for value in (one.lowest, one.highest)] for one in (beside.today, beside.usual)
    )
    return f"its values are {' to '.join(day)} ({' to '.join(training)} {beside.there})"


def _most(beside: Beside) -> list[tuple[str, int]]:
    new = {} if beside.hidden else beside.today.new
    return sorted(new.items(), key=lambda item: (-item[1], item[0]))[:NAMED]
