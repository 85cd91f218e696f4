"""What a card tells of a model that says numbers, in the place of classes and probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mlops_assets.journey.model.about import About
from mlops_assets.views import markdown
from mlops_assets.views.html import charts
from mlops_assets.views.numbers import plain, share

BY_SIZE = (
    "Held-out rows by the size of their prediction, in groups of as many rows: what was predicted and what was true in "
    "the mean, between which ends eight of ten true numbers lie, the mean absolute error, and the share of the true "
    "numbers that lie in their interval."
)


def sections(about: About) -> Iterator[str]:
    """How predictions of different sizes fare, and how wide the interval is, as Markdown."""
    yield "### Predicted and true"
    yield BY_SIZE
    yield markdown.table(about.calibration)
    yield "### Interval"
    yield interval(about.calibrated)
    if about.origin:
        yield "It has no interval: it was made elsewhere, and no rows are known that it has surely not learned."


def interval(told: Mapping[str, Any]) -> str:
    """How the interval was made, and whether it holds what it promises; empty where nothing is told of it.

    Parameters
    ----------
    told
        `About.calibrated`.
    """
    if not told:
        return ""
    line = {
        "interval": told["kind"] if told["kind"] == "off" else "of the errors on rows in no fit",
        "out-of-fold rows": told["rows"],
        "asked to hold": told["before"],
        "holds of the held-out rows": told["after"],
        "why": told["why"],
    }
    return markdown.table([line])


def chart(groups: Sequence[Mapping[str, float]]) -> Markup:
    """Predicted against true numbers, from the smallest predictions to the largest; see `intervals.by_size`."""
    series = [
        charts.Series("true, in the mean", [one["true"] for one in groups]),
        charts.Series("predicted, in the mean", [one["predicted"] for one in groups], "usual"),
    ]
    band = (
        charts.Series("true, of ten the second least", [one["true_low"] for one in groups]),
        charts.Series("true, of ten the second largest", [one["true_high"] for one in groups]),
    )
    places = [f"{plain(one['predicted'])}, {one['rows']:,.0f} rows" for one in groups]
    ends = [one[name] for one in groups for name in ("true_low", "true_high", "predicted")]
    what = "Held-out rows by the size of their prediction: what was true"
    return charts.lines(what, places, series, plain, least=min(ends, default=0), most=max(ends, default=1), band=band)


def by_size(groups: Sequence[Mapping[str, float]]) -> list[dict[str, str]]:
    """The same as lines of a table."""
    return [
        {
            "rows": f"{one['rows']:,.0f}",
            **{name: plain(one[name]) for name in ("predicted", "true", "true_low", "true_high", "error")},
            "inside": share(one.get("inside")),
        }
        for one in groups
    ]
