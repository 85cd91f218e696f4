"""In: the panels of a day's columns. Out: each as a small chart with the table of its numbers behind it.

The bars of a colour are one path, and not an element each: a page of twenty columns stays as light as one of two.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from mlops_assets.monitoring.words import percent
from mlops_assets.views.multiples import Panel
from mlops_assets.work.printable import cut, printable

WIDTH, HEIGHT = 200, 92
TOP, BOTTOM = 14, 76
"""Where bars end at the highest, and where they stand."""
LONGEST_NAME, LONGEST_TITLE = 13, 40
"""Signs below the axis, and above the panel."""


def panel(column: Panel, usual: str, day: str) -> Markup:
    """A small chart of a column: grey bars are what is usual, blue ones the day, red ones a day whose lamp is red.

    Parameters
    ----------
    column
        The column.
    usual, day
        What each is, in words: heads of the table of numbers.
    """
    most = max((*column.usual, *column.today), default=0.0)
    kind = "red" if column.red else "day"
    title = printable(column.title)
    drawn = Markup('<path class="usual" d="{}"/><path class="{}" d="{}"/>').format(
        _bars(column.usual, most, 0), kind, _bars(column.today, most, 1)
    )
    heads = Markup("<th>Value<th>{}<th>{}").format(printable(usual), printable(day))
    rows = Markup("").join(
        Markup("<tr><th>{}<td>{}<td>{}").format(cut(printable(name), LONGEST_TITLE), percent(then), percent(now))
        for name, then, now in zip(column.names, column.usual, column.today, strict=True)
    )
    return Markup(
        '<svg role="img" aria-label="{0}: shares of the rows, {1} and {2}" viewBox="0 0 {3} {4}">'
        '<line class="grid" x1="0" x2="{3}" y1="{5}" y2="{5}"/><line class="grid" x1="0" x2="{3}" y1="{6}" y2="{6}"/>'
        '{7}<text x="0" y="10">{8}</text>{9}</svg>'
        "<details><summary>Numbers</summary><table><thead><tr>{10}</thead><tbody>{11}</tbody></table></details>"
    ).format(
        title,
        printable(usual),
        printable(day),
        WIDTH,
        HEIGHT,
        TOP,
        BOTTOM,
        drawn,
        percent(most),
        _ends(column.names),
        heads,
        rows,
    )


def _bars(values: Sequence[float], most: float, half: int) -> str:
    """The way around all bars of one colour: left ones of each pair are of half 0, right ones of half 1."""
    step = WIDTH / max(1, len(values))
    thick = step * 0.4
    way = []
    for at, value in enumerate(values):
        high = round((BOTTOM - TOP) * value / most, 1) if most else 0.0
        if high:
            way.append(f"M{at * step + half * thick + step * 0.1:.1f} {BOTTOM}v-{high:g}h{thick:.1f}v{high:g}z")
    return "".join(way)


def _ends(names: Sequence[str]) -> Markup:
    """The first and the last name below the axis; the table behind has all."""
    if not names:
        return Markup("")
    first, last = (cut(printable(name), LONGEST_NAME) for name in (names[0], names[-1]))
    left = Markup('<text x="0" y="{}">{}</text>').format(HEIGHT - 4, first)
    if len(names) == 1:
        return left
    return left + Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(WIDTH, HEIGHT - 4, last)
