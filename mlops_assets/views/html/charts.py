"""Charts as SVG, with axes, units, and the table of their numbers behind them; a style sheet has their colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mlops_assets.work.printable import cut, printable

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 14, 34
"""Room around the lines for the words of the axes."""
LONGEST = 20
"""Signs of a name beside a bar."""
ROW = 20
"""Height of a bar with the gap below it."""
TICKS = 6
"""Names below an axis; more of them would run into each other."""

Words = Callable[[float], str]


@dataclass(frozen=True)
class Series:
    """Numbers that are drawn in one colour.

    Attributes
    ----------
    name
        What they are.
    values
        One for each place of the axis; None where there is none.
    kind
        The class of the style sheet: `usual`, `day`, `red` or `estimate`.
    """

    name: str
    values: Sequence[float | None]
    kind: str = "day"


def lines(
    what: str,
    places: Sequence[str],
    series: Sequence[Series],
    words: Words,
    *,
    least: float | None = None,
    most: float | None = None,
    band: tuple[Series, Series] | None = None,
    limit: float | None = None,
) -> Markup:
    """Numbers over places, such as days: points and the lines between them.

    Parameters
    ----------
    what
        What is shown, with its unit: the caption, and what a screen reader says.
    places
        Names of the places, from left to right.
    series
        The numbers.
    words
        Says a number with its unit.
    least, most
        Ends of the upright axis; those of the numbers by default.
    band
        A lower and an upper end of what is sure, drawn behind the lines.
    limit
        A line across, such as a threshold.
    """
    every = [value for one in [*series, *(band or ())] for value in one.values if value is not None]
    every += [] if limit is None else [limit]
    if not every or not places:
        return Markup("")
    bottom = min(every) if least is None else least
    top = max(every) if most is None else most
    top = top if top > bottom else bottom + 1
    across, up = _scale(len(places)), _rise(bottom, top)
    drawn = [_axes(places, across, up, (bottom, (bottom + top) / 2, top), words)]
    if band:
        drawn.append(_band(band, across, up))
    if limit is not None:
        drawn.append(
            Markup('<line class="limit" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                LEFT, WIDTH - RIGHT, up(limit), up(limit)
            )
        )
    drawn.extend(_line(one, places, across, up, words) for one in series)
    told = [*series, *(band or ())]
    rows = [[place, *(_said(one.values[at], words) for one in told)] for at, place in enumerate(places)]
    return figure(what, HEIGHT, Markup("").join(drawn), ["", *(one.name for one in told)], rows, legend=series)


def bars(what: str, names: Sequence[str], series: Sequence[Series], words: Words) -> Markup:
    """A bar for each name and series, from left to right; names stand before them.

    Parameters
    ----------
    what
        What is shown, with its unit.
    names
        What each bar is of.
    series
        The numbers, 0 or more.
    words
        Says a number with its unit.
    """
    most = max((value or 0 for one in series for value in one.values), default=0) or 1
    left, room = 200, WIDTH - 200 - 80
    thick = (ROW - 4) / max(1, len(series))
    drawn = []
    for at, name in enumerate(names):
        top = at * ROW + 2
        drawn.append(
            Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
                left - 6, top + ROW / 2 + 2, cut(printable(name), LONGEST)
            )
        )
        for number, one in enumerate(series):
            value = one.values[at] or 0
            drawn.append(
                Markup('<rect class="{}" x="{}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                    one.kind, left, top + number * thick, room * value / most, thick
                )
            )
        said = _said(series[0].values[at], words)
        end = left + room * (series[0].values[at] or 0) / most
        drawn.append(Markup('<text x="{:.1f}" y="{}">{}</text>').format(end + 5, top + ROW / 2 + 2, said))
    rows = [[name, *(_said(one.values[at], words) for one in series)] for at, name in enumerate(names)]
    height = len(names) * ROW + 4
    heads = ["", *(one.name for one in series)]
    return figure(what, height, Markup("").join(drawn), heads, rows, legend=series if len(series) > 1 else ())


def spark(what: str, values: Sequence[float | None], limit: float | None = None) -> Markup:
    """A line without axes, as high as a line of text, for a table; `what` says its numbers to who cannot see it."""
    known = [value for value in values if value is not None] + ([] if limit is None else [limit])
    if not known:
        return Markup("")
    least, most = min(0.0, *known), max(known) or 1.0
    across, up = 120 / max(1, len(values) - 1), 22 / ((most - least) or 1)
    points = " ".join(
        f"{at * across:.1f},{24 - (value - least) * up:.1f}" for at, value in enumerate(values) if value is not None
    )
    line = (
        ""
        if limit is None
        else Markup('<line class="limit" x1="0" x2="120" y1="{0:.1f}" y2="{0:.1f}"/>').format(24 - (limit - least) * up)
    )
    return Markup(
        '<svg class="spark" role="img" aria-label="{}" viewBox="-2 0 124 26" width="124" height="26">{}'
        '<polyline class="day" points="{}"/></svg>'
    ).format(printable(what), line, points)


def figure(
    what: str,
    height: float,
    drawn: Markup,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    legend: Sequence[Series] = (),
) -> Markup:
    """A drawing with its caption, what its colours mean, and the table of its numbers."""
    keys = Markup("").join(
        Markup('<span class="key {}">{}</span>').format(one.kind, printable(one.name)) for one in legend
    )
    # a head without a word is none to a screen reader
    named, unnamed = Markup('<th scope="col">{}</th>'), Markup("<td>{}</td>")
    head = Markup("").join((named if name else unnamed).format(printable(name)) for name in heads)
    body = Markup("").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            printable(row[0]), Markup("").join(Markup('<td class="number">{}</td>').format(cell) for cell in row[1:])
        )
        for row in rows
    )
    return Markup(
        '<figure class="chart"><figcaption>{} {}</figcaption>'
        '<svg role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">{}</svg>'
        '<details><summary>Numbers of this chart</summary><div class="scroll" tabindex="0" role="region" '
        'aria-label="Numbers: {}"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div></details></figure>'
    ).format(printable(what), keys, printable(what), WIDTH, height, WIDTH, height, drawn, printable(what), head, body)


def _said(value: float | None, words: Words) -> str:
    return "" if value is None else words(value)


def _scale(number: int) -> Callable[[int], float]:
    step = (WIDTH - LEFT - RIGHT) / max(1, number - 1)
    return lambda at: round(LEFT + at * step, 1) if number > 1 else (LEFT + WIDTH - RIGHT) / 2


def _rise(bottom: float, top: float) -> Callable[[float], float]:
    room = HEIGHT - TOP - BOTTOM
    return lambda value: round(TOP + room * (1 - (min(max(value, bottom), top) - bottom) / (top - bottom)), 1)


def _axes(
    places: Sequence[str],
    across: Callable[[int], float],
    up: Callable[[float], float],
    values: Sequence[float],
    words: Words,
) -> Markup:
    drawn = [
        Markup(
            '<line class="grid" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/><text x="{3}" y="{4}" text-anchor="end">{5}</text>'
        ).format(LEFT, WIDTH - RIGHT, up(value), LEFT - 6, up(value) + 4, words(value))
        for value in values
    ]
    every = max(1, -(-len(places) // TICKS))
    for number, at in enumerate(range(0, len(places), every)):
        name = cut(printable(places[at]), 12)
        # a name stands below its place, unless it would reach over the edge
        middle = min(max(across(at), LEFT), WIDTH - RIGHT - min(30, 3 * len(name)))
        drawn.append(
            # every second one is left out on a phone
            Markup('<text{} x="{}" y="{}" text-anchor="middle">{}</text>').format(
                Markup(' class="second"') if number % 2 else "", middle, HEIGHT - 12, name
            )
        )
    return Markup("").join(drawn)


def _band(band: tuple[Series, Series], across: Callable[[int], float], up: Callable[[float], float]) -> Markup:
    """Between two ends, wherever both are known."""
    known = [
        (across(at), up(low), up(high))
        for at, (low, high) in enumerate(zip(band[0].values, band[1].values, strict=True))
        if low is not None and high is not None
    ]
    way = [f"{x},{high}" for x, _, high in known] + [f"{x},{low}" for x, low, _ in reversed(known)]
    return Markup('<polygon class="band" points="{}"/>').format(" ".join(way))


def _line(
    one: Series, places: Sequence[str], across: Callable[[int], float], up: Callable[[float], float], words: Words
) -> Markup:
    known = [(at, value) for at, value in enumerate(one.values) if value is not None]
    line = Markup('<polyline class="{}" points="{}"/>').format(
        one.kind, " ".join(f"{across(at)},{up(value)}" for at, value in known)
    )
    points = Markup("").join(
        Markup('<circle class="{}" cx="{}" cy="{}" r="3"><title>{}: {}</title></circle>').format(
            one.kind, across(at), up(value), printable(places[at]), words(value)
        )
        for at, value in known
    )
    return line + points


def by_name(counts: Mapping[str, float], kind: str = "day", name: str = "") -> tuple[list[str], list[Series]]:
    """Names and their numbers, as `bars` takes them."""
    return [*counts], [Series(name, [*counts.values()], kind)]
