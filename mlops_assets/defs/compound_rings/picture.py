"""In: the bytes of a PNG. Out: numbers that tell how many rings its drawing has.

A ring of a molecule is a closed loop of lines, so it is a face: white that the ink cuts off from the margin. Faces are
found by labelling the white. Three things stand in the way, each with its remedy:

- the letter of an atom interrupts the lines, and the ring leaks: ink is made thicker, step by step, until it closes,
  but by no more than a share of a bond's length;
- the second line of a double bond and the letters make small faces of their own: a ring has some size, in bonds;
- lines that pass near each other shut in white, too: a ring is round.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from itertools import compress
from typing import NamedTuple

import numpy as np
from PIL import Image

SIDE = 300
"""Width and height that every picture is brought to."""
SMALLEST, LARGEST = 64, 2_000
"""Sides of a picture, in pixels: lines of a smaller one cannot be told apart, a larger one is too dear to unpack."""
PNG = b"\x89PNG\r\n\x1a\n"
INK = 200
"""A pixel is ink if its darkest channel is below this. Lines one pixel wide are softened at their edges."""
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Numbers that a pixel is, by the colour type of a PNG."""
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The passes of an interlaced PNG: first column and row, and the steps between them."""
MOST_INK = 0.4
"""Share of ink above which a picture is no line drawing."""
ROUND = 0.55
"""Least area of a ring as a share of the circle around its centre that holds it. A hexagon has 0.83, a pentagon 0.76, a
square 0.64, a triangle 0.41; the strip beside a double bond has 0.2."""
HEXAGON = 2.6
"""Area of a hexagon in squares of its side."""
SMALLEST_RING, LARGEST_RING = 0.6, 5.0
"""Area of a ring in squares of a bond: a third of a pentagon, for double bonds and letters take some, to an octagon."""
WIDEST_GAP = 0.15
"""How far ink may grow to close a ring, as a share of a bond: a letter is about a third of a bond wide."""
STEPS = 8
"""Most pixels that ink may grow by: that is a bond of 53 pixels, and hexagons of which two fit into the picture."""
LEAST_CORE = 9
"""Pixels that must be left of a ring when the ink has grown; the rest are the insides of letters."""

COLOURS = {"red": (0, 1, 2), "blue": (2, 0, 1), "green": (1, 0, 2)}
"""Oxygen, nitrogen and halogens by the strongest channel, and the two that it stands out from."""


class PictureRefused(Exception):
    """A picture that cannot be used.

    Parameters
    ----------
    rule
        `broken_picture`, `picture_size` or `no_drawing`.
    message
        What is wrong.
    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message


def open_picture(data: bytes) -> np.ndarray:
    """The pixels of a PNG, brought into shape: RGB on white, `SIDE` by `SIDE`.

    Parameters
    ----------
    data
        The file. Its size is looked up before anything is unpacked.

    Returns
    -------
    np.ndarray
        uint8, height by width by 3.

    Raises
    ------
    PictureRefused
        If it is no PNG, damaged, or too small or large.
    """
    size = _size(data)
    _check_chunks(data)
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            if picture.size != size:
                raise PictureRefused("broken_picture", "the size of the picture is told twice, and differs")
            return _shaped(picture)
    except PictureRefused:
        raise
    except Exception as error:  # a decoder meets damage with errors of any class
        raise PictureRefused("broken_picture", f"the PNG is damaged: {error}") from error


def _size(data: bytes) -> tuple[int, int]:
    """Width and height as the first bytes have them; a small file can unpack to gigabytes."""
    if not data.startswith(PNG) or len(data) < 33 or data[12:16] != b"IHDR":
        raise PictureRefused("broken_picture", "the file is no PNG")
    width, height = struct.unpack(">II", data[16:24])
    if min(width, height) < SMALLEST or max(width, height) > LARGEST:
        raise PictureRefused("picture_size", f"{width} x {height} pixels, sides must have {SMALLEST} to {LARGEST}")
    return width, height


