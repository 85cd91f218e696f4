"""A use case that predicts a number: the rent of a flat by its area and city."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

DAYS = ("2026-01-31", "2026-02-28")
CITIES = {"NATAL": 18.0, "RECIFE": 22.0}

RENTS = """\
type: mlops_assets.components.MlUseCase

attributes:
  description: Monthly rent of a flat.
  start: 2026-01-01
  columns:
    flat: {type: string, required: true, about: Number of the flat.}
    city: {type: string, about: Where it lies.}
    area: {type: number, min: 5, max: 1000, about: Square metres.}
    rent: {type: number, min: 0, max: 50000, about: Rent of a month.}
  account: flat
  label: rent
  value: area
  feedback: {slices: [city]}
  training:
    task: regression
    split: {by: account, held_out: 0.3}
    folds: 2
    baseline: median
    candidates:
      median: {use: sklearn.dummy.DummyRegressor, parameters: {strategy: median}}
      linear:
        use: sklearn.linear_model.Ridge
        prepare:
          - {use: mlops_assets.encoders.OneHotEncoder, columns: categories}
    gate: {margin: {mae: 100}}
  retraining: {least_audited: 5}
"""
RENTS_SQL = "CREATE VIEW model_input AS SELECT file, line, city, area FROM rows;\n"


def place_rents(folder: Path, yaml: str = RENTS) -> Path:
    """Write the use case `rents` into a folder of use cases; the folder of the use case."""
    place = folder / "rents"
    place.mkdir(parents=True)
    (place / "defs.yaml").write_text(yaml, encoding="utf-8")
    (place / "features.sql").write_text(RENTS_SQL, encoding="utf-8")
    return place


def flats(rows: int, seed: int, *, times: float = 1.0) -> bytes:
    """A file of flats, of which one in fifty has no rent yet; `times` makes all of them larger."""
    random = np.random.default_rng(seed)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["flat", "city", "area", "rent"])
    for number in range(rows):
        city, area = random.choice([*CITIES]), round(float(random.gamma(8, 9)) * times + 10, 1)
        # the larger a flat, the less its area tells of the rent
        rent = round(CITIES[str(city)] * area * float(np.exp(random.normal(0, 0.1))), 2)
        table.writerow([f"F{seed}-{number}", city, area, "" if number % 50 == 7 else rent])
    return text.getvalue().encode()
