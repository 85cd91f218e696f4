"""Real rows under a model that learned from drawn ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.lamps.days import watch
from benchmarks.lamps.stage import Stage, make_pool
from mlops_assets.monitoring.lamp import DayVerdict
from mlops_assets.monitoring.lamps import Judge

DATA = Path(__file__).parents[3] / "shared" / "data"
DAY = "2026-07-01"


def judge_real_santander(stage: Stage, table: Path) -> DayVerdict:
    """What is said of a day with the 250 real rows, by a model that learned from drawn ones."""
    frame = pd.read_csv(table)
    columns = {"id_code": frame["ID_code"], **{name: frame[name] for name in frame.columns if name.startswith("var_")}}
    rows = pa.table(
        {
            "file": pa.array(["real.csv"] * len(frame)).dictionary_encode(),
            "line": pa.array(np.arange(len(frame), dtype=np.int32)),
            "target": pa.nulls(len(frame), pa.string()),
            **{name: pa.array(values) for name, values in columns.items()},
        }
    )
    model_input = rows.select(list(stage.model.columns))
    parts = [(DAY, rows, model_input, np.arange(len(rows)), {})]
    pool = make_pool(stage.use_case, stage.model, parts, stage.unit)
    today = watch(stage, DAY, np.arange(pool.units), pool=pool)
    return Judge(stage.use_case.drift, stage.reference, stage.use_case.account).day(today.watched, [], "training")


def santander_under_drawn_model(stage: Stage) -> str:
    """What the page says of it; empty where the rows are not there."""
    table = DATA / "santander" / "unlabelled_250_rows.csv"
    if not table.exists():
        return ""
    verdict = judge_real_santander(stage, table)
    answers = [lamp for lamp in verdict.red_lamps if lamp.source == "predictions"]
    rows = [lamp for lamp in verdict.red_lamps if lamp.source == "rows"]
    told = [
        f"The 250 real rows of `santander` under the model that learned from drawn ones: {len(verdict.red_lamps)} of "
        f"{len(verdict.lamps)} lamps are red, {len(rows)} of them of raw columns."
    ]
    told += [lamp.sentence for lamp in (*rows[:2], *answers)]
    return " ".join(told)
