"""The state of a use case: its days with their accounting, and its champion; and a line for each use case."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.journey.deliver.delivery import Deliveries
from mlops_assets.journey.read.replay import open_rejects
from mlops_assets.journey.read.strays import find_strays
from mlops_assets.journey.train.records import Evaluation
from mlops_assets.storage.accounting import TOO_LARGE, ListingAccounting, PredictionsAccounting, ReadingAccounting
from mlops_assets.storage.integrity import read_json
from mlops_assets.storage.tables import Published
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.notices import find_notice
from mlops_assets.views.brought import DELIVERED, behind_lines, deliveries_of
from mlops_assets.views.output import text_table
from mlops_assets.workspace import Stores, Workspace

NUMBERS = ("files", "files_read", "files_refused", "lines", "rows", "rejected", "labelled")


def collect(stores: Stores) -> dict[str, Any]:
    """What there is to know, as plain values.

    Returns
    -------
    dict
        `use_case`; `days`, a list with one entry a day that has raw files or was published, with the rows that lack a
        fresh answer of an enrichment under `flagged`; `champion`, with its metrics and those of the baseline on the
        same rows, and the `contest` of the last training with it, or None; `verdict`, the last word of the gate, or
        None; `left_out`, the columns of the contract that no model sees; `passed_over`, what lies beside the days and
        no run reads, or an empty text; `forgotten`, of which days requests are kept no longer, or an empty text.
    """
    use_case, lake = stores.use_case, stores.lake
    rows, predictions = lake.rows.days(), lake.predictions.days()
    targets = {name: Deliveries(use_case, lake, name) for name in use_case.targets}
    evaluation = stores.runs.newest(Evaluation)
    still_open = open_rejects(stores.source, lake)
    return {
        "use_case": use_case.name,
        "days": [
            _day(day, rows.get(day), predictions.get(day), targets, still_open)
            # a day whose files are gone stays published, and one whose files came is not yet
            for day in sorted({*stores.source.days(), *rows, *predictions})
        ],
        "champion": _champion(stores, evaluation),
        "verdict": evaluation.verdict.reason if evaluation else None,
        "left_out": left_out(use_case),
        "passed_over": str(find_strays(use_case, stores.source)),
        "forgotten": forgotten(stores),
    }


def forgotten(stores: Stores, day: str = "") -> str:
    """That raw files of kept requests were removed, and what that means; empty if none were, or none of that day."""
    place = stores.lake.forgotten
    before = read_json(place)["before"] if place.exists() else ""
    if before <= day:
        return ""
    kept_no_longer = f"Requests of days before {before} are kept no longer (`serving.keep_days`)"
    return f"{kept_no_longer}: a run of such a day makes it without them."


def left_out(use_case: UseCase) -> list[str]:
    """The columns of the contract that `features.sql` does not name: what they say, no model can learn."""
    sql = re.sub(r"--[^\n]*|/\*.*?\*/", " ", use_case.features_sql.lower(), flags=re.S)
    # of a star, or of a pattern of names, nobody can tell without a database
    if re.search(r"(?:\bselect|\.|,)\s*\*|\bcolumns\s*\(", sql):
        return []
    named = {*re.findall(r"\w+", sql), use_case.label}
    return [name for name in use_case.columns if name.lower() not in named and name not in named]


def _day(
    day: str,
    rows: Published[ReadingAccounting] | None,
    predictions: Published[PredictionsAccounting] | None,
    targets: dict[str, Deliveries],
    still_open: Mapping[str, int],
) -> dict[str, Any]:
    """What was read of a day, what was published, and where it was brought."""
    read = rows.accounting.to_json() if rows else {}
    return {
        "day": day,
        **{name: read.get(name) for name in NUMBERS},
        "open": still_open.get(day, read.get("rejected")),
        "rejected_by_rule": read.get("rules", {}),
        "noticed": [
            *(noticed_records(rows.accounting) if rows else []),
            *(too_large_records(predictions.accounting) if predictions else []),
        ],
        **_published(predictions),
        "current": are_current(rows, predictions),
        "deliveries": deliveries_of(targets, day),
    }


def noticed_records(accounting: ReadingAccounting) -> list[dict[str, Any]]:
    """What was noticed on reading a day: name, number, unit, what it means, and a few places."""
    records = []
    for name, number in accounting.noticed.items():
        notice = find_notice(name)
        unit, meaning, usual = (notice.unit, notice.meaning, notice.usual) if notice else ("", "", False)
        told = {"name": name, "number": number, "unit": unit, "meaning": meaning, "usual": usual}
        records.append({**told, "examples": [*accounting.examples.get(name, ())]})
    return records


def too_large_records(accounting: PredictionsAccounting) -> list[dict[str, Any]]:
    """Numbers of the model's input that were missing for it, because they are too large: as `noticed_records`."""
    meaning = "infinite or beyond float32: missing for the model"
    return [
        {
            "name": TOO_LARGE + name,
            "number": number,
            "unit": "numbers",
            "meaning": meaning,
            "usual": False,
            "examples": [],
        }
        for name, number in accounting.too_large.items()
    ]


