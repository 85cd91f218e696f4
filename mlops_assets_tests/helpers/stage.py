"""A use case with a home and a Dagster instance of its own, and a small one that costs little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets import running
from mlops_assets.components import MlUseCase
from mlops_assets.components.resources import engines, mlflow
from mlops_assets.settings import OWN_USE_CASES, Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.tables import Table
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import Candidate, Checks, Gate, Preparation, Scale, Split, Training, UseCase, load_use_case
from mlops_assets.use_case.partitions import folder_of
from mlops_assets.workspace import Stores, Workspace
from mlops_assets_tests.helpers.account_files import account_file
from mlops_assets_tests.helpers.homes import copy_home, following_links, give_stores, measured_briefly, state_in

FILES, ROWS = 6, 30
SMALL_SQL = """
CREATE VIEW file_features AS
SELECT file, count(*) AS file_rows, avg(amount) AS file_mean FROM rows GROUP BY file;

CREATE VIEW model_input AS
SELECT rows.file, line, amount, round(amount * 100) % 100 AS cents, merchant_city AS city, amount / file_mean AS to_mean
FROM rows JOIN file_features USING (file);
"""
SMALL_CHECKS = Checks(reject_rate=0.05, quarantine_rate=0.25, unseen_share={"city": 0.5})
SMALL_TRAINING = Training(
    split=Split(by="time", column="date"),
    folds=2,
    baseline="majority",
    candidates={
        "majority": Candidate(use="sklearn.dummy.DummyClassifier", parameters={"strategy": "prior"}),
        "linear": Candidate(
            use="sklearn.linear_model.LogisticRegression",
            parameters={"C": 10.0},
            prepare=(
                Preparation(
                    use="sklearn.preprocessing.OneHotEncoder",
                    parameters={"handle_unknown": "ignore"},
                    columns=("cents",),
                ),
            ),
            others="drop",
        ),
    },
    gate=Gate(margin={"accuracy": 0.05}, tolerance={"accuracy": 0.02}),
)


@dataclass(frozen=True)
class Stage:
    """A use case with a home and a Dagster instance of its own, run as `mlops-assets run` runs it."""

    use_case: UseCase
    home: Path
    instance: dg.DagsterInstance
    definitions: dg.Definitions

    @classmethod
    @contextmanager
    def of(cls, use_case: UseCase, home: Path) -> Iterator[Stage]:
        use_case = following_links(use_case)
        with state_in(home):
            workspace = Workspace.from_environment()
        resources = {"workspace": workspace, "engines": engines, "mlflow": mlflow}
        parts = dg.Definitions(resources=resources, executor=dg.in_process_executor)
        with dg.DagsterInstance.ephemeral() as instance:
            yield cls(use_case, home, instance, dg.Definitions.merge(MlUseCase(use_case).build_defs(), parts))

    @contextmanager
    def copy(self, home: Path) -> Iterator[Stage]:
        """The same days and champion in another home, for a test that changes them."""
        copy_home(self.home, home)
        with Stage.of(self.use_case, home) as stage:
            yield stage

    @contextmanager
    def settings(self) -> Iterator[Settings]:
        """The settings, in force while the context lasts."""
        with state_in(self.home):
            yield Settings.from_environment()

    @contextmanager
    def stores(self) -> Iterator[Stores]:
        """What there is of the use case."""
        with self.settings() as settings:
            yield Workspace(settings).of(self.use_case)

    def tick(self, sensor: str, cursor: str | None) -> Any:
        """What a tick of a sensor says, evaluated as the daemon does it."""
        repository = self.definitions.get_repository_def()
        with (
            self.settings() as settings,
            dg.build_sensor_context(
                instance=self.instance,
                cursor=cursor,
                repository_def=repository,
                resources={"workspace": Workspace(settings)},
            ) as context,
        ):
            return repository.get_sensor_def(sensor).evaluate_tick(context)

    def run(self, first: str, last: str | None = None, *, train: bool = False) -> None:
        if train:
            give_stores(self.home, "mlflow")
        days = first, last or first
        with self.stores() as stores, measured_briefly():
            known = running.days_with_files(stores, days)
            running.run_use_case(self.definitions, self.instance, self.use_case, days, train=train, known=known)

    def execute(
        self, job: str, *assets: str, day: str | None = None, days: tuple[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        """Run some assets of a job, all by default, as a click in the UI would."""
        tags = dict(zip((running.RANGE_START, running.RANGE_END), days or (), strict=False))
        keys = [dg.AssetKey([self.use_case.name, asset]) for asset in assets]
        with self.settings(), measured_briefly():
            return self.definitions.resolve_job_def(f"{self.use_case.name}_{job}").execute_in_process(
                instance=self.instance,
                asset_selection=keys or None,
                partition_key=day,
                tags=tags,
                raise_on_error=False,
            )

    def sample(self, day: str, *, files: int = FILES, rows: int = ROWS, seed: int = 7, labelled: bool = True) -> None:
        for path in self.folder(day).glob("*"):  # in a copy, they are links to files of the original
            path.unlink()
        list(write_sample(self.use_case, self.home / "raw", day, files, rows, 0.0, seed, labelled=labelled))

    def folder(self, day: str) -> Path:
        """The folder of a day's raw files."""
        return self.home / "raw" / self.use_case.name / folder_of(day)

    def deliver(self, day: str, name: str, lines: Sequence[str]) -> None:
        self.folder(day).mkdir(parents=True, exist_ok=True)
        (self.folder(day) / name).unlink(missing_ok=True)
        (self.folder(day) / name).write_bytes(account_file(lines) if lines else b"")

    def table(self, name: str) -> Table:
        return Lake(self.home / "lake", self.use_case.name).table(name)

    def published(self, name: str, day: str) -> list[dict[str, Any]]:
        return self.table(name).read_all([day]).to_pylist()

    def state(self, day: str, *tables: str) -> list[tuple[int, set[str]]]:
        """Version and files of a day in some tables, all daily ones by default."""
        names = tables or ("raw_files", "rows", "rejects", "features", "predictions")
        return [(self.table(name).days()[day].version, self.table(name).parts(day)) for name in names]

    def metadata(self, asset: str, day: str | None = None) -> dict[str, Any]:
        """What the newest materialisation shows in the UI."""
        key = dg.AssetKey([self.use_case.name, asset])
        wanted = dg.AssetRecordsFilter(key, asset_partitions=[day] if day else None)
        (record,) = self.instance.fetch_materializations(wanted, limit=1).records
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    def skipped(self, asset: str) -> list[str]:
        """The reasons for which an asset was passed over."""
        key = dg.AssetKey([self.use_case.name, asset])
        records = self.instance.fetch_observations(key, limit=100).records
        return [str(record.asset_observation.metadata["skipped"].value) for record in records]

    def materialised(self, asset: str) -> set[str]:
        return self.instance.get_materialized_partitions(dg.AssetKey([self.use_case.name, asset]))

    def check(self, asset: str, name: str) -> dg.AssetCheckEvaluation:
        """The newest result of a check."""
        key = dg.AssetCheckKey(dg.AssetKey([self.use_case.name, asset]), name)
        record = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)[0]
        return record.event.dagster_event.asset_check_evaluation_data

    def checks_by_day(self, asset: str, name: str) -> dict[str, dg.AssetCheckEvaluation]:
        """The newest result of a check of each day that has one, in order."""
        key = dg.AssetCheckKey(dg.AssetKey([self.use_case.name, asset]), name)
        records = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=1000)
        found = [record.event.dagster_event.asset_check_evaluation_data for record in reversed(records) if record.event]
        return {one.partition: one for one in sorted(found, key=lambda one: one.partition or "") if one.partition}


def small() -> UseCase:
    """The contract of the flagship with features and candidates that cost little."""
    parts = {"features_sql": SMALL_SQL, "training": SMALL_TRAINING, "checks": SMALL_CHECKS, "scale": Scale()}
    return load_use_case(OWN_USE_CASES / "transactions").model_copy(update=parts)
