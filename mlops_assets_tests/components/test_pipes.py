"""The engine `pipes`: days are done by jobs of their own, and Dagster shows them as if it had done them itself."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from mlops_assets import running
from mlops_assets.components.pipes import CLIENTS
from mlops_assets.definitions import definitions_of
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase, clients, load_use_case
from mlops_assets.work.lease import hold_day
from mlops_assets_tests.helpers import jobs
from mlops_assets_tests.helpers.homes import state_in
from mlops_assets_tests.helpers.jobs import FIRST, RED, SECOND
from mlops_assets_tests.helpers.shop import Done, Shop

ASSETS = ("raw_files", "rows", "rejects", "enrichment_places", "features", "predictions", "audit_sample", "drift")
PASSING = {"files_a_second", "rows_a_second", "expected_minutes", "folder"}
"""What tells how long a step took, and where."""


@pytest.fixture
def made() -> Shop:
    return jobs.made()


@pytest.fixture
def shop(made: Shop, tmp_path: Path) -> Shop:
    return jobs.copy(made, tmp_path / "copy")


def run(shop: Shop, first: str, last: str, engine: str = "pipes") -> Done:
    return shop("run", "visits", "--from", first, "--to", last, MLOPS_ENGINE=engine)


@contextmanager
def instance_of(shop: Shop) -> Iterator[dg.DagsterInstance]:
    with state_in(shop.home), pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_HOME", "")
        with running.dagster_instance(Settings.from_environment()) as instance:
            yield instance


def shown(shop: Shop, day: str) -> tuple[dict[str, dict[str, Any]], dict[str, bool]]:
    """What the pages show of a day: the numbers and texts of its tables, and whether each check of theirs passed."""
    tables, checks = {}, {}
    with instance_of(shop) as instance:
        for asset in ASSETS:
            key = dg.AssetKey(["visits", asset])
            (record,) = instance.fetch_materializations(
                dg.AssetRecordsFilter(key, asset_partitions=[day]), limit=1
            ).records
            metadata = record.asset_materialization.metadata
            tables[asset] = {name: value.value for name, value in metadata.items() if name not in PASSING}
        (last,) = instance.get_run_records(limit=1)
        for event in instance.all_logs(last.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            found = event.get_dagster_event().asset_check_evaluation_data
            checks[f"{found.asset_key.path[-1]}: {found.check_name}: {found.description}"] = found.passed
    return tables, checks


def test_a_day_of_a_job_has_the_bits_the_accounting_and_the_pages_of_one_of_dagster(
    made: Shop, shop: Shop, tmp_path: Path
) -> None:
    here = jobs.copy(made, tmp_path / "here")
    for home, engine in ((here, "local"), (shop, "pipes")):
        done = run(home, SECOND, SECOND, engine)
        assert done.code == 0, done.err
    assert jobs.state(shop, SECOND) == jobs.state(here, SECOND)
    (tables, checks), (tables_here, checks_here) = shown(shop, SECOND), shown(here, SECOND)
    assert checks == checks_here
    for asset in ASSETS:
        assert tables[asset] == tables_here[asset], asset


def test_a_range_of_days_does_the_good_ones_and_names_the_red_one_with_its_sentence(shop: Shop) -> None:
    done = run(shop, SECOND, RED)
    assert done.code == 1
    assert f"not done: {RED}" in done.err
    assert f"{RED}: day_is_not_empty: 0 rows of 4 files - no file of the day has a good row" in done.err
    assert {FIRST, SECOND} == {*Lake(shop.home / "lake", "visits").predictions.days()}
    with instance_of(shop) as instance:
        key = dg.AssetCheckKey(dg.AssetKey(["visits", "rows"]), "day_is_not_empty")
        record = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)[0]
        found = record.event.dagster_event.asset_check_evaluation_data
    assert not found.passed
    assert found.description.startswith(f"{RED} fails: ")
    assert any(line.startswith(f"visits predictions {SECOND}: ") for line in told(shop))


def test_a_job_that_is_killed_makes_a_red_run_and_the_next_one_resumes(shop: Shop) -> None:
    killer = threading.Thread(target=_kill_the_job, args=(shop,))
    killer.start()
    done = run(shop, SECOND, SECOND)
    killer.join()
    assert done.code == 1
    assert f"{SECOND}: the job ended before it told how the day went" in done.err
    done = run(shop, SECOND, SECOND)
    assert done.code == 0, done.err
    assert any(re.fullmatch(rf"visits rows {SECOND}: .* [0-3] of 4 shards done anew", line) for line in told(shop))


def told(shop: Shop) -> list[str]:
    """The log of the last run, as its page shows it."""
    with instance_of(shop) as instance:
        (last,) = instance.get_run_records(limit=1)
        return [event.user_message for event in instance.all_logs(last.dagster_run.run_id)]


def _kill_the_job(shop: Shop) -> None:
    jobs.wait_for_part(shop, "rows", SECOND)
    (document,) = (shop.home / "lake" / "visits" / "jobs" / f"day={SECOND}").iterdir()
    os.kill(json.loads(document.read_text())["process"], signal.SIGKILL)


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGKILL], ids=["cancelled", "killed"]
)
def test_no_process_is_left_of_a_run_that_ends_early(shop: Shop, number: signal.Signals) -> None:
    command = ["-m", "mlops_assets.cli", "run", "visits", "--from", SECOND, "--to", SECOND]
    process = jobs.start(shop, command, MLOPS_ENGINE="pipes", MLOPS_WORKERS="2")
    jobs.wait_for_part(shop, "rows", SECOND)
    family = [process, *psutil.Process(process.pid).children(recursive=True)]
    assert len(family) > 2
    process.send_signal(number)
    process.communicate(timeout=60)
    assert psutil.wait_procs(family, 60)[1] == []


def test_a_run_starts_no_second_job_beside_a_living_one(shop: Shop) -> None:
    with hold_day(Lake(shop.home / "lake", "visits"), SECOND, "the-first-run", lambda: None):
        done = run(shop, SECOND, SECOND)
    assert done.code == 1
    assert f"{SECOND} is being done by the job of run the-first-run on " in done.err
    assert SECOND not in Lake(shop.home / "lake", "visits").rows.days()


def test_the_graph_has_the_same_assets_checks_partitions_and_jobs_as_without(made: Shop) -> None:
    use_case = load_use_case(made.home.parent / "use_cases" / "visits")
    with state_in(made.home):
        assert graph(with_engine(use_case, "pipes")) == graph(use_case)


def with_engine(use_case: UseCase, engine: str) -> UseCase:
    return use_case.model_copy(update={"scale": use_case.scale.model_copy(update={"engine": engine})})


def graph(use_case: UseCase) -> Any:
    """What Dagster has of a use case, in texts."""
    definitions = definitions_of(use_case)
    assets = definitions.resolve_asset_graph()
    nodes = {
        key.to_user_string(): (
            {parent.to_user_string() for parent in assets.get(key).parent_keys},
            {check.name for check in assets.get(key).check_keys},
            assets.get(key).partitions_def,
            assets.get(key).group_name,
            assets.get(key).description,
        )
        for key in assets.get_all_asset_keys()
    }
    return nodes, {job.name for job in definitions.jobs or ()}


def test_every_kind_of_client_has_its_form_and_something_that_opens_it() -> None:
    assert {*CLIENTS} == {*clients.CLIENTS}
    for kind, form in clients.CLIENTS.items():
        assert form.model_fields["kind"].default == kind
