"""NannyML's drift of single columns, missing and unseen values, as they come: `python by_nannyml.py REFERENCE DAY OUT`.

A column is red where most chunks of the day alert. The caller switches off that it sends usage data elsewhere.
"""

import json
import sys
import time
from collections import Counter

import nannyml
import pandas as pd

reference, day = (pd.read_parquet(path).drop(columns=["file", "line", "date"]) for path in sys.argv[1:3])
began = time.process_time()
names = list(day)
texts = [name for name in names if not pd.api.types.is_numeric_dtype(day[name])]
calculators = (
    nannyml.UnivariateDriftCalculator(column_names=names, treat_as_categorical=texts),
    nannyml.MissingValuesCalculator(column_names=names),
    nannyml.UnseenValuesCalculator(column_names=texts),
)
red = set()
for calculator in calculators:
    found = calculator.fit(reference).calculate(day).filter(period="analysis").to_df()
    alerts = Counter({column: int(found[column].sum()) for column in found.columns if column[-1] == "alert"})
    red |= {column[0] for column, times in alerts.items() if times > len(found) / 2}
with open(sys.argv[3], "w") as out:
    json.dump({"red": sorted(red), "cpu": time.process_time() - began}, out)
