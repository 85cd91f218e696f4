"""Sections of a page that programs of their own write; whoever writes the rest of the page keeps them."""

from __future__ import annotations

import re
from pathlib import Path


def put_section(name: str, text: str, page: Path) -> None:
    """Put a section into a page, in the place of the one before.

    Parameters
    ----------
    name
        Module of `benchmarks` that writes it.
    text
        The section, with its heading.
    page
        The Markdown file.
    """
    before = page.read_text(encoding="utf-8") if page.exists() else "# Benchmarks\n"
    section = f"<!-- {name}: written by python -m benchmarks.{name} -->\n\n{text}\n\n<!-- end of {name} -->"
    found = kept(name, page)
    # where it stood, for other sections may stand behind it
    after = before.replace(found, section) if found else f"{before.rstrip()}\n\n{section}\n"
    page.write_text(after, encoding="utf-8")


def kept(name: str, page: Path) -> str:
    """A section as it stands in the page, for whoever writes the rest of it anew; empty if there is none."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    found = re.search(rf"<!-- {name}: .*?<!-- end of {name} -->", text, re.S)
    return found[0] if found else ""


def all_kept(page: Path) -> list[str]:
    """The sections of all programs of their own, as they stand in the page."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return [found[0] for found in re.finditer(r"<!-- (\w+): written by .*?<!-- end of \1 -->", text, re.S)]
