"""A day by `python -m mlops_assets.job`: the same as by Dagster, without it; how it ends, and that it ends whole."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil
import pytest

from mlops_assets.storage.catalog import Lake
from mlops_assets.work.lease import hold_day
from mlops_assets_tests.helpers import jobs
from mlops_assets_tests.helpers.jobs import FIRST, RED, SECOND, TABLES
from mlops_assets_tests.helpers.shop import Shop

UNDELIVERED = "2026-01-07"
WITHOUT_DAGSTER = """
import sys
from mlops_assets import cli, job
try:
    cli.main(job.job, "job")
finally:
    print(*sorted(name for name in sys.modules if name.split(".")[0] in ("dagster", "dagster_aws", "dagster_shared")))
"""


@pytest.fixture
def made() -> Shop:
    return jobs.made()


@pytest.fixture
def shop(made: Shop, tmp_path: Path) -> Shop:
    return jobs.copy(made, tmp_path / "copy")


def test_a_job_makes_what_a_run_of_dagster_makes_and_never_imports_it(made: Shop, shop: Shop, tmp_path: Path) -> None:
    by_dagster = jobs.copy(made, tmp_path / "by_dagster")
    done = by_dagster("run", "visits", "--from", SECOND, "--to", SECOND)
    assert done.code == 0, done.err
    process = jobs.start(shop, ["-c", WITHOUT_DAGSTER, "visits", "--day", SECOND])
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out == "\n"
    assert jobs.state(shop, SECOND) == jobs.state(by_dagster, SECOND)
    told = [line.split(maxsplit=4)[2] for line in err.splitlines()]
    told = [step for step in told if not step.endswith(":")]  # a slow machine tells of progress, too
    assert told == ["raw_files", "rows", "enrichment_places", "features", "predictions", "drift"]
    lake = Lake(shop.home / "lake", "visits")
    assert lake.audit(SECOND).exists()
    assert lake.verdict(SECOND).exists()


def test_a_job_that_is_given_again_does_nothing_anew(shop: Shop) -> None:
    before = jobs.state(shop, FIRST)
    done = jobs.give_job(shop, FIRST)
    assert done.code == 0, done.err
    assert "0 of 4 shards done anew" in done.err
    assert jobs.state(shop, FIRST) == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("visits", "--day", RED), 1, f"Error: visits predictions {RED}: day_is_not_empty: 0 rows of 4 files - "),
        (("visits", "--day", UNDELIVERED), 1, f"Error: visits raw_files {UNDELIVERED}: No raw files of {UNDELIVERED}"),
        (("visitors", "--day", FIRST), 2, "Error: There is no use case 'visitors'"),
        (("visits", "--day", FIRST, "--model", "best"), 2, "Error: --model best: say current, as-of, or the number"),
        (("visits", "--day", "yesterday"), 2, "Error: Invalid value for '--day': 'yesterday' is not a day"),
        (("visits", "--day", FIRST, "--model", "9"), 2, "Error: There is no version 9 of visits; there are: 1."),
    ],
    ids=["red", "undelivered", "unknown", "model", "day", "version"],
)
def test_a_day_that_cannot_be_done_is_told_in_one_line(
    shop: Shop, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = shop.give(jobs.job, arguments, shop.environment)
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_day_without_a_champion_is_read_and_says_why_nothing_is_predicted(made: Shop, tmp_path: Path) -> None:
    shop = Shop(tmp_path / "home")
    (tmp_path / "use_cases").symlink_to(made.home.parent / "use_cases")
    done = jobs.give_job(shop, FIRST, "--raw", str(made.home / "raw"))
    assert done.code == 0, done.err
    assert "visits has no champion yet" in done.err
    assert Lake(shop.home / "lake", "visits").rows.days().keys() == {FIRST}


def test_a_job_beside_a_living_one_says_who_has_the_day_and_ends(shop: Shop) -> None:
    with hold_day(Lake(shop.home / "lake", "visits"), FIRST, "somebody's", lambda: None):
        done = jobs.give_job(shop, FIRST)
    assert done.code == 1
    assert f"Error: {FIRST} is being done by the job of run somebody's on " in done.err
    assert jobs.give_job(shop, FIRST).code == 0


def test_a_job_of_another_code_or_configuration_than_its_run_does_nothing(shop: Shop) -> None:
    done = jobs.give_job(shop, SECOND, "--identity", "0123456789abcdef")
    assert done.code == 1
    assert "Error: the job has another code or configuration (" in done.err
    assert SECOND not in Lake(shop.home / "lake", "visits").raw_files.days()


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)], ids=["SIGTERM", "SIGINT"]
)
def test_a_job_that_is_told_to_end_ends_with_all_its_workers_and_resumes(shop: Shop, number: signal.Signals) -> None:
    process = jobs.start(shop, ["-m", "mlops_assets.job", "visits", "--day", SECOND], MLOPS_WORKERS="2")
    jobs.wait_for_part(shop, "rows", SECOND)
    family = [process, *psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "Stopped. Finished shards are kept; the same command resumes."
    assert psutil.wait_procs(family, 30)[1] == []
    done = jobs.give_job(shop, SECOND)
    assert done.code == 0, done.err
    assert set(jobs.state(shop, SECOND)) == {*TABLES}


def test_the_day_of_a_job_that_was_killed_is_free_at_once_on_its_machine(shop: Shop) -> None:
    process = jobs.start(shop, ["-m", "mlops_assets.job", "visits", "--day", SECOND])
    jobs.wait_for_part(shop, "rows", SECOND)
    process.kill()
    process.communicate(timeout=30)
    (document,) = (shop.home / "lake" / "visits" / "jobs" / f"day={SECOND}").iterdir()
    assert not json.loads(document.read_text())["ended"]
    assert jobs.give_job(shop, SECOND).code == 0
