"""In: what a page shows. Out: its address below `/pages`, with all signs of names quoted."""

from __future__ import annotations

from urllib.parse import quote, urlencode

ROOT = "/pages"


def page_address(use_case: str, page: str, /, **asked: str | float | None) -> str:
    """A page of a use case; of what is asked for, None is left out.

    Examples
    --------
    >>> page_address("topics", "days/2026-01-31", run="7f/3", day=None)
    '/pages/topics/days/2026-01-31?run=7f%2F3'
    """
    given = {name: value for name, value in asked.items() if value is not None}
    return f"{ROOT}/{quote(use_case, safe='')}/{page}" + (f"?{urlencode(given)}" if given else "")


def rows_address(
    use_case: str,
    day: str | None = None,
    file: str | None = None,
    account: str | None = None,
    said: str | None = None,
    least: float | None = None,
    most: float | None = None,
    lowest: float | None = None,
    highest: float | None = None,
    cursor: str | None = None,
) -> str:
    """The page of a day's predictions.

    Parameters
    ----------
    use_case
        Name of the use case.
    day
        The day; the newest if None.
    file, account, said
        Of which file, account and class; of all if None.
    least, most
        Bounds of the probability.
    lowest, highest
        Bounds of a number that is predicted.
    cursor
        Where the page begins; the first one if None.

    Examples
    --------
    >>> rows_address("topics", "2026-01-31", said="R&D")
    '/pages/topics/predictions?day=2026-01-31&class=R%26D'
    """
    asked = {"day": day, "file": file, "account": account, "class": said, "least": least, "most": most}
    asked |= {"lowest": lowest, "highest": highest}
    return page_address(use_case, "predictions", **asked, cursor=cursor)


def row_address(use_case: str, day: str, file: str, line: int) -> str:
    """The page of one row.

    Examples
    --------
    >>> row_address("topics", "2026-01-31", "a b.txt", 7)
    '/pages/topics/predictions/row?day=2026-01-31&file=a+b.txt&line=7'
    """
    return page_address(use_case, "predictions/row", day=day, file=file, line=line)


def rejects_address(
    use_case: str,
    day: str | None = None,
    rule: str | None = None,
    file: str | None = None,
    cursor: str | None = None,
) -> str:
    """The page of the rejects of a day, of those of a rule and a file if these are named.

    Examples
    --------
    >>> rejects_address("topics", "2026-01-31", rule="encoding")
    '/pages/topics/data/rejects?day=2026-01-31&rule=encoding'
    """
    return page_address(use_case, "data/rejects", day=day, rule=rule, file=file, cursor=cursor)


def lamp_address(use_case: str, day: str, lamp: str) -> str:
    """The page of a lamp of a day.

    Examples
    --------
    >>> lamp_address("topics", "2026-01-31", "volume.rows")
    '/pages/topics/drift/lamp?day=2026-01-31&name=volume.rows'
    """
    return page_address(use_case, "drift/lamp", day=day, name=lamp)


def picture_address(use_case: str, day: str, file: str, line: int, column: str | None = None) -> str:
    """The picture that a column of a row names; the first one if None."""
    return page_address(use_case, "predictions/picture", day=day, file=file, line=line, column=column)
