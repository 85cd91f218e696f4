"""The champions of a use case and all its versions, for a terminal or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mlops_assets.journey.model.about import Summary
from mlops_assets.journey.model.history import Change
from mlops_assets.views.output import text_table, to_json

GATE = {True: "passed", False: "refused", None: ""}
"""The word of the gate on a version; an early release did not keep it."""


def content(changes: Sequence[Change], versions: Mapping[int, Summary]) -> dict[str, Any]:
    """All of it as plain values: the champion, every change, and what is short of every version."""
    listed = [{"version": number, **asdict(summary)} for number, summary in versions.items()]
    return {"champion": _champion(changes), "changes": [asdict(change) for change in changes], "versions": listed}


def as_json(changes: Sequence[Change], versions: Mapping[int, Summary]) -> str:
    """All of it as JSON; see `content`."""
    return to_json(content(changes, versions), indent=2)


def text(changes: Sequence[Change], versions: Mapping[int, Summary], metric: str) -> str:
    """Two tables: the versions with one metric, and the changes of the champion."""
    champion = _champion(changes)
    lines = [["version", "candidate", metric, "gate", "reason"]]
    for number, summary in versions.items():
        mark = f"{number} *" if number == champion else f"{number}"
        value = f"{summary.metrics[metric]:.3f}" if metric in summary.metrics else ""
        lines.append([mark, summary.candidate, value, GATE[summary.passed], summary.reason])
    return f"{text_table(lines).rstrip()}\n\n* champion\n\n{_changes(changes)}"


def _changes(changes: Sequence[Change]) -> str:
    if not changes:
        return "There was no champion yet."
    lines = [["when (UTC)", "who", "what", "version", "before", "why"]]
    for change in changes:
        when, before = change.when[:19].replace("T", " "), str(change.before or "-")
        lines.append([when, change.who, change.action, str(change.version), before, change.why])
    return text_table(lines).rstrip()


def _champion(changes: Sequence[Change]) -> int | None:
    return changes[-1].version if changes else None
