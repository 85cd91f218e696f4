"""The state of a use case: its days with their accounting, and its champion; and a line for each use case."""

from __future__ import annotations

import datetime as dt
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.journey.deliver.delivery import Deliveries
from mlops_assets.journey.model.history import History
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.training_runs import TrainingRuns
from mlops_assets.journey.read.sources import open_source
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import Lake, Published
from mlops_assets.use_case import UseCase, find_use_case, list_use_cases
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
    rows, predictions = lake.table("rows").days(), lake.table("predictions").days()
    targets = {name: Deliveries(use_case, lake, name) for name in use_case.targets}
    days = []
    for day in sorted({*source.days(), *rows, *predictions}):
        read = rows[day].accounting if day in rows else {}
        published = predictions.get(day)
        days.append(
            {
                "day": day,
                **{name: read.get(name) for name in NUMBERS},
                "rejected_by_rule": read.get("rules", {}),
                "flagged": _flagged(published.accounting) if published else {},
                "predictions": published.accounting["predictions"] if published else None,
                "model_version": published.accounting["model_version"] if published else None,
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


def survey(settings: Settings) -> list[dict[str, Any]]:
    """A few words about each use case, from the lake alone.

    Returns
    -------
    list of dict
        `use_case`; `last_day` that was listed, or None; `published`, whether its predictions are; `champion`, its
        version or None; `red_checks`, the names of those that the day does not pass; `error`, why nothing is known, or
        None.
    """
    return [_survey(settings, name) for name in list_use_cases(settings.use_cases)]


def _survey(settings: Settings, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"last_day": None, "published": False, "champion": None, "red_checks": [], "error": None}
    try:
        use_case, lake = find_use_case(settings.use_cases, name), Lake(settings.lake, name)
        raw, rows, predictions = (lake.table(table).days() for table in ("raw_files", "rows", "predictions"))
        found["champion"] = History(settings.lake, name).champion()
        found["last_day"] = day = max({*raw, *rows, *predictions}, default=None)
        if day is not None:
            found["published"] = day in predictions
            found["red_checks"] = _red_checks(use_case, rows.get(day), raw.get(day))
    except MlopsError as error:  # one that cannot be read hides no other
        found["error"] = str(error)
    return {"use_case": name, **found}


def _red_checks(use_case: UseCase, rows: Published | None, raw: Published | None) -> list[str]:
    """The conditions of the rows of a day that do not hold: they keep it from being published."""
    from mlops_assets.journey.score.day import check_current, check_rows_of_day

    checks = check_rows_of_day(use_case.checks, rows.accounting if rows else None, where="")
    return [one.name for one in (*checks, check_current(rows, raw)) if not one.passed]


def render_survey(found: list[dict[str, Any]]) -> str:
    """What `survey` found as text for a terminal, a line a use case."""
    lines = [["use case", "last day", "published", "champion", "red checks"]]
    for one in found:
        champion = "-" if one["champion"] is None else f"version {one['champion']}"
        published = "-" if one["last_day"] is None else "yes" if one["published"] else "no"
        red = f"cannot be read, see `status {one['use_case']}`" if one["error"] else ", ".join(one["red_checks"])
        lines.append([one["use_case"], one["last_day"] or "-", published, champion, red or "none"])
    return text_table(lines).rstrip()


def _delivery(records: Deliveries, day: str, published: Published | None) -> dict[str, Any]:
    """Whether a target has the day as it is published, and what it was brought last."""
    last = records.read(day)
    has = published is not None and records.has(day, published)
    state = "yes" if has else "no" if last is None or published is None else "old" if last.done else "begun"
    told = {"when": last.when, "rows": last.rows, "model_version": last.model_version} if last else {}
    return {"delivered": state, **told, **({"guarantee": last.guarantee} if last else {})}


def _flagged(accounting: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Rows without a fresh answer, by enrichment."""
    return {
        name: {how: accounting[f"{name}_{how}"] for how in ("last_known", "missing")}
        for name in accounting.get("enrichments", {})
    }


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
