"""What the UI shows of an asset: tables, pictures and verdicts as Dagster metadata."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import dagster as dg

from mlops_assets.journey.model.history import Change
from mlops_assets.journey.score.checks import DayCheck
from mlops_assets.journey.train.contest import Contest
from mlops_assets.journey.train.gate import Verdict
from mlops_assets.journey.train.scores import Score
from mlops_assets.use_case import UseCase
from mlops_assets.views import card, markdown, number_card, pictures
from mlops_assets.views.judging import judged
from mlops_assets.views.made import Text


def table(records: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """Records with the same keys as a table."""
    return dg.MetadataValue.md(markdown.table(records))


def metadata(shown: Mapping[str, Any]) -> dict[str, Any]:
    """What `views.made` shows, as Dagster's."""
    kinds = {"md": dg.MetadataValue.md, "path": dg.MetadataValue.path}
    return {name: kinds[value.kind](value.text) if isinstance(value, Text) else value for name, value in shown.items()}


def contract(use_case: UseCase) -> dg.MarkdownMetadataValue:
    """The contract of the raw files as a table."""
    return table(
        [
            {
                "column": name,
                "in the file": column.header(name),
                "type": f"{column.type} {column.format}".strip(),
                "required": "yes" if column.required else "",
                "constant in a file": "yes" if column.constant else "",
                "meaning": column.about,
            }
            for name, column in use_case.columns.items()
        ]
    )


def column_schema(use_case: UseCase) -> dg.TableSchema:
    """The columns of `rows` for Dagster's catalogue."""
    own = [
        dg.TableColumn("file", "string", description="Path of the file in the day's folder."),
        dg.TableColumn("line", "int", description="Data line in the file, from 1."),
    ]
    of_contract = [
        dg.TableColumn(name, column.type, description=column.about) for name, column in use_case.columns.items()
    ]
    return dg.TableSchema([*own, *of_contract])


def leaderboard(scores: Iterable[Score], metric: str) -> dg.MarkdownMetadataValue:
    """The candidates with their metrics on the same rows that choose, the chosen one first; and what it has tested."""
    listed = list(scores)
    metrics = dict.fromkeys(name for score in listed for name in score.validation)
    return table(
        [
            {
                "candidate": score.name,
                **{name: score.validation.get(name, "") for name in metrics},
                "rounds": _spread(score.folds),
                f"{metric}, tested": score.metrics.get(metric, "not asked"),
                "rows a CPU second": f"{score.rows_per_second:,.0f}",
                "all rows count the same for": ", ".join(score.unweighted),
            }
            for score in listed
        ]
    )


def judging(told: Mapping[str, Any], score: Score, baseline: Mapping[str, float], held_out: int) -> Any:
    """How the chosen candidate came to be that, and how it did on rows that chose nothing."""
    return dg.MetadataValue.md("\n\n".join(judged(told, score.metrics, baseline, held_out).as_markdown()))


def calibration(score: Score) -> dg.MarkdownMetadataValue:
    """How the probabilities of a candidate were made true, and how true they are."""
    told = score.calibrated.told() if score.calibrated else {}
    words = card.calibrated if score.classes else number_card.interval
    return dg.MetadataValue.md("\n\n".join(filter(None, (markdown.table(score.calibration), words(told)))))


def contest(found: Contest) -> dg.MarkdownMetadataValue:
    """The candidates beside the champion on the rows that none of them has learned."""
    if found.problem:
        return dg.MetadataValue.md(f"not compared with version {found.version}: {markdown.value(found.problem)}")
    sides = {f"champion, version {found.version}": found.champion, **found.candidates}
    metrics = dict.fromkeys(name for values in sides.values() for name in values)
    lines = [{"": side, **{name: values.get(name, "") for name in metrics}} for side, values in sides.items()]
    gaps = [
        {
            "candidate": name,
            "metric": metric,
            "above the champion": str(gap),
            "noise": "yes" if gap.holds_zero else "no",
        }
        for name, some in found.differences.items()
        for metric, gap in some.items()
    ]
    where = f"on {found.rows:,} rows that none has learned, asked of its {found.model} model"
    parts = [where, markdown.table(lines), *([markdown.table(gaps)] if gaps else [])]
    return dg.MetadataValue.md("\n\n".join(parts))


