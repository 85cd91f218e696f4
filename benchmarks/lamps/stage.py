"""A use case with a model, the reference of what it learned from, and a pool of rows of which days are drawn."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from mlops_assets.journey.enrich.answers import read_answers
from mlops_assets.journey.enrich.day import enrich_day
from mlops_assets.journey.features.matrix import as_text
from mlops_assets.journey.features.shard import compute
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.read.listing import list_day
from mlops_assets.journey.read.rows import read_day
from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.journey.score.profile.bins import count_columns, whole
from mlops_assets.journey.score.profile.counts import Bins, Column, Counts, Profile, Said
from mlops_assets.journey.score.profile.reference import REFERENCE_FILE, Reference, open_reference
from mlops_assets.journey.score.profile.shard import Counting, count_sizes
from mlops_assets.journey.train.candidates import fit
from mlops_assets.journey.train.profiling import store_reference
from mlops_assets.journey.train.training_set import TrainingSet, build_training_set
from mlops_assets.journey.train.window import choose_days
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.storage.catalog import Lake
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase, load_use_case
from mlops_assets.work.engines.local import LocalEngine

FIRST = dt.date(2026, 1, 5)
LATER = dt.date(2026, 3, 2)

Unit = Literal["file", "row"]


@dataclass(frozen=True)
class Plan:
    """How much is drawn of a use case.

    Attributes
    ----------
    candidate
        Who becomes champion.
    files, rows
        Of a drawn day: files, and rows in each.
    learned, pooled
        Days to learn from, and days of the pool.
    day
        Files of a simulated day, or rows where a day is one table.
    """

    candidate: str
    files: int
    rows: int
    learned: int
    pooled: int
    day: int


PLANS = {
    "transactions": Plan("linear", 1_500, 10, 3, 4, 1_000),
    "santander": Plan("bayes", 1, 6_000, 4, 4, 2_000),
    "loan_approval": Plan("boosting", 1, 4_000, 3, 4, 1_000),
    "topics": Plan("linear", 6_000, 1, 1, 1, 2_500),
    "compound_rings": Plan("linear", 40, 50, 1, 1, 1_000),
}
"""By use case. A day has at least 1,000 rows of their own: with fewer, a mean that moves by 0.3 standard deviations
cannot be told from noise by anybody; see docs/monitoring.md."""


@dataclass(frozen=True)
class Pool:
    """Rows of which days are drawn, with what the model sees and says of them.

    Attributes
    ----------
    rows
        The rows, those of a unit one after the other.
    days
        The day of each.
    model_input, matrix, probabilities, numbers
        What the model sees and says, in the order of the rows.
    first
        Where each unit begins, and the end.
    labels
        The label of each row, as its number among the classes.
    answers
        What the rows were enriched with, by enrichment, each key once.
    """

    rows: pa.Table
    days: np.ndarray
    model_input: pa.Table
    matrix: np.ndarray
    probabilities: np.ndarray
    numbers: np.ndarray
    first: np.ndarray
    labels: np.ndarray
    answers: dict[str, pa.Table]

    @property
    def units(self) -> int:
        return len(self.first) - 1

    def positions(self, units: np.ndarray) -> np.ndarray:
        """The rows of some units; a unit that comes twice has its rows twice."""
        sizes = np.diff(self.first)[units]
        ends = np.cumsum(sizes)
        return np.repeat(self.first[units] - ends + sizes, sizes) + np.arange(ends[-1] if len(ends) else 0)

    def accounts(self, use_case: UseCase, positions: np.ndarray) -> int:
        """How many accounts some rows have."""
        column = whole(self.rows[use_case.account])
        codes = column.indices if pa.types.is_dictionary(column.type) else column.dictionary_encode().indices
        return len(np.unique(codes.to_numpy(zero_copy_only=False)[positions]))


@dataclass(frozen=True)
class Stage:
    """A use case, ready for days.

    Attributes
    ----------
    use_case, plan, model, reference, pool
        As they are called.
    unit
        What a day is drawn by: its files, or rows where a day is one table.
    """

    use_case: UseCase
    plan: Plan
    model: Model
    reference: Reference
    pool: Pool
    unit: Unit

    def profile(self, positions: np.ndarray, sizes: np.ndarray, pool: Pool | None = None) -> Profile:
        """What is counted of some rows of the pool."""
        return profile(pool or self.pool, positions, sizes, self.model, self.reference.bins)

    def answered(self, positions: np.ndarray, name: str, values: pa.Array) -> tuple[dict[Column, Counts], Said]:
        """What the model sees and says of some rows that have other values in a column, as `features.sql` makes it."""
        pool = self.pool
        rows = pool.rows.take(pa.array(positions))
        rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name).with_type(values.type), values)
        # a unit comes once on such a day; files of several days have names in common, units have not
        units = np.searchsorted(pool.first, positions, side="right") - 1
        order = np.lexsort((rows["line"].to_numpy(), units))
        known, codes = np.unique(units[order], return_inverse=True)
        files = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array([f"{unit:07d}" for unit in known]))
        lines = pa.array(np.arange(len(order), dtype=np.int32))
        rows = rows.take(pa.array(order)).combine_chunks()
        for column, numbers in (("file", files), ("line", lines)):
            rows = rows.set_column(rows.column_names.index(column), column, numbers)
        model_input, places = _inputs(self.use_case, rows.combine_chunks(), str(pool.days[0]), pool.answers)
        matrix = self.model.matrix(model_input)
        probabilities = self.model.probabilities(matrix)
        counting = Counting(self.model, self.reference.bins)
        counting.see(model_input, matrix, probabilities, self.model.decide(probabilities), places)
        return counting.told()


def set_stage(name: str, folder: Path, scale: float = 1.0, seed: int = 7) -> Stage:
    """Draw days, read them, learn, and count what was learned from.

    Parameters
    ----------
    name
        The use case.
    folder
        Where files and tables lie.
    scale
        By how much less is drawn.
    seed
        Of the samples.
    """
    use_case = load_use_case(OWN_USE_CASES / name)
    plan = PLANS[name]
    plan = Plan(
        plan.candidate,
        max(1, round(plan.files * scale)),
        plan.rows if plan.files > 1 else round(plan.rows * scale),
        plan.learned,
        plan.pooled,
        round(plan.day * scale),
    )
    learned, later = Lake(folder / "learned", name), Lake(folder / "later", name)
    for ago in range(plan.learned):
        _draw(use_case, folder / "raw", learned, FIRST + dt.timedelta(days=ago), plan, seed)
    for ago in range(plan.pooled):
        _draw(use_case, folder / "raw", later, LATER + dt.timedelta(days=ago), plan, seed)
    return make_stage(use_case, plan, learned, later, folder)


def make_stage(use_case: UseCase, plan: Plan, learned: Lake, later: Lake, folder: Path) -> Stage:
    """Learn from the days of one lake, and draw days from those of another."""
    training_set = build_training_set(use_case, learned)
    rows = training_set.load()
    candidate = use_case.training.candidates[plan.candidate]
    model = fit(use_case, candidate, training_set, rows.filter(pa.compute.invert(rows["_held_out"])))
    reference = make_reference(training_set, model, learned, folder)
    unit: Unit = "file" if reference.unit == "file" else "row"
    return Stage(use_case, plan, model, reference, pool_of(use_case, model, later, unit), unit)


def _draw(use_case: UseCase, raw: Path, lake: Lake, day: dt.date, plan: Plan, seed: int) -> None:
    for _ in write_sample(use_case, raw, day, plan.files, plan.rows, 0, seed):
        pass
    read(use_case, raw, lake, day)


def read(use_case: UseCase, raw: Path, lake: Lake, day: dt.date) -> None:
    """Read the raw files of a day."""
    source = FolderSource(raw / use_case.name, use_case.files.suffix)
    manifest = list_day(use_case, source, lake.raw_files, day.isoformat())
    read_day(use_case, source, lake, manifest, LocalEngine(1), lambda _: None)
    for enrichment in use_case.enrichments:
        enrich_day(use_case, lake, enrichment, day.isoformat())


def pool_of(use_case: UseCase, model: Model, lake: Lake, unit: Unit) -> Pool:
    """The rows of all days of a lake, of which others are drawn."""
    return make_pool(use_case, model, _days_of(use_case, lake), unit)


Parts = list[tuple[str, pa.Table, pa.Table, np.ndarray, dict[str, pa.Table]]]
"""Day, rows, the model's input of them, where each of its rows stands among them, and what they were enriched with."""


