"""Evidently's preset for drift, as it comes: `python by_evidently.py REFERENCE DAY OUT`."""

import json
import sys
import time

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

reference, day = (pd.read_parquet(path).drop(columns=["file", "line", "date"]) for path in sys.argv[1:3])
began = time.process_time()
numbers = [name for name in day if pd.api.types.is_numeric_dtype(day[name])]
definition = DataDefinition(
    numerical_columns=numbers, categorical_columns=[name for name in day if name not in numbers]
)
both = (Dataset.from_pandas(frame, definition) for frame in (day, reference))
found = Report([DataDriftPreset()]).run(*both).dict()
# with more than 1,000 rows all its tests are distances: too large is red
drifts = [metric for metric in found["metrics"] if metric["config"]["type"].endswith(":ValueDrift")]
red = sorted(one["config"]["column"] for one in drifts if one["value"] >= one["config"]["threshold"])
with open(sys.argv[3], "w") as out:
    json.dump({"red": red, "cpu": time.process_time() - began}, out)
