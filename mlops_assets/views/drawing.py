"""What pictures drawn by Pillow share: letters, texts that stand upright, and a picture as Markdown that holds it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from mlops_assets.views import pages
from mlops_assets.work.printable import cut, printable

if TYPE_CHECKING:
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
    """A picture as Markdown that holds it; `what` says what it shows where it cannot be seen."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return pages.embedded(file.getvalue(), what)
