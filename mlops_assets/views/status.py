"""The state of a use case: its days with their accounting, and its champion."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mlops_assets.journey.deliver.delivery import Deliveries
from mlops_assets.journey.train.records import Evaluation
from mlops_assets.storage.accounting import PredictionsAccounting, ReadingAccounting
from mlops_assets.storage.tables import Published
from mlops_assets.views.output import text_table
from mlops_assets.workspace import Stores

NUMBERS = ("files", "files_read", "files_refused", "lines", "rows", "rejected")


def collect(stores: Stores) -> dict[str, Any]:
    """What there is to know, as plain values.

    Returns
    -------
    dict
        `use_case`; `days`, a list with one entry a day that has raw files or was published, with the rows that lack a
        fresh answer of an enrichment under `flagged`; `champion`, with its
        metrics and those of the baseline, or None; `verdict`, the last word of the gate, or None.
    """
    use_case, lake = stores.use_case, stores.lake
    rows, predictions = lake.rows.days(), lake.predictions.days()
    targets = {name: Deliveries(use_case, lake, name) for name in use_case.targets}
    evaluation = stores.runs.newest(Evaluation)
    return {
        "use_case": use_case.name,
        "days": [
            _day(day, rows.get(day), predictions.get(day), targets)
            # a day whose files are gone stays published, and one whose files came is not yet
            for day in sorted({*stores.source.days(), *rows, *predictions})
        ],
        "champion": _champion(stores, evaluation),
        "verdict": evaluation.verdict.reason if evaluation else None,
    }


def _day(
    day: str,
    rows: Published[ReadingAccounting] | None,
    predictions: Published[PredictionsAccounting] | None,
    targets: dict[str, Deliveries],
) -> dict[str, Any]:
    """What was read of a day, what was published, and where it was brought."""
    read = rows.accounting.to_json() if rows else {}
    return {
        "day": day,
        **{name: read.get(name) for name in NUMBERS},
        "rejected_by_rule": read.get("rules", {}),
        **_published(predictions),
        "deliveries": {name: _delivery(records, day, predictions) for name, records in targets.items()},
    }


def _published(predictions: Published[PredictionsAccounting] | None) -> dict[str, Any]:
    if predictions is None:
        return {"flagged": {}, "predictions": None, "model_version": None, "published": None}
    return {
        "flagged": _flagged(predictions.accounting),
        "predictions": predictions.accounting.predictions,
        "model_version": predictions.accounting.model_version,
        "published": _time(predictions.time),
    }


def _delivery(records: Deliveries, day: str, published: Published[PredictionsAccounting] | None) -> dict[str, Any]:
    """Whether a target has the day as it is published, and what it was brought last."""
    last = records.read(day)
    if last is None:
        return {"delivered": "no"}
    if published is None:
        state = "no"
    elif records.has(day, published):
        state = "yes"
    else:  # what was brought last is another publication, or is not there in whole
        state = "old" if last.done else "begun"
    return {
        "delivered": state,
        "when": last.when,
        "rows": last.rows,
        "model_version": last.model_version,
        "guarantee": last.guarantee,
    }


def _flagged(accounting: PredictionsAccounting) -> dict[str, dict[str, int]]:
    """Rows without a fresh answer, by enrichment."""
    return {name: asdict(rows) for name, rows in accounting.unanswered.items()}


def _champion(stores: Stores, evaluation: Evaluation | None) -> dict[str, Any] | None:
    champion = stores.champion()
    if champion is None:
        return None
    baseline = evaluation.score(stores.use_case.training.baseline) if evaluation else None
    metrics = baseline.metrics if baseline else {}
    return {"version": champion.version, **asdict(champion.about), "baseline_metrics": metrics}


def _time(milliseconds: int) -> str:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC).isoformat(timespec="seconds")


def render(state: dict[str, Any], days: tuple[str, str] | None = None) -> str:
    """The state as text for a terminal.

    Parameters
    ----------
    state
        What `collect` found.
    days
        First and last day to show, all by default.
    """
    shown = [one for one in state["days"] if days is None or days[0] <= one["day"] <= days[1]]
    parts = [_days_table(shown), *_champion_lines(state)]
    return f"{state['use_case']}\n\n" + "\n\n".join(parts)


def _days_table(days: Sequence[dict[str, Any]]) -> str:
    if not days:
        return "no days yet"
    columns = {
        "day": [one["day"] for one in days],
        "files": _numbers(days, "files"),
        "read": _numbers(days, "files_read"),
        "refused": _numbers(days, "files_refused"),
        "lines": _numbers(days, "lines"),
        "rows": _numbers(days, "rows"),
        "rejected": _numbers(days, "rejected"),
        "predictions": _numbers(days, "predictions"),
        "model": _numbers(days, "model_version"),
    }
    for target in days[0]["deliveries"]:
        columns[f"to {target}"] = [one["deliveries"][target]["delivered"] for one in days]
    if any(one["flagged"] for one in days):
        columns["flagged"] = [_number(_flagged_rows(one)) for one in days]
    return text_table([list(columns), *map(list, zip(*columns.values(), strict=True))]).rstrip()


def _numbers(days: Sequence[dict[str, Any]], name: str) -> list[str]:
    return [_number(one[name]) for one in days]


def _flagged_rows(day: dict[str, Any]) -> int:
    """Rows that lack a fresh answer; one that lacks two counts twice."""
    return sum(sum(rows.values()) for rows in day["flagged"].values())


def _champion_lines(state: dict[str, Any]) -> list[str]:
    champion = state["champion"]
    if champion is None:
        reason = f"the gate {state['verdict']}" if state["verdict"] else "nothing was trained yet"
        return [f"no champion: {reason}"]
    told = f"champion: version {champion['version']}, {champion['candidate']}, learned from {champion['rows']:,} rows"
    names = list(champion["metrics"])
    table = [["on held-out rows", *names]]
    for who, metrics in (("champion", champion["metrics"]), ("baseline", champion["baseline_metrics"])):
        table.append([who, *(f"{metrics[name]:.3f}" if name in metrics else "" for name in names)])
    return [told, text_table(table).rstrip()]


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
