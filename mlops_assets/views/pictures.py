"""Pictures, as Markdown that holds them: a matrix of counts between classes, and live accuracy by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.journey.train.evaluation import Score
from mlops_assets.views import pages

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLASSES = 40
"""Classes that a picture shows at most; the tables have all."""


@dataclass(frozen=True)
class Matrix:
    """Rows by two answers.

    Attributes
    ----------
    names
        The classes, in order.
    cells
        Number of rows by the class of `down` and that of `across`.
    down, across
        What the two answers are.
    title, colours, scale
        Title, Matplotlib's name of the colours, and what they mean.
    shares
        Whether the colour is the share of the row's sum rather than the number.
    """

    names: Sequence[str]
    cells: Sequence[Sequence[int]]
    down: str
    across: str
    title: str
    colours: str
    scale: str
    shares: bool = False


def matrix(counts: Matrix, what: str) -> str:
    """A matrix of counts; the numbers stand in the cells.

    Parameters
    ----------
    counts
        The matrix.
    what
        Says what the picture shows where it cannot be seen.
    """
    from matplotlib.figure import Figure

    names = [pages.tick(name) for name in counts.names]
    size = max(3.0, 0.42 * len(names) + 1.5)
    # not by pyplot, which keeps every figure until it is closed
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    sums = [max(1, sum(row)) if counts.shares else 1 for row in counts.cells]
    shown = [[cell / total for cell in row] for row, total in zip(counts.cells, sums, strict=True)]
    # shares always from 0 to 1, so that two pictures can be compared
    least, most = (0, 1) if counts.shares else (None, None)
    image = axes.imshow(shown, cmap=counts.colours, vmin=least, vmax=most)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlabel(counts.across)
    axes.set_ylabel(counts.down)
    axes.set_title(counts.title, fontsize=9)
    _write_numbers(axes, counts, shown)
    figure.colorbar(image, shrink=0.6, label=counts.scale)
    return pages.picture(figure, what)


def _write_numbers(axes: Axes, counts: Matrix, shown: Sequence[Sequence[float]]) -> None:
    for down, row in enumerate(counts.cells):
        for across, number in enumerate(row):
            if number:
                # on a dark cell a black number cannot be read
                colour = "white" if counts.shares and shown[down][across] > 0.5 else "black"
                axes.text(across, down, str(number), ha="center", va="center", fontsize=6, color=colour)


def confusion(score: Score) -> str:
    """The confusion matrix of the most frequent classes: true ones down, predicted across, shares of the true one."""
    every = list(score.classes)
    ranked = sorted(range(len(every)), key=lambda number: -score.classes[every[number]]["rows"])
    chosen = sorted(ranked[:CLASSES])
    counts = Matrix(
        names=[every[number] for number in chosen],
        cells=[[score.confusion[down][across] for across in chosen] for down in chosen],
        down="true",
        across="predicted",
        title=f"{score.name}: held-out rows",
        colours="Blues",
        scale="share of the true class",
        shares=True,
    )
    return matrix(counts, "confusion matrix")


def live_accuracy(records: Sequence[Mapping[str, Any]]) -> str:
    """Audited accuracy with its interval, and the share right among other corrections, by day and version.

    Parameters
    ----------
    records
        Of `live_metrics`, those of all rows of a day.
    """
    from matplotlib.figure import Figure

    days = sorted({record["day"] for record in records})
    figure = Figure(figsize=(max(7.0, 0.3 * len(days) + 4), 3), layout="constrained")
    axes = figure.subplots()
    for number, version in enumerate(sorted({record["model_version"] for record in records})):
        of_version = [record for record in records if record["model_version"] == version]
        _draw_version(axes, days, of_version, f"C{number % 10}", f"version {version}")
    axes.set_xticks(range(len(days)), days, rotation=90, fontsize=7)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("share right")
    if records:
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    return pages.picture(figure, "live accuracy")


def _draw_version(
    axes: Axes, days: Sequence[str], records: Sequence[Mapping[str, Any]], colour: str, name: str
) -> None:
    audited = [record for record in records if record["audited"]]
    at = [days.index(record["day"]) for record in audited]
    middle = [record["accuracy"] for record in audited]
    below = [record["accuracy"] - record["low"] for record in audited]
    above = [record["high"] - record["accuracy"] for record in audited]
    interval = f"{name}: audited, 95 %"
    axes.errorbar(at, middle, [below, above], fmt="o", capsize=3, color=colour, label=interval)
    # what people chose to correct is rather wrong than right: shown apart, and never averaged with what was drawn
    corrected = [record for record in records if record["corrections"]]
    at = [days.index(record["day"]) for record in corrected]
    shares = [record["right_corrected"] for record in corrected]
    axes.plot(at, shares, "x", color=colour, label=f"{name}: other corrections (biased)")
