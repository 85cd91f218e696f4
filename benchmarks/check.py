"""Compares the predictions of every way with ours, row by row, on a small day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from benchmarks.peers import ours
from benchmarks.peers.job import COLUMNS, Job, list_files
from benchmarks.plans import Plan
from benchmarks.records import Record, append
from benchmarks.run import Bench, say
from benchmarks.ways import WAYS

TOLERATED = 0.001
"""Share of labels that may differ: two ways to sum up numbers part company where two classes are equally likely."""
COMPARE = """
WITH
    a AS (SELECT *, row_number() OVER (PARTITION BY file ORDER BY line) AS place FROM expected),
    b AS (SELECT *, row_number() OVER (PARTITION BY file ORDER BY line) AS place FROM found)
SELECT
    count(*) AS rows,
    count(*) FILTER (a.file IS NULL OR b.file IS NULL) AS unpaired,
    count(*) FILTER (a.prediction <> b.prediction) AS different,
    coalesce(max(abs(a.probability - b.probability)), 0) AS probability
FROM a FULL JOIN b USING (file, place)
"""


def check(bench: Bench, ways: Sequence[str], files: int, *, keep: bool = False) -> list[str]:
    """Score a small day in every way and note how far the predictions agree.

    Parameters
    ----------
    bench
        What all runs share.
    ways
        Names in `WAYS`.
    files
        Number of files of the day.
    keep
        Whether these runs count as measured ones too.

    Returns
    -------
    list of str
        The ways that agree with ours, or predict nothing; only those are worth measuring.
    """
    bench.make(files)
    wrong, expected = set(), pa.table({})
    for way in ["ours", *(way for way in ways if way != "ours")]:
        with bench.job(way) as job:
            record = bench.run(Plan(way, files, "warm"), job)
            if keep:
                append(bench.results, record)
            if way == "ours":
                if record.error:
                    raise SystemExit(f"Our own way fails, there is nothing to compare with: {record.error}")
                expected = ours.predictions(job)
            elif WAYS[way].predicts:
                found = _agreement(record, expected, job)
                append(bench.results, found)
                say(f"check of {way}: {found.error or 'agrees'} {found.about or ''}")
                wrong |= {way} if found.error else set()
    return [way for way in ways if way not in wrong]


def _agreement(record: Record, expected: pa.Table, job: Job) -> Record:
    """How far the predictions of a run agree with what is expected."""
    error, about = record.error, {} if record.error else compare(expected, predictions(job))
    if about and (about["unpaired"] or about["different"] > TOLERATED * about["rows"]):
        error = f"{about['different']} labels of {about['rows']} differ, {about['unpaired']} rows are in one only"
    return replace(record, kind="check", error=error, about=about)


def predictions(job: Job) -> pa.Table:
    """What a way wrote, whether CSV or Parquet."""
    files = [path for path in list_files(job.out) if path.endswith((".csv", ".parquet"))]
    form = "csv" if files[0].endswith(".csv") else "parquet"
    return ds.dataset(files, format=form).to_table(columns=list(COLUMNS))


def compare(expected: pa.Table, found: pa.Table) -> dict[str, float]:
    """Rows, rows that only one side has, labels that differ, and the largest difference of a probability."""
    with duckdb.connect() as database:
        database.register("expected", expected)
        database.register("found", found)
        row = database.sql(COMPARE).fetchall()[0]
    return dict(zip(("rows", "unpaired", "different", "probability"), row, strict=True))
