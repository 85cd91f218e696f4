"""Which columns of the contract no model sees, told where the gate refuses."""

from __future__ import annotations

import pytest

from mlops_assets.views.status import left_out
from mlops_assets_tests.helpers.toy import toy

VIEW = "CREATE VIEW model_input AS SELECT file, line, "


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        (f"{VIEW} amount, city FROM rows", ["account", "date"]),
        (f"{VIEW} AMOUNT, r.city FROM rows AS r -- without date\n", ["account", "date"]),
        (f"{VIEW} amount /* and city */ FROM rows", ["account", "date", "city"]),
        (f"{VIEW} month(date) AS m, count(*) OVER (PARTITION BY account, city) AS n, amount FROM rows", []),
        ("CREATE VIEW model_input AS SELECT * FROM rows", []),
        ("CREATE VIEW model_input AS SELECT r.* FROM rows AS r", []),
        (f"{VIEW} COLUMNS('^a.*') FROM rows", []),
    ],
)
def test_columns_that_the_sql_does_not_name_are_left_out(sql: str, columns: list[str]) -> None:
    assert left_out(toy().model_copy(update={"features_sql": sql})) == columns
