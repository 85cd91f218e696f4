"""In: the explanation of one prediction. Out: the text that a terminal shows, and JSON."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mlops_assets.journey.explain.sent import SentExplanation
from mlops_assets.journey.explain.why import Explanation
from mlops_assets.views.numbers import interval, plain
from mlops_assets.views.output import text_table
from mlops_assets.views.output import to_json as as_json
from mlops_assets.work.printable import LONGEST, printable

LEAST = 0.0005
"""Strengths and probabilities below it are not shown as text; JSON has them all."""


def to_json(explanation: Explanation) -> str:
    """An explanation as JSON; `agrees` says whether the recomputed answer is the published one."""
    return as_json({**content(explanation), "agrees": explanation.agrees}, indent=2)


def content(explanation: Explanation | SentExplanation) -> dict[str, Any]:
    """An explanation as plain values; `differs` of a column: whether its value is another text than the raw one."""
    cleaned = [{**asdict(column), "differs": column.differs} for column in explanation.cleaned]
    told = {**asdict(explanation), "cleaned": cleaned}
    # an answer that is a class has no interval, and is told as before there were numbers
    of_numbers = not explanation.probabilities
    return {name: value for name, value in told.items() if of_numbers or not name.endswith("interval")}


def to_text(explanation: Explanation) -> str:
    """An explanation for a terminal, from the raw line to the answer."""
    sections = (
        _answer(explanation),
        f"raw line\n  {printable(explanation.raw_problem or explanation.raw or '')}",
        _origin(explanation),
        _columns(explanation),
        _enriched(explanation),
        _features(explanation),
        _words(explanation),
        _probabilities(explanation),
        _model(explanation),
    )
    return "\n\n".join(section.rstrip() for section in sections if section)


def _answer(explanation: Explanation) -> str:
    row = f"{explanation.use_case}, {explanation.day}, {printable(explanation.file)}, line {explanation.line}"
    return f"{row}: {answer(explanation.prediction, explanation.probability, explanation.interval)}"


def answer(prediction: str | float, probability: float | None, ends: tuple[float, float] | None) -> str:
    """An answer in words: a class with its probability, or a number with its interval."""
    if isinstance(prediction, str):
        return f"{printable(prediction)} with {probability:.4f}"
    return plain(prediction) + (f", interval {interval(*ends)}" if ends else "")


def _origin(explanation: Explanation) -> str:
    origin = explanation.origin
    if origin is None:
        return ""
    rejected = f"rejected by `{origin.rule}`: {printable(origin.message)}"
    where = f"line {origin.line} of {printable(origin.file)}"
    return f"replayed, mended by hand from {where}, {rejected}\n  {printable(origin.raw)}"


def _columns(explanation: Explanation) -> str:
    rows = [
        [column.column, _raw(column.raw or ""), shown(column.value), "cleaned" if column.differs else ""]
        for column in explanation.cleaned
    ]
    return _titled("what was read", ["column", "raw", "value", ""], rows)


def _enriched(explanation: Explanation) -> str:
    rows = [
        [enriched.name, column, shown(value), enriched.status, enriched.of_day or ""]
        for enriched in explanation.enriched
        # a line also where nothing was answered
        for column, value in (enriched.values or {"": None}).items()
    ]
    return _titled("what was known elsewhere", ["enrichment", "column", "value", "", "for"], rows) if rows else ""


def _features(explanation: Explanation) -> str:
    unseen = {True: "unseen in training", False: ""}
    of_numbers = not explanation.probabilities
    rows = [
        [feature.name, shown(feature.value), unseen[feature.unseen], strength(feature.strength, of_numbers)]
        for feature in explanation.features
    ]
    unit = ", by how much larger it makes the number" if of_numbers else ""
    return _titled(f"what the model saw, the strongest first{unit}", ["feature", "value", "", "strength"], rows)


def _words(explanation: Explanation) -> str:
    of_numbers = not explanation.probabilities
    rows = [[word.column, shown(word.word), strength(word.strength, of_numbers)] for word in explanation.words]
    title = "words of its texts, by what the answer loses without them"
    return _titled(title, ["text", "word", "strength"], rows) if rows else ""


def _probabilities(explanation: Explanation) -> str:
    if not explanation.probabilities:
        return ""
    rows = [[name, f"{value:.4f}"] for name, value in explanation.probabilities.items() if value >= LEAST]
    threshold = explanation.threshold
    above = f" (the second class is said from {threshold})" if threshold is not None else ""
    return _titled(f"probabilities{above}", ["class", "probability"], rows)


def _model(explanation: Explanation) -> str:
    since = " and on ".join(explanation.champion)
    life = f"champion on {since}" if since else "it was never champion"
    # an early release did not say how the version was chosen
    chosen = repr(explanation.choice or "an earlier release")
    time = dt.datetime.fromtimestamp(explanation.published / 1000, dt.UTC).isoformat(timespec="seconds")
    restored = f", restored by {explanation.restored_by}" if explanation.restored_by else ""
    # the one line that tells whether the day can be relied on
    same = "the recomputed answer is the published one, to the bit"
    agrees = same if explanation.agrees else "THE RECOMPUTED ANSWER IS ANOTHER ONE"
    return (
        f"model  version {explanation.version}, {explanation.candidate}, chosen by {chosen}; {life}\n"
        f"run    {explanation.run or 'unknown'}, published {time}{restored}\n"
        f"code   {changed_code(explanation) or 'that of today'}\n"
        f"answer {agrees}"
    )


def advice(explanation: Explanation) -> str:
    """What to do about an answer that is not the published one."""
    if explanation.changed:
        return f"The day was made by other code: {changed_code(explanation)}."
    return (
        "Code and libraries are those of the run: its files were changed since, and a run would take them as they are. "
        f"Do not rely on this day: remove the folders day={explanation.day} of rows, rejects, features and predictions "
        f"under lake/{explanation.use_case}, then run it again."
    )


def changed_code(explanation: Explanation) -> str:
    """How the code of a row differs from that of today, and what does away with it; empty if it does not."""
    if not explanation.changed:
        return ""
    changes = "; ".join(f"{table}: {', '.join(names)}" for table, names in explanation.changed.items())
    day = explanation.day
    return f"{changes}; `mlops-assets run {explanation.use_case} --from {day} --to {day}` makes the day anew"


def _titled(title: str, header: list[str], rows: Sequence[list[str]]) -> str:
    return f"{title}\n{text_table([header, *rows], LONGEST)}"


def _raw(text: str) -> str:
    """Raw text in which one sees blanks at its ends."""
    return text if text == text.strip() else f"'{text}'"


def shown(value: object) -> str:
    """A value as people read it: six digits are enough."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def strength(value: float, of_numbers: bool = False) -> str:
    """How strongly something spoke for an answer, with its sign; or by how much it makes a number larger."""
    if of_numbers:
        return f"{value:+.5g}" if value else "0"
    return f"{value:+.3f}" if abs(value) >= LEAST else "0"
