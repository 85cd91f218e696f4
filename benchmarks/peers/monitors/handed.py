"""The rows that are handed to every way of watching: two days of sample files, scored; the second one damaged, too."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.champion import Champion, fresh_home
from benchmarks.data import make_day
from benchmarks.peers import ours
from mlops_assets.journey.enrich.answers import find_answers, needed, read_answers
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.score.predict import predict
from mlops_assets.journey.train.profiling import profile_rows, store_reference
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_table
from mlops_assets.use_case import UseCase

BEFORE, DAY = "2024-01-30", "2024-01-31"
FILES, ROWS = 4_000, 50
"""Files of each day and rows of each on average: the accounts are the same on both."""

INPUT = "input_"
"""What the names of columns of the model's input begin with."""

DAMAGED = "merchant_city"
"""The column that is damaged, with what the model sees of it."""

SHARE = 0.02


@dataclass
class Capture:
    """A witness that keeps what a model sees and says."""

    batches: list[pa.Table] = field(default_factory=list)
    arrays: list[tuple[np.ndarray, ...]] = field(default_factory=list)

    def see(
        self, batch: pa.Table, matrix: np.ndarray, probabilities: np.ndarray, numbers: np.ndarray, positions: np.ndarray
    ) -> None:
        """Keep a batch; see `Witness`."""
        self.batches.append(batch)
        self.arrays.append((positions, matrix, probabilities, numbers))


def handed_model(folder: Path) -> Model:
    """The model that answered."""
    told = json.loads((folder / "model.json").read_text())
    return Model.load(Path(told["folder"]), told["sha256"])


def read_coded(path: Path) -> pa.Table:
    """The rows with texts as dictionaries, as shards hold them."""
    texts = [field.name for field in pq.read_schema(path) if pa.types.is_string(field.type)]
    return pq.read_table(path, read_dictionary=texts).combine_chunks()


def parted(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows, and the model's input."""
    inputs = [name for name in table.column_names if name.startswith(INPUT)]
    batch = table.select(inputs).rename_columns([name.removeprefix(INPUT) for name in inputs])
    return table.drop_columns([*inputs, "prediction", "probability"]), batch


def hand_out(use_case: UseCase, champion: Champion, folder: Path) -> dict[str, int]:
    """Write the reference and the days as Parquet, each with what else ours has at hand.

    Returns
    -------
    dict
        Number of rows of the day, and of columns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    home, raw = folder / "home", folder / "raw"
    fresh_home(champion, home)
    for day in (BEFORE, DAY):
        for _ in make_day(use_case, raw, dt.date.fromisoformat(day), FILES, ROWS):
            pass
    environment = ours.environment(str(home), str(raw), 2)
    subprocess.run([ours.command(), "run", use_case.name, "--from", BEFORE, "--to", DAY], env=environment, check=True)
    lake = Lake(home / "lake", use_case.name)
    (folder / "model.json").write_text(json.dumps({"folder": str(champion.model), "sha256": champion.sha256}))
    model = handed_model(folder)
    reference, _ = _scored(use_case, lake, model, BEFORE)
    pq.write_table(_decoded(reference), folder / "reference.parquet")
    _write_reference(use_case, reference, model, folder)
    table, arrays = _scored(use_case, lake, model, DAY)
    days = {"day": table, "cities": _with(table, "NOVA CIDADE"), "nulls": _with(table, None)}
    for name, rows in {**days, "part": table.slice(0, len(table) // 10)}.items():
        _write(folder / f"{name}.parquet", rows, model, arrays)
    shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(raw, ignore_errors=True)
    # file, line and date are kept from the peers
    return {"rows": len(table), "columns": len(table.column_names) - 3}


def _write(path: Path, table: pa.Table, model: Model, arrays: dict[str, np.ndarray]) -> None:
    some = {name: each[: len(table)] for name, each in arrays.items()}
    np.savez(path.with_suffix(".npz"), matrix=model.matrix(parted(table)[1]), **some)
    pq.write_table(_decoded(table), path)


def _scored(use_case: UseCase, lake: Lake, model: Model, day: str) -> tuple[pa.Table, dict[str, np.ndarray]]:
    """The rows of a day, what the model sees of them and says, side by side; and all probabilities."""
    answers = find_answers(use_case, lake, day, lake.rows.days()[day], needed(use_case, model.sql))
    tables, kept = [], []
    for part in sorted(lake.rows.parts(day)):
        rows = read_rows(lake.rows.folder / part)
        capture = Capture()
        enriched = read_answers(lake, answers.of(part))
        predict([model], rows, day, use_case, enriched=enriched, witnesses=lambda *_, one=capture: [one])
        order = np.argsort(np.concatenate([arrays[0] for arrays in capture.arrays]))
        seen = pa.concat_tables(capture.batches).drop_columns(["file", "line"]).take(pa.array(order))
        arrays = [np.concatenate(some)[order] for some in list(zip(*capture.arrays, strict=True))[2:]]
        for name in seen.column_names:
            rows = rows.append_column(INPUT + name, seen[name])
        said = pa.array(model.classes).take(pa.array(arrays[1]))
        top = arrays[0][np.arange(len(rows)), arrays[1]].astype(np.float32)
        tables.append(rows.append_column("prediction", said).append_column("probability", pa.array(top)))
        kept.append(arrays)
    names = ("probabilities", "numbers")
    table = pa.concat_tables(tables).drop_columns([use_case.label])
    return table.unify_dictionaries().combine_chunks(), {
        name: np.concatenate(some) for name, some in zip(names, zip(*kept, strict=True), strict=True)
    }


def _write_reference(use_case: UseCase, table: pa.Table, model: Model, folder: Path) -> None:
    """The stored reference of the rows: half of them count as held out."""
    keys = pa.table(
        {
            "_day": pa.array([BEFORE] * len(table)),
            "_file": table["file"].cast(pa.string()),
            "_line": table["line"],
            "_account": table["account_id"].cast(pa.string()),
            "_held_out": pa.array(np.arange(len(table)) % 2 == 0),
        }
    )
    raw, batch = parted(table)
    of_rows = folder / "of_rows.parquet"
    write_table(of_rows, profile_rows(use_case, raw.drop_columns(["file", "line"]), keys).to_table())
    whole = keys
    for name in batch.column_names:
        whole = whole.append_column(name, batch[name])
    place = folder / "of_version"
    place.mkdir(exist_ok=True)
    store_reference(str(of_rows), whole, model, model, place)
    (found,) = place.iterdir()
    shutil.move(found, folder / "reference_profile.parquet")


def _with(table: pa.Table, value: str | None) -> pa.Table:
    """The rows, of which some have another value in the damaged column, and in what the model sees of it."""
    hit = pa.array(np.random.default_rng(7).random(len(table)) < SHARE)
    for name in (DAMAGED, INPUT + "city"):
        texts = table[name].cast(pa.string())
        other = pa.scalar(value, pa.string())
        damaged = pc.if_else(hit, other, texts).combine_chunks().dictionary_encode()
        table = table.set_column(table.column_names.index(name), name, damaged)
    return table


def _decoded(table: pa.Table) -> pa.Table:
    """With plain texts, which all ways read."""
    for place, each in enumerate(table.schema):
        if pa.types.is_dictionary(each.type):
            table = table.set_column(place, each.name, table[each.name].cast(pa.string()))
    return table
