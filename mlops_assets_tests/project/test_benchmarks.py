"""The benchmark: what it plans, how it measures, that all ways agree, and that its page says what was measured."""

from __future__ import annotations

import cProfile
import datetime as dt
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks import growth, measure, monitors, shard, starts, trying, watching
from benchmarks.__main__ import main
from benchmarks.data import SEED, make_day
from benchmarks.plans import plan
from benchmarks.records import Record, append, read
from benchmarks.report import write
from benchmarks.sections import kept, put_section
from mlops_assets.journey.model.model import Model
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import find_use_case


def test_repeats_are_interleaved_so_that_a_slow_minute_hits_all_ways() -> None:
    plans = plan([5_000], ["ours", "pandas"], repeat=2, cold=0)
    assert [one.way for one in plans] == ["ours", "pandas", "ours", "pandas"]


def test_a_way_is_measured_at_most_at_what_it_can() -> None:
    plans = plan([5_000, 300_000], ["ours", "spark"], repeat=1, cold=0)
    assert max(one.files for one in plans if one.way == "spark") < 300_000
    assert max(one.files for one in plans if one.way == "ours") == 300_000


def test_the_whole_process_tree_is_measured(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = bytearray(80 << 20); sum(range(10**8))'])"
    )
    found = measure.run([sys.executable, "-c", script], {}, [0], tmp_path / "log")
    assert found.code == 0
    assert found.cpu > 0.05
    assert found.peak > 80 << 20
    assert found.seconds > 0


def test_a_process_that_outlives_its_parent_is_counted_to_its_end(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    script = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}])"
    assert measure.run([sys.executable, "-c", script], {}, [0], tmp_path / "log").cpu > 0.5


def test_a_command_that_fails_is_told_by_its_code(tmp_path: Path) -> None:
    assert measure.run([sys.executable, "-c", "raise SystemExit(3)"], {}, [0], tmp_path / "log").code == 3


