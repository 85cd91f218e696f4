"""The conditions of a day: what its rows must meet before they are scored, and its scores before they are published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mlops_assets.journey.enrich.answers import DayAnswers, NotEnriched
from mlops_assets.storage.accounting import (
    SQL_REJECTED,
    UNSEEN,
    EnrichmentAccounting,
    ListingAccounting,
    ReadingAccounting,
)
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.tables import Published
from mlops_assets.use_case import Checks, UseCase
from mlops_assets.use_case.notices import find_notice

EMPTY = "day_is_not_empty"
ROW_CHECKS = ("accounting_adds_up", EMPTY, "reject_rate", "quarantine_rate", "noticed")
"""Conditions of the rows of a day."""

DELIVER = "nothing to do if none was due; else have the files delivered, and run the day again"

EVERY_DAY_DELIVERED = "every_day_delivered"
"""The condition of `raw_files`: whether each day of a run has a folder."""

EVERY_KEY_ANSWERED = "every_key_answered"
"""The condition of an enrichment."""

SCORE_CHECKS = ("rows_are_current", "every_row_predicted", "unseen_categories")
"""Conditions of a day that every use case has besides."""

ENRICHMENT_CHECKS = ("enrichments_are_current", "enrichment_missing")
"""Conditions of a day that use cases with enrichments have besides."""


@dataclass(frozen=True)
class DayCheck:
    """One condition of a day: what was found, whether it holds, and what to do if not; one that warns wakes nobody.

    Its numbers are there to be drawn over the days: what was measured and, as `threshold`, what is allowed.
    """

    name: str
    passed: bool
    found: str
    advice: str
    warns: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict)


def problems(checks: Iterable[DayCheck]) -> str:
    """The conditions that failed, each with what to do; empty if all hold."""
    return "; ".join(f"{c.name}: {c.found} - {c.advice}" for c in checks if not c.passed)


def check_rows_of_day(checks: Checks, accounting: ReadingAccounting | None, where: str) -> list[DayCheck]:
    """The conditions that the rows of a day must meet before anything is predicted for it.

    Parameters
    ----------
    checks
        The conditions of the use case.
    accounting
        What was published with the day's rows; None if they were not.
    where
        Where the day's raw files are looked for.
    """
    # a day without rows is told by the same conditions: it has no file, no line and no row
    a = accounting or ReadingAccounting()
    adds_up = a.files_add_up and a.lines_add_up
    sums = f"{a.files} files = {a.files_read} read + {a.files_refused} refused; "
    sums += f"{a.lines} lines = {a.rows} rows + {a.rejected} rejected"
    rejected = a.rejected / max(1, a.lines)
    refused = a.files_refused / max(1, a.files)
    look = "look at `mlops-assets rejects`, mend or remove the files, run the day again"
    return [
        DayCheck(
            "accounting_adds_up",
            adds_up,
            sums,
            "run the day again; if it stays so, report it with this line",
            numbers={"lines": a.lines, "rows": a.rows, "rejected": a.rejected},
        ),
        DayCheck(
            EMPTY,
            a.rows > 0,
            f"{a.rows} rows of {a.files} files",
            f"no file of the day has a good row; look in {where}, then run the day again",
            numbers={"rows": a.rows, "threshold": 1},
        ),
        DayCheck(
            "reject_rate",
            rejected <= checks.reject_rate,
            f"{rejected:.2%} of lines rejected, allowed {checks.reject_rate:.2%}",
            look,
            numbers={"share": rejected, "threshold": checks.reject_rate},
        ),
        DayCheck(
            "quarantine_rate",
            refused <= checks.quarantine_rate,
            f"{refused:.2%} of files refused, allowed {checks.quarantine_rate:.2%}",
            look,
            numbers={"share": refused, "threshold": checks.quarantine_rate},
        ),
        _check_noticed(checks, a),
    ]


def _check_noticed(checks: Checks, accounting: ReadingAccounting) -> DayCheck:
    """Whether what was noticed keeps within the limits that are set; all of it is told."""
    found, passed, numbers = [], True, dict[str, float]()
    for name, number in accounting.noticed.items():
        notice = find_notice(name)
        unit = notice.unit if notice else "files"  # a later version of the package may know of more
        of = {"files": accounting.files, "rows": accounting.rows, "lines": accounting.lines}[unit]
        limit = checks.noticed.get(name)
        share = number / max(1, of)
        told = f"{name} {number} of {of} {unit}" + ("" if limit is None else f" ({share:.2%} of {limit:.2%})")
        examples = accounting.examples.get(name, ())
        found.append(told + (f", such as {examples[0]}" if examples else ""))
        passed &= limit is None or share <= limit
        numbers[f"share/{name}"] = share
    advice = "look at the files of the day; mend them and run the day again, or raise the limit in checks.noticed"
    return DayCheck("noticed", passed, "; ".join(found) or "nothing", advice, numbers=numbers)


def check_current(rows: Published[ReadingAccounting] | None, raw: Published[ListingAccounting] | None) -> DayCheck:
    """Whether the published rows were read from the files that were listed last."""
    listed = raw.accounting.fingerprint if raw else "none"
    read = rows.accounting.manifest if rows else "none"
    same = "what was read is what was listed"
    other = f"files listed: {listed}, files read: {read}"
    return DayCheck(
        "rows_are_current",
        listed == read,
        same if listed == read else other,
        "materialise raw_files and rows of this day again",
    )


def check_enriched(use_case: UseCase, answers: DayAnswers | NotEnriched) -> list[DayCheck]:
    """Whether the rows were enriched as they are now, and enough of them; nothing to look at without enrichments.

    Parameters
    ----------
    use_case
        The use case.
    answers
        The stored answers, or why they are of no use.
    """
    if not use_case.enrichments:
        return []
    if isinstance(answers, NotEnriched):
        return [DayCheck("enrichments_are_current", False, str(answers), "then run the day again")]
    shares, enough = [], True
    for name, accounting in answers.accounting.items():
        share, most = accounting.missing_share, use_case.enrichments[name].most_missing
        shares.append(f"{name} {share:.2%} of {most:.2%}")
        enough &= share <= most
    advice = (
        "look at the problems of the enrichment; run the day again when its source answers, or raise `most_missing`"
    )
    versions = ", ".join(f"{name} of version {version}" for name, version in answers.versions.items())
    return [
        DayCheck("enrichments_are_current", True, versions, ""),
        DayCheck(
            "enrichment_missing",
            enough,
            f"rows without an answer, of those allowed: {', '.join(shares)}",
            advice,
            numbers={f"share/{name}": accounting.missing_share for name, accounting in answers.accounting.items()},
        ),
    ]


def check_delivered(delivered: bool, *, others: bool = False) -> DayCheck:
    """Whether a day has a folder.

    Parameters
    ----------
    delivered
        Whether it has one, or had.
    others
        Whether other days came: then one that did not may not have been due.
    """
    if delivered:
        return DayCheck(EVERY_DAY_DELIVERED, True, "delivered", "")
    return DayCheck(EVERY_DAY_DELIVERED, False, "no folder", DELIVER, warns=others)


def check_answered(accounting: EnrichmentAccounting) -> DayCheck:
    """Whether an enrichment has an answer of today for every key."""
    answered = f"{accounting.fetched} of {accounting.keys} keys answered ({accounting.cached} of them before)"
    summary = f"{answered}, {accounting.last_known} last known, {accounting.missing} missing; "
    summary += f"{accounting.missing_share:.2%} of {accounting.rows} rows without an answer"
    fresh = not accounting.missing and not accounting.last_known
    advice = "look at the problems; run the day again when the source answers"
    numbers = {"share": accounting.fetched / max(1, accounting.keys), "threshold": 1.0}
    return DayCheck(EVERY_KEY_ANSWERED, fresh, summary, advice, numbers=numbers)


def check_scores_of_day(checks: Checks, counts: Mapping[str, int], rows: int) -> list[DayCheck]:
    """The conditions that the predictions of a day must meet before they are published."""
    shares = {name: counts.get(UNSEEN + name, 0) / max(1, rows) for name in checks.unseen_share}
    limits = ", ".join(f"{name} {share:.2%} of {checks.unseen_share[name]:.2%}" for name, share in shares.items())
    return [
        _check_predicted(checks, counts.get(Lake.predictions.name, 0), counts.get(SQL_REJECTED, 0), rows),
        DayCheck(
            "unseen_categories",
            all(share <= checks.unseen_share[name] for name, share in shares.items()),
            f"values unseen in training, of those allowed: {limits or 'no limit is set'}",
            "compare the day's categories with the training rows; retrain, or raise checks.unseen_share if it is right",
            numbers={f"share/{name}": share for name, share in shares.items()},
        ),
    ]


def _check_predicted(checks: Checks, predictions: int, left_out: int, rows: int) -> DayCheck:
    found = f"{predictions} predictions for {rows} rows"
    advice = "run the day again; if it stays so, report it with this line"
    if left_out:
        share = left_out / max(1, rows)
        found += f", {left_out} left out because SQL or model fail on them: "
        found += f"{share:.2%}, allowed {checks.sql_rejects:.2%}"
        if share > checks.sql_rejects:
            advice = (
                "mend the lines or the SQL (with checks.sql_rejects 0, the first is named), or raise checks.sql_rejects"
            )
    is_whole = predictions + left_out == rows and left_out <= checks.sql_rejects * rows
    numbers = {"predictions": predictions, "rows": rows}
    return DayCheck("every_row_predicted", is_whole, found, advice, numbers=numbers)
