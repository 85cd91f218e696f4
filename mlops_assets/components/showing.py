"""What the UI shows of an asset: tables, pictures and verdicts as Dagster metadata."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import dagster as dg

from mlops_assets.components.private import LookedAt
from mlops_assets.journey.model.history import Change
from mlops_assets.journey.score.checks import DayCheck
from mlops_assets.journey.train.contest import Contest
from mlops_assets.journey.train.gate import Verdict
from mlops_assets.journey.train.scores import Score
from mlops_assets.use_case import UseCase
from mlops_assets.views import card, markdown, number_card, pictures
from mlops_assets.views.judging import judged
from mlops_assets.views.made import Text

T = TypeVar("T")

MOST_DAYS = 10
"""Days that a sentence names."""

NO, NOT_RUN, YES = "no", "not run", "yes"
"""Whether a day passes a check, in words; the first is what people look for."""


def table(records: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """Records with the same keys as a table."""
    return dg.MetadataValue.md(markdown.table(records))


def metadata(shown: Mapping[str, Any]) -> dict[str, Any]:
    """What `views.made` shows, as Dagster's."""
    kinds = {"md": dg.MetadataValue.md, "path": dg.MetadataValue.path, "url": dg.MetadataValue.url}
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


def pictures_of(**drawn: str) -> dict[str, dg.MarkdownMetadataValue]:
    """Pictures by name; one of nothing is left out."""
    return {name: dg.MetadataValue.md(picture) for name, picture in drawn.items() if picture}


def live_accuracy(records: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """Audited accuracy and other corrections as a picture."""
    return dg.MetadataValue.md(pictures.live_accuracy(records))


def check_results(
    key: dg.AssetKey,
    names: Sequence[str],
    by_day: Mapping[str, Sequence[DayCheck]],
    broken: Mapping[str, str],
    note: str = "",
    context: dg.AssetExecutionContext | None = None,
) -> Iterator[dg.AssetCheckResult]:
    """One result a check over all days of the run, with a table of what was found each day; and one for each day.

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
    context
        Of the step, where each of several days is to have a result of its own.
    """
    if context is not None and not context.has_partition_key:
        told = [day for day in context.partition_keys if day in by_day or day in broken]
        each = [
            (day, _result(key, name, _only(by_day, day), _only(broken, day), note)) for day in told for name in names
        ]
        tell_results(context, key, each)
    for name in names:
        yield _result(key, name, by_day, broken, note)


def tell_results(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, results: Sequence[tuple[str, dg.AssetCheckResult]]
) -> None:
    """Tell results of checks, each of its day: without what they looked at, Dagster would take none for current.

    Parameters
    ----------
    context
        Of the step.
    asset
        What was looked at.
    results
        Days, and what was found of each.
    """
    days, kind = {day for day, _ in results}, dg.DagsterEventType.ASSET_MATERIALIZATION
    made = context.instance.get_latest_storage_id_by_partition(asset, kind, days) if days else {}
    for day, result in results:
        at, run = made.get(day), context.run_id
        looked_at = LookedAt(storage_id=at, run_id=run, timestamp=time.time()) if at is not None else None
        context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=asset,
                check_name=str(result.check_name),
                passed=result.passed,
                metadata=result.metadata,
                severity=result.severity,
                description=result.description,
                partition=day,
                target_materialization_data=looked_at,
            )
        )


def _only(values: Mapping[str, T], day: str) -> dict[str, T]:
    return {day: values[day]} if day in values else {}


def _result(
    key: dg.AssetKey, name: str, by_day: Mapping[str, Sequence[DayCheck]], broken: Mapping[str, str], note: str
) -> dg.AssetCheckResult:
    """What a check says of some days: a sentence, the numbers of the worst of them, and a table."""
    lines = _check_lines(name, by_day, broken)
    failed = [line["day"] for line in lines if line["passed"] == NO]
    not_run = [line["day"] for line in lines if line["passed"] == NOT_RUN]
    seen = {day: check for day, checks in by_day.items() for check in checks if check.name == name}
    metadata: dict[str, Any] = {"note": note} if note and not lines else {}
    if seen:
        metadata |= _numbers(max(seen.values(), key=_excess))
    if len(lines) > 1:
        metadata["days"] = table(sorted(lines, key=lambda line: line["passed"]))
    elif failed or not_run:
        metadata["do"] = lines[0]["do"]
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        # nobody knows what it would have found: that is no error of its own, and holding it is not
        passed=not failed and (not lines or len(not_run) < len(lines)),
        severity=_severity(name, by_day, failed) if failed or not not_run else dg.AssetCheckSeverity.WARN,
        description=_sentence(lines, failed, seen) or note,
        metadata=metadata,
    )


