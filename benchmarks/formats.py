"""What reading costs by format: CPU seconds a million rows, of the same rows in each, from bytes to checked rows.

`python -m benchmarks.formats` measures them in one process and puts a table into `docs/benchmarks.md`.
"""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path

import numpy as np

from benchmarks.sections import put_section
from benchmarks.tables import markdown
from mlops_assets.journey.read.readers import open_format, open_reader
from mlops_assets.journey.read.readers.packing import packed
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.use_case import Candidate, Column, FileFormat, Training, UseCase

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
NAME = "formats"
ROWS, FILES, REPEATS = 50_000, 100, 3
WIDTH = 20

COLUMNS = {
    "account": "string", "date": "date", "at": "timestamp", "amount": "number", "pieces": "integer", "paid": "boolean",
    "city": "string", "shop": "string", "kind": "string", "age": "integer", "limit": "number", "state": "string",
}  # fmt: skip
FORMATS = {
    "CSV": {},
    "CSV, gzip": {"compression": "gzip"},
    "CSV, zstd": {"compression": "zstd"},
    "JSON lines": {"format": "jsonl"},
    "JSON lines, gzip": {"format": "jsonl", "compression": "gzip"},
    "Parquet": {"format": "parquet"},
    "XML": {"format": "xml", "record": "purchase"},
    "fixed width": {"format": "fixed"},
}

ABOUT = """\
`python -m benchmarks.formats`: {rows:,} rows of {columns} columns in {files} files, from their bytes to checked rows,
in one process; the least of {repeats} times. JSON lines have the same keys in each line, and XML is flat; what is not
costs more, for it is read a file at a time. Measured on {machine}."""


def contract(**files: object) -> UseCase:
    """A use case of these columns in a format."""
    fixed = files.get("format") == "fixed"
    columns = {
        name: Column.model_validate({"type": kind, **({"at": [at * WIDTH + 1, (at + 1) * WIDTH]} if fixed else {})})
        for at, (name, kind) in enumerate(COLUMNS.items())
    }
    nothing = Training(baseline="none", candidates={"none": Candidate(use="sklearn.dummy.DummyClassifier")})
    return UseCase(
        name="bench", description="", start=dt.date.min, files=FileFormat.model_validate(files), columns=columns,
        account="account", label="kind", training=nothing, features_sql="",
    )  # fmt: skip


def draw() -> list[dict[str, str]]:
    """The rows, as texts."""
    generator = np.random.default_rng(7)
    pick = {
        "account": [f"A{number}" for number in range(5_000)],
        "date": [str(dt.date(2026, 1, 1) + dt.timedelta(days=at)) for at in range(365)],
        "at": [f"2026-01-{day:02d} {hour:02d}:30:00" for day in range(1, 29) for hour in range(24)],
        "amount": [f"{value:.2f}" for value in generator.lognormal(4, 1, 50_000)],
        "pieces": [str(number) for number in range(100)],
        "paid": ["true", "false"],
        "city": ["São Paulo", "Recife", "Natal", "Belém", "Rio de Janeiro"],
        "shop": [f"shop {number}" for number in range(2_000)],
        "kind": [f"kind {number}" for number in range(20)],
        "age": [str(number) for number in range(18, 90)],
        "limit": [str(number * 100) for number in range(300)],
        "state": ["SP", "PE", "RN", "PA", "RJ"],
    }
    drawn = [np.array(texts)[generator.integers(0, len(texts), ROWS)].tolist() for texts in pick.values()]
    return [dict(zip(pick, row, strict=True)) for row in zip(*drawn, strict=True)]


def measure(use_case: UseCase, contents: list[bytes]) -> float:
    """CPU seconds a million rows."""
    paths, reader = [str(number) for number in range(len(contents))], open_reader(use_case)
    least = float("inf")
    for _ in range(REPEATS):
        began = time.process_time()
        table, refusals = check_rows(use_case, paths, reader.read(contents, paths))
        least = min(least, time.process_time() - began)
        assert len(table) == ROWS
        assert not refusals
    return least * 1e6 / ROWS


def written(use_case: UseCase, rows: list[dict[str, str]]) -> list[bytes]:
    """The rows in so many files."""
    size, form, made = ROWS // FILES, open_format(use_case), []
    for first in range(0, ROWS, size):
        some = rows[first : first + size]
        lines = [",".join(COLUMNS), *(",".join(row.values()) for row in some), ""]
        made.append(packed(form.write(some) if form else "\n".join(lines).encode(), use_case.files))
    return made


def main() -> None:
    """Measure each format and write the table."""
    rows, lines, plain = draw(), [], 0.0
    for name, files in FORMATS.items():
        use_case = contract(**files)
        contents = written(use_case, rows)
        seconds = measure(use_case, contents)
        plain = plain or seconds
        size = sum(map(len, contents)) / 2**20
        lines.append([name, f"{size:,.1f}", f"{seconds:.2f}", f"{seconds / plain:.1f}"])
        print(*lines[-1], flush=True)
    table = markdown(["format", "MiB", "CPU s a million rows", "times CSV"], lines)
    with open("/proc/cpuinfo") as file:
        machine = next((line.split(": ")[1].strip() for line in file if line.startswith("model name")), "a machine")
    about = ABOUT.format(rows=ROWS, columns=len(COLUMNS), files=FILES, repeats=REPEATS, machine=machine)
    put_section(NAME, f"## What reading costs by format\n\n{about}\n\n{table}", PAGE)


if __name__ == "__main__":
    main()
