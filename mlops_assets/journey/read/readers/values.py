"""Single values as texts of the contract, for formats that have numbers and texts of their own."""

from __future__ import annotations


class BadValue(Exception):
    """A record cannot be a row.

    Parameters
    ----------
    rule
        Name of the rule that it breaks.
    message
        What is wrong, for a person.
    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message


def written_number(number: str, decimal: str) -> str:
    """A number with a point as the files of a contract write it, whose texts may have another decimal sign."""
    return number if decimal == "." else number.replace(".", decimal)


def fit_text(name: str, text: str) -> str:
    """The text itself, if it can be stored.

    Raises
    ------
    BadValue
        If it holds NUL, or half of a surrogate pair.
    """
    if "\0" in text:
        raise BadValue("text", f"{name!r} holds NUL, which no text may")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadValue("text", f"{name!r} holds half of a surrogate pair, which is no letter") from None
    return text