def _days_of(use_case: UseCase, lake: Lake) -> Parts:
    found = []
    for day, (_, answers) in choose_days(use_case, lake)[0].items():
        for path in sorted(lake.rows.parts(day)):
            rows = read_rows(lake.rows.folder / path)
            enriched = dict(read_answers(lake, answers.of(path)))
            found.append((day, rows, *_inputs(use_case, rows, day, enriched), enriched))
    return found


def _inputs(use_case: UseCase, rows: pa.Table, day: str, answers: dict[str, pa.Table]) -> tuple[pa.Table, np.ndarray]:
    batches, places = zip(*compute(rows, day, use_case, use_case.features_sql, answers=answers), strict=True)
    return pa.concat_tables(batches).drop_columns(["file", "line"]), np.concatenate(places)


def make_pool(use_case: UseCase, model: Model, parts: Parts, unit: Unit) -> Pool:
    """Put rows of several days together, by their units."""
    tables, inputs, days, names = [], [], [], []
    for day, rows, model_input, places, _ in parts:
        tables.append(rows.set_column(rows.column_names.index("file"), "file", as_text(rows["file"])))
        inputs.append(model_input.take(pa.array(np.argsort(places))))
        days.append(np.full(len(rows), day, "datetime64[D]"))
        names.append([f"{day}/{name}" for name in as_text(rows["file"]).to_pylist()])
    rows, model_input, day = pa.concat_tables(tables), pa.concat_tables(inputs), np.concatenate(days)
    units = np.arange(len(rows)) if unit == "row" else pd.factorize(np.concatenate(names))[0]
    order = np.argsort(units, kind="stable")
    rows, model_input = (_coded(table.take(pa.array(order))) for table in (rows, model_input))
    matrix = model.matrix(model_input)
    probabilities = model.probabilities(matrix)
    known = {label: number for number, label in enumerate(model.classes)}
    labels = np.array([known.get(label, -1) for label in as_text(rows[use_case.label]).to_pylist()])
    first = np.searchsorted(units[order], np.arange(units.max() + 2))
    said, answers = model.decide(probabilities), _answers(use_case, parts)
    return Pool(rows, day[order], model_input, matrix, probabilities, said, first, labels, answers)


