"""What the page of the versions of a use case shows: a leaderboard, what was decided, and who waits for whom."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mlops_assets.journey.model.about import Summary
from mlops_assets.journey.train.metrics import higher_is_better
from mlops_assets.views.histories import Known, decisions
from mlops_assets.views.html import charts
from mlops_assets.views.numbers import number as words

STATES = {
    "champion": ("done", "champion"),
    "waits": ("waiting", "waits for a decision"),
    "refused": ("", "refused by a person"),
    "fails": ("", "refused by the gate"),
    "was": ("", "was champion"),
    "passed": ("", "passed the gate"),
}
"""The lamp of a state of a version, and what is said of it."""

DONE = {"promote": "became champion", "rollback": "became champion again", "refuse": "was refused"}
"""What was decided, in words."""


def told(known: Known, metric: str, now: dt.datetime, *, best_first: bool = False) -> dict[str, Any]:
    """What the template shows, as plain values and charts.

    Parameters
    ----------
    known
        What is known of the versions.
    metric
        The metric that ranks.
    now
        From which their age is counted.
    best_first
        Whether the best by the metric comes first, and not the newest.
    """
    lines = [_line(known, number, summary, now) for number, summary in known.versions.items()]
    lines.sort(key=lambda line: _rank(line, metric) if best_first else line["number"], reverse=True)
    latest = known.changes[-1] if known.changes else None
    return {
        "metric": metric,
        "metrics": _metrics(known.versions, metric),
        "lines": lines,
        "champion": known.champion,
        "since": latest,
        "champion_age": _days(latest.when, now) if latest else None,
        "waiting": known.waiting,
        "decisions": [{**one, "done": DONE.get(one["action"], one["action"])} for one in reversed(decisions(known))],
        "chart": _chart(known.versions, metric),
        "retro_scores": known.retro_scores,
    }


def _line(known: Known, number: int, summary: Summary, now: dt.datetime) -> dict[str, Any]:
    state = known.state(number)
    lamp, said = STATES[state]
    refusal = known.refusals.get(number)
    return {
        "number": number,
        "state": state,
        "lamp": lamp,
        "said": said,
        "candidate": summary.candidate,
        "made": summary.made or None,
        "age": _days(summary.made, now),
        "reason": summary.reason,
        "refusal": refusal,
        "metrics": summary.metrics,
        "baseline": summary.baseline_metrics,
        "held_out": summary.held_out or None,
        "rate": summary.rows_per_second or None,
    }


def _metrics(versions: Mapping[int, Summary], metric: str) -> list[str]:
    """The metrics that any version has, the one that ranks first."""
    every = {name for summary in versions.values() for name in summary.metrics}
    return [metric, *sorted(every - {metric})]


def _rank(line: Mapping[str, Any], metric: str) -> tuple[bool, float, int]:
    value = line["metrics"].get(metric)
    sign = 1 if higher_is_better(metric) else -1
    return value is not None, sign * (value or 0.0), line["number"]


def _days(when: str, now: dt.datetime) -> int | None:
    if not when:
        return None
    moment = dt.datetime.fromisoformat(when)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return max(0, (now - moment).days)


def _chart(versions: Mapping[int, Summary], metric: str) -> Markup:
    """The metric over the versions, the oldest to the left; nothing where one alone could be drawn."""
    if len(versions) < 2:
        return Markup("")

    def values(of: Sequence[Mapping[str, float]]) -> list[float | None]:
        # a metric without a value is NaN
        found = [one.get(metric) for one in of]
        return [value if value is not None and math.isfinite(value) else None for value in found]

    series = [
        charts.Series("version", values([summary.metrics for summary in versions.values()])),
        charts.Series("baseline", values([summary.baseline_metrics for summary in versions.values()]), "usual"),
    ]
    places = [f"{number}" for number in versions]
    return charts.lines(f"{metric} on held-out rows, by version", places, series, lambda value: words(value, 3))
