"""The job as the driver of a Spark application: `spark-submit` of pip's pyspark, on a standalone cluster."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

pytest.importorskip("pyspark")
if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
    pytest.skip("Spark needs Java", allow_module_level=True)

from mlops_assets_tests.helpers import jobs
from mlops_assets_tests.helpers.jobs import SECOND
from mlops_assets_tests.helpers.spark_cluster import standalone


@pytest.mark.long
def test_a_day_of_a_spark_application_is_that_of_this_machine(tmp_path: Path) -> None:
    made = jobs.make(tmp_path / "made")
    here, elsewhere = (jobs.copy(made, tmp_path / name) for name in ("here", "elsewhere"))
    done = here("run", "visits", "--from", SECOND, "--to", SECOND)
    assert done.code == 0, done.err
    folder = tmp_path / "cluster"
    folder.mkdir()
    with standalone(folder, 2) as cluster:
        place = elsewhere.home.parent / "use_cases" / "visits" / "defs.yaml"
        content = yaml.safe_load(place.read_text())
        client = {"kind": "spark_submit", "master": cluster.master}
        content["attributes"]["scale"] |= {"engine": "pipes", "client": client}
        place.write_text(yaml.safe_dump(content, sort_keys=False))
        done = elsewhere("run", "visits", "--from", SECOND, "--to", SECOND)
    assert done.code == 0, done.err
    assert jobs.state(elsewhere, SECOND) == jobs.state(here, SECOND)
    # each executor has a log of its own: the shards were done there
    assert [*folder.glob("worker-*/work/app-*/*/stderr")]
