"""Four quiet days of `transactions`, and a damaged fifth, each damage once: what is said of it, and who hears of it."""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.drill.damages import DAMAGES
from benchmarks.drill.stage import Drill, Seen
from benchmarks.drill.webhook import listening
from benchmarks.run import ROOT, say

PAGE = ROOT / "docs" / "monitoring.md"
BEGIN, END = "<!-- drill: written by python -m benchmarks.drill -->", "<!-- end of drill -->"
NOTHING = "nothing"
SHOWN = 14
"""Lines of what `drift` prints that are shown: the first one, and the lamp that it is about with its rows."""


def main(arguments: list[str] | None = None) -> int:
    """Run the drill; 0 if the quiet day is green and untold, and every damaged one is red and told once."""
    options = _parse(arguments)
    with tempfile.TemporaryDirectory() as folder, listening() as webhook:
        drill = Drill(Path(folder), webhook, options.files)
        say(f"four days of {options.files:,} files, a training, and their predictions")
        drill.prepare()
        found = [drill.see(NOTHING, lambda _: None)]
        _show(found[0])
        for name in options.only or DAMAGES:
            found.append(drill.see(name, DAMAGES[name]))
            _show(found[-1])
    wrong = [seen.damage for seen in found if not _as_it_should(seen)]
    say(f"not as it should be: {', '.join(wrong)}" if wrong else f"{len(found) - 1} damages, each red and told once")
    if options.write:
        write(found, PAGE)
    return bool(wrong)


def _as_it_should(seen: Seen) -> bool:
    wanted = seen.damage != NOTHING
    return seen.red == wanted and len(seen.alerts) == wanted


def _show(seen: Seen) -> None:
    lines = seen.said.splitlines()
    say(f"\n=== {seen.damage}\n$ mlops-assets drift drill --day D --check; echo $?")
    for line in lines[: SHOWN if seen.red else 1]:
        say(f"  {line[:200]}")
    say(f"  {int(seen.red)}")
    for told in seen.alerts:
        say(f"the webhook was told: {told['text']}")


def table(found: Sequence[Seen]) -> str:
    """What was seen, a line each."""
    lines = [(seen.damage, _bare(seen.first_line), _told(seen)) for seen in found]
    head = ("the fifth day", "first line of `drift --check`", "told"), ("---",) * 3
    return "\n".join(f"| {' | '.join(line)} |" for line in [*head, *lines])


def _told(seen: Seen) -> str:
    return "; ".join(told["severity"] for told in seen.alerts) or "nothing"


def _bare(line: str) -> str:
    return line.partition(": ")[2].replace("|", "\\|")


def write(found: Sequence[Seen], page: Path) -> None:
    """Replace the section of a page that has one."""
    text = page.read_text(encoding="utf-8")
    section = f"{BEGIN}\n\n{table(found)}\n\n{END}"
    pattern = rf"{re.escape(BEGIN)}.*?{re.escape(END)}"
    page.write_text(re.sub(pattern, lambda _: section, text, flags=re.S), encoding="utf-8")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drill", description=__doc__)
    parser.add_argument("--files", type=int, default=600, help="files a day")
    parser.add_argument("--only", nargs="*", choices=list(DAMAGES), help="these damages alone")
    parser.add_argument("--write", action="store_true", help="write the table into docs/monitoring.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
