"""In: the days that were read. Out: those to learn from, and why the others are left out."""

from __future__ import annotations

from collections.abc import Mapping

from mlops_assets.journey.enrich.answers import DayAnswers, NotEnriched, find_answers, needed
from mlops_assets.journey.score.checks import check_enriched, check_rows_of_day
from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.tables import Published
from mlops_assets.use_case import UseCase, back


class _LeftOut(Exception):
    """A day is not learned from."""


def choose_days(use_case: UseCase, lake: Lake) -> tuple[dict[str, tuple[int, DayAnswers]], str]:
    """The days of the window to learn from, and in a sentence which are left out and why.

    Left out are days that were not enriched, for asking now would bring what was not known then; and those whose rows
    do not meet the conditions on which a day is predicted, unless `training.refused_days` asks for them.

    Parameters
    ----------
    use_case
        The use case; `training.window_days` says how far the window reaches.
    lake
        Its tables.

    Returns
    -------
    tuple
        By day, the number of its rows and what these are enriched with; and the sentence, empty if no day is left out.
    """
    days = lake.rows.days()
    if not days:
        return {}, ""
    first = back(max(days), use_case.training.window_days)
    window: dict[str, tuple[int, DayAnswers]] = {}
    left_out: dict[str, str] = {}
    for day in (day for day in days if day > first):
        try:
            window[day] = days[day].accounting.rows, _answers(use_case, lake, day, days[day])
        except (NotEnriched, _LeftOut) as error:
            left_out[day] = str(error)
    return window, _tell(left_out)


def _answers(use_case: UseCase, lake: Lake, day: str, rows: Published[ReadingAccounting]) -> DayAnswers:
    """What the rows of a day are enriched with, if the day meets its conditions."""
    checks = check_rows_of_day(use_case.checks, rows.accounting, where="")
    answers = find_answers(use_case, lake, day, rows, needed(use_case, use_case.features_sql))
    checks += check_enriched(use_case, answers)
    broken = [f"{check.name} does not hold ({check.found})" for check in checks if not check.passed]
    if broken and not use_case.training.refused_days:
        raise _LeftOut("; ".join(broken))
    return answers


def _tell(days: Mapping[str, str]) -> str:
    """Which days are not learned from, and why, in a sentence; days with the same reason stand together."""
    by_reason: dict[str, list[str]] = {}
    for day, reason in sorted(days.items()):
        by_reason.setdefault(reason, []).append(day)
    told = [f"{', '.join(some)}: {reason}" for reason, some in by_reason.items()]
    return f"Left out: {'; '.join(told)}." if told else ""
