"""In: what is known of deliveries. Out: what each target has of a day, and in words what it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlops_assets.journey.deliver.delivery import Deliveries
from mlops_assets.storage.catalog import Lake

DELIVERED = {"yes": "yes", "no": "no", "old": "as before", "begun": "in part"}
"""Whether a target has a day as it is published, in words."""

IN_A_SENTENCE = {**DELIVERED, "old": "as it was published before"}
"""The same where there is room."""


def deliveries_of(targets: Mapping[str, Deliveries], day: str) -> dict[str, dict[str, Any]]:
    """What each target of a use case has of a day."""
    return {name: _delivery_of(records, day) for name, records in targets.items()}


def _delivery_of(records: Deliveries, day: str) -> dict[str, Any]:
    """Whether a target has the day as it is published, and what it was brought last."""
    last, published = records.read(day), records.published(day)
    of_table = {"table": records.table}
    if last is None:
        return {"delivered": "no", **of_table}
    if published is None:
        state = "no"
    elif records.has(day, published):
        state = "yes"
    else:  # what was brought last is another publication, or is not there in whole
        state = "old" if last.done else "begun"
    return {
        "delivered": state,
        **of_table,
        "when": last.when,
        "rows": last.rows,
        "model_version": last.model_version,
        "guarantee": last.guarantee,
        "attempt": last.attempt,
    }


def behind_lines(use_case: str, days: Sequence[dict[str, Any]]) -> list[str]:
    """What targets have otherwise than it is published now, such as after a rollback, and the command that mends it."""
    return [line for target in (days[0]["deliveries"] if days else ()) for line in _behind(use_case, target, days)]


def _behind(use_case: str, target: str, days: Sequence[dict[str, Any]]) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for day in days:
        if says := _otherwise(day["deliveries"][target], day["model_version"]):
            groups.setdefault(says, []).append(day["day"])
    for says, some in sorted(groups.items()):
        first, last = min(some), max(some)
        which = f"{len(some)} days from {first} to {last}" if len(some) > 1 else first
        command = f"mlops-assets deliver {use_case} --target {target} --from {first} --to {last}"
        yield f"{target} has {which} {says}. To bring what is published now: {command}"


def _otherwise(brought: Mapping[str, Any], published_by: int | None) -> str:
    """In which way a target has a day otherwise than it is published; empty where it has not."""
    if brought["delivered"] == "begun":
        return "in part, for a delivery broke off"
    if brought["delivered"] != "old":
        return ""
    if brought["table"] == Lake.predictions.name and brought["model_version"] != published_by:
        return f"as before (predicted by version {brought['model_version']}, published is version {published_by})"
    return "as before (published again since, maybe the same: by a run, or by a promotion and its rollback)"