def test_the_page_has_a_line_for_every_way_with_its_cpu_first_and_the_ratio_to_ours(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    about = {"machine": {"cores": "2 used of 2"}, "champion": {"candidate": "vote", "rows": 10}, "quick": True}
    append(results, Record("today", "session", about=about))
    for way, rows, cpus in (("ours", 50_000, (20, 10, 30)), ("duckdb", 50_000, (50,)), ("floor", 0, (1,))):
        for cpu in cpus:
            append(results, Record("today", "run", way, 1_000, rows, "warm", 10.0, cpu, 1 << 30, journey=8.0))
    write(read(results), tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "| mlops-assets | 1,000 | 3 | 400.00 |  | 20.0 |" in page, "the median of three runs"
    assert "| DuckDB over file lists | 1,000 | 1 | 1,000.00 | 2.5 | 50.0 |" in page
    assert "| floor: open, read, close | 1,000 | 1 | 20.00 | 0.05 | 1.0 |" in page, "by the rows that ours predicts"
    assert list((tmp_path / "images").glob("*.svg"))


def test_four_of_five_files_are_of_accounts_that_the_champion_knows_and_no_two_are_the_same(tmp_path: Path) -> None:
    use_case, day = find_use_case((OWN_USE_CASES,), "transactions"), dt.date(2024, 1, 31)
    learned, raw = tmp_path / "learned", tmp_path / "raw"
    for _ in write_sample(use_case, learned, day - dt.timedelta(days=1), 20, 5, 0.0, SEED):
        pass
    for _ in make_day(use_case, raw, day, 200, 5, known=20):
        pass
    known = {account(path) for path in learned.rglob("*.csv")}
    files = [*raw.rglob("*.csv")]
    assert len(known) == 20
    assert len({path.read_bytes() for path in files}) == len(files) == 200
    assert sum(account(path) in known for path in files) == 160
    assert len({account(path) for path in files} - known) == 40, "each of the others of an account of its own"


def account(path: Path) -> tuple[bytes, ...]:
    """The account of a file, by which a model knows it."""
    return tuple(path.read_bytes().split(b"\r\n")[1].split(b";")[:2])


@pytest.mark.long
def test_every_way_predicts_what_we_predict(tmp_path: Path) -> None:
    assert main(["--quick", "--folder", str(tmp_path), "--report", str(tmp_path / "page.md")]) == 0


@pytest.mark.long
def test_a_shard_is_told_stage_by_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--files", "40", "--rows", "20", "--known", "20", "--repeat", "1", "--folder", str(tmp_path)]
    assert shard.main(small) == 0
    told = dict(line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line[:1] == "|")
    assert float(told["the shard"]) > 0
    # of 40 files some stages take less than what is shown
    assert all(float(told[stage]) >= 0 for stage in shard.STAGES)
    assert float(told["SQL"]) > 0


def test_stages_of_a_shard_and_all_else_are_its_whole_time() -> None:
    profiler = cProfile.Profile()
    profiler.runcall(Model(None, {"x": None}, (), "").matrix, pa.table({"x": [1.0]}))  # type: ignore[arg-type]
    stages = shard.staged(profiler, whole=10)
    assert stages["matrix"] > 0
    assert stages["parse"] == 0
    assert sum(stages.values()) == pytest.approx(10)
    assert "| matrix |" in shard.page({"the shard": 1.0}, stages)


def test_what_starting_costs_is_a_section_that_is_replaced_and_survives_the_rest_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Benchmarks\n\nnumbers\n")
    starts.write({"`.venv` after it": 2.0}, page)
    starts.write({"`.venv` after it": 0.9}, page)
    text = page.read_text()
    assert text.startswith("# Benchmarks\n\nnumbers\n\n")
    assert text.count("## What starting costs") == 1
    assert "| `.venv` after it | `make demo` | 0.90 GB | 1 |" in text
    page.write_text("# Others\n\n" + kept("starts", page) + "\n")
    assert "0.90 GB" in page.read_text()


def found_by(million: float, new: dict[str, list[str]] | None = None) -> monitors.Found:
    red = (
        dict.fromkeys(monitors.DAMAGES) if new is None else {"day": ["rows.account"], "cities": [], "nulls": [], **new}
    )
    return monitors.Found(200_000, 1.0, million, 100 << 20, red)


def test_what_watching_costs_is_a_section_with_a_line_for_each_way(tmp_path: Path) -> None:
    damaged = {"cities": ["rows.account", "rows.merchant_city"], "nulls": ["model_input.city"]}
    found = {"ours": found_by(0.5, damaged), "duckdb": found_by(1.0), "evidently": found_by(50, {"nulls": ["account"]})}
    about = {"files": 4000, "rows": 200_000, "columns": 30, "reference": "one", "day": "another", "repeats": 3}
    lines = monitors.section(found, about).splitlines()
    assert "| mlops-assets | 200,000 | 1.0 | 0.5 |  | 100 | 1 | yes | yes |" in lines
    assert "| DuckDB, plain SQL | 200,000 | 1.0 | 1.0 | 2.0 | 100 | not judged | not judged | not judged |" in lines
    assert "| Evidently 0.7.23 | 200,000 | 1.0 | 50.0 | 100 | 100 | 1 | no | no |" in lines


def test_what_a_page_costs_is_a_section_of_the_middle_of_visits() -> None:
    ours = [trying.Visit(6, size, seconds, ()) for size, seconds in ((41_000, 1.2), (40_000, 1.0), (90_000, 9.0))]
    other = [trying.Visit(137, 5_500_000, 13.5, ("label", "region"))]
    lines = trying.section({"ours": (ours, True), "other": (other, False)}).splitlines()
    assert "| ours | 6 | 41 | 1.2 | none | yes |" in lines
    assert "| other | 137 | 5,500 | 13.5 | label, region | no |" in lines


def test_how_a_day_grows_is_told_by_the_median_run_and_what_larger_days_need_by_a_straight_line() -> None:
    def line(files: int, cpu: float, rows: int = 50, workers: int = 2) -> growth.Line:
        steps = {"transactions__raw_files": 2.0, "transactions__rows": 5.0}
        return growth.Line(files, rows, workers, rows * files, 2, cpu / 2, cpu, 1 << 30, steps, 1 << 20, 2048, 1 << 30)

    runs = [line(10_000, cpu) for cpu in (14.0, 13.0, 30.0)]
    others = [line(100_000, 40.0), line(100, 12.0, rows=5_000), line(100_000, 38.0, workers=1)]
    text = growth.section(growth.medians([*runs, *others]))
    assert "| 10,000 | 50 | 2 | 3 | 14.0 | 1,400 | 28.00 | 7.0 | 2.0 |" in text
    assert "| 100 | 5,000 | 2 | 1 | 12.0 |" in text
    assert "11.1 CPU seconds for no files at all, and 289 microseconds for each file" in text
    assert "2 workers take 1.05 of the time of 1" in text
    assert text.count("| files | rows") == 3
    assert growth.section(growth.medians(runs)).count("| files | rows") == 1  # what compares nothing is no table
    assert [*growth.planned([10, 20], [1, 50], [1, 2])][:2] == [(10, 50, 2), (20, 50, 2)]


def test_a_section_is_replaced_where_it_stood(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    put_section("one", "first", page)
    put_section("two", "second", page)
    put_section("one", "other", page)
    text = page.read_text()
    assert kept("one", page) in text
    assert "first" not in text
    assert text.index("other") < text.index("second")


def test_the_page_written_anew_keeps_the_section_of_every_other_program(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for name in ("starts", "monitors", "serving", "watching"):
        put_section(name, f"of {name}", page)
    about = {"machine": {"cores": "2 used of 2"}, "champion": {"candidate": "vote", "rows": 10}, "quick": False}
    write([Record("today", "session", about=about)], page)
    assert all(f"of {name}\n" in kept(name, page) for name in ("starts", "monitors", "serving", "watching"))


def test_what_watching_adds_to_a_day_is_the_difference_of_two_runs(tmp_path: Path) -> None:
    on = watching.Found(measure.Measured(620.0, 1_140.0, 1_300 << 20, 0), 150_000, {"00000": "same", "00001": "one"})
    off = watching.Found(measure.Measured(600.0, 1_100.0, 1_250 << 20, 0), 150_000, {"00000": "same", "00001": "other"})
    text = watching.section(on, off, 3_000, "vote")
    assert "2 files of predictions, 1 differ in a byte" in text.replace("\n", " ")
    assert "| on top | 20 | 40 | 50 |" in text
