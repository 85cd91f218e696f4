"""Pictures of a training, as Markdown that holds them: how true probabilities are, the candidates, the versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mlops_assets.journey.model.about import Summary
from mlops_assets.journey.train.scores import Score
from mlops_assets.views import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_VERSIONS = 60
"""Versions that a picture shows; the newest."""

BLUE, GREY = "#3b78b5", "#b4bec8"


def calibration(score: Score) -> str:
    """How often answers of about the same probability are right; of numbers, what was true where so much was said.

    Parameters
    ----------
    score
        Of a candidate; one without probabilities has no picture.
    """
    across, up = ("probability", "right") if score.classes else ("predicted", "true")
    lines = [line for line in score.calibration if across in line and up in line]
    if not lines:
        return ""
    figure, axes = _axes(4.2, 3.6)
    said, true = ([float(line[name]) for line in lines] for name in (across, up))
    ends = [min(*said, *true), max(*said, *true)] if not score.classes else [0.0, 1.0]
    axes.plot(ends, ends, color=GREY, linewidth=1)
    most = max(float(line.get("rows", 1)) for line in lines) or 1.0
    axes.scatter(said, true, [12 + 150 * float(line.get("rows", 1)) / most for line in lines], color=BLUE)
    axes.set_xlabel("mean probability of the answer" if score.classes else "mean prediction")
    axes.set_ylabel("share that is right" if score.classes else "mean of what was true")
    axes.set_title(drawing.label(f"{score.name}: held-out rows; larger is more rows", 60), fontsize=9)
    return drawing.embed_figure(figure, "calibration")


def candidates(scores: Sequence[Score], metric: str) -> str:
    """The candidates by the metric that ranks them: each round that chose, and their mean."""
    shown = [score for score in scores if score.folds or metric in score.validation]
    if not shown:
        return ""
    figure, axes = _axes(6.5, 0.8 + 0.4 * len(shown))
    for place, score in enumerate(reversed(shown)):
        rounds = [value for value in score.folds if value == value]  # NaN  # noqa: PLR0124
        axes.plot(rounds, [place] * len(rounds), "|", color=GREY, markersize=14)
        if metric in score.validation:
            axes.plot([score.validation[metric]], [place], "o", color=BLUE)
    axes.set_yticks(range(len(shown)), [drawing.label(score.name, 24) for score in reversed(shown)])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_title(f"{drawing.label(metric, 30)}: rounds that choose, and all of their rows", fontsize=9)
    return drawing.embed_figure(figure, "the candidates")


def versions(known: Mapping[int, Summary], metric: str, champion: int | None) -> str:
    """The versions by a metric on the rows that tested each, beside their baselines; that of the champion is filled."""
    numbers = [number for number in sorted(known) if metric in known[number].metrics][-MOST_VERSIONS:]
    if not numbers:
        return ""
    figure, axes = _axes(6.5, 2.8)
    axes.plot(numbers, [known[n].metrics[metric] for n in numbers], "o-", color=BLUE, markerfacecolor="white")
    beside = [n for n in numbers if metric in known[n].baseline_metrics]
    axes.plot(beside, [known[n].baseline_metrics[metric] for n in beside], "--", color=GREY, label="baseline")
    if champion in numbers:
        axes.plot([champion], [known[champion].metrics[metric]], "o", color=BLUE, label="champion")
    axes.set_xticks(numbers if len(numbers) < 16 else numbers[:: len(numbers) // 10])
    axes.set_xlabel("version")
    axes.set_title(f"{drawing.label(metric, 30)} on held-out rows", fontsize=9)
    axes.legend(fontsize=7)
    return drawing.embed_figure(figure, "the versions")


def _axes(wide: float, high: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(wide, high), layout="constrained")
    axes = figure.subplots()
    axes.tick_params(labelsize=8)
    return figure, axes
