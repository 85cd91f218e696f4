"""The five minutes of a newcomer: every use case on sample days, through Dagster, with numbers that add up."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlops_assets import running
from mlops_assets.journey.train.records import Evaluation
from mlops_assets.settings import CHECKOUT, Settings
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.partitions import folder_of
from mlops_assets.views.output import text_table
from mlops_assets.views.status import collect, days_table
from mlops_assets.workspace import Stores, Workspace

DAYS = 4
FILES, ROWS = 60, 30
FEWER = {"compound_rings": 20, "santander": 40}
"""Files a day where each costs much: pictures to be drawn and measured, rows of two hundred columns."""
DIRTY = 0.17
API = "http://127.0.0.1:8000"
"""Where `dev` has the API."""


def run_demo(workspace: Workspace, ready: Callable[[], None]) -> Iterator[str]:
    """Write sample days, train, predict.

    Parameters
    ----------
    workspace
        Where everything lies; days that have raw files already are left as they are.
    ready
        Is called when a use case is done.

    Yields
    ------
    str
        What to print: the accounting of each day, a table of what each training found, what to open next.

    Raises
    ------
    UsageError
        If there is no use case.
    """
    now = dt.datetime.now(dt.UTC)
    every = [workspace.find(name) for name in workspace.names()]
    for stores in every:
        for day in (days := _days(stores.use_case, now)):
            _write(stores, day, labelled=day != days[-1])  # as in life: what came yesterday nobody has labelled yet
    running.import_skops()
    with running.dagster_instance(workspace.settings) as instance:
        definitions = running.load_definitions(*(stores.use_case for stores in every), workspace=workspace)
        for stores in every:
            days = _days(stores.use_case, now)
            running.run_use_case(definitions, instance, stores.use_case, (days[0], days[-1]), train=True)
            running.take_stock(definitions, instance, stores.use_case)
            ready()
    shown = [day for stores in every for day in _accounted(stores, _days(stores.use_case, now))]
    yield f"{days_table(shown)}\n\n{_results(every)}"
    yield _next_steps(every, now) + ask_for_a_file(every, now)


def _accounted(stores: Stores, days: list[str]) -> list[dict[str, Any]]:
    """Days as `status` knows them, with their use case and without its targets."""
    state = collect(stores)
    return [
        {**day, "use_case": stores.use_case.name, "deliveries": {}}
        for day in state["days"]
        if days[0] <= day["day"] <= days[-1]
    ]


def _days(use_case: UseCase, now: dt.datetime) -> list[str]:
    """The days, hours or weeks that are made of a use case; the last one is over."""
    days = [use_case.partitions.over(now)]
    while len(days) < DAYS:
        days.insert(0, use_case.partitions.before(days[0]))
    return days


def _write(stores: Stores, day: str, *, labelled: bool) -> None:
    use_case, raw = stores.use_case, stores.settings.raw
    if (raw / use_case.name / folder_of(day)).exists():
        return
    files = FEWER.get(use_case.name, FILES)
    rows = max(1, min(ROWS, use_case.scale.rows_a_day // FILES))  # no more than the use case is planned for
    for _ in write_sample(use_case, raw, day, files, rows, DIRTY, seed=7, labelled=labelled):
        pass


def _results(every: list[Stores]) -> str:
    """What the newest training of each use case found: its best candidate beside the baseline, and the gate's word."""
    lines = [["on held-out sample rows", "metric", "baseline", "best candidate", "", "gate"]]
    for stores in every:
        newest = stores.runs.newest(Evaluation)
        if newest is not None:
            lines.append(_result(stores, newest))
    return text_table(lines).rstrip()


def _result(stores: Stores, newest: Evaluation) -> list[str]:
    training, verdict = stores.use_case.training, newest.verdict
    # of those that were not chosen, nobody asked what they say of the rows that test
    tested = {score.name: score.metrics[training.metric] for score in newest.scores if training.metric in score.metrics}
    best = verdict.winner or next((name for name in tested if name != training.baseline), training.baseline)
    base, found = (f"{tested[name]:.3f}" if name in tested else "-" for name in (training.baseline, best))
    return [stores.use_case.name, training.metric, base, best, found, "passed" if verdict.winner else "refused"]


def _next_steps(every: list[Stores], now: dt.datetime) -> str:
    chosen = next((stores for stores in every if stores.use_case.name == "transactions"), every[0]).use_case
    name, last, settings = chosen.name, chosen.partitions.over(now), every[0].settings
    activated = ", after `. .venv/bin/activate`" if _dev(settings) == "make dev" else ""
    return f"""
Everything lies under {settings.home}. What to look at next{activated}:
  {_dev(settings)}     (Dagster's UI: graph, checks, leaderboard, at http://127.0.0.1:3000; the API at {API}/docs)
  mlops-assets predictions {name} --day {last}
  mlops-assets drift {name} --day {last}
  mlops-assets rejects {name} --day {last}
  mlops-assets status {name}
"""


def _dev(settings: Settings) -> str:
    """What starts the pages: a target of the checkout, or the command where there is none."""
    return "make dev" if CHECKOUT and settings.project is None else "mlops-assets dev"


def ask_for_a_file(every: list[Stores], now: dt.datetime) -> str:
    """What to type while `dev` runs, to have a file answered at once; empty if there is none to be sent.

    Parameters
    ----------
    every
        The use cases.
    now
        The moment; the files of the last day that is over then are looked at: one that has predictions is not refused.
    """
    for stores in sorted(every, key=lambda stores: stores.use_case.name != "transactions"):
        name, raw, published = stores.use_case.name, stores.settings.raw, stores.lake.predictions
        last = stores.use_case.partitions.over(now)
        # a file on S3 is none that curl could send
        if not isinstance(raw, Path) or last not in published.days():
            continue
        for file in published.read_all([last], ["file"])["file"].to_pylist()[:1]:
            path = raw / name / folder_of(last) / file
            url = f"{API}/v1/use-cases/{name}/predictions"
            asked = f"curl -F file=@{shlex.quote(str(path))} {url}"
            return f"While {_dev(stores.settings)} runs, a file is answered at once:\n  {asked}\n"
    return ""
