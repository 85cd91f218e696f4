"""One PostgreSQL as source, as target, and as storage of Dagster and MLflow; its password is seen nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets_tests.helpers.postgres import FORMS, Server, leaks, query
from mlops_assets_tests.helpers.shop import Shop
from mlops_assets_tests.helpers.visits import VISITS, place_visits

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
PLACES = """\
  source:
    use: sql
    parameters:
      url_variable: SHOP_URL
      query: SELECT visitor, minutes, channel, returned FROM visits WHERE seen = :day
      files_a_day: 5
  targets:
    warehouse:
      use: sql
      parameters: {url_variable: SHOP_URL, mode: upsert}
"""
ROWS = """
CREATE TABLE visits AS
SELECT 'V' || n AS visitor, CASE WHEN n % 2 = 0 THEN 60 ELSE 5 END + n % 7 AS minutes, 'web' AS channel,
       CASE WHEN n % 2 = 0 THEN 'yes' ELSE 'no' END AS returned, DATE '2026-01-01' + n % 3 AS seen
FROM generate_series(1, 300) AS n
"""


class Everything:
    """The command as a person gives it, with everything in one database."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.home = folder / "home"
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "MLFLOW_", "DAGSTER_"))
        }
        self.environment = {
            **kept,
            "MLOPS_HOME": str(self.home),
            "MLOPS_WORKERS": "1",
            "MLOPS_DATABASE_URL": url,
            "SHOP_URL": url,
            "MLOPS_USE_CASES": str(place_visits(folder / "use_cases", VISITS + PLACES)),
        }
        self.said: list[str] = []

    def start(self, *arguments: str) -> tuple[int, str]:
        """Run a command as a process of its own, all of whose output is kept."""
        command = [sys.executable, "-c", "from mlops_assets.cli import main; main()", *arguments]
        pipe, both = subprocess.PIPE, subprocess.STDOUT
        done = subprocess.run(
            command, env=self.environment, stdout=pipe, stderr=both, text=True, timeout=300, check=False
        )
        self.said.append(done.stdout)
        return done.returncode, done.stdout

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command in this process, which has its imports done."""
        done = Shop(self.home)(*arguments, MLOPS_DATABASE_URL=self.url, SHOP_URL=self.url)
        self.said += [done.out, done.err]
        return done.code, done.out + done.err


@pytest.fixture(scope="module")
def shop(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    """Three days of rows, trained and delivered."""
    with postgres.database() as url:
        query(url, ROWS)
        shop = Everything(url, tmp_path_factory.mktemp("shop"))
        code, said = shop.start("run", "visits", "--from", DAYS[0], "--to", DAYS[-1], "--train")
        assert code == 0, said
        yield shop


def delivered(shop: Everything) -> dict[str, int]:
    """Rows of each day in the table."""
    counted = query(shop.url, "SELECT day::text, count(*) FROM visits_predictions GROUP BY 1 ORDER BY 1")
    return {str(day): int(rows) for day, rows in counted}


def test_rows_of_a_table_become_predictions_in_another(shop: Everything) -> None:
    assert delivered(shop) == dict.fromkeys(DAYS, 100)
    assert query(shop.url, "SELECT count(*) FROM mlflow.model_versions") == [(1,)]
    ((runs,),) = query(shop.url, "SELECT count(*) FROM runs WHERE status = 'SUCCESS'")
    assert runs == 3
    assert not list(shop.home.rglob("*.db")), "nothing is left to SQLite"


def test_the_password_is_in_no_file_no_output_and_no_table(shop: Everything) -> None:
    assert leaks(shop.home) == []
    assert not any(form in said for said in shop.said for form in FORMS)
    tables = query(
        shop.url,
        "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables "
        "WHERE table_schema IN ('public', 'mlflow') AND table_type = 'BASE TABLE'",
    )
    found = [
        name
        for (name,) in tables
        for form in FORMS
        if query(shop.url, f"SELECT 1 FROM {name} AS r WHERE position('{form}' IN r::text) > 0 LIMIT 1")
    ]
    assert len(tables) > 50
    assert found == []


def test_a_day_that_changed_in_the_source_is_delivered_again_and_others_are_not(shop: Everything) -> None:
    query(shop.url, "INSERT INTO visits VALUES ('late', 61, 'web', 'yes', '2026-01-02')")
    before = query(shop.url, "SELECT day::text, publication FROM mlops_assets_deliveries ORDER BY 1")
    code, said = shop.run("run", "visits", "--from", DAYS[0], "--to", DAYS[-1])
    assert code == 0, said
    after = query(shop.url, "SELECT day::text, publication FROM mlops_assets_deliveries ORDER BY 1")
    assert [day for (day, was), (_, now) in zip(before, after, strict=True) if was != now] == [DAYS[1]]
    assert delivered(shop)[DAYS[1]] == 101
    query(shop.url, "DELETE FROM visits WHERE visitor = 'late'")
    assert shop.run("run", "visits", "--from", DAYS[1], "--to", DAYS[1])[0] == 0
    assert delivered(shop) == dict.fromkeys(DAYS, 100)
