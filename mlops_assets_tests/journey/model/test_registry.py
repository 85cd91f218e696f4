"""The registry, on a real MLflow store: one champion a use case, and only the very model that was registered."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops_assets.errors import MlopsError, ModelRefused, UsageError
from mlops_assets.journey.model import store
from mlops_assets.journey.model.files import ESTIMATOR_FILE, MEANING_FILE, SQL_FILE
from mlops_assets.journey.model.history import HistoryConflict
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.registered import RegisteredVersions
from mlops_assets.journey.model.registry import ALIAS, Registry
from mlops_assets.journey.model.store import StoreDown, VersionGone, has
from mlops_assets.journey.model.version import Version
from mlops_assets.settings import Settings, sqlite_url
from mlops_assets.storage.catalog import Lake
from mlops_assets_tests.helpers import misbehaving
from mlops_assets_tests.helpers.estimators import LABELS, NUMBERS, TARGET
from mlops_assets_tests.helpers.estimators import MATRIX as ROWS
from mlops_assets_tests.helpers.models import ABOUT, MATRIX, a_model, register

# MLflow's own tables use what SQLAlchemy 2.1 calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """One store for all tests, for making one takes seconds; each test has a use case of its own."""
    home = tmp_path_factory.mktemp("home")
    return Registry(
        Settings(
            home=home,
            raw=home / "raw",
            lake=home / "lake",
            tracking_uri=f"sqlite:///{home / 'mlflow' / 'mlflow.db'}",
            artifacts=home / "mlflow" / "artifacts",
            use_cases=(),
            workers=1,
        )
    )


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Name of the use case of this test."""
    return "".join(sign if sign.isalnum() else "_" for sign in request.node.name.lower())


def champion(registry: Registry, name: str) -> Version:
    found = registry.champion(name)
    assert found is not None
    return found


