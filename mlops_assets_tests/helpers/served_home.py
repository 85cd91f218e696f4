"""A home whose use cases have champions, made without Dagster; and the API on it, behind a real server."""

from __future__ import annotations

import atexit
import datetime as dt
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import uvicorn

from mlops_assets.journey.score.day import Scorers, score_day
from mlops_assets.journey.train.candidates import fit
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.serving.app import make_app, make_entrance, make_service
from mlops_assets.serving.entrance.keys import Key, Keys
from mlops_assets.serving.entrance.listening import listen
from mlops_assets.tools.sampling import write_sample
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.workspace import Stores, Workspace
from mlops_assets_tests.helpers.days import ignore, read_raw
from mlops_assets_tests.helpers.homes import give_stores, state_in
from mlops_assets_tests.helpers.models import ABOUT, TREE

YESTERDAY = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
DRAWN = {"transactions": (12, 30), "santander": (1, 120), "topics": (120, 1), "compound_rings": (4, 6)}
"""Files and rows of the labelled day that a champion learns from; the labels of `loan_approval` are noise."""


@cache
def _first_home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="served-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    with champions_in(home, *DRAWN) as workspace:
        publish(workspace.find("transactions"))
        return home


def publish(stores: Stores) -> None:
    """Score the rows of yesterday by the champion."""
    champion = stores.champion()
    assert champion is not None
    scorers = Scorers(stores.registry.prove(champion))
    score_day(stores.use_case, stores.lake, YESTERDAY.isoformat(), scorers, LocalEngine(1), ignore, "the folder")


@contextmanager
def served_home() -> Iterator[Workspace]:
    """An environment with a home that has a champion of every use case but `loan_approval`; leave it as it is.

    Of `transactions`, a day is published: yesterday.
    """
    with state_in(_first_home()):
        yield Workspace.from_environment()


@contextmanager
def copied_home(folder: Path, dagster: str) -> Iterator[Workspace]:
    """A home that may be written to, with an address of Dagster."""
    with served_home() as workspace:
        shutil.copytree(workspace.settings.home, folder, dirs_exist_ok=True)
    with state_in(folder):
        found = Workspace.from_environment()
        yield Workspace(replace(found.settings, dagster_url=dagster))


@contextmanager
def champions_in(home: Path, *names: str) -> Iterator[Workspace]:
    """An environment with a home in which some use cases have a champion."""
    give_stores(home, "mlflow")
    with state_in(home):
        workspace = Workspace.from_environment()
        for name in names:
            crown(workspace.find(name), home / "made" / name)
        yield workspace


def crown(stores: Stores, folder: Path, seed: int = 7) -> None:
    """Learn from a sample day, and promote what was learned; of another seed it is another day, and another model."""
    use_case, registry = stores.use_case, stores.registry
    files, rows = DRAWN.get(use_case.name, (1, 200))
    raw = Path(str(stores.settings.raw))
    for _ in write_sample(use_case, raw, YESTERDAY, files, rows, 0.0, seed):
        pass
    read_raw(use_case, raw, stores.lake, YESTERDAY.isoformat())
    data = build_training_set(use_case, stores.lake)
    candidate = use_case.training.candidates["linear"] if use_case.training.texts else TREE
    model = fit(use_case, candidate, data, data.load())
    for kind in ("judged", "serving"):
        model.save(folder / "version" / kind)
    run = registry.client().create_run(registry.experiment(use_case.name)).info.run_id
    # a card tells how each candidate was made
    made = min(ABOUT.recipe["training"]["candidates"])
    about = replace(ABOUT, use_case=use_case.name, candidate=made, set={**ABOUT.set, "classes": [*model.classes]})
    registry.promote(registry.register(use_case.name, run, folder / "version", about), "somebody", "a test")


@dataclass(frozen=True)
class Api:
    """The API behind a server."""

    port: int
    app: Any

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"


@contextmanager
def served(workspace: Workspace, *names: str, keys: Sequence[Key] | None = None) -> Iterator[Api]:
    """The API of some use cases, all by default, at a port of its own."""
    service = make_service(workspace, names)
    entrance = replace(make_entrance(service), keys=None if keys is None else Keys(keys))
    app = make_app(service, entrance)
    with behind_a_server(app) as port:
        yield Api(port, app)


@contextmanager
def behind_a_server(app: Any) -> Iterator[int]:
    """The port of an application that is served by a thread of this process."""
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
