"""What documents show: commands as they stand in blocks and sentences, and blocks of YAML."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from mlops_assets_tests.helpers.paths import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
"""All that people read; what has changed is no instruction."""
FENCE = re.compile(r"^(?P<by> *)```(?P<kind>\w+)\n(?P<text>.*?)\n(?P=by)```$", re.S | re.M)
INDENTED = re.compile(r"(?:(?<=\n\n)|(?<=---\n))(?: {4}.*(?:\n|$)|\n(?= {4}))+", re.M)
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
FILLED = {
    "USE_CASE": "transactions",
    "DAY": "2026-01-02",
    "A": "2026-01-02",
    "B": "2026-01-03",
    "VERSION": "1",
    "N": "1",
    "M": "2",
    "LINE": "2",
}
"""What a person would write for a word in capitals, where another word would not do."""
SAID = {"dev runs on HOME already"}
"""What begins as a command does, and is a message."""


def blocks(text: str, *kinds: str) -> list[str]:
    """The fenced blocks of some kinds."""
    return [found["text"] for found in FENCE.finditer(text) if found["kind"] in kinds]


def commands(path: Path) -> Iterator[list[str]]:
    """The arguments of every `mlops-assets ...` that a document tells to type; none of a command that is only named."""
    text = path.read_text(encoding="utf-8")
    prose = FENCE.sub("", text)
    shown = [*blocks(text, "sh", "bash"), *INDENTED.findall(prose)]
    lines = [line for block in shown for line in block.replace("\\\n", " ").splitlines()]
    spans = [" ".join(span.split()) for span in SPAN.findall(INDENTED.sub("", prose))]
    for line in [*lines, *spans]:
        found = re.match(r"(?:[\w=:/$.-]+ )*mlops-assets (?P<rest>[a-z-].*)", line.strip().removeprefix("$ "))
        if found and found["rest"] not in SAID:
            arguments = list(_until_the_end(found["rest"]))
            if len(arguments) > 1 or line not in spans:
                yield arguments


def _until_the_end(text: str) -> Iterator[str]:
    """The words of a command, filled in, up to what the shell does with its output."""
    for word in shlex.split(text, comments=True):
        if word in {"|", ">", "&&", ";", "&"}:
            return
        yield FILLED.get(word, word).rstrip(";")
