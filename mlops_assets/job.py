"""A day's steps in one process, without Dagster: `python -m mlops_assets.job USE_CASE --day D`.

Whoever starts it hears how the day goes: a person, cron or Airflow by lines of the log and the exit code, a Dagster run
by Pipes. The steps are those of Dagster's assets, by the same functions.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from mlops_assets.cli import process
from mlops_assets.cli.common import Day, find, raw_option, show_progress
from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.journey.score.checks import check_answered, check_delivered, check_rows_of_day
from mlops_assets.settings import PACKAGE
from mlops_assets.storage.catalog import Lake, enrichment_table
from mlops_assets.storage.modes import close_home
from mlops_assets.work.lease import hold_day

if TYPE_CHECKING:
    from mlops_assets.storage.places import Place
    from mlops_assets.views.reporting import Report
    from mlops_assets.work.engines import Engines
    from mlops_assets.work.progress import Progress
    from mlops_assets.workspace import Stores

log = logging.getLogger("mlops_assets.job")

GRACE = 10.0
"""Seconds that a job has to end by itself once it is told to; its workers end with it."""


class DayJob:
    """The steps of a day, one after the other; one that fails ends it, and is then `step`.

    Parameters
    ----------
    stores
        The use case.
    day
        The day.
    engines
        Run the shards.
    report
        Is told.
    model, accept, refetch
        What scores; why a red lamp is accepted; whether enrichments are asked for what was answered before.
    files_of
        As of when files are read; see `journey.read.day.FILES_TAG`.
    """

    def __init__(
        self,
        stores: Stores,
        day: str,
        engines: Engines,
        report: Report,
        model: str,
        accept: str,
        refetch: bool,
        files_of: str = "",
    ) -> None:
        self._files_of = files_of
        self._stores, self._use_case, self._lake = stores, stores.use_case, stores.lake
        self._day, self._engines, self._report = day, engines, report
        self._model, self._accept, self._refetch = model, accept, refetch
        self._began = time.time()
        self.step = ""

    def do(self, expected: str = "") -> None:
        """Do every step that is wanted, and tell.

        Parameters
        ----------
        expected
            The identity that the use case must have; see `views.reporting.identity`.
        """
        self._check_identity(expected)
        with hold_day(self._lake, self._day, self._report.run, lambda: os.kill(os.getpid(), signal.SIGTERM)):
            for step, work in self._steps():
                self.step = step
                work()
        self._report.done()

    def _check_identity(self, expected: str) -> None:
        from mlops_assets.views.reporting import JobFailed, identity

        if expected and (mine := identity(self._use_case)) != expected:
            raise JobFailed(
                f"the job has another code or configuration ({mine}) than the run that started it ({expected}): load "
                "the code location again, or bring the job's files up to date."
            )

    def _steps(self) -> Iterator[tuple[str, Callable[[], None]]]:
        from mlops_assets.journey.features.sql import describe

        wants = self._report.wants
        steps: list[tuple[str, Callable[[], None]]] = [(Lake.raw_files.name, self._list), (Lake.rows.name, self._read)]
        steps += [(enrichment_table(name), partial(self._enrich, name)) for name in self._use_case.enrichments]
        if describe(self._use_case).file:
            steps.append((Lake.features.name, self._aggregate))
        steps.append((Lake.predictions.name, self._score))
        yield from ((step, work) for step, work in steps if wants(step))
        if self._use_case.drift.watch and wants("drift") and self._day in self._lake.predictions.days():
            yield "drift", self._judge
        # a notice that a day is done comes after all that bring its rows
        for name, given in sorted(self._use_case.targets.items(), key=lambda target: target[1].use == "notice"):
            if wants(f"delivery_{name}") and self._day in self._lake.table(given.table).days():
                yield f"delivery_{name}", partial(self._deliver, name)

    def _watch(self, step: str) -> Progress:
        from mlops_assets.monitoring.pace import watch_days
        from mlops_assets.work import forecast

        made = filter(self._report.wants, forecast.STEPS)
        return watch_days(self._stores, step, [self._day], self._began, [*made])

    def _list(self) -> None:
        from mlops_assets.journey.read.day import list_raw_files, not_delivered
        from mlops_assets.journey.read.rhythm import check_rhythm
        from mlops_assets.views import made
        from mlops_assets.views.reporting import JobFailed

        stores = self._stores
        check_rhythm(self._use_case, self._lake)
        # a day that was delivered once and has no folder now is listed as empty
        delivered = self._day in self._lake.raw_files.days() or stores.source.delivered(self._day)
        self._report.checked(self.step, [check_delivered(delivered)])
        if not delivered:
            raise JobFailed(not_delivered(stores.source, [self._day]))
        several, spread = partial(self._engines.start, self._use_case), self._engines.spread(self._use_case)
        manifest = list_raw_files(self._use_case, stores.source, self._lake, self._day, several, self._files_of, spread)
        self._report.made(made.raw_files(stores, self._day, manifest))

    def _read(self) -> None:
        from mlops_assets.journey.read.listing import find_manifest
        from mlops_assets.journey.read.rows import read_day
        from mlops_assets.views import made
        from mlops_assets.views.reporting import JobFailed

        use_case, source = self._use_case, self._stores.source
        manifest = find_manifest(self._lake.raw_files, self._day)
        if manifest is None:
            raise JobFailed("not listed yet: materialise raw_files first")
        watch = self._watch(self.step)
        reading = read_day(use_case, source, self._lake, manifest, self._engines.of(use_case, self._day), watch)
        for table in made.rows(self._stores, self._day, reading, watch):
            self._report.made(table)
        # a red one ends nothing here: no bad day is published by the step that scores
        self._report.checked(self.step, check_rows_of_day(use_case.checks, reading.accounting, source.place(self._day)))

    def _enrich(self, name: str) -> None:
        from mlops_assets.journey.enrich.day import enrich_day
        from mlops_assets.views import made

        accounting = enrich_day(
            self._use_case, self._lake, name, self._day, refetch=self._refetch, run=self._report.run
        )
        self._report.made(made.enrichment(self._stores, name, self._day, accounting))
        self._report.checked(self.step, [check_answered(accounting)])

    def _aggregate(self) -> None:
        from mlops_assets.journey.features.day import aggregate_day
        from mlops_assets.views import made

        watch = self._watch(self.step)
        done = aggregate_day(self._use_case, self._lake, self._day, self._engines.of(self._use_case, self._day), watch)
        self._report.made(made.features(self._stores, self._day, done, watch))

    def _score(self) -> None:
        from mlops_assets.journey.feedback.audit import try_audit
        from mlops_assets.journey.score.day import DayRefused, score_day
        from mlops_assets.monitoring.stopping import judge_of
        from mlops_assets.monitoring.verdicts import Watcher
        from mlops_assets.views import made

        stores, use_case, lake, day = self._stores, self._use_case, self._lake, self._day
        scorers = stores.scorers(self._model, day, self._report.run, self._accept)
        if scorers is None:
            self._report.made(made.Skipped(self.step, stores.why_no_champion()))
            return
        watch, judge = self._watch(self.step), judge_of(use_case, lake, Watcher(stores), day, self._accept)
        engine, where = self._engines.of(use_case, day), stores.source.place(day)
        done = score_day(use_case, lake, day, scorers, engine, watch, where, judge)
        self._report.checked(self.step, done.checks)
        lake.clean(use_case.keep_days)
        if done.problems:
            raise DayRefused(done.problems)
        drawn = try_audit(use_case, lake, day)
        for table in made.published(stores, day, scorers, done, watch, drawn):
            self._report.made(table)

    def _judge(self) -> None:
        from mlops_assets.monitoring.verdicts import Watcher, try_to_judge

        watcher = Watcher(self._stores)
        for day in [*watcher.catch_up(self._day), self._day]:
            found = try_to_judge(self._use_case, watcher, day)
            log.info("%s drift %s: %s", self._use_case.name, day, found if isinstance(found, str) else found.sentence)

    def _deliver(self, name: str) -> None:
        from mlops_assets.journey.deliver.contents import expected_rows, published_for
        from mlops_assets.journey.deliver.delivery import deliver_day
        from mlops_assets.journey.deliver.targets import open_target
        from mlops_assets.work.progress import Sending

        use_case, lake, day = self._use_case, self._lake, self._day
        target = open_target(use_case, name, self._stores.settings)
        what = f"{use_case.name} {self.step} {day}"
        published = published_for(use_case, lake, name)[day]
        sending = Sending(what, expected_rows(use_case.targets[name].table, published.accounting))
        record = deliver_day(use_case, lake, day, name, target, sending, self._report.run)
        log.info("%s: %s", what, f"{record.rows:,} rows" if record else "it is there already")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("use_case")
@click.option("--day", type=Day(), required=True, help="The day.")
@click.option(
    "--model",
    default="current",
    show_default=True,
    help="What scores: `current`, `as-of` for the champion of the day, or the number of a version.",
)
@click.option(
    "--accept-drift",
    "accept",
    default="",
    metavar="WHY",
    help="Publish the day although a lamp of it is red and `drift.stop` is on; the reason is kept with the day.",
)
@click.option("--refetch", is_flag=True, help="Ask enrichments again for what they answered before.")
@click.option(
    "--files-as-published-on",
    "files_of",
    default="",
    metavar="WHEN",
    help="Read the files from which `rows` were published then: UTC time, or a number; see `source.keep`.",
)
@click.option("--identity", default="", metavar="HASH", help="Refuse to work with another code or configuration.")
@click.option("--with-parent", is_flag=True, help="End when the process that started the job is gone.")
@click.option("--dagster-pipes-context", hidden=True, help="Given by Dagster Pipes.")
@click.option("--dagster-pipes-messages", hidden=True, help="Given by Dagster Pipes.")
@raw_option
def job(
    use_case: str,
    day: str,
    model: str,
    accept: str,
    refetch: bool,
    files_of: str,
    identity: str,
    with_parent: bool,
    dagster_pipes_context: str | None,  # noqa: ARG001 - Pipes reads the words of the command itself
    dagster_pipes_messages: str | None,  # noqa: ARG001
    raw: Place | None,
) -> None:
    """Do the steps of a day, from raw files to delivered predictions, in this process and its workers.

    It needs no Dagster: cron, Airflow and every platform that starts a process can run days by it. What an earlier one
    finished is not done again. A day is done by one job at a time; a second one says who does it, and ends.

    \b
    Examples:
      python -m mlops_assets.job transactions --day 2026-01-01
      MLOPS_ENGINE=spark python -m mlops_assets.job transactions --day 2026-01-01 --model as-of
    """
    from mlops_assets.views.reporting import open_report
    from mlops_assets.work.engines import Engines

    show_progress()
    if model not in ("current", "as-of") and not model.isdigit():
        raise UsageError(f"--model {model}: say current, as-of, or the number of a version.")
    with _ended_when_told(with_parent), open_report(use_case, day) as report:
        work = None
        try:
            stores = find(use_case, raw)
            if told := close_home(stores.settings.home):
                log.warning(told)
            with Engines(stores.settings) as engines:
                work = DayJob(stores, day, engines, report, model, accept, refetch, files_of)
                work.do(identity)
        except MlopsError as error:
            report.failed(work.step if work else "", error)


@contextmanager
def _ended_when_told(with_parent: bool) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and, if that is asked, the end of the parent end what is done; its workers end with it."""

    def end(_number: int, _frame: Any) -> None:
        last = threading.Timer(GRACE, os._exit, [130])
        last.daemon = True
        last.start()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    if with_parent:
        threading.Thread(target=_watch_parent, args=(os.getppid(),), name="parent-watch", daemon=True).start()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    # `spark-submit` starts this file by its path: modules of the package must not be found without its name
    sys.path[:] = [folder for folder in sys.path if folder != str(PACKAGE)]
    process(job, "python -m mlops_assets.job")