def forget(registry: Registry, name: str, number: int) -> None:
    """Take the copy of a version out of the lake."""
    assert isinstance(registry.settings.lake, Path)
    (registry.settings.lake / name / "versions" / f"{number:06d}.json").unlink()


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[str]]]:
    """The address of a server with one answer, and what it was asked; status 0 sends nothing but the bytes."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if status:
                self.send_response(status)
                self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing goes to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def says(model: Model) -> list[int]:
    return model.decide(model.probabilities(MATRIX)).tolist()


def test_a_use_case_that_was_never_trained_has_no_champion(registry: Registry, name: str) -> None:
    assert registry.champion(name) is None


def test_a_use_case_with_an_experiment_alone_has_no_champion(registry: Registry, name: str) -> None:
    registry.experiment(name)
    assert registry.champion(name) is None


def test_an_experiment_is_made_once(registry: Registry, name: str) -> None:
    assert registry.experiment(name) == registry.experiment(name)


def test_a_registered_model_is_the_champion_and_says_the_same(registry: Registry, name: str, tmp_path: Path) -> None:
    made = register(registry, name, tmp_path)
    found = champion(registry, name)
    assert found == made
    assert (found.use_case, found.version) == (name, 1)
    model, before = found.serving(), a_model(9)
    np.testing.assert_array_equal(model.probabilities(MATRIX), before.probabilities(MATRIX))
    assert (model.columns, model.classes, model.sql) == (before.columns, before.classes, before.sql)


def test_the_champion_tells_what_is_known_of_it(registry: Registry, name: str, tmp_path: Path) -> None:
    register(registry, name, tmp_path)
    found = champion(registry, name)
    assert (found.about.to_json(), found.details()) == (ABOUT.summary().to_json(), ABOUT)


def test_the_model_that_was_judged_is_kept_beside_the_one_that_serves(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    register(registry, name, tmp_path, boundary=9, judged=4)
    found = champion(registry, name)
    assert says(found.serving()) == says(a_model(9)) != says(found.judged())
    assert says(found.judged()) == says(a_model(4))


def test_a_second_version_becomes_the_champion(registry: Registry, name: str, tmp_path: Path) -> None:
    register(registry, name, tmp_path / "one", boundary=9)
    register(registry, name, tmp_path / "two", boundary=4)
    found = champion(registry, name)
    assert found.version == 2
    assert says(found.serving()) == says(a_model(4))


def test_an_older_version_can_be_made_champion_again(registry: Registry, name: str, tmp_path: Path) -> None:
    first = register(registry, name, tmp_path / "one", boundary=9)
    register(registry, name, tmp_path / "two", boundary=4)
    registry.roll_back(name, "somebody", "the second was worse")
    assert int(registry.client().get_model_version_by_alias(name, ALIAS).version) == 1
    assert champion(registry, name) == first
    assert says(champion(registry, name).serving()) == says(a_model(9))


def test_a_model_of_the_same_number_in_another_store_is_no_champion(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    register(registry, name, tmp_path / "one")
    uri = f"sqlite:///{registry.settings.home / 'mlflow' / 'other.db'}"
    other = Registry(replace(registry.settings, tracking_uri=uri, lake=tmp_path / "other lake"))
    register(other, name, tmp_path / "two", boundary=4)
    mistaken = Registry(replace(registry.settings, tracking_uri=uri))
    with pytest.raises(ModelRefused, match=r"is not the model that became champion .* Is it the right store"):
        mistaken.champion(name)


def test_a_promotion_decided_before_another_change_is_refused(registry: Registry, name: str, tmp_path: Path) -> None:
    first = register(registry, name, tmp_path / "one", boundary=9)
    register(registry, name, tmp_path / "two", boundary=4)
    with pytest.raises(HistoryConflict):
        registry.promote(first, "gate", "judged against nobody", seen=0)
    assert champion(registry, name).version == 2


def test_use_cases_have_champions_of_their_own(registry: Registry, name: str, tmp_path: Path) -> None:
    register(registry, f"{name}_one", tmp_path / "one", boundary=9)
    register(registry, f"{name}_two", tmp_path / "two", boundary=4)
    assert says(champion(registry, f"{name}_one").serving()) == says(a_model(9))


@pytest.mark.parametrize("file", [ESTIMATOR_FILE, MEANING_FILE, SQL_FILE])
@pytest.mark.parametrize("which", ["serving", "judged"])
def test_a_champion_whose_artifact_was_changed_is_refused(
    registry: Registry, name: str, tmp_path: Path, which: str, file: str
) -> None:
    path = register(registry, name, tmp_path).folder / which / file
    path.write_bytes(path.read_bytes() + b" ")
    found = champion(registry, name)
    with pytest.raises(ModelRefused, match="not the one that was registered"):
        found.serving() if which == "serving" else found.judged()


def test_an_artifact_exchanged_for_another_sound_model_is_refused(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    a_model(4).save(register(registry, name, tmp_path).folder / "serving")
    with pytest.raises(ModelRefused):
        champion(registry, name).serving()


@pytest.mark.parametrize("tag", ["serving_sha256", "judged_sha256", "about_sha256"])
def test_a_version_without_a_registered_hash_is_refused(
    registry: Registry, name: str, tmp_path: Path, tag: str
) -> None:
    register(registry, name, tmp_path)
    registry.client().delete_model_version_tag(name, "1", tag)
    forget(registry, name, 1)  # a version of an older release has no copy in the lake
    with pytest.raises(ModelRefused, match=r"version 1 of .* has no registered hash; train it again"):
        registry.champion(name)


def test_a_champion_whose_artifacts_are_gone_is_refused(registry: Registry, name: str, tmp_path: Path) -> None:
    made = register(registry, name, tmp_path)
    made.folder.rename(made.folder.with_name("elsewhere"))
    with pytest.raises(ModelRefused):
        champion(registry, name).serving()


# -- the copies in the lake ---------------------------------------------------------------------------------------------


def without_mlflow(registry: Registry) -> Registry:
    """The same, with a store of MLflow's that must not be asked: there is no such driver."""
    return Unreachable(registry.settings)


class Unreachable(Registry):
    """A registry whose MLflow does not answer."""

    def client(self) -> Any:
        """Fail."""
        raise AssertionError("MLflow was asked")


def test_who_reads_versions_does_not_ask_mlflow(registry: Registry, name: str, tmp_path: Path) -> None:
    made = register(registry, name, tmp_path)
    reader = without_mlflow(registry)
    assert champion(reader, name) == made
    assert reader.version(name, 1) == made
    assert reader.known(name) == registry.known(name) == {1: ABOUT.summary()}
    assert reader.mirrors(name)
    with pytest.raises(UsageError, match=rf"^There is no version 7 of {name}; there are: 1\.$"):
        reader.version(name, 7)


