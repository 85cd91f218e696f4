"""Markdown of ours around texts that came from somebody's file; they are shown as they are, wherever it is rendered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from mlops_assets.work.printable import cut, printable

SIGNS = re.compile(r"[\\`*\[\]<>|~&!#$]|(?<![^\W_])_|_(?![^\W_])")
"""Signs that mean something in Markdown; of a value nothing must become a link, a picture, or a cell of its own."""

ADDRESS = re.compile(r"((?:://|www\.|@)+)", re.IGNORECASE)
"""What pages like GitHub's make a link of although nobody asks for one, also behind a backslash."""

LONGEST = 200
"""Signs of a value that are shown."""


def table(records: Sequence[Mapping[str, object]]) -> str:
    """Records with the same keys as a table; keys and values may come from anywhere.

    Parameters
    ----------
    records
        The rows.
    """
    if not records:
        return "none"
    names = list(records[0])
    rows = [[value(record[name]) for name in names] for record in records]
    lines = [[value(name) for name in names], ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def value(content: object) -> str:
    """A value inside of a line of Markdown: its text, whatever it says.

    Parameters
    ----------
    content
        The value.
    """
    shown = f"{content:.4g}" if isinstance(content, float) else printable(str(content))
    return _as_text(cut(shown, LONGEST))


def text(content: str) -> str:
    """A text of somebody's as one paragraph: all that it says, in one line.

    Parameters
    ----------
    content
        The text, such as a description.
    """
    # an end of a line could begin a heading or a list
    return _as_text(printable(" ".join(content.split())))


def code(content: str, language: str = "") -> str:
    """A block of code that nothing inside of it can end.

    Parameters
    ----------
    content
        The code.
    language
        What it is written in.
    """
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{content.rstrip()}\n{fence}"


def _as_text(shown: str) -> str:
    # inside of code nothing is an address; every second part is one
    parts = ADDRESS.split(shown)
    return "".join(f"`{part}`" if number % 2 else SIGNS.sub(r"\\\g<0>", part) for number, part in enumerate(parts))
