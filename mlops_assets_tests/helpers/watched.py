"""Versions whose days are watched, and what is watched, counted again by others."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from mlops_assets.journey.enrich.answers import DayAnswers, find_answers, read_answers
from mlops_assets.journey.features.shard import compute
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.version import ABOUT_FILE, Version
from mlops_assets.journey.score.profile.bins import BEYOND_ASCII, LARGEST_TOTAL
from mlops_assets.journey.score.profile.counts import STEPS, TOP, Bins, Counts, Profile, Said
from mlops_assets.journey.score.profile.reference import Reference, read_reference
from mlops_assets.journey.train.profiling import store_reference
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.models import ABOUT


def watched_version(model: Model, data: TrainingSet, folder: Path, number: int = 1) -> Version:
    """A version of one model, with a reference of what it has learned from."""
    sha256 = model.save(folder / "serving")
    reference = store_reference(data.profile, data.load(), model, model, folder)
    about = replace(ABOUT, use_case="transactions", reference=reference)
    text = about.to_json()
    (folder / ABOUT_FILE).write_text(text, encoding="utf-8")
    hashes = sha256, sha256, hashlib.sha256(text.encode()).hexdigest()
    return Version("transactions", number, folder, *hashes, about.summary(), proven=True)


def told(profile: Profile) -> list[tuple[object, ...]]:
    """All that a profile says, in an order of its own."""
    return sorted(map(tuple, (row.values() for row in profile.to_table().to_pylist())), key=repr)


def recount_day(use_case: UseCase, lake: Lake, version: Version, day: str) -> Profile:
    """The profile of a published day of a use case with a calendar, counted by SQL alone over what was published."""
    reference, model = read_reference(version), version.serving()
    assert reference is not None
    answers = find_answers(use_case, lake, day, lake.rows.days()[day], ["calendar"])
    assert isinstance(answers, DayAnswers)
    parts = {part: read_rows(lake.rows.folder / part) for part in sorted(lake.rows.parts(day))}
    inputs = [
        batch
        for part, rows in parts.items()
        for batch, _ in compute(rows, day, use_case, model.sql, None, read_answers(lake, answers.of(part)))
    ]
    tables = pa.concat_tables(parts.values()), pa.concat_tables(inputs), lake.predictions.read_all([day])
    return recounted(*tables, model, day, reference)


def recounted(
    rows: pa.Table, inputs: pa.Table, predictions: pa.Table, model: Model, day: str, reference: Reference
) -> Profile:
    """The profile of published rows, counted by SQL alone.

    Parameters
    ----------
    rows, inputs, predictions
        Rows that have a prediction, the model's input of them, and the predictions.
    model
        The model.
    day
        The day.
    reference
        Says how they are counted.
    """
    database = duckdb.connect()
    tables = {"rows": rows, "model_input": inputs, "predictions": predictions}
    for name, table in tables.items():
        database.register(name, table)
    database.register("classes", pa.table({"label": model.classes, "k": range(len(model.classes))}))
    columns = {column: _recount(database, *column, bins, day) for column, bins in reference.bins.items()}
    sizes = database.execute(
        "SELECT floor(log2(n))::INT, count(*) FROM (SELECT count(*) n FROM predictions GROUP BY file) GROUP BY 1"
    ).fetchall()
    return Profile(columns, _answers(database, len(model.classes)), _filled(sizes, 32))


def _recount(database: duckdb.DuckDBPyConnection, source: str, name: str, bins: Bins, day: str) -> Counts:
    column = name.removesuffix(BEYOND_ASCII)
    kind = database.execute(f"SELECT typeof({column}) FROM {source} LIMIT 1").fetchall()[0][0]
    value = _value(column, kind, day, beyond=column != name)
    if bins.kind == "category":
        database.register("known", pa.table({"v": pa.array(bins.values, pa.string()), "p": range(len(bins.values))}))
        found = database.execute(
            f"SELECT least(p, {TOP}), count(*) FROM {source} JOIN known ON {column} = v GROUP BY 1"
        ).fetchall()
        new = database.execute(
            f"SELECT {column}, count(*) FROM {source} WHERE {column} NOT IN (SELECT v FROM known) GROUP BY 1"
        ).fetchall()
        nulls = database.execute(f"SELECT count(*) FROM {source} WHERE {column} IS NULL").fetchall()[0][0]
        return Counts(_filled(found, bins.number), nulls, sum(number for _, number in new), new=dict(new))
    edges = [-np.inf, *bins.edges, np.inf]
    counted = ", ".join(
        f"count(*) FILTER (x >= {one!r}::DOUBLE AND x < {other!r}::DOUBLE)".replace("inf", "'inf'").replace(
            "-'inf'", "'-inf'"
        )
        for one, other in pairwise(edges)
    )
    most = LARGEST_TOTAL * bins.unit
    # without NULLs, which `greatest` would take for the least number
    kept = f"least(greatest(x, {-most!r}), {most!r})"
    total = f"sum(round_even({kept} / {bins.unit!r}::DOUBLE, 0)::BIGINT) FILTER (x IS NOT NULL)"
    *found, nulls, total, lowest, highest = database.execute(
        f"SELECT {counted}, count(*) FILTER (x IS NULL), coalesce({total}, 0), min(x), max(x) FROM (SELECT {value} AS x FROM {source})"
    ).fetchall()[0]
    return Counts(np.array(found), nulls, 0, int(total), lowest, highest)


def _value(column: str, kind: str, day: str, beyond: bool) -> str:
    """What of a column is counted as a number."""
    if beyond:
        return f"100 * (strlen({column}) - length({column})) / greatest(strlen({column}), 1)::DOUBLE"
    if kind == "VARCHAR":
        return f"length({column})::DOUBLE"
    if kind == "DATE":
        return f"date_diff('day', {column}, DATE '{day}')::DOUBLE"
    if kind == "TIMESTAMP":
        return f"(epoch_us(TIMESTAMP '{day}') - epoch_us({column})) / 86400000000::DOUBLE"
    return f"{column}::DOUBLE"


def _answers(database: duckdb.DuckDBPyConnection, classes: int) -> Said:
    """Counts of answers, of whose probabilities that of the said class alone is stored."""
    found = database.execute(
        """SELECT k, count(*), sum(round_even(probability::DOUBLE * 1e6, 0))::BIGINT,
                   sum(round_even(probability::DOUBLE * probability::DOUBLE * 1e6, 0))::BIGINT
            FROM predictions JOIN classes ON prediction = label GROUP BY 1"""
    ).fetchall()
    steps = database.execute(
        f"""SELECT k, least(floor(probability::DOUBLE * {STEPS}), {STEPS - 1})::INT, count(*)
            FROM predictions JOIN classes ON prediction = label GROUP BY 1, 2"""
    ).fetchall()
    confidence = np.zeros((classes, STEPS), np.int64)
    for k, step, number in steps:
        confidence[k, step] = number
    rows, sums, squares = (_filled([(row[0], row[place]) for row in found], classes) for place in (1, 2, 3))
    return Said(rows, np.diag(sums), squares, confidence)


def _filled(found: list[tuple[int, int]], size: int) -> np.ndarray:
    numbers = np.zeros(size, np.int64)
    for place, number in found:
        numbers[place] = number
    return numbers


def of_said_alone(profile: Profile) -> Profile:
    """A profile with the sums of those probabilities alone that are stored."""
    assert profile.said is not None
    return replace(profile, said=replace(profile.said, probabilities=np.diag(np.diag(profile.said.probabilities))))
