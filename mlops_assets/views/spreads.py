"""A picture of a day's answers, as Markdown that holds it: how often each was given, and how sure the model is.

One is drawn of every day that is published, so it is drawn by Pillow as those of `multiples` are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.views import drawing
from mlops_assets.views.numbers import plain

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

BLUE, LINE = "#3b78b5", "#d8dde2"
WIDTH, LEFT, HEAD, ROW = 640, 190, 26, 18
"""Pixels of a panel, those before its bars, those above them, and those of a bar with what is below it."""
LONGEST_NAME = 28
"""Signs of a name that there is room for."""


@dataclass(frozen=True)
class Bars:
    """Numbers by name.

    Attributes
    ----------
    title
        What they are.
    names, values
        One a bar, from above to below.
    """

    title: str
    names: Sequence[str]
    values: Sequence[float]


def bars(panels: Sequence[Bars], what: str) -> str:
    """Panels of bars below each other.

    Parameters
    ----------
    panels
        The panels; one without a bar is left out.
    what
        Says what the picture shows where it cannot be seen.
    """
    # not above: whoever reads numbers needs no picture
    from PIL import Image, ImageDraw

    drawn = [panel for panel in panels if panel.values]
    height = sum(HEAD + ROW * len(panel.values) + ROW // 2 for panel in drawn) or 1
    image = Image.new("RGB", (WIDTH, height), "white")
    draw, letters, small = ImageDraw.Draw(image), drawing.font(11), drawing.font(9)
    top = 0
    for panel in drawn:
        draw.text((8, top + HEAD // 2), drawing.label(panel.title, 90), drawing.BLACK, letters, anchor="lm")
        top += HEAD
        most = max(panel.values) or 1
        for name, value in zip(panel.names, panel.values, strict=True):
            _bar(draw, (top, name, value, value / most), small)
            top += ROW
        top += ROW // 2
    # few colours are enough, and a third of the bytes
    return drawing.embed(image.quantize(32), what)


def _bar(draw: ImageDraw, bar: tuple[int, str, float, float], letters: FreeTypeFont) -> None:
    """A name, its bar and its number."""
    top, name, value, share = bar
    middle, room = top + ROW // 2, WIDTH - LEFT - 80
    draw.text((LEFT - 8, middle), drawing.label(name, LONGEST_NAME), drawing.BLACK, letters, anchor="rm")
    draw.line((LEFT, top, LEFT, top + ROW), LINE)
    end = LEFT + round(room * share)
    if value:
        draw.rectangle((LEFT, top + 3, max(end, LEFT + 1), top + ROW - 4), BLUE)
    draw.text((end + 6, middle), plain(value), drawing.BLACK, letters, anchor="lm")
