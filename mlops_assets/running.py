"""Runs the jobs of a use case through Dagster in this process, so that every run is seen in the UI."""

from __future__ import annotations

import datetime as dt
import importlib
import logging
import os
import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError, UsageError, cannot_be_used
from mlops_assets.journey.deliver.delivery import AGAIN_TAG
from mlops_assets.journey.read.day import FILES_TAG
from mlops_assets.journey.read.rhythm import check_rhythm
from mlops_assets.journey.read.sources import SqlSource
from mlops_assets.journey.read.strays import find_strays
from mlops_assets.journey.score.day import ACCEPT_TAG, MODEL_TAG
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import enrichment_table
from mlops_assets.storage.database import DATABASE_VARIABLE, prepare_database
from mlops_assets.storage.form import keep_form
from mlops_assets.storage.modes import close_home
from mlops_assets.storage.spellings import sqlite_address
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.partitions import read_range
from mlops_assets.work.engines.kinds import LOCAL, engine_name
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.workspace import Stores, Workspace

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions

log = logging.getLogger("mlops_assets.home")

BEFORE_SCORING = ("raw_files", "rows", "rejects", "features")
TRAINING = ("training_set", "candidates", "evaluation", "model_version", "champion")
MONITORING = ("feedback", "live_metrics", "scored_days", "challenger_comparison")
IN_DATABASE = f"\nstorage:\n  postgres:\n    postgres_url:\n      env: {DATABASE_VARIABLE}\n"
"""What `dagster.yaml` says of the storage where `MLOPS_DATABASE_URL` is set; a file keeps no secret."""
OF_THE_DISK = re.compile(r"\w+Error: \[Errno \d+\] (?P<reason>[^:]+): '(?P<path>[^']+)'")
"""How Python tells what the system says of a place."""
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
MOST_TOLD = 12
"""Runs that a line of the log tells one by one."""


class RunFailed(MlopsError):
    """A Dagster run failed."""


@dataclass(frozen=True)
class Outcome:
    """How one Dagster run ended.

    Attributes
    ----------
    job
        Name of the job.
    run_id
        Dagster's id of the run.
    success
        Whether it succeeded.
    errors
        What the failed steps said.
    """

    job: str
    run_id: str
    success: bool
    errors: tuple[str, ...]


def days_to_run(stores: Stores, first: str | None, last: str | None) -> tuple[str, str]:
    """The range of days to run: what was asked for, or every day that has raw files.

    Where days are hours or weeks, a calendar day may be asked for as well: of it the first, or the last.

    Raises
    ------
    UsageError
        If there is no day, or one lies outside the partitions of the use case.
    """
    use_case, partitions = stores.use_case, stores.use_case.partitions
    check_rhythm(use_case, stores.lake)
    first, last = read_range(partitions, first, last)
    now = partitions.key(dt.datetime.now(dt.UTC))
    if first is not None and last is not None and first > last:
        raise UsageError(f"--from {first} lies after --to {last}.")
    for option, asked in (("--from", first), ("--to", last)):
        if asked is not None and not use_case.first_day <= asked <= now:
            bounds = (
                f"from {use_case.first_day} to {now}, which is {partitions.now_words}, as all {partitions.every}s are"
            )
            raise UsageError(
                f"{partitions.every.title()}s of {use_case.name} run {bounds}; asked for {option} {asked}."
            )
    if first is None or last is None:
        start, end = first or use_case.first_day, last or now
        days = [day for day in stores.source.days() if start <= day <= end]
        if not days:
            raise UsageError(_no_days(stores, start, end))
        first, last = first or days[0], last or days[-1]
    return first, last


def _no_days(stores: Stores, first: str, last: str) -> str:
    """That there is no day to run, what lies there instead, and what to do."""
    source, partitions = stores.source, stores.use_case.partitions
    sample = f"mlops-assets sample {stores.use_case.name} --day {partitions.over(dt.datetime.now(dt.UTC))}"
    said = f"No raw files in {source.place(partitions.anyone)} from {first} to {last} ({partitions.timezone})."
    if strays := str(find_strays(stores.use_case, source)):
        return f"{said} {strays[0].upper()}{strays[1:]}."
    return f"{said} Put some there, or make some: {sample}"


def days_with_files(stores: Stores, days: tuple[str, str]) -> list[str]:
    """The days of a range that are to be done, in order: those that have raw files, and those that had some.

    Raises
    ------
    RunFailed
        If the range has none; a day alone is one, so that its run tells what is missing.
    """
    every = stores.use_case.partitions.between(*days)
    if len(every) == 1 or isinstance(stores.source, SqlSource):  # of which any day can be asked for
        return every
    known = stores.days_with_files()
    if not (found := [day for day in every if day in known]):
        raise RunFailed(_no_days(stores, *days))
    return found


