"""A picture of a day's columns, a panel each, as Markdown that holds it.

One is drawn of every day that is judged. So it is drawn by Pillow: Matplotlib lays out the axes and hundreds of labels
of twelve panels one by one, and takes 1.4 CPU seconds for what takes 0.04 here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.monitoring.words import percent
from mlops_assets.views import drawing

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

USUAL, BLUE, RED = "#b4bec8", "#3b78b5", "#c2312b"
"""Colours of what is usual, of a day, and of a day whose lamp is red."""

LINE = "#d8dde2"
COLOURS = {"usual": USUAL, "the day": BLUE, "the day, lamp red": RED}

ACROSS, WIDTH, HEIGHT, HEAD = 4, 306, 252, 28
"""Panels in a row, pixels of a panel, and those above all of them."""

LEFT, RIGHT, TOP, BOTTOM = 38, 298, 26, 148
"""Where the bars of a panel stand."""

MOST_NAMES = 14
"""Names under the bars of a panel."""

MOST_SIGNS, MOST_OF_TITLE = 17, 42
"""Signs of a name and of a title that there is room for."""


@dataclass(frozen=True)
class Panel:
    """A column of a day beside what it is compared with.

    Attributes
    ----------
    title
        Its name.
    names
        What each pair of bars stands for.
    usual, today
        Shares of the rows.
    red
        Whether its lamp is.
    lamp
        Name of its lamp; empty of what has none of its own.
    """

    title: str
    names: Sequence[str]
    usual: Sequence[float]
    today: Sequence[float]
    red: bool
    lamp: str = ""


def small_multiples(panels: Sequence[Panel], what: str) -> str:
    """Columns of a day, a panel each: grey bars are what is usual, blue ones the day, red ones a day with a red lamp.

    Parameters
    ----------
    panels
        The columns.
    what
        Says what the picture shows where it cannot be seen.
    """
    # not above: whoever reads a lamp's words needs no picture
    from PIL import Image, ImageDraw

    across = min(ACROSS, max(1, len(panels)))
    down = max(1, -(-len(panels) // across))
    image = Image.new("RGB", (across * WIDTH, HEAD + down * HEIGHT), "white")
    draw, font, small = ImageDraw.Draw(image), drawing.font(11), drawing.font(9)
    _legend(draw, small)
    for number, panel in enumerate(panels):
        left, top = number % across * WIDTH, HEAD + number // across * HEIGHT
        middle = left + (LEFT + RIGHT) // 2, top + TOP // 2
        draw.text(
            middle, drawing.label(panel.title, MOST_OF_TITLE), RED if panel.red else drawing.BLACK, font, anchor="mm"
        )
        _bars(draw, panel, left, top, small)
        _names(image, panel, left, top, small)
    return drawing.embed(image, what)


def _legend(draw: ImageDraw, font: FreeTypeFont) -> None:
    at = LEFT
    for name, colour in COLOURS.items():
        draw.rectangle((at, 10, at + 14, 18), colour)
        draw.text((at + 20, 14), name, drawing.BLACK, font, anchor="lm")
        at += 44 + int(font.getlength(name))


def _bars(draw: ImageDraw, panel: Panel, left: int, top: int, font: FreeTypeFont) -> None:
    """The bars of a panel, as high as the largest of them lets them be, and what share that is."""
    most = max((*panel.usual, *panel.today), default=0.0)
    for height, scale in ((TOP, percent(most)), (BOTTOM, "0")):
        draw.line((left + LEFT, top + height, left + RIGHT, top + height), LINE)
        draw.text((left + LEFT - 4, top + height), scale, drawing.BLACK, font, anchor="rm")
    for place, pair in enumerate(zip(panel.usual, panel.today, strict=True)):
        for half, (share, colour) in enumerate(zip(pair, (USUAL, RED if panel.red else BLUE), strict=True)):
            height = round((BOTTOM - TOP) * share / most) if most else 0
            if height:
                begin, end = (left + _at(panel, place + step) for step in (half * 0.4, half * 0.4 + 0.4))
                draw.rectangle((begin, top + BOTTOM - height, max(begin, end - 1), top + BOTTOM), colour)


def _names(image: Image, panel: Panel, left: int, top: int, font: FreeTypeFont) -> None:
    """Names under the bars, upright: not more than can be read; the last one, what is empty, always."""
    number = len(panel.names)
    step = -(-number // MOST_NAMES)
    for place in sorted({*range(0, number - step // 2 - 1, step), *range(number)[-1:]}):
        name = drawing.label(panel.names[place], MOST_SIGNS)
        drawing.upright(image, left + _at(panel, place + 0.4), top + BOTTOM + 4, name, font)


def _at(panel: Panel, place: float) -> int:
    """Where a place among the bars lies across, from the left of its panel."""
    return LEFT + 4 + int((RIGHT - LEFT - 8) * place / len(panel.names))
