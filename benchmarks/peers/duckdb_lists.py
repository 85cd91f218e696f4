"""DuckDB alone: `read_csv` over lists of files, the champion's own SQL, predictions of batches, Parquet.

Two processes with one thread each: one process with two threads left a core idle, for the prediction is Python's and
the numbering of the lines keeps the reading in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing import get_context

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.champion import keep, kept, predict
from benchmarks.peers.job import COLUMNS, Job, chunks, name_of
from mlops_assets.journey.model.model import Model

FILES, BATCH = 5_000, 20_000
COLUMN_TYPES = {
    "id": "VARCHAR",
    "safra_abertura": "BIGINT",
    "cidade": "VARCHAR",
    "estado": "VARCHAR",
    "idade": "BIGINT",
    "sexo": "VARCHAR",
    "limite_total": "DOUBLE",
    "limite_disp": "DOUBLE",
    "data": "DATE",
    "valor": "DOUBLE",
    "grupo_estabelecimento": "VARCHAR",
    "cidade_estabelecimento": "VARCHAR",
    "pais_estabelecimento": "VARCHAR",
}
CALENDAR = """
CREATE TABLE calendar (
    home_state VARCHAR, date DATE, holiday BOOLEAN, days_since_pay BIGINT, calendar_status VARCHAR, calendar_day DATE
)
"""
"""The enrichment that the SQL names, empty: no column of the model's input hangs on it."""

READ = """
CREATE TABLE rows AS
SELECT
    CAST($day AS DATE) AS day,
    number::INTEGER AS file,
    line::INTEGER AS line,
    nullif(trim(id), '') AS account_id,
    safra_abertura AS account_opened,
    nullif(trim(cidade), '') AS home_city,
    nullif(trim(estado), '') AS home_state,
    idade AS age,
    nullif(trim(sexo), '') AS sex,
    limite_total AS limit_total,
    limite_disp AS limit_available,
    data AS date,
    valor AS amount,
    nullif(trim(cidade_estabelecimento), '') AS merchant_city,
    nullif(trim(pais_estabelecimento), '') AS merchant_country
FROM (
    SELECT row_number() OVER () AS line, *
    FROM read_csv($files, columns = {columns}, auto_detect = false, header = true, delim = ';', encoding = 'latin-1',
                  decimal_separator = ',', thousands = '.', dateformat = '%d.%m.%Y', nullstr = ['', '-', ' -   '],
                  filename = true, hive_partitioning = false, store_rejects = true)
) JOIN (SELECT unnest($files) AS filename, generate_subscripts($files, 1) AS number) USING (filename)
"""


def main(job: Job) -> None:
    """Score the day, a list of files at a time, in as many processes as there are workers."""
    lists = chunks(job.files(), FILES, job.workers)
    with get_context("spawn").Pool(job.workers, keep, (job,)) as pool:
        rows = sum(pool.starmap(score, list(enumerate(lists)), chunksize=1))
    job.finish(sum(map(len, lists)), rows)


def score(number: int, files: Sequence[str]) -> int:
    """Score a list of files and write one Parquet file; the number of its rows."""
    job, model = kept()
    with duckdb.connect(config={"threads": 1}) as database:
        database.execute(READ.format(columns=COLUMN_TYPES), {"files": list(files), "day": job.day})
        database.execute(CALENDAR)
        database.execute(model.sql)
        names = pa.array([name_of(path) for path in files])
        scored = [_scored(model, batch, names) for batch in database.table("model_input").to_arrow_reader(BATCH)]
    table = pa.concat_tables(scored)
    pq.write_table(table, job.place(f"{number:05d}.parquet"), compression="zstd")
    return int(table.num_rows)


def _scored(model: Model, batch: pa.RecordBatch, names: pa.Array) -> pa.Table:
    labels, probabilities = predict(model, pa.Table.from_batches([batch]))
    files = names.take(pa.compute.subtract(batch["file"], 1))
    return pa.table([files, batch["line"], labels, probabilities], names=COLUMNS)


if __name__ == "__main__":
    main(Job.from_command_line())
