"""The state of a use case: its days with their accounting, and its champion."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Any

from mlops_assets.journey.deliver.delivery import Deliveries
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.training_runs import TrainingRuns
from mlops_assets.journey.read.sources import open_source
from mlops_assets.settings import Settings
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.tables import Published
from mlops_assets.use_case import UseCase
from mlops_assets.views.output import text_table

NUMBERS = ("files", "files_read", "files_refused", "lines", "rows", "rejected")


def collect(use_case: UseCase, settings: Settings) -> dict[str, Any]:
    """What there is to know, as plain values.

    Returns
    -------
    dict
        `use_case`; `days`, a list with one entry a day that has raw files or was published, with the rows that lack a
        fresh answer of an enrichment under `flagged`; `champion`, with its
        metrics and those of the baseline, or None; `verdict`, the last word of the gate, or None.
    """
    source = open_source(use_case, settings.raw)
    lake = Lake(settings.lake, use_case.name)
    rows, predictions = lake.rows.days(), lake.predictions.days()
    targets = {name: Deliveries(use_case, lake, name) for name in use_case.targets}
    days = []
    for day in sorted({*source.days(), *rows, *predictions}):
        read = rows[day].accounting.to_json() if day in rows else {}
        published = predictions.get(day)
        days.append(
            {
                "day": day,
                **{name: read.get(name) for name in NUMBERS},
                "rejected_by_rule": read.get("rules", {}),
                "flagged": _flagged(published.accounting) if published else {},
                "predictions": published.accounting.predictions if published else None,
                "model_version": published.accounting.model_version if published else None,
                "published": _time(published.time) if published else None,
                "deliveries": {name: _delivery(one, day, published) for name, one in targets.items()},
            }
        )
    evaluation = TrainingRuns(settings.lake, use_case.name).newest("evaluation")
    return {
        "use_case": use_case.name,
        "days": days,
        "champion": _champion(use_case, settings, evaluation),
        "verdict": evaluation["verdict"]["reason"] if evaluation else None,
    }


def _delivery(records: Deliveries, day: str, published: Published[PredictionsAccounting] | None) -> dict[str, Any]:
    """Whether a target has the day as it is published, and what it was brought last."""
    last = records.read(day)
    has = published is not None and records.has(day, published)
    state = "yes" if has else "no" if last is None or published is None else "old" if last.done else "begun"
    told = {"when": last.when, "rows": last.rows, "model_version": last.model_version} if last else {}
    return {"delivered": state, **told, **({"guarantee": last.guarantee} if last else {})}


def _flagged(accounting: PredictionsAccounting) -> dict[str, dict[str, int]]:
    """Rows without a fresh answer, by enrichment."""
    return {name: asdict(rows) for name, rows in accounting.unanswered.items()}


def _champion(use_case: UseCase, settings: Settings, evaluation: dict[str, Any] | None) -> dict[str, Any] | None:
    found = Registry(settings).champion(use_case.name)
    if found is None:
        return None
    scores = evaluation["scores"] if evaluation else []
    baseline: dict[str, float] = next(
        (one["metrics"] for one in scores if one["name"] == use_case.training.baseline), {}
    )
    return {"version": found.version, **found.about, "baseline_metrics": baseline}


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
    heads = ["day", "files", "read", "refused", "lines", "rows", "rejected", "predictions", "model"]
    numbers = (*NUMBERS, "predictions", "model_version")
    targets = list(shown[0]["deliveries"]) if shown else []
    lines = [
        [*heads, *(f"to {name}" for name in targets)],
        *(
            [one["day"], *(_number(one[name]) for name in numbers)]
            + [one["deliveries"][target]["delivered"] for target in targets]
            for one in shown
        ),
    ]
    if any(one["flagged"] for one in shown):
        for line, one in zip(lines, [None, *shown], strict=True):
            line.append(
                "flagged" if one is None else _number(sum(sum(rows.values()) for rows in one["flagged"].values()))
            )
    text = [text_table(lines).rstrip() if shown else "no days yet"]
    champion = state["champion"]
    if champion is None:
        reason = f"the gate {state['verdict']}" if state["verdict"] else "nothing was trained yet"
        text.append(f"no champion: {reason}")
    else:
        text.append(
            f"champion: version {champion['version']}, {champion['candidate']}, learned from {champion['rows']:,} rows"
        )
        names = list(champion["metrics"])
        measured = [["on held-out rows", *names]]
        for who, metrics in (("champion", champion["metrics"]), ("baseline", champion["baseline_metrics"])):
            measured.append([who, *(f"{metrics[name]:.3f}" if name in metrics else "" for name in names)])
        text.append(text_table(measured).rstrip())
    return f"{state['use_case']}\n\n" + "\n\n".join(text)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
