"""Ours: a shard is counted as a daily run counts it, then judged: `python by_profile.py REFERENCE DAY OUT`.

Beside the Parquet files lies what the run has at hand at that point: the stored reference, the model, what it sees as a
matrix, and all its probabilities.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.peers.monitors.handed import DAY, handed_model, parted, read_coded
from mlops_assets.journey.score.profile.reference import Reference
from mlops_assets.journey.score.profile.shard import Counting, profile_shard
from mlops_assets.monitoring.days import WatchedDay
from mlops_assets.monitoring.lamps import judge_day
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.use_case import load_use_case

TIMES = 9
"""It takes so little that a single time is noise."""


def main(folder: Path, path: Path, out: Path) -> None:
    """Count, judge, and tell which columns are red."""
    reference = Reference.from_table(pq.read_table(folder / "reference_profile.parquet"))
    model = handed_model(folder)
    table = read_coded(path)
    given = np.load(path.with_suffix(".npz"))
    rows, batch = parted(table)
    seen = (batch, given["matrix"], given["probabilities"], given["numbers"], np.arange(len(table)))
    took = []
    for _ in range(TIMES):
        began = time.process_time()
        counting = Counting(model, reference.bins)
        counting.see(*seen)
        profile = profile_shard(rows, DAY, reference.bins, counting)
        took.append(time.process_time() - began)
    files, accounts = (len(pc.unique(rows[name])) for name in ("file", "account_id"))
    number = len(rows)
    accounting = PredictionsAccounting(files=files, files_read=files, lines=number, rows=number, predictions=number)
    day = WatchedDay(DAY, profile, accounting, files, accounts)
    verdict = judge_day(load_use_case(OWN_USE_CASES / "transactions"), day, [], reference)
    red = sorted(lamp.name for lamp in verdict.red_lamps)
    out.write_text(json.dumps({"red": red, "cpu": statistics.median(took), "times": TIMES}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).parent, *map(Path, sys.argv[2:4]))
