"""Draws molecule-like pictures: rings that are fused or linked, chains, double bonds, coloured letters of atoms."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable, Iterator
from functools import cache
from itertools import cycle
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE, FINE = 300, 2
"""Pixels of a picture, and how many times finer it is drawn, for soft lines."""
MARGIN = 18
RINGS = (0.08, 0.2, 0.27, 0.27, 0.18)
"""Share of compounds with one to five rings."""
CORNERS = {5: 0.3, 6: 0.62, 7: 0.08}
"""Corners of a ring, with their share."""
FUSED = 0.45
"""Share of rings that have a bond in common with another one."""
LETTERS = {"N": "#3050f8", "O": "#ff0d0d", "S": "#c8a000", "Cl": "#1fc01f", "F": "#1fc01f"}
"""Atoms that are written out, with their colours."""
IN_RINGS = ("N", "N", "O", "S")

Point = np.ndarray
"""Two coordinates, in bonds."""


def draw(
    generator: np.random.Generator, day: dt.date, files: int, rows: int, dirty: float, labelled: bool
) -> Iterator[tuple[str, bytes]]:
    """Draw the compounds of some files, each with its picture.

    Parameters
    ----------
    generator
        Source of randomness.
    day
        Part of the ids, which are those of no other day.
    files, rows
        Number of files, and of compounds in each.
    dirty
        Share of files that get dirt, one kind after the other.
    labelled
        Whether `num_rings` is told.

    Yields
    ------
    tuple
        Path and bytes: the pictures of a file, then the file.
    """
    spoilt = generator.permutation(files)[: round(files * dirty)].tolist()
    kinds = dict(zip(spoilt, cycle(DIRT), strict=False))
    for number in range(files):
        compounds: list[Any] = []
        pictures: dict[str, bytes] = {}
        for row in range(rows):
            compound = (day.toordinal() * 100_000 + number) * 1_000 + row
            molecule = _molecule(generator)
            path = f"images/{compound}.png"
            pictures[path] = _png(molecule.picture())
            answer = {"num_rings": molecule.rings} if labelled else {}
            compounds.append(
                {"compound_id": compound, "molecular_weight": 80 + 70 * molecule.rings, **answer, "image": path}
            )
        if number in kinds:
            kinds[number](compounds, pictures)
        yield from pictures.items()
        data = json.dumps(compounds, indent=1).encode("utf-8-sig")
        cut_off = number in kinds and not pictures
        yield f"compounds-{number:05d}.json", data[: len(data) // 2] if cut_off else data


def _cut_off(_: list[Any], pictures: dict[str, bytes]) -> None:
    pictures.clear()  # `draw` cuts a file without pictures


def _change(**fields: Any) -> Callable[[list[Any], dict[str, bytes]], None]:
    return lambda compounds, _: compounds[0].update(fields)


def _damage(compounds: list[Any], pictures: dict[str, bytes]) -> None:
    path = compounds[0]["image"]
    pictures[path] = pictures[path][: len(pictures[path]) // 2]


def _lose(compounds: list[Any], pictures: dict[str, bytes]) -> None:
    del pictures[compounds[0]["image"]]


def _redraw(size: int, mode: str) -> Callable[[list[Any], dict[str, bytes]], None]:
    def change(compounds: list[Any], pictures: dict[str, bytes]) -> None:
        path = compounds[0]["image"]
        with Image.open(io.BytesIO(pictures[path])) as picture:
            pictures[path] = _png(picture.convert(mode).resize((size, size)))

    return change


def _repeat(compounds: list[Any], _: dict[str, bytes]) -> None:
    compounds.append(compounds[0])


DIRT = (
    _change(image=None),
    _lose,
    _change(compound_id=None),
    _repeat,
    _change(num_rings="several"),
    _damage,
    _redraw(32, "RGB"),
    _redraw(500, "L"),  # another size and mode: no dirt, the reader brings it into shape
    _cut_off,
)
"""The kinds of dirt."""


class _Molecule:
    """Corners and bonds in a plane, a bond long from one to the next."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.bonds: list[tuple[int, int]] = []
        self.doubles: list[tuple[int, int, Point]] = []
        self.letters: dict[int, str] = {}
        self.loops: list[list[int]] = []

    @property
    def rings(self) -> int:
        return len(self.loops)

    def add(self, point: Point) -> int:
        self.points.append(point)
        return len(self.points) - 1

    def clear(self, point: Point, least: float, but: tuple[int, ...] = ()) -> bool:
        """Whether a point is away from all others."""
        others = [other for number, other in enumerate(self.points) if number not in but]
        return all(np.hypot(*(point - other)) >= least for other in others)

    def degree(self, corner: int) -> int:
        """Number of bonds of a corner."""
        return sum(corner in bond for bond in self.bonds)

    def outward(self, corner: int) -> Point | None:
        """The direction that leads away from the neighbours of a corner, if there is room for another bond."""
        if self.degree(corner) > 2 or corner in self.letters:
            return None
        neighbours = [b if a == corner else a for a, b in self.bonds if corner in (a, b)]
        away = sum((self.points[corner] - self.points[other] for other in neighbours), np.zeros(2))
        length = float(np.hypot(*away))
        return away / length if length > 0.2 else None

    def close(self, corners: list[int]) -> None:
        """Make a ring of corners."""
        self.loops.append(corners)
        for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
            if (a, b) not in self.bonds and (b, a) not in self.bonds:
                self.bonds.append((a, b))

    def picture(self) -> Image.Image:
        """The drawing, as large as it fits."""
        points = np.array(self.points)
        low, high = points.min(axis=0), points.max(axis=0)
        bond = min((SIDE - 2 * MARGIN) / max(*(high - low), 4.0), 44.0)
        spots = ((points - (low + high) / 2) * bond + SIDE / 2) * FINE
        sheet = Image.new("RGB", (SIDE * FINE, SIDE * FINE), "white")
        pen = ImageDraw.Draw(sheet)
        for a, b in self.bonds:
            pen.line([*spots[a], *spots[b]], "black", FINE + 1)
        for a, b, inside in self.doubles:
            shift = (inside - (points[a] + points[b]) / 2) * 0.18 * bond * FINE
            first, second = spots[a] + shift, spots[b] + shift
            cut = (second - first) * 0.15
            pen.line([*(first + cut), *(second - cut)], "black", FINE + 1)
        size = max(9.0, bond * 0.38)
        for corner, letter in self.letters.items():
            x, y = spots[corner]
            reach = size * 0.55 * FINE
            pen.ellipse([x - reach, y - reach, x + reach, y + reach], "white")
            pen.text((x, y), letter, LETTERS[letter], _font(size * FINE), anchor="mm")
        # drawn finer and shrunk, lines get soft edges, as in the real pictures
        return sheet.resize((SIDE, SIDE), Image.Resampling.BOX)


