"""Spark's own way: `spark.read.csv` over the folder, windows in SQL, predictions by a pandas function, Parquet."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from benchmarks.peers.champion import load, predict
from benchmarks.peers.job import HEADER, Job

VIEWS = Path(__file__).with_suffix(".sql")
SCHEMA = "file string, line long, prediction string, probability double"


def main(job: Job) -> None:
    """Score the day in one Spark application."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = (
        SparkSession.builder.master(f"local[{job.workers}]")
        .config("spark.driver.memory", "4g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "32")
        .config("spark.sql.files.openCostInBytes", "65536")  # by default, 32 small files are a task
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .getOrCreate()
    )
    scored = predictions(spark, job)
    scored.write.parquet(job.place("predictions"))
    written = spark.read.parquet(job.place("predictions"))
    job.finish(len(job.files()), written.count())
    spark.stop()


def predictions(spark: SparkSession, job: Job) -> DataFrame:
    """The plan, from the CSV files to the predictions."""
    text = spark.read.csv(
        job.raw,
        schema=", ".join(f"{name} string" for name in HEADER),
        sep=";",
        header=True,
        encoding="ISO-8859-1",
        recursiveFileLookup=True,
    )
    text.select("*", "_metadata.file_path").createOrReplaceTempView("text")
    for statement in VIEWS.read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            spark.sql(statement)

    def score(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        model = load(job)
        for batch in batches:
            labels, probabilities = predict(model, pa.Table.from_pandas(batch, preserve_index=False))
            yield batch[["file", "line"]].assign(prediction=labels, probability=probabilities)

    return spark.table("model_input").mapInPandas(score, SCHEMA)


if __name__ == "__main__":
    main(Job.from_command_line())