def test_versions_of_an_older_release_are_asked_for_and_copied_by_the_next_registration(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    first = register(registry, name, tmp_path / "one")
    forget(registry, name, 1)
    assert registry.champion(name) == first
    assert registry.numbers(name) == [1]
    register(registry, name, tmp_path / "two", boundary=4)
    assert without_mlflow(registry).numbers(name) == [1, 2]
    assert without_mlflow(registry).version(name, 1) == first


@pytest.mark.parametrize("copies", [{1}, {1, 2}])
def test_a_version_without_a_copy_is_found_and_copied_when_somebody_names_it(
    registry: Registry, name: str, tmp_path: Path, copies: set[int]
) -> None:
    """Such as one that an older release registered on the same home, or whose copy somebody took away."""
    for number in (1, 2, 3):
        register(registry, name, tmp_path / str(number), boundary=number)
    for number in {1, 2, 3} - copies:
        forget(registry, name, number)
    assert champion(registry, name).version == 3
    assert registry.numbers(name) == [1, 2, 3]
    assert registry.version(name, max(copies) + 1).version == max(copies) + 1
    assert without_mlflow(registry).numbers(name) == [1, 2, 3]


def test_a_store_that_numbers_anew_is_told_and_no_model_takes_anothers_number(
    registry: Registry, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (register(registry, name, tmp_path / str(number), boundary=number) for number in (1, 2))
    client = registry.client()
    client.delete_registered_model(name)
    assert register(registry, name, tmp_path / "three", boundary=4).version == 3
    assert "MLflow gave a new version the number 1, which another model has: 2 were registered before" in caplog.text
    assert [without_mlflow(registry).version(name, number) for number in (1, 2)] == [first, second]
    assert [one.version for one in client.search_model_versions(f"name = '{name}'")] == [3]
    assert champion(registry, name).version == 3


def test_a_store_that_is_another_one_gives_no_number_again(registry: Registry, name: str, tmp_path: Path) -> None:
    register(registry, name, tmp_path / "one")
    uri = f"sqlite:///{registry.settings.home / 'mlflow' / 'moved.db'}"
    moved = Registry(replace(registry.settings, tracking_uri=uri))
    moved.experiment(name)
    assert champion(moved, name) == champion(registry, name), "the lake has it, and its hash"
    said = rf"version 1 of {name}, the champion, is gone from .*moved\.db\. `mlops-assets"
    with pytest.raises(VersionGone, match=said):
        moved.choose(name, "current", "")
    assert register(moved, name, tmp_path / "two", boundary=4).version == 2
    assert champion(moved, name).version == 2


# -- a store that is gone -----------------------------------------------------------------------------------------------


def test_a_champion_that_somebody_deleted_in_mlflow_scores_no_day_and_can_be_read(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    made = register(registry, name, tmp_path / "one")
    second = register(registry, name, tmp_path / "two", boundary=4)
    registry.client().delete_model_version(name, "2")
    assert champion(registry, name) == second
    with pytest.raises(VersionGone) as gone:
        registry.choose(name, "current", "")
    for message in (registry.trouble(name), str(gone.value)):
        assert message.startswith(f"version 2 of {name}, the champion, is gone from MLflow's store sqlite:///")
        assert f"`mlops-assets run {name} --train` makes a new one" in message
    registry.roll_back(name, "somebody", "the second is gone")
    assert registry.choose(name, "current", "") == made
    assert registry.trouble(name) == ""
    with pytest.raises(VersionGone, match=f"^version 2 of {name} is gone"):
        registry.promote(second, "somebody", "again")


@pytest.mark.parametrize("how", ["removed", "garbage"])
def test_a_store_that_is_lost_is_told_and_the_copy_in_the_lake_goes_on(
    registry: Registry, name: str, tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "mlflow.db"
    own = Registry(replace(registry.settings, tracking_uri=sqlite_url(file)))
    shutil.copy(registry.settings.home / "mlflow" / "mlflow.db", file)
    made = register(own, name, tmp_path / "one")
    file.unlink() if how == "removed" else file.write_bytes(bytes(range(256)) * 100)
    assert own.choose(name, "current", "") == made
    said = {"removed": "is gone", "garbage": "cannot be read: file is not a database"}[how]
    assert f"version 1 comes from the lake: MLflow's store {sqlite_url(file)} {said}." in caplog.text
    assert f"{said}." in own.trouble(name)
    if how == "garbage":
        with pytest.raises(StoreDown, match="cannot be read: file is not a database"):
            own.experiment(name)


def test_a_server_that_is_down_is_told_at_once_with_its_address_and_without_its_password(
    registry: Registry, name: str
) -> None:
    down = Registry(replace(registry.settings, tracking_uri="http://me:pa55@127.0.0.1:1/mlflow", artifacts=None))
    with pytest.raises(StoreDown) as told:
        down.experiment(name)
    assert "MLflow's server http://127.0.0.1:1/mlflow cannot be reached: " in str(told.value)
    assert "pa55" not in str(told.value)


@pytest.mark.parametrize("scheme", ["http", pytest.param("postgresql", marks=pytest.mark.long)])
def test_a_server_that_takes_a_connection_and_says_nothing_is_not_waited_for(
    registry: Registry, name: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"{scheme}://me:pa55@127.0.0.1:{server.getsockname()[1]}/mlflow"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        silent = Registry(replace(registry.settings, tracking_uri=uri, artifacts=None))
        with pytest.raises(StoreDown, match=r"^MLflow's (server|store).* cannot be reached.*time") as told:
            silent.experiment(name)
    assert "pa55" not in str(told.value)


@pytest.mark.parametrize(
    ("status", "body", "there"),
    [
        (200, b"{}", True),
        (404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}', False),
        (404, b"<html>no such page</html>", True),
        (500, b'["a list"]', True),
    ],
)
def test_a_server_says_whether_it_has_a_version(registry: Registry, status: int, body: bytes, there: bool) -> None:
    with answering(status, body) as (url, asked):
        assert has(replace(registry.settings, tracking_uri=url), "shop", 3) is there
    assert asked == ["/api/2.0/mlflow/model-versions/get?name=shop&version=3"]


def test_a_server_that_does_not_speak_http_is_told(registry: Registry) -> None:
    with answering(0, b"220 mail\r\n") as (url, _), pytest.raises(StoreDown, match="cannot be reached: 220 mail"):
        has(replace(registry.settings, tracking_uri=url), "shop", 3)


def test_a_registration_that_was_killed_before_its_copy_hides_no_version(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    register(registry, name, tmp_path / "one")
    register(registry, name, tmp_path / "two", boundary=4)
    forget(registry, name, 2)
    RegisteredVersions(Lake(registry.settings.lake, name), registry.settings.tracking_uri).begin("killed")
    assert registry.numbers(name) == [1, 2]
    assert champion(registry, name).version == 2


def test_a_damaged_copy_is_told_with_what_to_do(registry: Registry, name: str, tmp_path: Path) -> None:
    register(registry, name, tmp_path)
    assert isinstance(registry.settings.lake, Path)
    (registry.settings.lake / name / "versions" / "000001.json").write_text("{")
    with pytest.raises(MlopsError, match=r"000001\.json is damaged: .*; delete it, MLflow has the same"):
        registry.champion(name)


def test_an_alias_that_was_not_set_to_the_end_is_known(registry: Registry, name: str, tmp_path: Path) -> None:
    register(registry, name, tmp_path)
    copies = RegisteredVersions(Lake(registry.settings.lake, name), registry.settings.tracking_uri)
    with suppress(KeyboardInterrupt), copies.alias_set(1):
        raise KeyboardInterrupt
    assert not registry.mirrors(name)
    registry.mirror(name)
    assert registry.mirrors(name)


def test_a_model_that_fails_its_trial_does_not_become_champion(registry: Registry, tmp_path: Path) -> None:
    trap = Model(misbehaving.Lying().fit(ROWS, TARGET), NUMBERS, LABELS, "-- SQL")
    for name in ("serving", "judged"):
        trap.save(tmp_path / name)
    run = registry.client().create_run(registry.experiment("trap")).info.run_id
    version = registry.register("trap", run, tmp_path, ABOUT)
    with pytest.raises(ModelRefused, match="version 1 of trap failed its trial"):
        registry.promote(version, "somebody", "a test", [f"{misbehaving.PATH}Lying"])
    assert registry.history("trap").changes() == []
