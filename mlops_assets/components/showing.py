"""What the UI shows of an asset: tables, pictures and verdicts as Dagster metadata."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from mlops_assets.journey.model.history import Change
from mlops_assets.journey.score.checks import DayCheck
from mlops_assets.journey.train.evaluation import Score, Verdict
from mlops_assets.storage.tables import Table
from mlops_assets.use_case import UseCase
from mlops_assets.views import pages
from mlops_assets.views.output import markdown_table

FIRST = 10
"""Rows of a table that are shown."""

CLASSES = 40
"""Classes that a picture shows at most; the tables have all."""


def table(records: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """Records with the same keys as a table."""
    return dg.MetadataValue.md(markdown_table(records))


def first_rows(source: Table[Any], day: str, columns: Sequence[str] | None = None) -> dg.MarkdownMetadataValue:
    """The first rows of a published day."""
    return table(source.head(day, FIRST, columns).to_pylist() if source.open() is not None else [])


def counts(source: Table[Any], day: str, column: str) -> dg.MarkdownMetadataValue:
    """How often each value of a column stands in a published day, the most frequent first."""
    total: dict[str, int] = {}
    for batch in source.read([day], [column]):
        for item in pc.value_counts(batch.column(0)).to_pylist():
            total[item["values"]] = total.get(item["values"], 0) + item["counts"]
    ranked = sorted(total.items(), key=lambda item: -item[1])
    return table([{column: value, "rows": number} for value, number in ranked])


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
    said = [dg.TableColumn(name, column.type, description=column.about) for name, column in use_case.columns.items()]
    return dg.TableSchema([*own, *said])


def leaderboard(scores: Iterable[Score]) -> dg.MarkdownMetadataValue:
    """The candidates with their metrics on the same held-out rows, the best first."""
    return table(
        [
            {
                "candidate": one.name,
                **one.metrics,
                "folds": _spread(one.folds),
                "rows a second": f"{one.rows_per_second:,.0f}",
            }
            for one in scores
        ]
    )


def _spread(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    return f"{statistics.fmean(values):.3f} ± {statistics.pstdev(values):.3f}" if values else ""


def verdict(found: Verdict) -> dg.MarkdownMetadataValue:
    """What the gate asked of each candidate, and what it found."""
    lines = [
        {
            "passed": "yes" if condition.passed else "**NO**",
            "candidate": name,
            "condition": condition.name,
            "asked": condition.asked,
            "found": condition.found,
        }
        for name, conditions in found.conditions.items()
        for condition in conditions
    ]
    return dg.MetadataValue.md(f"**{found.reason}**\n\n{markdown_table(lines)}")


def history(changes: Sequence[Change]) -> dg.MarkdownMetadataValue:
    """The changes of the champion, the newest first."""
    return table([asdict(change) for change in reversed(changes)])


def classes(one: Score) -> dg.MarkdownMetadataValue:
    """Precision, recall and F1 of every class, the most frequent first."""
    ranked = sorted(one.classes.items(), key=lambda item: -item[1]["rows"])
    return table([{"class": name, **{k: round(v, 3) for k, v in numbers.items()}} for name, numbers in ranked])


def confusion_picture(one: Score) -> dg.MarkdownMetadataValue:
    """The confusion matrix of the most frequent classes: true ones down, predicted across, shares of the true one."""
    from matplotlib.figure import Figure

    every = list(one.classes)
    chosen = sorted(sorted(range(len(every)), key=lambda place: -one.classes[every[place]]["rows"])[:CLASSES])
    names = [pages.tick(every[place]) for place in chosen]
    cells = [[one.confusion[down][across] for across in chosen] for down in chosen]
    size = max(3.0, 0.42 * len(names) + 1.5)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    shares = [[cell / max(1, sum(row)) for cell in row] for row in cells]
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"{one.name}: held-out rows", fontsize=9)
    for down, row in enumerate(cells):
        for across, number in enumerate(row):
            if number:
                colour = "white" if shares[down][across] > 0.5 else "black"
                axes.text(across, down, str(number), ha="center", va="center", fontsize=6, color=colour)
    figure.colorbar(image, shrink=0.6, label="share of the true class")
    return dg.MetadataValue.md(pages.picture(figure, "confusion matrix"))


def live_picture(records: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """Audited accuracy with its interval, and the share right among other corrections, by day and version."""
    from matplotlib.figure import Figure

    days = sorted({one["day"] for one in records})
    figure = Figure(figsize=(max(7.0, 0.3 * len(days) + 4), 3), layout="constrained")
    axes = figure.subplots()
    for number, version in enumerate(sorted({one["model_version"] for one in records})):
        colour = f"C{number % 10}"
        mine = [one for one in records if one["model_version"] == version]
        audited = [one for one in mine if one["audited"]]
        corrected = [one for one in mine if one["corrections"]]
        middle = [one["accuracy"] for one in audited]
        errors = [[one["accuracy"] - one["low"] for one in audited], [one["high"] - one["accuracy"] for one in audited]]
        places = [days.index(one["day"]) for one in audited]
        axes.errorbar(
            places, middle, errors, fmt="o", capsize=3, color=colour, label=f"version {version}: audited, 95 %"
        )
        places, shares = [days.index(one["day"]) for one in corrected], [one["right_corrected"] for one in corrected]
        axes.plot(places, shares, "x", color=colour, label=f"version {version}: other corrections (biased)")
    axes.set_xticks(range(len(days)), days, rotation=90, fontsize=7)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("share right")
    if records:
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    return dg.MetadataValue.md(pages.picture(figure, "live accuracy"))


def check_results(
    key: dg.AssetKey,
    names: Sequence[str],
    found: Mapping[str, Sequence[DayCheck]],
    broken: Mapping[str, str],
    note: str = "",
) -> Iterator[dg.AssetCheckResult]:
    """One result a check over all days of the run, with a table of what was found each day."""
    for name in names:
        days = {day: check for day, checks in found.items() for check in checks if check.name == name}
        lines = [
            {"day": day, "passed": c.passed, "found": c.found, "do": "" if c.passed else c.advice}
            for day, c in days.items()
        ]
        unseen = {**{day: "another condition failed before" for day in found if day not in days}, **broken}
        lines += [{"day": day, "passed": False, "found": "not looked at", "do": why} for day, why in unseen.items()]
        failed = [line["day"] for line in lines if not line["passed"]]
        said = f"failed on {', '.join(map(str, failed))}" if failed else note or f"holds on {len(lines)} days"
        metadata = {"days": table(lines)} if lines else {"note": said}
        yield dg.AssetCheckResult(
            asset_key=key, check_name=name, passed=not failed, description=said, metadata=metadata
        )


def failure(what: str, days: Mapping[str, str]) -> dg.Failure:
    """The end of a step that could not do some days: what it could not, and for each of these days why."""
    listed = "\n".join(f"{day}: {why}" for day, why in sorted(days.items()))
    return dg.Failure(
        f"{what}\n{listed}",
        metadata={"days": table([{"day": d, "why": w} for d, w in days.items()])},
        allow_retries=False,
    )
