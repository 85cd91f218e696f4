"""Days of every format: the same tables as of CSV, mended rejects come back, and the whole journey by the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.journey.read.mended import Line, Mended
from mlops_assets.journey.read.replay import replay
from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.storage.catalog import Lake
from mlops_assets_tests.helpers.days import read_raw
from mlops_assets_tests.helpers.formats import FORMATS, ROW, contract, written
from mlops_assets_tests.helpers.visits import VISITS, VISITS_SQL

DAY = "2026-01-31"
OTHERS = [form for form in FORMATS if form != "csv"]
FILES = {
    "v_csv": "",
    "v_jsonl": "{format: jsonl, suffix: .jsonl.gz, compression: gzip}",
    "v_parquet": "{format: parquet, suffix: .parquet}",
    "v_xml": "{format: xml, suffix: .xml, record: visit}",
    "v_fixed": "{format: fixed, suffix: .txt.zst, compression: zstd}",
}
PLACES = {"visitor": "[1, 20]", "minutes": "[21, 30]", "channel": "[31, 40]", "returned": "[41, 43]"}


def day_of(form: str, folder: Path, compression: str) -> tuple[Lake, FolderSource]:
    case = contract(form, compression=compression)
    files = folder / "raw" / "toy" / f"day={DAY}"
    files.mkdir(parents=True)
    rows = [ROW, {**ROW, "amount": "7000"}, {**ROW, "city": "x"}]
    (files / f"a{case.files.suffix}").write_bytes(written(case, rows))
    lake = Lake(folder / "lake", "toy")
    read_raw(case, folder / "raw", lake, DAY)
    return lake, FolderSource(folder / "raw" / "toy", case.files.suffix, False)


@pytest.mark.parametrize("form", OTHERS)
def test_a_mended_reject_becomes_a_row_of_its_day(form: str, tmp_path: Path) -> None:
    compression = "none" if form == "parquet" else "gzip"
    lake, source = day_of(form, tmp_path, compression)
    (reject,) = lake.rejects.read_all([DAY]).to_pylist()
    case = contract(form, compression=compression)
    at = Line(DAY, reject["file"], reject["line"])
    done = replay(case, source, lake, [Mended(at, reject["rule"], reject["raw"].replace("7000", "70  "))])
    assert [made.file.startswith("a.replayed-") for made in done.written] == [True]
    read_raw(case, tmp_path / "raw", lake, DAY)
    assert sorted(lake.rows.read_all([DAY])["amount"].to_pylist()) == [-12.5, -12.5, 70.0]


def command(folder: Path, *arguments: str) -> None:
    environment = {
        **os.environ,
        "MLOPS_HOME": str(folder / "home"),
        "MLOPS_RAW": str(folder / "raw"),
        "MLOPS_USE_CASES": str(folder / "use_cases"),
    }
    subprocess.run([sys.executable, "-m", "mlops_assets.cli", *arguments], check=True, env=environment, cwd=folder)


def predictions(folder: Path, name: str) -> pa.Table:
    """The predictions of a day, by the numbers of files and lines."""
    path = folder / f"{name}.parquet"
    command(folder, "predictions", name, "--day", "2026-03-02", "-o", str(path))
    table = pq.read_table(path)
    files = [file.partition(".")[0].rpartition("-")[2] for file in table["file"].to_pylist()]
    kept = table.select(["line", "prediction", "probability"]).append_column("file", pa.array(files))
    return kept.sort_by([("file", "ascending"), ("line", "ascending")]).combine_chunks()


@pytest.mark.long
def test_the_whole_journey_gives_the_same_predictions_in_every_format(tmp_path: Path) -> None:
    found = {}
    for name, files in FILES.items():
        yaml = VISITS.replace("  columns:", f"  files: {files}\n  columns:") if files else VISITS
        for column, places in PLACES.items() if name == "v_fixed" else ():
            yaml = yaml.replace(f"    {column}: {{", f"    {column}: {{at: {places}, ")
        (tmp_path / "use_cases" / name).mkdir(parents=True)
        (tmp_path / "use_cases" / name / "defs.yaml").write_text(yaml, encoding="utf-8")
        (tmp_path / "use_cases" / name / "features.sql").write_text(VISITS_SQL, encoding="utf-8")
        command(tmp_path, "sample", name, "--day", "2026-03-01", "--days", "2", "--files", "12", "--rows", "40")
        command(tmp_path, "run", name, "--train")
        found[name] = predictions(tmp_path, name)
    assert len(found["v_csv"]) == 480
    assert all(table.equals(found["v_csv"]) for table in found.values())
