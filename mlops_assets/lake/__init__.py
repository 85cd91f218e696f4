"""Where everything that was computed lies: Delta tables, one partition a day, and the files that they are made of."""

from mlops_assets.lake.files import open_part, read_part, read_report, write_json, write_table
from mlops_assets.lake.tables import Lake, Part, Published, Table, delta_schema, write_part

__all__ = [
    "Lake",
    "Part",
    "Published",
    "Table",
    "delta_schema",
    "open_part",
    "read_part",
    "read_report",
    "write_json",
    "write_part",
    "write_table",
]