@cache
def _font(size: float) -> Any:
    return ImageFont.load_default(size)


def _molecule(generator: np.random.Generator) -> _Molecule:
    """A molecule with one to five rings."""
    wanted = int(generator.choice(5, p=RINGS)) + 1
    while True:
        molecule = _Molecule()
        _ring_at(generator, molecule, np.zeros(2), generator.uniform(0, 2 * np.pi))
        for _ in range(60):  # rings that found no room; then begin anew
            if molecule.rings == wanted:
                _decorate(generator, molecule)
                return molecule
            (_fuse if generator.random() < FUSED else _link)(generator, molecule)


def _corners(generator: np.random.Generator) -> int:
    return int(generator.choice(list(CORNERS), p=list(CORNERS.values())))


def _reach(corners: int) -> float:
    """Distance of a corner of a ring from its centre, in bonds."""
    return float(0.5 / np.sin(np.pi / corners))


def _polygon(centre: Point, corners: int, first: float, turn: int = 1) -> list[Point]:
    angles = first + turn * np.arange(corners) * 2 * np.pi / corners
    return list(centre + _reach(corners) * np.column_stack([np.cos(angles), np.sin(angles)]))


def _ring_at(generator: np.random.Generator, molecule: _Molecule, start: Point, angle: float) -> bool:
    """A ring whose first corner is given, its centre in the direction of the angle; whether there was room."""
    corners = _corners(generator)
    towards = np.array([np.cos(angle), np.sin(angle)])
    points = _polygon(start + _reach(corners) * towards, corners, angle + np.pi)
    if not all(molecule.clear(point, 0.9) for point in points):
        return False
    molecule.close([molecule.add(point) for point in points])
    return True


