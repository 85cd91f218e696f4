"""The model card as a page: the same facts as `card`, with charts and shaded tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mlops_assets.journey.feedback.audited import wilson
from mlops_assets.journey.model.about import About
from mlops_assets.journey.train.metrics import higher_is_better
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.views import grids, number_card
from mlops_assets.views.card import as_written, recipe_of
from mlops_assets.views.html import charts
from mlops_assets.views.html.render import single_file
from mlops_assets.views.judging import judged
from mlops_assets.views.numbers import percent, plain, share

DRAWN = 20
"""Columns whose importance is drawn; what is less important than twenty others hardly matters."""

MEANINGS = {
    "accuracy": "share of rows that are answered right",
    "macro_f1": "right answers and answers that are missing, with all classes alike, the rare ones too",
    "weighted_f1": "the same, with classes by how many rows they have",
    "log_loss": "how far the probabilities are from the truth; less is better",
    "roc_auc": "how surely the right class comes before a wrong one; 0.5 is chance",
    "mae": "mean absolute error, in the unit of what is predicted; less is better",
    "rmse": "root of the mean squared error, in the same unit: large errors weigh more; less is better",
    "r2": "share of the variance that is explained; 0 is what the mean of all would have",
    "median_error": "half of the predictions miss by less; less is better",
    "mape": "mean error as a share of the true number; less is better",
    "coverage": "share of the true numbers that lie in the interval of their prediction",
}
"""What the metrics of every evaluation say, for who has not met them."""

SHARES = ("accuracy", "coverage")
"""Those that are shares of rows."""


def page(about: About, version: int | None = None) -> str:
    """The card as one HTML file.

    Parameters
    ----------
    about
        What is known of the version.
    version
        Its number, once it is registered.

    Raises
    ------
    ModelRefused
        If its card was not written here.
    """
    name = f"version {version}" if version else about.candidate
    return single_file("models_version.html", f"{about.use_case}, {name}", card=told(about, version))


def told(about: About, version: int | None) -> dict[str, Any]:
    """What the template of a card shows, as plain values and charts; parameters and errors as of `page`."""
    with as_written(about, version):
        training = about.recipe["training"]
        shown = plain if about.says_numbers else share
        return {
            "use_case": about.use_case,
            "version": version,
            "candidate": about.candidate,
            "description": about.recipe["description"],
            "made": about.made,
            "passed": about.passed,
            "reason": about.reason,
            "conditions": about.conditions,
            "metrics": figures(about),
            "held_out": about.held_out,
            "metric": training["metric"],
            "judging": judged(about.judging, about.metrics, about.baseline_metrics, about.held_out),
            "folds": [shown(value) for value in about.folds],
            "says_numbers": about.says_numbers,
            "sizes": number_card.by_size(about.calibration) if about.says_numbers else [],
            "classes": sorted(({"name": name, **one} for name, one in about.classes.items()), key=_rows, reverse=True),
            "confusion": grids.confusion([*about.classes], about.confusion),
            "calibration": number_card.chart(about.calibration)
            if about.says_numbers
            else _calibration(about.calibration),
            "calibrated": about.calibrated,
            "importance": _importance(about.importance, training["metric"], shown),
            "unimportant": sum(loss <= 0 for loss in about.importance.values()),
            "cost": {name: exact(value) for name, value in about.cost.items()},
            "learned": TrainingSet.from_json(about.set),
            "split": training["split"]["by"],
            "fingerprints": {
                "training set": about.training_set,
                "features.sql": about.sql,
                "contract": about.contract,
                "code": about.code,
            },
            "libraries": about.libraries,
            "origin": {name: value or "not told" for name, value in about.origin.items()} if about.origin else None,
            "recipe": None if about.origin else recipe_of(about.candidate, training["candidates"]),
            "features_sql": about.recipe["features_sql"],
        }


def figures(about: About) -> list[dict[str, Any]]:
    """The metrics on held-out rows: value, the baseline's, and the bounds that are known of it (95 %)."""
    lines = []
    words = plain if about.says_numbers else share
    for name, value in about.metrics.items():
        low, high = _bounds(about, name, value)
        lines.append(
            {
                "name": name,
                "meaning": MEANINGS.get(name, "a metric of this use case"),
                "more_is_better": higher_is_better(name),
                "value": value,
                "shown": words(value),
                "baseline": words(about.baseline_metrics.get(name)),
                "low": low,
                "high": high,
            }
        )
    return lines


def _bounds(about: About, metric: str, value: float) -> tuple[float | None, float | None]:
    """Those of its training; of an earlier release, Wilson's of an accuracy."""
    known = about.judging.get("intervals", {}).get(metric) if about.judging else None
    if known:
        return known[0], known[1]
    if about.judging or metric not in SHARES or not about.held_out:
        return None, None
    return wilson(value * about.held_out, about.held_out)


def exact(value: float | None) -> str:
    """A number of which nobody knows how large it is, with all its digits."""
    return "not known" if value is None else f"{value:,.10g}"


def _rows(one: Mapping[str, Any]) -> float:
    return float(one["rows"])


def _calibration(steps: Sequence[Mapping[str, float]]) -> Markup:
    series = [
        charts.Series("were right", [step["right"] for step in steps]),
        charts.Series("would be right, if probabilities were true", [step["probability"] for step in steps], "usual"),
    ]
    places = [f"{step['probability']:.0%}, {step['rows']:,.0f} rows" for step in steps]
    what = "Rows by how probable their answer was said to be: how many were right"
    return charts.lines(what, places, series, lambda value: percent(value, 0), least=0, most=1)


def _importance(losses: Mapping[str, float], metric: str, words: Callable[[float | None], str]) -> Markup:
    drawn = [(name, loss) for name, loss in losses.items() if loss > 0][:DRAWN]
    if not drawn:
        return Markup("")
    series = charts.Series("loss", [loss for _, loss in drawn])
    what = f"What {metric} loses when the values of a column are shuffled"
    return charts.bars(what, [name for name, _ in drawn], [series], words)
