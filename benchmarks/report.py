"""Writes the page: tables and a plot of what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.plot import draw
from benchmarks.records import Record, medians, newest, with_rows
from benchmarks.sections import all_kept
from benchmarks.tables import HEAD, a_row, line, markdown, table
from benchmarks.ways import WAYS

ABOUT = """\
`make bench` writes this page; see `python -m benchmarks --help`. It makes a day of account files of `transactions`,
50 rows each on average, trains one champion our own way, and lets every way score the day: same files, same features,
same model, same two cores, one after the other. CPU seconds come first, user and system of all processes: wall time
says little where a machine does other work. All numbers are those of the whole command, with starting Python, loading
the model and, for ours, Dagster, the storage and the publishing; memory is the largest sum of PSS, looked at so often
that looking takes at most 2 % of the time. Numbers are medians of the `runs`, a run of each way after the other.

Four of five files are of the {known} accounts that the champion knows, what they did in other weeks, so that it has to
look up what it knows of accounts and their crosses; the fifth is of an account of its own. No two files are the same.

The ways are the modules of `benchmarks/peers`. What they do not do and ours does: account for every line, keep every
refused line with its reason, check the contract, resume, publish a day at once or not at all. DuckDB, Polars and Spark
read the files as Latin-1 or UTF-8, which is the same for these files; Mac Roman letters would need a further step.
"""


def write(records: Sequence[Record], page: Path) -> None:
    """Write the page, and its plot into the folder `images` beside it.

    Parameters
    ----------
    records
        Everything that was measured; of each run the newest session counts.
    page
        The Markdown file.
    """
    middle = with_rows(medians(records))
    sections = ["# Benchmarks", ABOUT.format(known=_last_session(records).about.get("known", 0)), _session(records)]
    if any(record.cache == "warm" for record in middle):
        image = page.parent / "images" / f"{page.stem}.svg"
        draw(middle, image)
        sections += [f"![CPU seconds over files](images/{image.name})", *_side_by_side(middle)]
    sections += [*_full(middle), *_checks(records), *_failed(records), *_machine(records)]
    sections += all_kept(page)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n\n".join(section.strip() for section in sections if section) + "\n", encoding="utf-8")


def _last_session(records: Sequence[Record]) -> Record:
    return [record for record in records if record.kind == "session"][-1]


def _session(records: Sequence[Record]) -> str:
    last = _last_session(records)
    known = last.about["champion"]
    quick = " **This was a quick run to see that all works; its numbers mean nothing.**" if last.about["quick"] else ""
    return f"The champion: `{known['candidate']}`, learned from {known['rows']:,} rows.{quick}"


def _side_by_side(middle: Sequence[Record]) -> Iterable[str]:
    """At a size that all did, at each way's largest, and with a cold cache."""
    warm = [record for record in middle if record.cache == "warm"]
    sizes = [{record.files for record in warm if record.way == way} for way in {record.way for record in warm}]
    if common := set.intersection(*sizes):
        yield f"## Side by side, {max(common):,} files, warm cache"
        yield table([record for record in warm if record.files == max(common)], middle)
    most = _largest(warm)
    if len({record.files for record in most}) > 1:
        yield "## Each way at the most files it was given, warm cache"
        yield (
            "A way that would take too long was given fewer. Its first ratio is to ours at the same or the nearest "
            "number, where starting up weighs most; the last compares the CPU seconds a row of these lines."
        )
        best = next((a_row(record) for record in most if record.way == "ours"), None)
        yield table(most, middle, best)
    if cold := [record for record in middle if record.cache == "cold"]:
        yield "## Cold cache"
        yield f"{cold[-1].about['cooled'].capitalize()} before each run."
        yield table(_largest(cold), middle)


def _largest(records: Sequence[Record]) -> list[Record]:
    return list({record.way: record for record in sorted(records, key=lambda record: record.files)}.values())


def _full(middle: Sequence[Record]) -> Iterable[str]:
    for record in middle:
        if record.cache == "as it was":
            minutes = f"{record.seconds / 60:.1f} min, {record.journey / 60:.1f} of them from raw_files to published"
            yield f"## {record.files:,} files in one run"
            yield f"As it was, files just written and in the page cache as far as they fit: {minutes}."
            found = [line(record, middle)]
            compared = [place for place, name in enumerate(HEAD) if "ours" not in name]
            yield markdown([HEAD[place] for place in compared], [[row[place] for place in compared] for row in found])


def _checks(records: Sequence[Record]) -> Iterable[str]:
    rows = []
    for record in newest(records, "check"):
        a = record.about
        found = [f"{a[name]:,}" for name in ("rows", "different", "unpaired")] if a else ["", "", record.error]
        rows.append([WAYS[record.way].title, *found, f"{a['probability']:.1g}" if a else ""])
    if rows:
        head = ("way", "rows", "labels that differ", "rows in one only", "largest difference of a probability")
        yield "## The predictions are the same"
        yield "Before anything is measured, every way scores a small day, and its predictions are compared with ours."
        yield markdown(head, rows)


def _failed(records: Sequence[Record]) -> Iterable[str]:
    failed = [record for record in newest(records, "run") if record.error]
    if failed:
        yield "## Runs without a result"
        yield "\n".join(f"- {WAYS[r.way].title}, {r.files:,} files, {r.cache}: {r.error}" for r in failed)


def _machine(records: Sequence[Record]) -> Iterable[str]:
    last = _last_session(records)
    yield "## The machine"
    yield "\n".join(f"- {name}: {value}" for name, value in last.about["machine"].items())
