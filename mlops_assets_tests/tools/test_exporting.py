"""A version by itself: a folder that answers what the platform answers, to the bit, with nothing of the platform."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.services.s3 import free_port
from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.serving.app import make_app, make_service
from mlops_assets.settings import Settings
from mlops_assets.storage.exported import MANIFEST, other_versions, see_whole
from mlops_assets.tools.exporting.export import Export, export, see_alone
from mlops_assets.tools.exporting.modules import own_modules, pins
from mlops_assets.workspace import Stores, Workspace
from mlops_assets_tests.helpers.asgi import HOST, Answer, ask
from mlops_assets_tests.helpers.empty_root import lay_out, need_namespaces, start_in
from mlops_assets_tests.helpers.homes import state_in
from mlops_assets_tests.helpers.served_home import YESTERDAY, champions_in, publish
from mlops_assets_tests.helpers.shop import Shop
from mlops_assets_tests.helpers.stack import until

NAME = "transactions"
PREDICT = f"/v1/use-cases/{NAME}/predictions?probabilities=all"
SQL = "CREATE VIEW model_input AS SELECT file, line, weather.rain FROM rows JOIN weather USING (date)"


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """A home with a champion of `transactions` and a published day."""
    with champions_in(tmp_path_factory.mktemp("platform"), NAME) as workspace:
        stores = workspace.find(NAME)
        publish(stores)
        yield stores


@pytest.fixture(scope="module")
def done(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return export(stores, 1, tmp_path_factory.mktemp("exports") / "served")


@pytest.fixture
def copy(done: Export, tmp_path: Path) -> Path:
    """The export, to be spoiled."""
    return Path(shutil.copytree(done.folder, tmp_path / "served"))


def raw_files(stores: Stores) -> list[Path]:
    folder = Path(str(stores.settings.raw)) / NAME / f"day={YESTERDAY}"
    return sorted(folder.glob("*.csv"))[:5]


def alone(home: Path) -> Any:
    """The API on an export, in this process."""
    with state_in(home):
        return make_app(make_service(Workspace(Settings.from_environment())))


def ask_alone(home: Path, method: str, path: str) -> Answer:
    return ask(alone(home), method, path, [HOST])


# -- from an empty root -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def port(done: Export, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The export, read-only, started in a root that has Python and its packages, and nothing else."""
    need_namespaces()
    folder, port = tmp_path_factory.mktemp("root"), free_port()
    packages = lay_out(done.folder / "requirements.txt", folder / "packages")
    with (folder / "err").open("wb") as err:
        process = start_in(packages, done.folder, "/version/start", "--port", str(port), stdout=err, stderr=err)
    try:

        def is_there() -> bool:
            assert process.poll() is None, (folder / "err").read_text()
            return "The API is on" in (folder / "err").read_text()

        until(is_there, "the version by itself")
        yield port
    finally:
        process.terminate()
        assert process.wait(60) == 0, (folder / "err").read_text()


def post(port: int, file: Path) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", PREDICT, file.read_bytes(), {"X-File-Name": file.name})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status == 200, content
    told: dict[str, Any] = json.loads(content)
    return told


def test_its_answers_are_those_of_the_platform_and_of_the_day_to_the_bit(stores: Stores, port: int) -> None:
    platform = make_app(make_service(stores.workspace, (NAME,)))
    platform.state.service.champions.load(platform.state.service.use_cases.values())
    rows = stores.lake.predictions.read_all([YESTERDAY.isoformat()]).to_pylist()
    files = raw_files(stores)
    assert len(files) == 5
    for file in files:
        told = post(port, file)
        theirs = ask(platform, "POST", PREDICT, [HOST, ("X-File-Name", file.name)], [file.read_bytes()])
        assert told["files"] == json.loads(theirs.text)["files"]
        assert told["version"] == 1
        of_the_day = {
            row["line"]: (row["prediction"], np.float32(row["probability"])) for row in rows if row["file"] == file.name
        }
        assert of_the_day == {
            one["line"]: (one["prediction"], np.float32(one["probability"])) for one in told["files"][0]["predictions"]
        }


def test_it_has_nothing_of_the_platform(done: Export) -> None:
    wanted = {line.partition("==")[0].lower() for line in pins({})}
    assert not {"mlflow", "mlflow-skinny", "dagster", "alembic", "psycopg2-binary", "sqlalchemy", "boto3"} & wanted
    lake = {path.relative_to(done.folder / "lake").as_posix() for path in (done.folder / "lake").rglob("*.*")}
    documents = ("history/000001.json", "history/versions/000001.json", "versions/000001.json")
    assert lake == {"form.json", *(f"{NAME}/{document}" for document in documents)}
    assert [
        path.name
        for path in (done.folder / "code" / "mlops_assets" / "defs").iterdir()
        if (path / "defs.yaml").exists()
    ] == [NAME]
    assert not [*done.folder.rglob("judged")]


# -- what it cannot do ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/v1/use-cases/{NAME}/days"),
        ("GET", f"/v1/use-cases/{NAME}/days/2026-01-01/predictions"),
        ("POST", f"/v1/use-cases/{NAME}/days/2026-01-01/run"),
        ("POST", f"/v1/use-cases/{NAME}/feedback"),
        ("POST", f"/v1/use-cases/{NAME}/train"),
        ("GET", "/v1/runs/1"),
    ],
)
def test_what_needs_the_platform_says_so(done: Export, method: str, path: str) -> None:
    answer = ask_alone(done.folder, method, path)
    said = json.loads(answer.text)["detail"]
    assert answer.status == 501
    assert said.startswith(f"This server has version 1 of {NAME} by itself: it predicts. Days, corrections, runs")


