"""Pictures, as Markdown that holds them: a matrix of counts between classes, and live accuracy by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.journey.train.scores import Score
from mlops_assets.views import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL.Image import Image

CLASSES = 40
"""Classes that a picture shows at most; the tables have all."""


CELL, LONGEST_NAME = 34, 30
"""Pixels of a cell of a matrix, and signs of a name beside it."""

COLOURS = {"blues": ("#f7fbff", "#6baed6", "#08306b"), "oranges": ("#fff5eb", "#fd8d3c", "#a63603")}
"""Of nothing, of half, of all."""

DARK = 0.5
"""What is darker has white numbers."""


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
        Title, one of `COLOURS`, and what the colours mean.
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
    from PIL import Image, ImageDraw

    letters = drawing.font(9)
    names = [drawing.label(name, LONGEST_NAME) for name in counts.names]
    room = max((drawing.width(name, letters) for name in names), default=0)
    left, top, size = 24 + room, 26, CELL * len(names)
    image = Image.new("RGB", (left + size + 90, top + size + room + 30), "white")
    draw = ImageDraw.Draw(image)
    sums = [max(1, sum(row)) if counts.shares else 1 for row in counts.cells]
    shown = [[cell / total for cell in row] for row, total in zip(counts.cells, sums, strict=True)]
    # shares always from 0 to 1, so that two pictures can be compared
    most = 1 if counts.shares else max((cell for row in shown for cell in row), default=0) or 1
    for down, row in enumerate(shown):
        for across, value in enumerate(row):
            at = left + CELL * across, top + CELL * down
            draw.rectangle((*at, at[0] + CELL - 1, at[1] + CELL - 1), _colour(counts.colours, value / most))
            if number := counts.cells[down][across]:
                # on a dark cell a black number cannot be read
                ink = "white" if value / most > DARK else drawing.BLACK
                draw.text((at[0] + CELL // 2, at[1] + CELL // 2), str(number), ink, letters, anchor="mm")
    for place, name in enumerate(names):
        middle = CELL * place + CELL // 2
        draw.text((left - 6, top + middle), name, drawing.BLACK, letters, anchor="rm")
        drawing.upright(image, left + middle, top + size + 6, name, letters)
    draw.text((left + size // 2, 12), drawing.label(counts.title, 80), drawing.BLACK, drawing.font(11), anchor="mm")
    below, beside = (drawing.label(name, 80) for name in (counts.across, counts.down))
    draw.text((left + size // 2, top + size + room + 20), below, drawing.BLACK, letters, anchor="mm")
    drawing.upright(image, 10, top + max(0, size - drawing.width(beside, letters)) // 2, beside, letters)
    _scale(image, counts, (left + size + 20, top, size), f"{most:,}")
    return drawing.embed(image, what)


def _colour(colours: str, level: float) -> tuple[int, ...]:
    """The colour of a number between none, 0, and the largest, 1."""
    from PIL.ImageColor import getrgb

    light, middle, dark = map(getrgb, COLOURS[colours])
    low, high, part = (light, middle, 2 * level) if level < 0.5 else (middle, dark, 2 * level - 1)
    return tuple(round(one + (other - one) * part) for one, other in zip(low, high, strict=True))


def _scale(image: Image, counts: Matrix, at: tuple[int, int, int], most: str) -> None:
    """What the colours mean."""
    from PIL import ImageDraw

    left, top, size = at
    draw, letters = ImageDraw.Draw(image), drawing.font(9)
    for row in range(size):
        draw.line((left, top + row, left + 12, top + row), _colour(counts.colours, 1 - row / size))
    for place, number in ((top, most), (top + size, "0")):
        draw.text((left + 16, place), number, drawing.BLACK, letters, anchor="lm")
    room = drawing.width(counts.scale, letters)
    drawing.upright(image, left + 50, top + max(0, size - room) // 2, counts.scale, letters)


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
        colours="blues",
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
    return drawing.embed_figure(figure, "live accuracy")


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
