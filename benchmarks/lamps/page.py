"""Puts what was measured into the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.lamps.damages import DAMAGES
from benchmarks.lamps.rates import Rate, Rates
from benchmarks.tables import markdown

BEGIN, END = "<!-- rates: written by python -m benchmarks.lamps -->", "<!-- end of rates -->"


def section(found: Sequence[Rates], told: str) -> str:
    """The two tables, and what is told of real rows."""
    quiet = [
        [
            f"`{one.name}`",
            f"{one.rows_a_day:,}",
            f"{one.columns:,}",
            f"{one.quiet.days}",
            f"{one.quiet.red}",
            _lamps(one.quiet),
            f"{one.first.red}",
            _lamps(one.first),
        ]
        for one in found
    ]
    damaged = [[name, *(_share(one.damaged[name]) for one in found)] for name in DAMAGES]
    parts = [
        BEGIN,
        markdown(
            ("use case", "rows a day", "columns", "quiet days", "of them red", "by", "red without days before", "by"),
            quiet,
        ),
        markdown(("red on the first day", *(f"`{one.name}`" for one in found)), damaged),
        told,
        END,
    ]
    return "\n\n".join(part for part in parts if part)


def write(found: Sequence[Rates], told: str, page: Path) -> None:
    """Replace the section of a page that has one."""
    text = page.read_text(encoding="utf-8")
    pattern = rf"{re.escape(BEGIN)}.*?{re.escape(END)}"
    page.write_text(re.sub(pattern, lambda _: section(found, told), text, flags=re.S), encoding="utf-8")


def _share(rate: Rate) -> str:
    return f"{100 * rate.red / rate.days:.4g} % of {rate.days}" if rate.days else "none"


def _lamps(rate: Rate) -> str:
    return ", ".join(f"`{name}`" for name, _ in rate.lamps.most_common(3))
