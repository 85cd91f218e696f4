"""The one component: a folder with `defs.yaml` and `features.sql` becomes assets, checks, jobs and a schedule."""

from typing import Any, Self

import dagster as dg
from pydantic import BaseModel, ValidationError

from mlops_assets.components.arrivals import arrival_sensors
from mlops_assets.components.beginning import with_beginning
from mlops_assets.components.cataloguing import catalogued
from mlops_assets.components.champions import champion_sensors
from mlops_assets.components.changing import changing_jobs, first_scoring_sensors
from mlops_assets.components.daily import daily_assets, yesterday_check
from mlops_assets.components.delivery import delivery_assets
from mlops_assets.components.drift import drift_assets
from mlops_assets.components.lost_database import retry_after_lost_database
from mlops_assets.components.monitoring import monitoring_assets, monitoring_schedule
from mlops_assets.components.pipes import job_assets
from mlops_assets.components.ranges import range_job
from mlops_assets.components.resources import end_mlflow_run
from mlops_assets.components.retraining import recipe_sensors, retraining_schedules, retraining_sensors
from mlops_assets.components.retro import retro_job, retro_sensors
from mlops_assets.components.scaffolding import UseCaseScaffolder
from mlops_assets.components.scoring import made_besides
from mlops_assets.components.telling import telling_sensors
from mlops_assets.components.training import training_assets
from mlops_assets.journey.features.sql import describe
from mlops_assets.journey.train.columns import check_columns
from mlops_assets.settings import Settings
from mlops_assets.use_case import Attributes, UseCase, build_use_case, explained
from mlops_assets.work.engines.kinds import PIPES, engine_name


@dg.scaffold_with(UseCaseScaffolder)
class MlUseCase(dg.Component):
    """Raw files of a day become rows, features and predictions; labelled rows become a champion.

    Parameters
    ----------
    use_case
        What the folder says.
    """

    def __init__(self, use_case: UseCase) -> None:
        self.use_case = use_case

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The model that `attributes` of a `defs.yaml` is checked against."""
        return Attributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Make the component of its YAML; `{{ env.NAME }}` is replaced in texts. It begins where its data does."""
        given: dict[str, Any] = attributes.model_dump(by_alias=True, exclude_unset=True) if attributes else {}
        try:
            return cls(with_beginning(build_use_case(given, context.path), Settings.from_environment()))
        except ValidationError as error:  # whose own text quotes what it was given, filled in
            raise explained(error, given, context.path) from None

    def build_defs(self, context: dg.ComponentLoadContext | None = None) -> dg.Definitions:
        """Assets, checks, jobs and schedule of the use case; with a context, Dagster refers to its `defs.yaml`.

        Raises
        ------
        ConfigError
            If `features.sql` does not run on the columns of the contract.
        """
        # in the names of jobs, checks, schedules and sensors: those of two use cases would collide otherwise
        name = self.use_case.name
        columns = describe(self.use_case)
        check_columns(self.use_case, columns.model)
        daily = daily_assets(self.use_case, has_file_features=bool(columns.file))
        settings = Settings.from_environment()
        if engine_name(settings, self.use_case) == PIPES:
            daily = [job_assets(self.use_case, daily)]
        daily = [*daily, *drift_assets(self.use_case)]
        deliveries = delivery_assets(self.use_case, has_file_features=bool(columns.file))
        training = training_assets(self.use_case)
        monitoring = monitoring_assets(self.use_case)
        check = yesterday_check(self.use_case)
        # the check is of yesterday: after a backfill of last year it would be red, and say nothing of that run
        daily_job = dg.define_asset_job(
            f"{name}_daily",
            selection=dg.AssetSelection.assets(*daily, *deliveries) - dg.AssetSelection.checks(check),
            description="From the raw files of a day, or of a range of days, to published predictions by the champion. "
            "Trains nothing. The launchpad asks which version scores, and whether to ask or deliver once more what is "
            "there.",
            hooks={retry_after_lost_database},
        )
        training_job = dg.define_asset_job(
            f"{name}_training",
            selection=dg.AssetSelection.assets(*training),
            description="Trains: from labelled rows to candidates, their evaluation, a version, and a champion if the "
            "gate agrees. The launchpad asks which days a new champion scores at once.",
            # without it, the next training of this process would join the same MLflow run
            hooks={end_mlflow_run, retry_after_lost_database},
        )
        # a freshness policy would not do, for it knows nothing of partitions
        watch_job = dg.define_asset_job(
            f"{name}_watch",
            selection=dg.AssetSelection.checks(check),
            description="Asks after each run of the schedule whether the day, hour or week that is over was published.",
        )
        monitoring_job = dg.define_asset_job(
            f"{name}_monitoring",
            selection=dg.AssetSelection.assets(*monitoring),
            description="From people's corrections and audits to live metrics, and which version scored which day. "
            "Changes no prediction.",
            hooks={retry_after_lost_database},
        )
        scoring_again = retro_job(self.use_case)
        besides = made_besides(self.use_case, after="features" if columns.file else "rows")
        drawn = [*daily, *deliveries, *training, *monitoring, *besides]
        return dg.Definitions(
            assets=catalogued(self.use_case, columns, settings, drawn, with_yaml=context is None),
            asset_checks=[check],
            jobs=[
                daily_job,
                training_job,
                watch_job,
                monitoring_job,
                range_job(self.use_case),
                scoring_again,
                *changing_jobs(self.use_case),
            ],
            schedules=[
                _daily_schedule(self.use_case, daily_job),
                _watch_schedule(self.use_case, watch_job),
                monitoring_schedule(self.use_case, monitoring_job),
                *retraining_schedules(self.use_case, training_job),
            ],
            sensors=[
                *arrival_sensors(self.use_case, daily_job),
                *retraining_sensors(self.use_case, training_job),
                *recipe_sensors(self.use_case, training_job),
                *champion_sensors(self.use_case),
                *first_scoring_sensors(self.use_case, training_job, daily_job),
                *retro_sensors(self.use_case, scoring_again),
                *telling_sensors(self.use_case),
            ],
        )


