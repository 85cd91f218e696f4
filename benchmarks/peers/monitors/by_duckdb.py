"""A profile in plain SQL, without a judgement: `python by_duckdb.py REFERENCE DAY OUT`.

Numbers are counted by the twenty-quantiles of the reference, categories by their 50 most frequent values there.
"""

import json
import sys
import time

import duckdb

database = duckdb.connect(config={"threads": 1})
for name, path in (("reference", sys.argv[1]), ("day", sys.argv[2])):
    database.execute(f"CREATE TABLE {name} AS SELECT * FROM read_parquet('{path}')")
began = time.process_time()
columns = {name: kind for name, kind, *_ in database.execute("DESCRIBE day").fetchall()}
counts = {}
for name, kind in columns.items():
    if name in {"file", "line", "date"}:
        continue
    if kind == "VARCHAR":
        sql = f"""
            WITH top AS (SELECT "{name}" AS value FROM reference GROUP BY ALL ORDER BY count(*) DESC LIMIT 50)
            SELECT top.value, count(*) FROM day LEFT JOIN top ON day."{name}" = top.value GROUP BY ALL
        """
    else:
        quantiles = f"""quantile_cont("{name}"::DOUBLE, [x / 20 FOR x IN range(1, 20)])"""
        edges = f"(SELECT list_distinct({quantiles}) FROM reference)"
        sql = f"""SELECT unnest(map_entries(histogram("{name}"::DOUBLE, list_sort({edges})))) FROM day"""
    counts[name] = database.execute(sql).fetchall()
    counts[name] += database.execute(f'SELECT count(*) - count("{name}") FROM day').fetchall()
with open(sys.argv[3], "w") as out:
    json.dump({"red": None, "cpu": time.process_time() - began}, out)