def are_current(
    rows: Published[ReadingAccounting] | None, predictions: Published[PredictionsAccounting] | None
) -> bool | None:
    """Whether the predictions are of the rows as they are now; None where there are none, or nobody knows."""
    if predictions is None or predictions.accounting.rows_version is None:
        return None
    return rows is not None and rows.version == predictions.accounting.rows_version


def _published(predictions: Published[PredictionsAccounting] | None) -> dict[str, Any]:
    if predictions is None:
        return {"flagged": {}, "predictions": None, "sql_rejected": None, "model_version": None, "published": None}
    return {
        "flagged": _flagged(predictions.accounting),
        "predictions": predictions.accounting.predictions,
        "sql_rejected": predictions.accounting.sql_rejected or 0,
        "model_version": predictions.accounting.model_version,
        "published": time_of(predictions.time),
    }


def survey(workspace: Workspace) -> list[dict[str, Any]]:
    """A few words about each use case, from the lake alone.

    Returns
    -------
    list of dict
        `use_case`; `last_day` that was listed, or None; `published`, whether its predictions are; `champion`, its
        version or None; `red_checks`, the names of those that the day does not pass; `error`, why nothing is known, or
        None.

    Raises
    ------
    UsageError
        If there is no use case.
    """
    return [_survey(workspace, name) for name in workspace.names()]


def _survey(workspace: Workspace, name: str) -> dict[str, Any]:
    summary: dict[str, Any] = {"last_day": None, "published": False, "champion": None, "red_checks": [], "error": None}
    try:
        stores = workspace.find(name)
        raw, rows, predictions = stores.lake.raw_files.days(), stores.lake.rows.days(), stores.lake.predictions.days()
        summary["champion"] = stores.history.champion()
        summary["last_day"] = day = max({*raw, *rows, *predictions}, default=None)
        if day is not None:
            summary["published"] = day in predictions
            summary["red_checks"] = red_checks(stores.use_case, rows.get(day), raw.get(day))
    except Exception as error:  # whatever is wrong with one, such as a damaged log of Delta, hides no other
        summary["error"] = str(error)
    return {"use_case": name, **summary}


def red_checks(
    use_case: UseCase, rows: Published[ReadingAccounting] | None, raw: Published[ListingAccounting] | None
) -> list[str]:
    """The conditions of the rows of a day that do not hold: they keep it from being published."""
    # not above: `status` of one use case does not need it, and pays for every import
    from mlops_assets.journey.score.checks import check_current, check_rows_of_day

    checks = check_rows_of_day(use_case.checks, rows.accounting if rows else None, where="")
    return [check.name for check in (*checks, check_current(rows, raw)) if not check.passed]


def render_survey(use_cases: list[dict[str, Any]]) -> str:
    """What `survey` found as text for a terminal, a line a use case."""
    lines = [["use case", "last day", "published", "champion", "red checks"]]
    for use_case in use_cases:
        champion = "-" if use_case["champion"] is None else f"version {use_case['champion']}"
        published = "yes" if use_case["published"] else "no"
        red = ", ".join(use_case["red_checks"]) or "none"
        if use_case["error"]:
            red = f"cannot be read, see `status {use_case['use_case']}`"
        day = use_case["last_day"]
        lines.append([use_case["use_case"], day or "-", published if day else "-", champion, red])
    return text_table(lines).rstrip()


def _flagged(accounting: PredictionsAccounting) -> dict[str, dict[str, int]]:
    """Rows without a fresh answer, by enrichment."""
    return {name: asdict(rows) for name, rows in accounting.unanswered.items()}


def _champion(stores: Stores, evaluation: Evaluation | None) -> dict[str, Any] | None:
    try:
        champion = stores.champion()
        if champion is not None:
            origin = champion.details().origin  # and that what the registry tells is what its card says
    except MlopsError as error:  # the days can be told all the same
        return {"version": stores.history.champion(), "trouble": str(error)}
    if champion is None:
        return None
    told = {**asdict(champion.about), "origin": origin, "contest": _contest(champion.version, evaluation)}
    return {"version": champion.version, "trouble": stores.registry.trouble(stores.use_case.name), **told}


def _contest(version: int, evaluation: Evaluation | None) -> dict[str, Any] | None:
    """How the candidates of the last training did beside the champion, if it is still the same."""
    contest = evaluation.contest if evaluation else None
    return asdict(contest) if contest and contest.version == version else None