def _spread(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    return f"{statistics.fmean(values):.3f} ± {statistics.pstdev(values):.3f}" if values else ""


def verdict(decision: Verdict) -> dg.MarkdownMetadataValue:
    """What the gate asked of each candidate, and what it found."""
    lines = [
        {
            "passed": "yes" if condition.passed else "NO",
            "candidate": name,
            "condition": condition.name,
            "asked": condition.asked,
            "found": condition.found,
        }
        for name, conditions in decision.conditions.items()
        for condition in conditions
    ]
    return dg.MetadataValue.md(f"**{markdown.text(decision.reason)}**\n\n{markdown.table(lines)}")


def history(changes: Sequence[Change]) -> dg.MarkdownMetadataValue:
    """The changes of the champion, the newest first."""
    return table([asdict(change) for change in reversed(changes)])


def classes(score: Score) -> dg.MarkdownMetadataValue:
    """Precision, recall and F1 of every class, the most frequent first."""
    return table(card.class_lines(score.classes))


def confusion(score: Score) -> dg.MarkdownMetadataValue:
    """The confusion matrix as a picture."""
    return dg.MetadataValue.md(pictures.confusion(score))


def live_accuracy(records: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """Audited accuracy and other corrections as a picture."""
    return dg.MetadataValue.md(pictures.live_accuracy(records))


def check_results(
    key: dg.AssetKey,
    names: Sequence[str],
    by_day: Mapping[str, Sequence[DayCheck]],
    broken: Mapping[str, str],
    note: str = "",
) -> Iterator[dg.AssetCheckResult]:
    """One result a check over all days of the run, with a table of what was found each day.

    Parameters
    ----------
    key
        The asset.
    names
        The checks.
    by_day
        By day, the conditions that were looked at.
    broken
        By day, why it failed before any was.
    note
        What to say where no day was looked at.
    """
    for name in names:
        lines = _check_lines(name, by_day, broken)
        failed = [line["day"] for line in lines if not line["passed"]]
        summary = note or f"holds on {len(lines)} days"
        if failed:
            summary = f"failed on {', '.join(failed)}"
        metadata = {"days": table(lines)} if lines else {"note": summary}
        # one result of all days, which are a table in it
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=name,
            passed=not failed,
            severity=_severity(name, by_day, failed),
            description=summary,
            metadata=metadata,
        )


def _severity(name: str, by_day: Mapping[str, Sequence[DayCheck]], failed: Sequence[str]) -> dg.AssetCheckSeverity:
    """A warning, which no alert is sent for, where each day that failed does no more than warn."""
    warning = {day for day, checks in by_day.items() for check in checks if check.name == name and check.warns}
    return dg.AssetCheckSeverity.WARN if failed and warning.issuperset(failed) else dg.AssetCheckSeverity.ERROR


def _check_lines(
    name: str, by_day: Mapping[str, Sequence[DayCheck]], broken: Mapping[str, str]
) -> list[dict[str, Any]]:
    """What a check found on each day; a day on which it was not looked at has not passed it."""
    seen = {day: check for day, checks in by_day.items() for check in checks if check.name == name}
    lines = [
        {"day": day, "passed": check.passed, "found": check.found, "do": "" if check.passed else check.advice}
        for day, check in seen.items()
    ]
    unseen = {day: "another condition failed before" for day in by_day if day not in seen} | dict(broken)
    lines += [{"day": day, "passed": False, "found": "not looked at", "do": why} for day, why in unseen.items()]
    return lines


def failure(what: str, days: Mapping[str, str]) -> dg.Failure:
    """The end of a step that could not do some days: what it could not, and for each of these days why."""
    listed = "\n".join(f"{day}: {why}" for day, why in sorted(days.items()))
    return dg.Failure(
        f"{what}\n{listed}",
        metadata={"days": table([{"day": d, "why": w} for d, w in days.items()])},
        # a reason that people are told stays until one of them acts
        allow_retries=False,
    )
