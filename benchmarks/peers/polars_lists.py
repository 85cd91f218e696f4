"""Polars alone: `scan_csv` over lists of files, the features as expressions, predictions, Parquet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from multiprocessing import get_context

import polars as pl

from benchmarks.peers.champion import keep, kept, predict
from benchmarks.peers.job import HEADER, Job, chunks
from benchmarks.peers.polars_features import features

FILES = 5_000


def main(job: Job) -> None:
    """Score the day, a list of files at a time, in as many processes with one thread as there are workers."""
    os.environ["POLARS_MAX_THREADS"] = "1"
    lists = chunks(job.files(), FILES, job.workers)
    with get_context("spawn").Pool(job.workers, keep, (job,)) as pool:
        rows = sum(pool.starmap(score, list(enumerate(lists)), chunksize=1))
    job.finish(sum(map(len, lists)), rows)


def score(number: int, files: Sequence[str]) -> int:
    """Score a list of files and write one Parquet file; the number of its rows."""
    job, model = kept()
    text = pl.scan_csv(
        list(files),
        separator=";",
        schema=dict.fromkeys(HEADER, pl.String),
        encoding="utf8-lossy",  # of others it knows none when it reads lists; texts that are ASCII are the same in all
        null_values=["", "-", " -   "],
        include_file_paths="file",
        row_index_name="line",
    )
    rows = features(typed(text)).collect()
    labels, probabilities = predict(model, rows.to_arrow(compat_level=pl.CompatLevel.oldest()))
    said = rows.select(
        pl.col("file").str.split("/").list.last(), "line", prediction=pl.lit(labels), probability=pl.lit(probabilities)
    )
    said.write_parquet(job.place(f"{number:05d}.parquet"))
    return said.height


def typed(text: pl.LazyFrame) -> pl.LazyFrame:
    """Our names, texts without blanks around them, numbers as numbers."""
    return text.select(
        "file",
        "line",
        account_id=_text("id"),
        account_opened=_text("safra_abertura").cast(pl.Int64),
        home_city=_text("cidade"),
        limit_total=_number("limite_total"),
        limit_available=_number("limite_disp"),
        amount=_number("valor"),
        merchant_city=_text("cidade_estabelecimento"),
        merchant_country=_text("pais_estabelecimento"),
    )


def _text(name: str) -> pl.Expr:
    return pl.col(name).str.strip_chars().replace("", None)


def _number(name: str) -> pl.Expr:
    plain = pl.col(name).str.strip_chars().str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return plain.cast(pl.Float64, strict=False)


if __name__ == "__main__":
    main(Job.from_command_line())