def _check_chunks(data: bytes) -> None:
    """See that every chunk is as its checksum says, to the last one; Pillow does not look at those of pixels."""
    kind, at, packed = b"", len(PNG), []
    while kind != b"IEND":
        length = int.from_bytes(data[at : at + 4])
        kind, end = data[at + 4 : at + 8], at + 8 + length
        if len(data) < end + 4:
            raise PictureRefused("broken_picture", "the PNG is damaged: it has no end, cut off?")
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4]):
            name = kind.decode("latin-1")
            raise PictureRefused("broken_picture", f"the PNG is damaged: its part {name!r} has another checksum")
        if kind == b"IDAT":
            packed.append(data[at + 8 : end])
        at = end + 4
    _check_pixels(data[16:29], b"".join(packed))


def _check_pixels(header: bytes, packed: bytes) -> None:
    """See that there are as many pixels as the header says: Pillow leaves those black that are missing."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    expected = 0
    for left, top, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = len(range(left, width, across)), len(range(top, height, down))
        # before each row stands how it was packed
        expected += rows * (1 + (columns * depth * SAMPLES.get(colour, 0) + 7) // 8) if columns else 0
    inflater = zlib.decompressobj()
    try:
        # never more than that: a small file can unpack to gigabytes
        found = len(inflater.decompress(packed, expected + 1))
    except zlib.error as error:
        raise PictureRefused("broken_picture", f"the PNG is damaged: {error}") from error
    if found != expected or not inflater.eof:
        said = "more" if found > expected else "fewer"
        raise PictureRefused("broken_picture", f"the PNG is damaged: it has {said} pixels than its header says")


def _shaped(picture: Image.Image) -> np.ndarray:
    if picture.mode.startswith("I"):  # 16 bits a pixel: Pillow would cut off what is above 255
        picture = Image.fromarray((np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8))
    # what is see-through is white paper
    seen = picture.convert("RGBA")
    shown = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    if shown.size != (SIDE, SIDE):
        shown.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
        scale = SIDE / max(shown.size)
        shown = shown.resize((round(shown.width * scale), round(shown.height * scale)), Image.Resampling.BICUBIC)
        sheet = Image.new("RGB", (SIDE, SIDE), "white")
        sheet.paste(shown, ((SIDE - shown.width) // 2, (SIDE - shown.height) // 2))
        shown = sheet
    return np.asarray(shown)


def measure(pixels: np.ndarray) -> dict[str, float]:
    """What is told of a drawing.

    Parameters
    ----------
    pixels
        uint8, height by width by 3, dark lines on white.

    Returns
    -------
    dict
        `rings`, the round faces of a ring's size; `open_rings`, those of them that letters had interrupted;
        `odd_faces`, faces as large, but not round; `small_faces`; `bond`, the length of a bond in pixels, 0 if no ring
        was found; `lines`, ink in pixels per bond length; `ring_size`, mean area of the rings in squares of a bond;
        and the share of ink that is `red`, `blue` and `green`.

    Raises
    ------
    PictureRefused
        If it is no line drawing.
    """
    ink = pixels.min(axis=2) < INK
    share = float(ink.mean())
    if not 0 < share <= MOST_INK:
        seen = "nothing is drawn" if not share else f"{share:.0%} of it is ink"
        raise PictureRefused("no_drawing", f"the picture is no line drawing: {seen}")
    bond, faces = _find_faces(ink)
    colours = pixels[ink].astype(np.int16)
    shares = {name: float(_stands_out(colours, *channels).mean()) for name, channels in COLOURS.items()}
    # without a ring there is no bond to measure by: every face is odd, none is small
    counts = _count(faces, bond, int(ink.sum())) if bond else {**_NO_RINGS, "odd_faces": float(len(faces))}
    return {**counts, **shares}


_NO_RINGS = dict.fromkeys(("rings", "open_rings", "odd_faces", "small_faces", "bond", "lines", "ring_size"), 0.0)


def _find_faces(ink: np.ndarray) -> tuple[float, np.ndarray]:
    """The length of a bond, and size, roundness and step of every face, while ink is made thicker step by step."""
    from scipy import ndimage

    # white all around, so that the margin has one label whatever touches the edge
    away = ndimage.distance_transform_edt(np.pad(~ink, STEPS, constant_values=True))
    taken = np.zeros(away.shape, bool)
    bond, faces = 0.0, np.zeros((0, 3))
    for grown in range(1, STEPS + 1):
        if bond and grown > max(1.0, WIDEST_GAP * bond):
            break
        new = list(_faces(away > grown, grown, taken))
        shapes = np.array([(len(face.pixels), face.roundness, grown) for face in new]).reshape(-1, 3)
        bond = bond or _bond(shapes)
        rings = _are_rings(shapes, bond)
        for face in compress(new, rings):
            taken[face.pixels[:, 0], face.pixels[:, 1]] = True
        # what is no ring yet may become one when a gap is closed: only the first step tells of it
        faces = np.concatenate([faces, shapes if grown == 1 else shapes[rings]])
    return bond, faces


def _count(faces: np.ndarray, bond: float, ink: int) -> dict[str, float]:
    rings = _are_rings(faces, bond)
    large = faces[:, 0] >= SMALLEST_RING * bond**2
    return {
        "rings": float(rings.sum()),
        "open_rings": float((rings & (faces[:, 2] > 1)).sum()),
        "odd_faces": float((large & ~rings).sum()),
        "small_faces": float((~large).sum()),
        "bond": bond,
        "lines": float(ink / bond),
        "ring_size": float(faces[rings, 0].mean() / bond**2) if rings.any() else 0.0,
    }


def _stands_out(colours: np.ndarray, channel: int, first: int, second: int) -> np.ndarray:
    stronger: np.ndarray = colours[:, channel] > np.maximum(colours[:, first], colours[:, second]) + 60
    return stronger


class _Face(NamedTuple):
    """Rows and columns of its pixels, and how round it is."""

    pixels: np.ndarray
    roundness: float


def _faces(white: np.ndarray, grown: int, taken: np.ndarray) -> Iterator[_Face]:
    """White that is cut off from the margin, as it was before the ink grew; without what mostly lies in known rings."""
    from scipy import ndimage

    labels, _ = ndimage.label(white)
    sizes = np.bincount(labels.ravel())
    for number, window in enumerate(ndimage.find_objects(labels), 1):
        if number == labels[0, 0] or (grown > 1 and sizes[number] < LEAST_CORE):
            continue
        rows, columns = (slice(part.start - grown, part.stop + grown) for part in window)
        # grown back by what the thicker ink took from it
        face = ndimage.distance_transform_edt(labels[rows, columns] != number) <= grown
        if taken[rows, columns][face].mean() > 0.5:
            continue
        pixels = np.argwhere(face)
        reach = np.hypot(*(pixels - pixels.mean(axis=0)).T).max() + 0.5
        yield _Face(pixels + np.array([rows.start, columns.start]), len(pixels) / (np.pi * reach**2))


def _bond(faces: np.ndarray) -> float:
    """The length of a bond, taking the round face in the middle by area for a hexagon; 0 if there is no round face."""
    areas = np.sort(faces[faces[:, 1] >= ROUND, 0])
    if not len(areas):
        return 0.0
    half = int(np.searchsorted(areas.cumsum(), areas.sum() / 2))
    return float(np.sqrt(areas[half] / HEXAGON))


def _are_rings(faces: np.ndarray, bond: float) -> np.ndarray:
    """Which of some faces, each with area and roundness, are rings."""
    low, high = SMALLEST_RING * bond**2, LARGEST_RING * bond**2
    rings: np.ndarray = (faces[:, 0] >= low) & (faces[:, 0] <= high) & (faces[:, 1] >= ROUND) & (bond > 0)
    return rings
