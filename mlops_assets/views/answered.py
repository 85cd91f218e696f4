"""What was answered to the kept requests of a day, beside what the day says of their rows since it was run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from mlops_assets.journey.enrich.lookups.records import query
from mlops_assets.journey.read.sources.entries import day_of
from mlops_assets.journey.score.vectors import stored_schema
from mlops_assets.storage.catalog import PREDICTIONS, REQUESTS, Lake
from mlops_assets.storage.files import read_part
from mlops_assets.storage.places import Place


@dataclass(frozen=True)
class Compared:
    """How the answers of a day and its predictions agree.

    Attributes
    ----------
    requests, predictions, refusals
        How many were kept.
    same, differing
        Predictions that the day has, too, with the same class and probability or with others.
    unpublished
        Predictions of rows of which the day says nothing: it was not run since, or their rows were refused.
    """

    requests: int
    predictions: int
    refusals: int
    same: int
    differing: int
    unpublished: int


def answered_days(lake: Lake, first: str, last: str) -> dict[str, Compared]:
    """The days of some that have kept requests, each with how its answers and its predictions agree.

    Parameters
    ----------
    lake
        The tables of the use case.
    first, last
        The days to look at, `YYYY-MM-DD`; empty for no limit.
    """
    folder = lake.answered_days
    days = sorted(day for path in (folder.iterdir() if folder.exists() else ()) if (day := day_of(path.name)))
    return {day: compare(lake, day) for day in days if first <= day <= (last or day)}


def render(days: Mapping[str, Compared]) -> str:
    """A line for each of these days."""
    return "".join(
        f"\n{day}: {one.predictions:,} predictions were answered to {one.requests:,} kept requests; "
        f"the day says the same of {one.same:,}, otherwise of {one.differing:,}, nothing of {one.unpublished:,}"
        for day, one in days.items()
    )


SAME_CLASS = "kept.prediction = published.prediction::VARCHAR AND kept.probability = published.probability"
SAME_NUMBER = "kept.prediction::DOUBLE = published.prediction"

COMPARED = """
    SELECT
        count(DISTINCT request) AS requests,
        count(kept.prediction) AS predictions,
        count(rule) AS refusals,
        count(*) FILTER (same) AS same,
        count(*) FILTER (NOT same) AS differing,
        count(kept.prediction) FILTER (same IS NULL) AS unpublished
    FROM (
        SELECT kept.*, SAME AS same
        FROM kept LEFT JOIN published ON kept.prediction IS NOT NULL
            AND kept.file = published.file::VARCHAR AND kept.line = published.line
    ) AS kept
"""
"""How answers to requests compare with what is published, by what makes two of them the SAME."""


def read_requests(lake: Lake, day: str) -> pa.Table:
    """What was answered to the requests whose rows are of a day, in `REQUESTS`, each line once.

    Parameters
    ----------
    lake
        The tables of the use case.
    day
        The day.
    """
    folder = lake.answered_days / f"day={day}"
    parts: list[Place] = sorted(folder.glob("*.parquet"), key=str) if folder.exists() else []
    kept = pa.concat_tables([REQUESTS.empty_table(), *(read_part(part) for part in parts)])
    # a request that was sent again under its id is in two journals
    return query('FROM kept QUALIFY row_number() OVER (PARTITION BY file, line, rule ORDER BY "when") = 1', kept=kept)


def compare(lake: Lake, day: str) -> Compared:
    """Compare what was answered with what is published of the day.

    Parameters
    ----------
    lake
        The tables of the use case.
    day
        The day.
    """
    kept = read_requests(lake, day)
    table = lake.predictions
    there = day in table.days()  # a day that was not run yet says nothing
    schema = stored_schema(table) if there else PREDICTIONS
    # of a number its ends follow from it and the version, so it is compared alone
    columns = [name for name in ("file", "line", "prediction", "probability") if name in schema.names]
    published = table.read_all([day], columns) if there else PREDICTIONS.empty_table().select(columns)
    same = SAME_CLASS if "probability" in columns else SAME_NUMBER
    (told,) = query(COMPARED.replace("SAME", same), kept=kept, published=published).to_pylist()
    return Compared(**told)
