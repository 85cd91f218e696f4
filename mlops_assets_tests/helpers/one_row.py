"""A day of small files, with SQL that one amount spoils, and models of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from mlops_assets.journey.explain.why import Explanation, explain
from mlops_assets.journey.features.day import aggregate_day
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.journey.score.day import ScoredDay, Scorers, score_day
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import Checks, UseCase, load_use_case
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.shards import Engine
from mlops_assets_tests.helpers.account_files import ROW, account_file, changed
from mlops_assets_tests.helpers.days import DAY, ignore, in_shards_of, read_raw
from mlops_assets_tests.helpers.models import as_version

SQL = """
CREATE VIEW file_features AS SELECT file, avg(amount) AS mean FROM rows GROUP BY file;
CREATE VIEW model_input AS SELECT file, line, {} AS size, mean FROM rows JOIN file_features USING (file);
"""
SMALL_AMOUNTS = SQL.format("amount::DECIMAL(6, 2)::DOUBLE")
EMPTY_SEVEN = SQL.format("nullif(amount, 7)")
TOO_MUCH = "1.000.000,00"
GOOD = [
    ROW,
    changed(valor="250,00", data="5.12.2019", grupo_estabelecimento="VAREJO"),
    changed(valor="9,99", data="6.12.2019"),
    changed(valor="1.200,00", data="7.12.2019", grupo_estabelecimento="VAREJO"),
]
BAD, BAD_LINE = "c.csv", 3


def of_amounts(*amounts: str) -> bytes:
    """A file of good rows, and behind the second of them further ones with these amounts."""
    return account_file([*GOOD[:2], *(changed(valor=amount) for amount in amounts), *GOOD[2:]])


@dataclass(frozen=True)
class Place:
    """A lake with the rows of a day; one file of eight has the row that is said, as its third."""

    use_case: UseCase
    folder: Path

    @property
    def lake(self) -> Lake:
        return Lake(self.folder / "lake", self.use_case.name)

    def read(self, *amounts: str, rejected: bool = False) -> None:
        """Put the files into the day and read it."""
        day = self.folder / "raw" / self.use_case.name / f"day={DAY}"
        day.mkdir(parents=True, exist_ok=True)
        for name in "abcdefgh":
            (day / f"{name}.csv").write_bytes(of_amounts(*(amounts if f"{name}.csv" == BAD else ())))
        if rejected:
            (day / "i.csv").write_bytes(account_file([*GOOD * 3, changed(data="yesterday")]))
        read_raw(self.use_case, self.folder / "raw", self.lake, DAY)
        aggregate_day(self.use_case, self.lake, DAY, LocalEngine(1), ignore)

    def score(self, version: Version, challenger: Version | None = None, engine: Engine | None = None) -> ScoredDay:
        scorers = Scorers(version, challenger=challenger)
        return score_day(self.use_case, self.lake, DAY, scorers, engine or LocalEngine(1), ignore, "the folder")

    def why(self, version: Version, file: str, line: int) -> Explanation:
        source = FolderSource(self.folder / "raw" / self.use_case.name, ".csv")
        return explain(self.use_case, source, self.lake, lambda _: version, DAY, file, line)

    def published(self, table: str) -> dict[tuple[str, int], dict[str, object]]:
        """The rows of a table by file and line."""
        rows = self.lake.table(table).read_all([DAY]).to_pylist()
        return {(row["file"], row["line"]): row for row in rows}


def open_place(folder: Path, sql_rejects: float, sql: str = SMALL_AMOUNTS) -> Place:
    """A place with four files a shard."""
    checks = Checks(sql_rejects=sql_rejects)
    parts = {"features_sql": sql, "checks": checks, "enrichments": {}}
    use_case = load_use_case(OWN_USE_CASES / "transactions").model_copy(update=parts)
    return Place(in_shards_of(4, use_case), folder)


def a_version(folder: Path, number: int = 1, sql: str = SMALL_AMOUNTS, takes_nan: bool = True) -> Version:
    """A model of the amount and the mean of a file; one that takes no NaN fails on a missing number."""
    matrix = np.random.default_rng(number).uniform(0, 9, (200, 2))
    estimator = DecisionTreeClassifier(max_depth=3) if takes_nan else LogisticRegression()
    estimator.fit(matrix, (matrix[:, 0] > 4).astype(int))
    return as_version(Model(estimator, {"size": None, "mean": None}, ("small", "large"), sql), folder, number)
