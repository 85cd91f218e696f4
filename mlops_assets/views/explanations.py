"""Why a row got its category: from its raw line to the answer, for a terminal or as JSON."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict

from mlops_assets.journey.explain.why import Explanation
from mlops_assets.views.output import text_table

LEAST = 0.0005
"""Strengths and probabilities below it are not shown as text; JSON has them all."""


def as_json(found: Explanation) -> str:
    """An explanation as JSON; `agrees` says whether the recomputed answer is the published one."""
    cleaned = [{**asdict(one), "differs": one.differs} for one in found.cleaned]
    content = {**asdict(found), "cleaned": cleaned, "agrees": found.agrees}
    return json.dumps(content, indent=2, ensure_ascii=False, default=str)


def text(found: Explanation) -> str:
    """An explanation for a terminal."""
    row = f"{found.use_case}, {found.day}, {found.file}, line {found.line}"
    parts = [
        f"{row}: {found.prediction} with {found.probability:.4f}",
        f"raw line\n  {found.raw_problem or found.raw}",
        _titled("what was read", ["column", "raw", "value", ""], _cleaned(found)),
    ]
    if found.enriched:
        heads = ["enrichment", "column", "value", "", "for"]
        parts.append(_titled("what was known elsewhere", heads, _enriched(found)))
    heads = ["feature", "value", "", "strength"]
    parts.append(_titled("what the model saw, the strongest first", heads, _features(found)))
    if found.words:
        words = [[word.column, _shown(word.word), _strength(word.strength)] for word in found.words]
        title = "words of its texts, by what the answer loses without them"
        parts.append(_titled(title, ["text", "word", "strength"], words))
    parts += [_probabilities(found), _origin(found)]
    return "\n\n".join(part.rstrip() for part in parts)


def _cleaned(found: Explanation) -> list[list[str]]:
    return [
        [one.column, _text(one.raw or ""), _shown(one.value), "cleaned" if one.differs else ""] for one in found.cleaned
    ]


def _enriched(found: Explanation) -> list[list[str]]:
    lines = []
    for answer in found.enriched:
        values = answer.values or {"": None}  # that nothing was known is told, too
        of_day = answer.of_day or ""
        lines += [[answer.name, name, _shown(value), answer.status, of_day] for name, value in values.items()]
    return lines


def _features(found: Explanation) -> list[list[str]]:
    return [
        [one.name, _shown(one.value), "unseen in training" if one.unseen else "", _strength(one.strength)]
        for one in found.features
    ]


def _probabilities(found: Explanation) -> str:
    title = "probabilities"
    if found.threshold is not None:
        title += f" (the second class is said from {found.threshold})"
    classes = [[name, f"{value:.4f}"] for name, value in found.probabilities.items() if value >= LEAST]
    return _titled(title, ["class", "probability"], classes)


def _origin(found: Explanation) -> str:
    """Model, run, and whether the answer can be computed again."""
    model = f"version {found.version}, {found.candidate}, chosen by {found.choice or 'an earlier release'!r}"
    since = " and on ".join(found.champion)
    model += f"; champion on {since}" if since else "; it was never champion"
    time = dt.datetime.fromtimestamp(found.published / 1000, dt.UTC).isoformat(timespec="seconds")
    run = f"{found.run or 'unknown'}, published {time}"
    if found.restored_by:
        run += f", restored by {found.restored_by}"
    answer = "THE RECOMPUTED ANSWER IS ANOTHER ONE"
    if found.agrees:
        answer = "the recomputed answer is the published one, to the bit"
    return f"model  {model}\nrun    {run}\nanswer {answer}"


def _titled(title: str, heads: list[str], lines: list[list[str]]) -> str:
    return f"{title}\n{text_table([heads, *lines])}"


def _text(raw: str) -> str:
    """Raw text in which one sees blanks at its ends."""
    return _shown(raw if raw == raw.strip() else repr(raw))


def _shown(value: object) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _strength(value: float) -> str:
    return f"{value:+.3f}" if abs(value) >= LEAST else "0"