def _daily_schedule(use_case: UseCase, job: Any) -> dg.ScheduleDefinition:
    """Runs the period that is over; those that end while it is off are backfilled by hand."""
    # Dagster's own daily schedule takes the newest partition, which is today's: `daily_partitions` has it already
    name, partitions = use_case.name, use_case.partitions
    instead = f"the sensor {name}_files does without it" if use_case.sensor else "what ends meanwhile is run by hand"

    @dg.schedule(
        name=f"{name}_daily_schedule",
        job=job,
        cron_schedule=partitions.cron(),
        execution_timezone=partitions.timezone,
        description=f"Runs the {partitions.every} that is over, from raw files to published predictions. Off until "
        f"somebody switches it on: {instead}.",
    )
    def run_yesterday(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        day = partitions.over(context.scheduled_execution_time)
        if day < use_case.first_day:
            return dg.SkipReason(f"{name} begins with {use_case.first_day}, which is not over yet")
        return dg.RunRequest(run_key=f"{name}-{day}", partition_key=day)

    return run_yesterday


def _watch_schedule(use_case: UseCase, job: Any) -> dg.ScheduleDefinition:
    """Looks for the period that is over some time after it was to be run."""
    partitions = use_case.partitions
    cron = partitions.cron(30 if partitions.every == "hour" else 120)
    return dg.ScheduleDefinition(
        name=f"{use_case.name}_watch_schedule",
        job=job,
        cron_schedule=cron,
        execution_timezone=partitions.timezone,
        description=f"Asks whether the {partitions.every} that is over was published; if not, a check of `predictions` "
        "is red and says what to run. Off until somebody switches it on.",
    )