def _sentence(lines: Sequence[Mapping[str, Any]], failed: Sequence[str], seen: Mapping[str, DayCheck]) -> str:
    """What came of a check, in words: of one day what was found, of several how many hold and which is the worst."""
    if not lines:
        return ""
    left = _left_out([line for line in lines if line["passed"] == NOT_RUN])
    if failed:
        first = next(line for line in lines if line["passed"] == NO)
        others = ", ".join(failed[1:MOST_DAYS]) + (f" and {len(failed) - MOST_DAYS} more" if failed[MOST_DAYS:] else "")
        more = f" The same check fails on {others}." if others else ""
        todo = f" Do: {first['do']}" if first["do"] else ""
        return " ".join(filter(None, (f"{first['day']} fails: {first['found']}.{todo}{more}", left)))
    if not seen:
        return left
    if len(lines) == 1:
        return f"{lines[0]['day']}: {lines[0]['found']}."
    worst = max(seen, key=lambda day: _excess(seen[day]))
    said = f" Closest is {worst}: {seen[worst].found}." if "threshold" in seen[worst].numbers else ""
    which = f"all {len(lines)} days"
    if left:
        which = "the one day on which it was run" if len(seen) == 1 else f"the {len(seen)} days on which it was run"
    return " ".join(filter(None, (f"Holds on {which}.{said}", left)))


def _left_out(lines: Sequence[Mapping[str, Any]]) -> str:
    """On which days a check was not run, and why on the first of them."""
    if not lines:
        return ""
    days = [line["day"] for line in lines]
    named = ", ".join(days[:MOST_DAYS]) + (f" and {len(days) - MOST_DAYS} more" if days[MOST_DAYS:] else "")
    return f"Not run on {named}: {lines[0]['do']}"


def _excess(check: DayCheck) -> tuple[bool, float]:
    """How bad a day is among others: one that failed is worse than any that did not."""
    numbers = [value for name, value in check.numbers.items() if name != "threshold"]
    measured = numbers[0] if numbers else 0.0
    # of rows there must be enough, of everything else there must not be too much
    return not check.passed, -measured if "rows" in check.numbers else measured


def _numbers(check: DayCheck) -> dict[str, Any]:
    """The numbers of a check as Dagster draws them: whole ones as they are, shares with the digits that count."""
    return {name: value if isinstance(value, int) else float(f"{value:.4g}") for name, value in check.numbers.items()}


def _severity(name: str, by_day: Mapping[str, Sequence[DayCheck]], failed: Sequence[str]) -> dg.AssetCheckSeverity:
    """A warning, which no alert is sent for, where each day that failed does no more than warn."""
    warning = {day for day, checks in by_day.items() for check in checks if check.name == name and check.warns}
    return dg.AssetCheckSeverity.WARN if failed and warning.issuperset(failed) else dg.AssetCheckSeverity.ERROR


def _check_lines(
    name: str, by_day: Mapping[str, Sequence[DayCheck]], broken: Mapping[str, str]
) -> list[dict[str, Any]]:
    """What a check found on each day; of a day on which it was not run nobody knows whether it holds."""
    seen = {day: check for day, checks in by_day.items() for check in checks if check.name == name}
    lines = [
        {
            "day": day,
            "passed": YES if check.passed else NO,
            "found": check.found,
            "do": "" if check.passed else check.advice,
        }
        for day, check in seen.items()
    ]
    unseen = {day: "another condition failed before" for day in by_day if day not in seen} | dict(broken)
    lines += [{"day": day, "passed": NOT_RUN, "found": "nothing", "do": why} for day, why in unseen.items()]
    return lines
