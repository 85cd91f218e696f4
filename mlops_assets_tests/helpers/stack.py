"""The whole stack for tests: its services, a small use case in it, and what a person would do with them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import psutil
import pytest
from dagster._core.instance.ref import InstanceRef
from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

from deploy.services import stack as services
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.tables import Table
from mlops_assets_tests.helpers.readme import shown

SECRET = "tulip-in-the-database-url-51a9"
"""The password of PostgreSQL; looks like nothing else, so that it is found wherever it leaks to."""

SENSOR = "  sensor: {window_days: 3, settle_minutes: 0, relist_minutes: 0.05, interval_seconds: 5}\n"
USE_CASE = "churn"
ROWS = 20
DONE = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


def until(found: Callable[[], Any], what: str, seconds: float = 240) -> Any:
    """What a question finds once it finds something; asked again and again until the deadline."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"{what} did not come in {seconds:.0f} s"
        time.sleep(0.1)
    return value


def customers(seed: int, rows: int = ROWS) -> bytes:
    """A file of the use case of the README: whoever complains leaves."""
    lines = ["customer,months,balance,complaints,left"]
    for number in range(rows):
        complaints = (seed * 7 + number * 3) % 6
        lines.append(
            f"C{seed}-{number},{number % 60},{number * 10.5:.2f},{complaints},{'yes' if complaints > 3 else 'no'}"
        )
    return ("\n".join(lines) + "\n").encode()


@dataclass
class Platform:
    """The running stack, seen from outside: S3, the pages' interface, Dagster's storage, the lake."""

    stack: services.Stack
    instance: dg.DagsterInstance
    lake: Lake
    told: list[str]

    def upload(self, day: str, *numbers: int) -> int:
        """Put files of a day on S3; says how many rows they have."""
        code = self.stack.environment
        keys = {"aws_access_key_id": code["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": code["AWS_SECRET_ACCESS_KEY"]}
        client = boto3.client("s3", endpoint_url=self.stack.s3.url, region_name="us-east-1", **keys)
        for number in numbers:
            key = f"raw/{USE_CASE}/day={day}/{number:05}.csv"
            client.put_object(Bucket=services.BUCKET, Key=key, Body=customers(number))
        client.close()
        return ROWS * len(numbers)

    def launch(self, job: str, day: str | None = None) -> str:
        """Ask the webserver for a run, as a click does; again while it only finds out that PostgreSQL was away."""
        run_id: str = until(partial(self._asked, job, day), "an answer of the webserver", 60)
        return run_id

    def _asked(self, job: str, day: str | None) -> str | None:
        client = DagsterGraphQLClient("127.0.0.1", port_number=int(self.stack.variables["STACK_WEBSERVER_PORT"]))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Dagster's client asks its library in the old way
                return client.submit_job_execution(
                    f"{USE_CASE}_{job}",
                    repository_location_name="mlops_assets",
                    repository_name="__repository__",
                    tags={"dagster/partition": day} if day else {},
                )
        except DagsterGraphQLClientError as error:
            if "closed the connection unexpectedly" not in str(error):
                raise
            return None

    def ended(self, run_id: str, seconds: float = 300) -> list[dg.DagsterRun]:
        """A run that ended, and those that Dagster started in its place."""
        chain: list[dg.DagsterRun] = []
        while True:
            until(partial(self._is_done, run_id), f"the end of {run_id}", seconds)
            run = until(partial(self._settled, run_id), f"what becomes of {run_id}", 90)
            chain.append(run)
            again = run.tags.get("dagster/auto_retry_run_id")
            if run.tags.get("dagster/will_retry") != "true" or again is None:
                return chain
            run_id = again

    def _is_done(self, run_id: str) -> bool:
        return self._run(run_id).status in DONE

    def _settled(self, run_id: str) -> dg.DagsterRun | None:
        run = self._run(run_id)
        waits = run.tags.get("dagster/will_retry") == "true" and "dagster/auto_retry_run_id" not in run.tags
        return None if waits else run

    def _run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def begun(self, run_id: str, step: str) -> bool:
        """Whether a step of a run has begun."""
        events = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_START)
        return any(event.step_key == f"{USE_CASE}__{step}" for event in events)

    def errors(self, run_id: str) -> list[str]:
        """Why a run failed: what its steps said, or else the run itself."""
        kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
        said = []
        for event in self.instance.all_logs(run_id, of_type=kinds):
            one = event.get_dagster_event()
            data = one.event_specific_data
            told = getattr(data, "user_failure_data", None)
            said.append(str((told and told.description) or getattr(data, "error", None) or one.message))
        return said

    def victim(self, name: str) -> psutil.Process:
        """A process to kill: the program of a service, `NAME worker` for one that it started, or `run` for one of a run."""
        service, _, worker = name.partition(" ")
        program = psutil.Process(self.stack.processes["code" if name == "run" else service].pid)
        if name == "run":
            return next(one for one in program.children() if "spawn_main" in " ".join(one.cmdline()))
        return program.children()[0] if worker else program

    def run_day(self, day: str) -> dg.DagsterRun:
        """A day from raw files to predictions; the last run of the chain."""
        return self.ended(self.launch("daily", day))[-1]

    def table(self, name: str) -> Table:
        return self.lake.table(name)

    def rows(self, day: str) -> int:
        """Published predictions of a day."""
        known = self.table("predictions").days()
        return self.table("predictions").read_all([day]).num_rows if day in known else 0


@contextmanager
def platform(folder: Path, alert_url: str) -> Iterator[Platform]:
    """The stack with the use case of the README, and a champion; its settings are those of this process meanwhile."""
    use_case = folder / "use_cases" / USE_CASE
    use_case.mkdir(parents=True)
    (use_case / "defs.yaml").write_text(shown("defs.yaml") + SENSOR)
    (use_case / "features.sql").write_text(shown("features.sql"))
    more = {"STACK_USE_CASES": str(use_case.parent), "STACK_ALERT_URL": alert_url}
    told: list[str] = []
    with (
        services.stack(folder / "services", told.append, SECRET, **more) as running,
        pytest.MonkeyPatch.context() as environment,
    ):
        for name, value in running.environment.items():
            environment.setenv(name, value)
        reference = InstanceRef.from_dir(running.environment["DAGSTER_HOME"])
        settings = Settings.from_environment()
        with dg.DagsterInstance.from_ref(reference) as instance:
            found = Platform(running, instance, Lake(settings.lake, USE_CASE), told)
            found.upload("2026-02-01", *range(10))
            for job, day in (("daily", "2026-02-01"), ("training", None), ("daily", "2026-02-01")):
                run = found.ended(found.launch(job, day))[-1]
                assert run.status == dg.DagsterRunStatus.SUCCESS, found.errors(run.run_id)
            yield found
