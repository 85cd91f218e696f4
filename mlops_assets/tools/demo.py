"""The five minutes of a newcomer: every use case on sample days, through Dagster, with numbers that add up."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from mlops_assets import running
from mlops_assets.journey.model.training_runs import TrainingRuns
from mlops_assets.journey.train.evaluation import from_record
from mlops_assets.settings import Settings
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase, find_use_case, list_use_cases
from mlops_assets.views.output import text_table
from mlops_assets.views.status import collect, render

DAYS = 4
FILES, ROWS = 60, 30
DIRTY = 0.17


def run_demo(settings: Settings) -> Iterator[str]:
    """Write sample days, train, predict.

    Parameters
    ----------
    settings
        Where everything lies; days that have raw files already are left as they are.

    Yields
    ------
    str
        What to print: the accounting and the champion of each use case, a table of their metrics, what to open next.
    """
    last = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    days = [last - dt.timedelta(days=back) for back in reversed(range(DAYS))]
    span = days[0].isoformat(), days[-1].isoformat()
    use_cases = [find_use_case(settings.use_cases, name) for name in list_use_cases(settings.use_cases)]
    for use_case in use_cases:
        for day in days:
            _write(use_case, settings, day, labelled=day != last)
    with running.dagster_instance(settings) as instance:
        definitions = running.load_definitions(*use_cases)
        for use_case in use_cases:
            running.run_use_case(definitions, instance, use_case, span, train=True)
    for use_case in use_cases:
        yield f"\n{render(collect(use_case, settings), span)}"
    yield f"\n{_results(use_cases, settings)}"
    yield _next_steps(use_cases, settings, last)


def _write(use_case: UseCase, settings: Settings, day: dt.date, *, labelled: bool) -> None:
    if (settings.raw / use_case.name / f"day={day}").exists():
        return
    rows = max(1, min(ROWS, use_case.scale.rows_a_day // FILES))  # no more than the use case is planned for
    for _ in write_sample(use_case, settings.raw, day, FILES, rows, DIRTY, seed=7, labelled=labelled):
        pass


def _results(use_cases: list[UseCase], settings: Settings) -> str:
    """What the newest training of each use case found: its best candidate beside the baseline, and the gate's word."""
    lines = [["on held-out sample rows", "metric", "baseline", "best candidate", "", "gate"]]
    for use_case in use_cases:
        record = TrainingRuns(settings.lake, use_case.name).newest("evaluation")
        if record is None:
            continue
        scores, verdict = from_record(record)
        metric, baseline = use_case.training.metric, use_case.training.baseline
        value = {one.name: f"{one.metrics[metric]:.3f}" for one in scores}
        best = verdict.winner or next((one.name for one in scores if one.name != baseline), baseline)
        said = "passed" if verdict.winner else "refused"
        lines.append([use_case.name, metric, value[baseline], best, value[best], said])
    return text_table(lines).rstrip()


def _next_steps(use_cases: list[UseCase], settings: Settings, last: dt.date) -> str:
    name = next((one.name for one in use_cases if one.name == "transactions"), use_cases[0].name)
    return f"""
Everything lies under {settings.home}. What to look at next:
  make dev     (Dagster's UI: graph, checks, leaderboard, at http://127.0.0.1:3000)
  .venv/bin/mlops-assets predictions {name} --day {last}
  .venv/bin/mlops-assets rejects {name} --day {last}
  .venv/bin/mlops-assets status {name} --format json
"""