def _link(generator: np.random.Generator, molecule: _Molecule) -> None:
    """A further ring at the end of a chain of one to three bonds."""
    corner = int(generator.integers(len(molecule.points)))
    end = _chain(generator, molecule, corner, int(generator.integers(0, 3)))
    way = _way(generator, molecule, end)
    if way is None:
        return
    start = molecule.points[end] + way
    if _ring_at(generator, molecule, start, float(np.arctan2(way[1], way[0]))):
        molecule.bonds.append((end, molecule.loops[-1][0]))


def _fuse(generator: np.random.Generator, molecule: _Molecule) -> None:
    """A further ring on a bond of a ring."""
    loop = molecule.loops[int(generator.integers(molecule.rings))]
    at = int(generator.integers(len(loop)))
    a, b = loop[at], loop[(at + 1) % len(loop)]
    if sum({a, b} <= set(other) for other in molecule.loops) > 1:
        return
    points = _beside(molecule, loop, a, b, _corners(generator))
    if all(molecule.clear(point, 0.9, (a, b)) for point in points):
        molecule.close([a, b, *map(molecule.add, points)])


def _beside(molecule: _Molecule, loop: list[int], a: int, b: int, corners: int) -> list[Point]:
    """The further corners of a ring that has the bond from a to b in common with another one."""
    middle = (molecule.points[a] + molecule.points[b]) / 2
    inside = _centre(molecule, loop)
    away = (middle - inside) / np.hypot(*(middle - inside))
    centre = middle + away * 0.5 / np.tan(np.pi / corners)
    start = molecule.points[a] - centre
    step = molecule.points[b] - centre
    turn = 1 if start[0] * step[1] - start[1] * step[0] > 0 else -1
    return _polygon(centre, corners, float(np.arctan2(start[1], start[0])), turn)[2:]


def _centre(molecule: _Molecule, loop: list[int]) -> Point:
    centre: Point = np.mean([molecule.points[corner] for corner in loop], axis=0)
    return centre


def _chain(generator: np.random.Generator, molecule: _Molecule, corner: int, bonds: int) -> int:
    """A chain that grows from a corner as far as there is room; its end."""
    for _ in range(bonds):
        way = _way(generator, molecule, corner)
        if way is None:
            break
        point = molecule.points[corner] + way
        if not molecule.clear(point, 0.9, (corner,)):
            break
        molecule.bonds.append((corner, molecule.add(point)))
        corner = len(molecule.points) - 1
    return corner


def _way(generator: np.random.Generator, molecule: _Molecule, corner: int) -> Point | None:
    """The direction of a further bond: away from the others, in a zigzag behind a single one; None without room."""
    way = molecule.outward(corner)
    if way is None or molecule.degree(corner) > 1:
        return way
    # 60 degrees to the one side or the other
    cos, sin = 0.5, generator.choice([-0.866, 0.866])
    return np.array([way[0] * cos - way[1] * sin, way[0] * sin + way[1] * cos])


def _decorate(generator: np.random.Generator, molecule: _Molecule) -> None:
    """Double bonds inside rings, letters in rings, and chains with a letter at the end."""
    for loop in molecule.loops:
        if generator.random() < 0.7:
            inside, first = _centre(molecule, loop), int(generator.integers(2))
            molecule.doubles += [(loop[at], loop[at + 1], inside) for at in range(first, len(loop) - 1, 2)]
        for corner in loop:
            if generator.random() < 0.1 and molecule.degree(corner) == 2:
                molecule.letters[corner] = str(generator.choice(IN_RINGS))
    for _ in range(int(generator.integers(5))):
        end = _chain(generator, molecule, int(generator.integers(len(molecule.points))), int(generator.integers(1, 4)))
        if molecule.degree(end) == 1:
            molecule.letters[end] = str(generator.choice(list(LETTERS)))


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
