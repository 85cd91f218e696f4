"""The ways that are compared, each with what the table says of it and the most files it is asked to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Way:
    """One way to do a day.

    Attributes
    ----------
    title
        Its name in the page.
    module
        Its module in `benchmarks.peers`.
    most
        The largest number of files it is measured at; more would take too long.
    rate
        Files a second, roughly, for the first estimate of the time that a benchmark takes.
    start
        Seconds that it takes for no files at all, roughly.
    threads
        Threads that numeric libraries may use in each of its processes.
    predicts
        Whether it makes predictions.
    """

    title: str
    module: str
    most: int
    rate: int
    start: int = 1
    threads: int = 1
    predicts: bool = True


WAYS = {
    "ours": Way("mlops-assets", "ours", 3_000_000, 8_000, start=12),
    "pandas": Way("pandas, file by file", "per_file_pandas", 10_000, 80, start=8),
    "batch": Way("config-driven batch predictor", "batch_predictor", 10_000, 80, start=8),
    "duckdb": Way("DuckDB over file lists", "duckdb_lists", 300_000, 2_500, start=8),
    "polars": Way("Polars over file lists", "polars_lists", 300_000, 5_000, start=8),
    "spark": Way("Spark: CSV, windows, pandas UDF", "spark_csv", 50_000, 400, start=20),
    "floor": Way("floor: open, read, close", "floor", 300_000, 100_000, predicts=False),
}
"""By the names that `--only` takes."""