def test_what_it_has_is_told(done: Export) -> None:
    assert json.loads(ask_alone(done.folder, "GET", f"/v1/use-cases/{NAME}").text)["champion"] == 1
    assert ask_alone(done.folder, "GET", f"/v1/use-cases/{NAME}/models/1").status == 200
    assert "pages" not in json.loads(ask_alone(done.folder, "GET", "/").text)["links"]


@pytest.mark.parametrize("command", [f"status {NAME}", f"run {NAME}", f"export {NAME} 1 -o x"])
def test_other_commands_need_a_home(done: Export, command: str) -> None:
    ended = Shop(done.folder)(*command.split())
    assert (ended.code, "is a version by itself: `serve` serves it" in ended.err) == (2, True), ended.err


# -- whole, or nothing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("use_cases/transactions/defs.yaml", "x", "is not as it was exported"),
        ("requirements.txt", None, "is missing"),
        ("code/mlops_assets/more.py", "x", "was not there when it was exported"),
    ],
)
def test_a_file_that_is_another_one_is_told_before_anything_is_served(
    copy: Path, name: str, content: str | None, said: str
) -> None:
    see_whole(copy)
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_text(content)
    with pytest.raises(MlopsError, match=f"{name}.* {said}: copy the whole folder again"):
        see_whole(copy)
    ended = Shop(copy)("serve")
    assert (ended.code, said in ended.err) == (1, True)


def test_other_packages_than_those_it_was_made_with_are_told(copy: Path) -> None:
    assert other_versions(copy) == []
    (copy / "requirements.txt").write_text("numpy==0.1\nnothing-of-this-name==1.0\n")
    assert other_versions(copy) == [
        f"numpy {np.__version__} instead of 0.1",
        "nothing-of-this-name missing instead of 1.0",
    ]


def test_a_manifest_that_was_changed_is_refused(copy: Path) -> None:
    (copy / MANIFEST).write_text((copy / MANIFEST).read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(MlopsError, match=r"manifest\.json.* not those that were written"):
        see_whole(copy)


def test_nothing_is_overwritten(stores: Stores, done: Export) -> None:
    with pytest.raises(UsageError, match="is there already, and nothing is overwritten"):
        export(stores, 1, done.folder)


def test_a_killed_export_leaves_nothing_under_its_name_and_the_next_one_clears_it_away(
    stores: Stores, tmp_path: Path
) -> None:
    """Killed as soon as a file of it is there."""
    place, unfinished = tmp_path / "served", tmp_path / ".served.unfinished"
    command = [sys.executable, "-m", "mlops_assets.cli", "export", NAME, "1", "-o", str(place)]
    environment = {**os.environ, "MLOPS_HOME": str(stores.settings.home)}
    process = subprocess.Popen(command, env=environment)
    until(lambda: any(unfinished.glob("models/*")) or process.poll() is not None, "the first file")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not place.exists()
    export(stores, 1, place)
    see_whole(place)
    assert not unfinished.exists()


# -- what a use case brings -------------------------------------------------------------------------------------------


def test_modules_of_its_own_go_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rain_of_ours").mkdir()
    (tmp_path / "rain_of_ours" / "__init__.py").write_text("")
    (tmp_path / "rain_of_ours" / "days.py").write_text("import rain_below\nimport moto\n")
    (tmp_path / "rain_below.py").write_text("x = 1")
    (tmp_path / "rain_alone.py").write_text("def f(): ...")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "large.bin").write_text("x")
    monkeypatch.syspath_prepend(tmp_path)
    written = {
        "a": ["rain_of_ours.days.Rain", "sklearn.dummy.DummyClassifier"],
        "b": {"c": "rain_alone.f", "d": "e.g.", "file": "files.csv", "browser": "playwright.sync_api.Browser"},
    }
    alone = {f"rain_{name}": tmp_path / f"rain_{name}.py" for name in ("alone", "below")}
    assert own_modules(written) == {**alone, "rain_of_ours": tmp_path / "rain_of_ours"}
    named = {line.partition("==")[0] for line in pins(written)} - {line.partition("==")[0] for line in pins({})}
    assert {"moto", "playwright"} <= named


def enriched(stores: Stores, use: str, **parameters: Any) -> Any:
    asked = {"use": use, "keys": ["date"], "columns": {"rain": "number"}, "parameters": parameters}
    kind = next(iter(stores.use_case.enrichments.values()))
    return stores.use_case.model_copy(update={"enrichments": {"weather": kind.model_validate(asked)}})


def test_an_enrichment_that_cannot_work_alone_is_refused_before_anything_is_written(stores: Stores) -> None:
    database = enriched(stores, "sql", query="SELECT 1", url_variable="WEATHER_URL")
    with pytest.raises(UsageError, match="The enrichment weather asks a database, and a version by itself has none"):
        [*see_alone(database, SQL)]
    for file in ("/srv/rain.csv", "s3://bucket/rain.csv", "../rain.csv"):
        with pytest.raises(UsageError, match=r"reads a file that does not lie beside defs\.yaml: put it there"):
            [*see_alone(enriched(stores, "table", file=file), SQL)]
    assert [*see_alone(enriched(stores, "table", file="rain.csv"), SQL)] == []
    (note,) = see_alone(enriched(stores, "http", url="https://rain.example"), SQL)
    assert note.startswith("The enrichment weather asks a service, which must be reached from there")
    assert [*see_alone(database, "SELECT file, line FROM rows")] == []
