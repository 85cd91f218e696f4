"""What a published day's answers look like on the page of its asset: how often each, how sure, and a picture of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow.compute as pc

from mlops_assets.storage.tables import Table
from mlops_assets.views.numbers import plain
from mlops_assets.views.spreads import Bars, bars

STEPS = np.linspace(0, 1, 11)
"""Ends of the steps of a probability."""

MOST = 12
"""Answers that have a bar; the table has all."""

SPREAD = {"least": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "largest": 1.0}
"""Quantiles that are told of numbers."""


@dataclass
class Answers:
    """The answers of a day.

    Attributes
    ----------
    records
        Lines of a table: answers with their rows; of numbers the one line of their spread.
    sure
        How sure the model is: the mean probability of what it says, or the mean width of its intervals; empty where it
        says nothing of that.
    panels
        What a picture shows.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    sure: Mapping[str, float] = field(default_factory=dict)
    panels: list[Bars] = field(default_factory=list)

    def picture(self, day: str) -> str:
        """The picture, as Markdown."""
        return bars(self.panels, f"the answers of {day}")


def classes_of(source: Table[Any], day: str) -> Answers:
    """Answers of classes, the most frequent first."""
    # a batch at a time: a day may be larger than the memory
    rows: Counter[str] = Counter()
    steps, total, known = np.zeros(len(STEPS) - 1, np.int64), 0.0, 0
    for batch in source.read([day], ["prediction", "probability"]):
        rows.update({item["values"]: item["counts"] for item in pc.value_counts(batch.column(0)).to_pylist()})
        values = batch.column(1).drop_null().to_numpy(zero_copy_only=False)
        values = values[np.isfinite(values)]
        steps += np.histogram(np.clip(values, 0, 1), STEPS)[0]
        total, known = total + float(values.sum(dtype=np.float64)), known + len(values)
    ranked = rows.most_common()
    most = ranked[:MOST]
    panels = [Bars("rows by answer", [str(name) for name, _ in most], [number for _, number in most])]
    if not known:  # a model that says no probabilities
        return Answers([{"prediction": value, "rows": number} for value, number in ranked], {}, panels)
    named = [f"{low:.1f} to {high:.1f}" for low, high in pairwise(STEPS)]
    filled = np.flatnonzero(steps)
    shown = range(filled[0], filled[-1] + 1)
    numbers = [int(steps[n]) for n in shown]
    panels.append(Bars("rows by the probability of the answer", [named[n] for n in shown], numbers))
    sure = {"mean_probability": round(total / known, 4)}
    return Answers([{"prediction": value, "rows": number} for value, number in ranked], sure, panels)


def numbers_of(source: Table[Any], day: str) -> Answers:
    """Answers that are numbers: sum, mean and quantiles, and how wide their intervals are."""
    names = ["prediction", *({"low", "high"} & {*source.read_parts([]).schema.names})]
    table = source.read([day], names).read_all()
    values = table["prediction"].drop_null().to_numpy()
    values = values[np.isfinite(values)]
    if not len(values):
        return Answers()
    quantiles = zip(SPREAD, np.quantile(values, [*SPREAD.values()]), strict=True)
    told = {"rows": len(values), "sum": values.sum(), "mean": values.mean(), **dict(quantiles)}
    counts, ends = np.histogram(values, min(MOST, max(1, len({*values[:1000].tolist()}))))
    labels = [f"{plain(float(low))} to {plain(float(high))}" for low, high in pairwise(ends)]
    sure: dict[str, float] = {}
    if "low" in names:
        widths = pc.subtract(table["high"], table["low"]).drop_null().to_numpy()
        widths = widths[np.isfinite(widths)]
        sure = {"mean_width": float(f"{widths.mean():.5g}")} if len(widths) else {}
    record = {name: plain(float(value)) for name, value in told.items()}
    return Answers([record], sure, [Bars("rows by what is predicted", labels, counts.tolist())])