def say_days(stores: Stores, days: tuple[str, str], known: Collection[str]) -> str:
    """How many days a run is about to do, and what it leaves out, in one line.

    Parameters
    ----------
    stores
        Of the use case.
    days, known
        See `Partitions.stretches`.
    """
    partitions = stores.use_case.partitions
    runs, delivered = partitions.stretches(days, known), len({*known}.intersection(stores.source.days()))
    number = sum(partitions.gap(*run) + 1 for run in runs)
    span = f"{days[0]} to {days[1]}" if days[0] < days[1] else days[0]
    every = partitions.every if number == 1 else f"{partitions.every}s"
    said = f"{span}: {number:,} {every}, {delivered:,} with raw files"
    if left := partitions.gap(*days) + 1 - number:
        ends = [first if first == last else f"{first} to {last}" for first, last in runs]
        more = f" and {len(ends) - MOST_TOLD:,} more" if ends[MOST_TOLD:] else ""
        said += f"; in {len(runs):,} {'run' if len(runs) == 1 else 'runs'}: {', '.join(ends[:MOST_TOLD])}{more}, for "
        said += f"{left:,} {partitions.every}s far from any files are left out"
    return said


def start_early(stores: Stores, days: tuple[str, str], *, train: bool) -> None:
    """Begin with the imports that models need: in the local engine's workers where there are any, else in this process.

    Only if the first day is more than one shard there are workers: a single shard is done here, as a training is. A
    champion that has a scorer needs neither skops nor scikit-learn.
    """
    settings, scale = stores.settings, stores.use_case.scale
    first = next((day for day in stores.source.days() if days[0] <= day <= days[1]), days[0])
    more = scale.files_a_shard + 1
    several = len([*islice(stores.source.list(first), more)]) == more
    if several and engine_name(settings, stores.use_case) == LOCAL:
        # they import while this process imports Dagster: each takes seconds
        LocalEngine(settings.workers).start(estimators=not stores.scores_alone())
    if train or not (several or stores.scores_alone()):
        import_skops()


def import_skops() -> None:
    """Import skops before Dagster and MLflow: it asks of each function of SciPy which of the loaded modules has it."""
    importlib.import_module("skops.io")


def prepare_home(settings: Settings) -> None:
    """Make Dagster's home with our `dagster.yaml`, and name it in the environment.

    A home that `DAGSTER_HOME` names elsewhere has a `dagster.yaml` of its own, which is left alone.
    """
    if told := close_home(settings.home):
        log.warning(told)
    keep_form(settings.lake)
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(sqlite_address(home))
    if settings.database:
        os.environ[DATABASE_VARIABLE] = settings.database  # with its driver, for the processes that Dagster starts
        prepare_database(settings.database, for_mlflow=settings.tracks_in_database)
    if os.path.realpath(home) == os.path.realpath(settings.home / "dagster"):
        unfinished = home / f".dagster.yaml.{os.getpid()}"
        storage = IN_DATABASE if settings.database else ""
        unfinished.write_text(settings.dagster_yaml.read_text(encoding="utf-8") + storage, encoding="utf-8")
        unfinished.replace(home / "dagster.yaml")  # another process may be reading it


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """Dagster's instance under `MLOPS_HOME`."""
    prepare_home(settings)
    from dagster import DagsterInstance

    from mlops_assets.components.private import NO_COMPUTE_LOGS, InstanceRef

    # output goes to the terminal here
    reference = InstanceRef.from_dir(os.environ["DAGSTER_HOME"], overrides={"compute_logs": NO_COMPUTE_LOGS})
    with DagsterInstance.from_ref(reference) as instance:
        yield instance


