"""Who hears how a job does a day: the log alone, or the Dagster run that started it, over Dagster Pipes."""

from __future__ import annotations

import json
import logging
import os
import traceback
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ConfigError, MlopsError, UsageError
from mlops_assets.errors.redaction import redacted
from mlops_assets.journey.score.checks import DayCheck
from mlops_assets.journey.score.day import scores_code
from mlops_assets.use_case import UseCase
from mlops_assets.views.made import Made, Skipped, Text
from mlops_assets.work.shards import fingerprint

if TYPE_CHECKING:
    from dagster_pipes import PipesContext

log = logging.getLogger("mlops_assets.job")


class JobFailed(MlopsError):
    """A day could not be done."""


def identity(use_case: UseCase) -> str:
    """Fingerprint of a use case's configuration and of the code that scores it: a run and its job must have the same.

    Parameters
    ----------
    use_case
        The use case.
    """
    recipe = json.dumps(use_case.recipe(), sort_keys=True, default=str)
    return fingerprint(recipe, scores_code(use_case).fingerprint)


class Report:
    """Tells of a day by lines of the log alone.

    Parameters
    ----------
    use_case
        Name of the use case.
    day
        The day.
    """

    def __init__(self, use_case: str, day: str) -> None:
        self._use_case = use_case
        self._day = day
        self.run = f"job-{uuid.uuid4()}"

    def wants(self, asset: str) -> bool:  # noqa: ARG002 - all of them, where nobody chose
        """Whether a table is to be made."""
        return True

    def made(self, made: Made | Skipped) -> None:
        """Tell a table that was made, or that was not."""
        if isinstance(made, Skipped):
            log.warning("%s %s %s: %s", self._use_case, made.asset, self._day, made.why)
        elif made.said:
            log.info("%s %s %s: %s", self._use_case, made.asset, self._day, made.said)

    def checked(self, asset: str, checks: Sequence[DayCheck]) -> None:
        """Tell the conditions of a table."""
        for check in checks:
            if not check.passed:
                told = check.name, f"{check.found} - {check.advice}"
                log.warning("%s %s %s: %s: %s", self._use_case, asset, self._day, *told)

    def done(self) -> None:
        """Tell that the day was done."""

    def failed(self, step: str, error: MlopsError) -> None:
        """Tell that a step failed, and why.

        Raises
        ------
        MlopsError
            Where an exit code has to say so.
        """
        if isinstance(error, UsageError):
            raise error
        raise JobFailed(f"{self._use_case} {step} {self._day}: {error}" if step else str(error)) from None


class PipesReport(Report):
    """Tells the Dagster run that started the job.

    Parameters
    ----------
    use_case, day
        See `Report`.
    context
        The line to it.
    """

    def __init__(self, use_case: str, day: str, context: PipesContext) -> None:
        super().__init__(use_case, day)
        self._pipes = context
        self._chosen = {key.rpartition("/")[2] for key in context.asset_keys}
        self.run = context.run_id

    def wants(self, asset: str) -> bool:
        """Whether the run makes a table."""
        return asset in self._chosen

    def made(self, made: Made | Skipped) -> None:
        """Send what is shown of a table, or why there is none."""
        super().made(made)
        if isinstance(made, Skipped):
            skipped = {"asset": made.asset, "why": made.why, "shown": dict(made.shown)}
            self._pipes.report_custom_message({"skipped": skipped})
        elif self.wants(made.asset):
            shown = _plain(made.shown)
            self._pipes.report_asset_materialization(shown, made.version or None, f"{self._use_case}/{made.asset}")
        else:  # what a step makes besides is no asset of the run's step
            self._pipes.report_custom_message({"besides": {"asset": made.asset, "shown": _plain(made.shown)}})

    def checked(self, asset: str, checks: Sequence[DayCheck]) -> None:
        """Send the conditions of a table."""
        super().checked(asset, checks)
        for check in checks:
            self._pipes.report_asset_check(
                check_name=check.name,
                passed=check.passed,
                severity="WARN" if check.warns else "ERROR",
                metadata={**check.numbers, "found": check.found, "do": check.advice},
                asset_key=f"{self._use_case}/{asset}",
            )

    def done(self) -> None:
        """Send that the day was done."""
        self._pipes.report_custom_message({"done": True})

    def failed(self, step: str, error: MlopsError) -> None:
        """Send why; the job itself has done what it was started for, and ends well."""
        log.error("%s %s %s: %s", self._use_case, step or "job", self._day, error)
        self._pipes.report_custom_message({"failed": {"step": step, "why": str(error)}})


def _plain(shown: Mapping[str, Any]) -> dict[str, Any]:
    """What is shown, as Pipes takes it: a value, or a text and its kind."""
    return {
        name: {"raw_value": value.text, "type": value.kind} if isinstance(value, Text) else value
        for name, value in shown.items()
    }


class _PipesHandler(logging.Handler):
    """Sends lines of the log to the run."""

    def __init__(self, context: PipesContext) -> None:
        super().__init__()
        self._pipes = context

    def emit(self, record: logging.LogRecord) -> None:
        if not self._pipes.is_closed:
            self._pipes.log.log(record.levelno, "%s", record.getMessage())


@contextmanager
def open_report(use_case: str, day: str) -> Iterator[Report]:
    """Whoever is to be told of a day: the Dagster run that started this process, or nobody in particular."""
    context = _open_pipes()
    if context is None:
        yield Report(use_case, day)
        return
    handler, logger = _PipesHandler(context), logging.getLogger("mlops_assets")
    logger.addHandler(handler)
    try:
        yield PipesReport(use_case, day, context)
    except Exception:  # a mistake of ours: whoever looks at the run has its traceback, without secrets
        log.error("%s", redacted(traceback.format_exc()))
        raise
    finally:
        logger.removeHandler(handler)
        context.close()


def _open_pipes() -> PipesContext | None:
    """The line to the Dagster run that started this process, told by the environment or by arguments."""
    from dagster_pipes import (
        PipesCliArgsParamsLoader,
        PipesDefaultContextLoader,
        PipesDefaultMessageWriter,
        PipesEnvVarParamsLoader,
        PipesParamsLoader,
        PipesS3ContextLoader,
        PipesS3MessageWriter,
        open_dagster_pipes,
    )

    loaders: list[type[PipesParamsLoader]] = [PipesEnvVarParamsLoader, PipesCliArgsParamsLoader]
    loader = next((one for kind in loaders if (one := kind()).is_dagster_pipes_process()), None)
    if loader is None:
        return None
    from_s3, to_s3 = "bucket" in loader.load_context_params(), "bucket" in loader.load_messages_params()
    client = _s3_client() if from_s3 or to_s3 else None
    return open_dagster_pipes(
        context_loader=PipesS3ContextLoader(client) if from_s3 else PipesDefaultContextLoader(),
        message_writer=PipesS3MessageWriter(client) if to_s3 else PipesDefaultMessageWriter(),
        params_loader=loader,
    )


def _s3_client() -> Any:
    try:
        import boto3
    except ImportError:
        raise ConfigError("Messages by S3 need boto3: pip install 'mlops-assets[s3]'.") from None
    return boto3.client("s3", endpoint_url=os.environ.get("S3_ENDPOINT_URL") or None)
