"""The champions of a use case, all its versions, and what people decided, for a terminal, as JSON, or for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mlops_assets.journey.model.about import Summary
from mlops_assets.journey.model.history import Change, Refusal
from mlops_assets.views import retro
from mlops_assets.views.output import text_table, to_json
from mlops_assets.workspace import Stores

GATE = {True: "passed", False: "refused", None: ""}
"""The word of the gate on a version; an early release did not keep it."""


@dataclass(frozen=True)
class Known:
    """What is known of the versions of a use case.

    Attributes
    ----------
    changes
        Every change of the champion, the oldest first.
    versions
        What is short of every version, by its number.
    refusals
        The versions that people decided against.
    retro_scores
        How scoring past days again after changes of the champion stands; see `retro.short`.
    """

    changes: Sequence[Change]
    versions: Mapping[int, Summary]
    refusals: Mapping[int, Refusal] = field(default_factory=dict)
    retro_scores: Sequence[Mapping[str, Any]] = ()

    @property
    def champion(self) -> int | None:
        """The version that is champion now."""
        return self.changes[-1].version if self.changes else None

    @property
    def waiting(self) -> int | None:
        """The version that waits for a person: the newest that passed, unless it or a later one was decided about."""
        newest = max((number for number, summary in self.versions.items() if summary.passed), default=0)
        decided = max((change.version for change in self.changes), default=0)
        return newest if newest > decided and newest not in self.refusals else None

    def state(self, number: int) -> str:
        """How a version stands: `champion`, `waits`, `refused` by somebody, `fails` the gate, `was`, or `passed`."""
        if number == self.champion:
            return "champion"
        if number == self.waiting:
            return "waits"
        if number in self.refusals:
            return "refused"
        if any(change.version == number for change in self.changes):
            return "was"
        return "fails" if self.versions[number].passed is False else "passed"


def read(stores: Stores) -> Known:
    """What is known of the versions of a use case.

    Raises
    ------
    MlopsError
        If a document of the history is damaged, or MLflow is needed and not there.
    """
    history = stores.history
    versions = stores.registry.known(stores.use_case.name)
    return Known(history.changes(), versions, history.refusals(), retro_scores(stores))


def retro_scores(stores: Stores) -> list[dict[str, Any]]:
    """How scoring past days again stands, by change of the champion, the newest first."""
    return [retro.short(standing, stores.use_case) for standing in retro.every(stores)]


def content(known: Known) -> dict[str, Any]:
    """All of it as plain values: the champion, which version waits, every change, and what is short of each version."""
    refused = {number: {"when": one.when, "who": one.who, "why": one.why} for number, one in known.refusals.items()}
    listed = [
        {"version": number, **asdict(summary), "refused": refused.get(number)}
        for number, summary in known.versions.items()
    ]
    changes = [asdict(change) for change in known.changes]
    return {
        "champion": known.champion,
        "waiting": known.waiting,
        "changes": changes,
        "versions": listed,
        "retro_scores": list(known.retro_scores),
    }


def as_json(known: Known) -> str:
    """All of it as JSON; see `content`."""
    return to_json(content(known), indent=2)


def text(known: Known, metric: str) -> str:
    """Two tables: the versions with one metric, and what was decided."""
    lines = [["version", "candidate", metric, "gate", "reason"]]
    for number, summary in known.versions.items():
        mark = f"{number} *" if number == known.champion else f"{number}"
        value = f"{summary.metrics[metric]:.3f}" if metric in summary.metrics else ""
        lines.append([mark, summary.candidate, value, GATE[summary.passed], summary.reason])
    waits = f"\nVersion {known.waiting} waits for `promote` or `refuse`." if known.waiting else ""
    again = "".join(f"\n\n{one['sentence']}" for one in known.retro_scores)
    return f"{text_table(lines).rstrip()}\n\n* champion{waits}\n\n{_decided(known)}{again}"


def decisions(known: Known) -> list[dict[str, Any]]:
    """What was decided, the oldest first: changes of the champion, and refusals, which changed none."""
    told = [
        {name: getattr(change, name) for name in ("when", "who", "action", "version", "before", "why")}
        for change in known.changes
    ]
    told += [{**asdict(one), "action": "refuse", "before": None} for one in known.refusals.values()]
    return sorted(told, key=lambda one: str(one["when"]))


def _decided(known: Known) -> str:
    decided = decisions(known)
    none = "There was no champion yet." if not known.changes else ""
    if not decided:
        return none
    lines = [["when (UTC)", "who", "what", "version", "before", "why"]]
    for one in decided:
        when, before = one["when"][:19].replace("T", " "), str(one["before"] or "-")
        lines.append([when, one["who"], one["action"], str(one["version"]), before, one["why"]])
    table = text_table(lines).rstrip()
    return f"{none}\n\n{table}" if none else table
