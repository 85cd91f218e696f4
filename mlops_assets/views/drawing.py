"""What pictures share: letters, texts that stand upright; and how Dagster gets them: as Markdown that holds them."""

from __future__ import annotations

import base64
import io
import warnings
from typing import TYPE_CHECKING

from mlops_assets.work.printable import cut, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

BLACK = "#202020"
LINE = 12
"""Pixels of a line of small letters."""


def font(size: int) -> FreeTypeFont:
    """Matplotlib's: it has the letters of most languages, and is there wherever Matplotlib is."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


def label(name: str, longest: int) -> str:
    """A text of others, as one line that is not too long."""
    return cut(printable(name), longest)


def width(text: str, letters: FreeTypeFont) -> int:
    """Pixels that a text takes."""
    return int(letters.getlength(text)) + 2


def upright(image: Image, middle: int, top: int, text: str, letters: FreeTypeFont) -> None:
    """Write a text from below to above; it ends at the top, in the middle of a line."""
    from PIL import Image as Pictures
    from PIL import ImageDraw

    strip = Pictures.new("L", (width(text, letters), LINE))
    ImageDraw.Draw(strip).text((0, LINE // 2), text, 255, letters, anchor="lm")
    image.paste(BLACK, (middle - LINE // 2, top), strip.transpose(Pictures.Transpose.ROTATE_90))


def embed(image: Image, what: str) -> str:
    """A picture of Pillow's as Markdown; `what` says what it shows where it cannot be seen."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return _embedded(file, what)


def embed_figure(figure: Figure, what: str) -> str:
    """A figure of Matplotlib's as Markdown."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        # a letter that the font has not is a box in the picture; the tables have it
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format="png", dpi=90)
    return _embedded(file, what)


def _embedded(png: io.BytesIO, what: str) -> str:
    return f"![{what}](data:image/png;base64,{base64.b64encode(png.getvalue()).decode()})"
