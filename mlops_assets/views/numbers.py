"""In: numbers. Out: how people read them: in tables of commands, on pages and in single files alike."""

from __future__ import annotations

NOTHING = "–"  # noqa: RUF001  # what a table has where there is no value


def number(value: float | None, digits: int = 0) -> str:
    """A number with commas between its thousands.

    Examples
    --------
    >>> number(1234567), number(0.12345, 3)
    ('1,234,567', '0.123')
    """
    return NOTHING if value is None else f"{value:,.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share of one, in percent; few are not told as none, and not quite all not as all.

    Examples
    --------
    >>> percent(0.1234), percent(0.00001), percent(0.99999), percent(1)
    ('12.3 %', '< 0.1 %', '> 99.9 %', '100.0 %')
    """
    if value is None:
        return NOTHING
    least, half = 10.0**-digits, 0.005 * 10.0**-digits
    if 0 < value < half:
        return f"< {least:.{digits}f} %"
    if 1 - half < value < 1:
        return f"> {100 - least:.{digits}f} %"
    return f"{value * 100:.{digits}f} %"


def plain(value: float | None) -> str:
    """A number of which nobody knows how large it is: five digits that count, commas where there are thousands.

    Examples
    --------
    >>> plain(1234567.8), plain(152.3456), plain(0.000123456), plain(3.0)
    ('1,234,568', '152.35', '0.00012346', '3')
    """
    if value is None or value != value:  # NaN  # noqa: PLR0124
        return NOTHING
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:,.5g}"


def share(value: float | None) -> str:
    """A probability: three digits behind the point."""
    return number(value, 3)


def interval(low: float | None, high: float | None) -> str:
    """The ends of an interval.

    Examples
    --------
    >>> interval(95.123456, 210), interval(None, None)
    ('95.123 to 210', '\u2013')
    """
    return NOTHING if low is None or high is None else f"{plain(low)} to {plain(high)}"


def span(minutes: float) -> str:
    """A time that went by, in the two largest units that it fills.

    Examples
    --------
    >>> span(0.4), span(12), span(125), span(2149)
    ('0 min', '12 min', '2 h 5 min', '1 d 11 h')
    """
    whole = round(minutes)
    days, rest = divmod(whole, 24 * 60)
    hours, left = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {left} min" if hours else f"{left} min"


def size(value: float | None) -> str:
    """Bytes in a unit that is read at once.

    Examples
    --------
    >>> size(2_500_000)
    '2.5 MB'
    """
    if value is None:
        return NOTHING
    for unit, digits in (("B", 0), ("kB", 1), ("MB", 1)):
        if abs(value) < 1000:
            return f"{value:.{digits}f} {unit}"
        value /= 1000
    return f"{value:,.1f} GB"