def _answers(use_case: UseCase, parts: Parts) -> dict[str, pa.Table]:
    """What the rows of all parts were enriched with, each key once."""
    found = {}
    for name, enrichment in use_case.enrichments.items():
        table = pa.concat_tables([enriched[name] for *_, enriched in parts if name in enriched])
        _, first = np.unique(
            pd.MultiIndex.from_frame(table.select(list(enrichment.keys)).to_pandas()).factorize()[0], return_index=True
        )
        found[name] = table.take(pa.array(first)).combine_chunks()
    return found


def _coded(table: pa.Table) -> pa.Table:
    """Texts as dictionaries, which are counted fast."""
    arrays = [whole(column) for column in table.columns]
    coded = [array.dictionary_encode() if pa.types.is_string(array.type) else array for array in arrays]
    return pa.table(coded, table.column_names)


def make_reference(training_set: TrainingSet, model: Model, lake: Lake, folder: Path) -> Reference:
    """What a version would have: made, written and read by the same code."""
    kept = str(lake.training_profile(training_set.fingerprint))
    store_reference(kept, training_set.load(), model, model, folder)
    return Reference.from_table(open_reference((folder / REFERENCE_FILE).read_bytes()).read())


def profile(pool: Pool, positions: np.ndarray, sizes: np.ndarray, model: Model, bins: dict[Column, Bins]) -> Profile:
    """What is counted of some rows, by the code that counts days."""
    taken, days = pool.rows.take(pa.array(positions)), pool.days[positions]
    counting = Counting(model, bins)
    some = pool.model_input.take(pa.array(positions))
    counting.see(some, pool.matrix[positions], pool.probabilities[positions], pool.numbers[positions], positions)
    of_input, said = counting.told()
    of_rows = count_columns(taken, {name: each for name, each in bins.items() if name[0] == "rows"}, days)
    return Profile({**of_rows, **of_input}, said, count_sizes(sizes[sizes > 0]))