def load_definitions(*use_cases: UseCase, workspace: Workspace | None = None) -> Definitions:
    """The definitions of some use cases, as the UI shows them too; see `definitions_of`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # beta notices of Dagster are for us, not for the user of a command
        from mlops_assets.definitions import definitions_of

        return definitions_of(*use_cases, workspace=workspace)


def run_use_case(
    definitions: Definitions,
    instance: DagsterInstance,
    use_case: UseCase,
    days: tuple[str, str],
    *,
    train: bool,
    model: str = "current",
    known: Collection[str] = (),
    accept_drift: str = "",
    files_of: str = "",
) -> None:
    """Run a range of days from raw files to delivered predictions, with a training in between if it is asked for.

    Parameters
    ----------
    definitions, instance, use_case
        Of the use case; see `load_definitions` and `dagster_instance`.
    days, train
        First and last day, and whether to train before predicting.
    model
        What scores: `current`, `as-of` or the number of a version.
    known
        The days of the range that have files: it is a run for each of their `stretches`. One run if none are named.
    accept_drift
        Why a day is published although a lamp of it is red and `drift.stop` is on.
    files_of
        As of when files are read; see `FILES_TAG`.

    Raises
    ------
    RunFailed
        If a run failed; the message has what its steps said.
    """
    given = {MODEL_TAG: model, ACCEPT_TAG: accept_drift, FILES_TAG: files_of}
    ranges = [{**tags, **{tag: said for tag, said in given.items() if said}} for tags in _ranges(use_case, days, known)]
    daily, training = f"{use_case.name}_daily", f"{use_case.name}_training"
    # a training learns from rows and enrichments, and what it makes shall score these same days: hence in the middle
    before = (*BEFORE_SCORING, *map(enrichment_table, use_case.enrichments))
    scoring = ("predictions", "drift", *(f"delivery_{name}" for name in use_case.targets))
    plan: list[tuple[str, Sequence[str], list[dict[str, str]]]] = [(daily, (*before, *scoring), ranges)]
    if train:
        plan = [(daily, before, ranges), (training, TRAINING, [{}]), (daily, scoring, ranges)]
    outcomes: list[Outcome] = []
    for job, assets, runs in plan:
        done = [_execute(definitions, instance, job, use_case, assets, tags) for tags in runs]
        outcomes += done
        if not any(outcome.success for outcome in done):
            break
    _succeed(outcomes)


def _ranges(use_case: UseCase, days: tuple[str, str], known: Collection[str]) -> list[dict[str, str]]:
    """The tags of a run for each stretch of a range; those of the one run of it where no days are named."""
    runs = use_case.partitions.stretches(days, known) if known else [days]
    return [{RANGE_START: first, RANGE_END: last} for first, last in runs]


def deliver_days(
    definitions: Definitions,
    instance: DagsterInstance,
    use_case: UseCase,
    days: Sequence[str],
    targets: Sequence[str],
    *,
    again: bool,
) -> None:
    """Deliver published days to some targets, with a run for each of their `stretches`.

    Parameters
    ----------
    definitions, instance, use_case
        See `run_use_case`.
    days
        The days, in order.
    targets
        Names of the targets.
    again
        Whether to deliver what a target has already.

    Raises
    ------
    RunFailed
        If a delivery failed; the message has the reason and what to do.
    """
    names, again_tag = [f"delivery_{name}" for name in targets], {AGAIN_TAG: "true"} if again else {}
    ranges = [{**tags, **again_tag} for tags in _ranges(use_case, (days[0], days[-1]), days)]
    _succeed([_execute(definitions, instance, f"{use_case.name}_daily", use_case, names, tags) for tags in ranges])


def take_stock(definitions: Definitions, instance: DagsterInstance, use_case: UseCase) -> None:
    """Take in feedback, and tell how published days do and who scored them, as the schedule does each night.

    Parameters
    ----------
    definitions, instance, use_case
        See `run_use_case`.

    Raises
    ------
    RunFailed
        If the run failed.
    """
    _succeed([_execute(definitions, instance, f"{use_case.name}_monitoring", use_case, MONITORING, {})])


def _succeed(outcomes: Sequence[Outcome]) -> None:
    """Fail for those that failed; the others were done all the same."""
    said = [
        f"{one.job} failed: {chr(10).join(one.errors)}\nDagster run {one.run_id}; `make dev` shows it."
        for one in outcomes
        if not one.success
    ]
    if said:
        raise RunFailed("\n".join(said))


def _execute(
    definitions: Definitions,
    instance: DagsterInstance,
    name: str,
    use_case: UseCase,
    assets: Sequence[str],
    tags: dict[str, str],
) -> Outcome:
    from dagster import AssetKey, BetaWarning

    from mlops_assets.components.commands import execute

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)
        job = definitions.resolve_job_def(name)
        existing = {key.path[-1] for key in job.asset_layer.executable_asset_keys}
        selection = [AssetKey([use_case.name, asset]) for asset in assets if asset in existing]
        result = execute(job, instance, selection, tags)
    # a run can fail before a step begins, such as when MLflow cannot be reached
    failed = [event for event in result.all_events if event.is_step_failure]
    failed = failed or [event for event in result.all_events if event.is_job_failure]
    # Ctrl-C reaches Dagster first, which makes an error of the step of it
    if any(_error(event).cls_name == "DagsterExecutionInterruptedError" for event in failed):
        raise KeyboardInterrupt
    errors = tuple(_message(event) for event in failed)
    return Outcome(name, result.run_id, result.success, errors)


def _error(event: Any) -> Any:
    """The error of a failed step, or of the run."""
    return event.step_failure_data.error if event.is_step_failure else event.job_failure_data.error


def _message(event: Any) -> str:
    """What a failure said, without the trace."""
    for_people = event.step_failure_data.user_failure_data if event.is_step_failure else None
    if for_people is not None and for_people.description:
        return str(for_people.description)
    error = _error(event)
    while error.cause is not None:
        error = error.cause
    said = error.message.strip()
    if disk := OF_THE_DISK.fullmatch(said):  # Dagster hands on the text of an error, and no more
        said = cannot_be_used(disk["path"], disk["reason"])
    return f"{event.step_key or event.job_name}: {said}"