def time_of(milliseconds: int) -> str:
    """A moment in milliseconds since 1970 as people read it."""
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
    shown = [day for day in state["days"] if days is None or days[0] <= day["day"] <= days[1]]
    beside = [said for said in (state["passed_over"], state["forgotten"]) if said]
    behind = behind_lines(state["use_case"], shown)
    parts = [days_table(shown), *beside, *behind, *_noticed_lines(shown), *_champion_lines(state)]
    return f"{state['use_case']}\n\n" + "\n\n".join(parts)


def days_table(days: Sequence[dict[str, Any]]) -> str:
    """Days with their accounting, a line each.

    Parameters
    ----------
    days
        Of `collect`. Those of several use cases say which in `use_case`, and have the same targets.
    """
    if not days:
        return "no days yet"
    columns = {
        **({"use case": [day["use_case"] for day in days]} if "use_case" in days[0] else {}),
        "day": [day["day"] for day in days],
        "files": _numbers(days, "files"),
        "read": _numbers(days, "files_read"),
        "refused": _numbers(days, "files_refused"),
        "lines": _numbers(days, "lines"),
        "rows": _numbers(days, "rows"),
        "rejected": _numbers(days, "rejected"),
        "open": _numbers(days, "open"),
        "labelled": _numbers(days, "labelled"),
        "predictions": _numbers(days, "predictions"),
        "model": _numbers(days, "model_version"),
    }
    if any(day["sql_rejected"] for day in days):
        columns["without one"] = _numbers(days, "sql_rejected")
    if any(day["current"] is False for day in days):  # rows were read again since, and a condition kept them back
        columns["of these rows"] = [{True: "yes", False: "no", None: "-"}[day["current"]] for day in days]
    for target in days[0]["deliveries"]:
        columns[f"to {target}"] = [DELIVERED[day["deliveries"][target]["delivered"]] for day in days]
    if any(day["flagged"] for day in days):
        columns["flagged"] = [_number(_flagged_rows(day)) for day in days]
    return text_table([list(columns), *map(list, zip(*columns.values(), strict=True))]).rstrip()


def _noticed_lines(days: Sequence[dict[str, Any]]) -> list[str]:
    """What was noticed on reading, a line for each day and name; what is usual is no news."""
    lines = [
        [day["day"], told["name"], f"{told['number']:,} {told['unit']}", "; ".join(told["examples"][:2])]
        for day in days
        for told in day["noticed"]
        if not told["usual"]
    ]
    return [text_table([["noticed on", "", "", "such as"], *lines]).rstrip()] if lines else []


def _numbers(days: Sequence[dict[str, Any]], name: str) -> list[str]:
    return [_number(day[name]) for day in days]


def _flagged_rows(day: dict[str, Any]) -> int:
    """Rows that lack a fresh answer; one that lacks two counts twice."""
    return sum(sum(rows.values()) for rows in day["flagged"].values())


def no_champion(verdict: str | None) -> str:
    """Why there is no champion, by the last word of the gate."""
    return f"no champion: the gate {verdict}" if verdict else "no champion: nothing was trained yet"


def _champion_lines(state: dict[str, Any]) -> list[str]:
    champion = state["champion"]
    if champion is None:
        unseen = state["left_out"] if state["verdict"] else []
        shown = ", ".join(unseen[:20]) + (f" and {len(unseen) - 20} more" if len(unseen) > 20 else "")
        return [no_champion(state["verdict"]), *([f"left out of features.sql: {shown}"] if unseen else [])]
    trouble = [champion["trouble"]] if champion["trouble"] else []
    if "candidate" not in champion:
        return [f"champion: version {champion['version']}", *trouble]
    # what a model of elsewhere learned from cannot be seen from here
    learned = f"learned from {champion['rows']:,} rows" if champion["origin"] is None else "made elsewhere"
    headline = f"champion: version {champion['version']}, {champion['candidate']}, {learned}"
    rows = f"{champion['held_out']:,} " if champion["held_out"] else ""
    sides = {"champion": champion["metrics"]}
    if champion["baseline_metrics"]:
        sides["baseline"] = champion["baseline_metrics"]
    figures = _metrics_table(f"on {rows}held-out rows", sides)
    return [headline, figures, *_contest_lines(champion["contest"]), *trouble]


def _contest_lines(contest: dict[str, Any] | None) -> list[str]:
    """The champion beside the candidates of the last training, on other rows than those that it was trained beside."""
    if contest is None:
        return []
    if contest["problem"]:
        return [f"the last training was not compared with it: {contest['problem']}"]
    sides = {"champion": contest["champion"], **contest["candidates"]}
    return [_metrics_table(f"on {contest['rows']:,} rows that neither has learned", sides)]


def _metrics_table(where: str, sides: Mapping[str, Mapping[str, float]]) -> str:
    """Metrics of several models on the same rows."""
    names = dict.fromkeys(name for metrics in sides.values() for name in metrics)
    table = [[where, *names]]
    for who, metrics in sides.items():
        table.append([who, *(f"{metrics[name]:.3f}" if name in metrics else "" for name in names)])
    return text_table(table).rstrip()


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
