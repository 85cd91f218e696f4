"""Small pictures as SVG that stands in a page: no script, no file, colours by the style of the page."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from mlops_assets.work.printable import printable

WIDTH, HEIGHT = 180, 36
"""Units of a picture; the page says how large they are."""


def histogram(shares: Sequence[float], what: str, line: Sequence[float] | None = None) -> Markup:
    """Bars of equal width, and over them a stepped line of what they are compared with.

    Parameters
    ----------
    shares
        Height of each bar.
    what
        Says what the picture shows where it cannot be seen.
    line
        Heights of the line, one a bar; none by default.
    """
    highest = max([*shares, *(line or ())], default=0) or 1
    wide = WIDTH / max(1, len(shares))
    # one path for all bars: a page has hundreds of pictures
    tops = [f"{HEIGHT * (1 - share / highest):.1f}" for share in shares]
    bars = "".join(f"M{at * wide:.1f} {HEIGHT}V{top}h{wide * 0.9:.1f}V{HEIGHT}" for at, top in enumerate(tops))
    steps = "".join(f"V{HEIGHT * (1 - share / highest):.1f}h{wide:.1f}" for share in line or ())
    over = Markup('<path class="line" d="M0 {}{}"/>').format(HEIGHT, steps) if line else ""
    return _picture(Markup('<path class="bars" d="{}"/>{}').format(bars, over), what)


def bar(share: float, what: str) -> Markup:
    """One bar from the left.

    Parameters
    ----------
    share
        Its length, 0 to 1.
    what
        As in `histogram`.
    """
    return _picture(Markup('<path class="bars" d="M0 12h{:.1f}v12H0z"/>').format(WIDTH * share), what)


def _picture(inside: Markup, what: str) -> Markup:
    return Markup(
        '<svg class="small" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, printable(what), inside)
