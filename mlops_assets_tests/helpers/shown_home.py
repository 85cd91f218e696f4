"""A home whose days stand as days can: done, red by a lamp, red by a check, late, and not yet published; for pages."""

from __future__ import annotations

import atexit
import datetime as dt
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from mlops_assets.journey.model.version import Version
from mlops_assets.journey.score.day import Scorers, score_day
from mlops_assets.journey.train.candidates import fit
from mlops_assets.journey.train.profiling import store_reference
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.monitoring.verdicts import Watcher
from mlops_assets.serving.answering.champions import Champions
from mlops_assets.serving.app import make_app, make_entrance
from mlops_assets.serving.entrance.keys import Key, Keys
from mlops_assets.serving.service import Service
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase, load_use_case
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.workspace import Stores, Workspace
from mlops_assets_tests.helpers.days import back, ignore, read_raw
from mlops_assets_tests.helpers.homes import give_stores, state_in
from mlops_assets_tests.helpers.models import ABOUT, TREE
from mlops_assets_tests.helpers.served_home import Api, behind_a_server

LEARNED, REFUSED, DAMAGED, LATE, YESTERDAY, TODAY = (back(days) for days in (5, 4, 3, 2, 1, 0))
"""The day that was learned from; one that a check kept back; one with a red lamp, published all the same; one of which
nothing came; yesterday, done, with `DIRTY`; and today, whose files came and were not read."""

DIRTY = "dirty.csv"
"""A file of yesterday of which two lines are refused; one is hostile to whoever shows it."""

HOSTILE = "<script>alert(1)</script>\x1b[31m"
"""What stands in a refused line: markup, and an escape of terminals."""

DEADLINE = "23:30 UTC"


@dataclass(frozen=True)
class Shown:
    """A home, and what serves it: `transactions` with days, and `loan_approval` without any."""

    workspace: Workspace
    use_case: UseCase

    @property
    def stores(self) -> Stores:
        """What there is of `transactions`."""
        return self.workspace.of(self.use_case)

    def service(self, dagster_url: str = "") -> Service:
        """What the routes work with."""
        settings = self.workspace.settings
        workspace = Workspace(replace(settings, dagster_url=dagster_url or settings.dagster_url))
        empty = load_use_case(OWN_USE_CASES / "loan_approval")
        served = {self.use_case.name: self.use_case, empty.name: empty}
        return Service(workspace, served, Champions(workspace))

    def rows_of(self, day: str) -> int:
        """The good rows of a day: other ones are drawn for each date."""
        return self.stores.lake.rows.days()[day].accounting.rows

    @contextmanager
    def served(self, dagster_url: str = "", keys: list[Key] | None = None) -> Iterator[Api]:
        """The same behind a real server."""
        service = self.service(dagster_url)
        app = make_app(service, replace(make_entrance(service), keys=None if keys is None else Keys(keys)))
        with behind_a_server(app) as port:
            yield Api(port, app)


def watched_use_case() -> UseCase:
    """`transactions` with a deadline, from the day on that it learned from.

    Its days have 360 rows, drawn anew for each date: how sure a model is of so few says little, and was red on some.
    """
    use_case = load_use_case(OWN_USE_CASES / "transactions")
    floors = use_case.drift.floors.model_copy(update={"confidence": 0.3})
    drift = use_case.drift.model_copy(update={"floors": floors})
    return use_case.model_copy(update={"deadline": DEADLINE, "start": dt.date.fromisoformat(LEARNED), "drift": drift})


@contextmanager
def shown_home() -> Iterator[Shown]:
    """An environment with the home; leave it as it is, or change a copy (`shown_copy`)."""
    with state_in(_first_home()):
        yield Shown(Workspace.from_environment(), watched_use_case())


@contextmanager
def shown_copy(folder: Path) -> Iterator[Shown]:
    """An environment with a copy of the home, for a test that changes it."""
    shutil.copytree(_first_home(), folder)  # with the times of its files: a listing goes by them
    with state_in(folder):
        yield Shown(Workspace.from_environment(), watched_use_case())


@cache
def _first_home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="shown-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    give_stores(home, "mlflow")
    with state_in(home):
        stores = Workspace.from_environment().of(watched_use_case())
        for seed, day in enumerate((LEARNED, REFUSED, DAMAGED, YESTERDAY, TODAY), 7):
            date = dt.date.fromisoformat(day)
            list(write_sample(stores.use_case, home / "raw", date, 24, 15, 0.0, seed, labelled=day == LEARNED))
        _spoil(home / "raw" / "transactions")
        for day in (LEARNED, REFUSED, DAMAGED, YESTERDAY):
            read_raw(stores.use_case, home / "raw", stores.lake, day)
        champion = _crown(stores, home / "made")
        for day in (LEARNED, DAMAGED, YESTERDAY):
            scorers = Scorers(champion, run=f"run-of-{day}")
            score_day(stores.use_case, stores.lake, day, scorers, LocalEngine(1), ignore, "the folder")
            Watcher(stores).judge_and_keep(day)
    return home


def _spoil(raw: Path) -> None:
    """Most lines of one day are no rows, the cities of another are gone, and yesterday has a dirty file."""
    for path in (raw / f"day={REFUSED}").glob("*.csv"):
        head, *lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(head + b"".join(b"broken\r\n" if at % 2 else line for at, line in enumerate(lines)))
    for path in (raw / f"day={DAMAGED}").glob("*.csv"):
        head, *lines = path.read_bytes().splitlines(keepends=True)
        at = head.rstrip().split(b";").index(b"cidade_estabelecimento")
        cells = [line.rstrip(b"\r\n").split(b";") for line in lines]
        path.write_bytes(head + b"".join(b";".join([*one[:at], b"", *one[at + 1 :]]) + b"\r\n" for one in cells))
    first = min((raw / f"day={YESTERDAY}").glob("*.csv")).read_bytes().splitlines(keepends=True)
    (raw / f"day={YESTERDAY}" / DIRTY).write_bytes(first[0] + first[1] + HOSTILE.encode() + b"\r\none;field\r\n")


def _crown(stores: Stores, folder: Path) -> Version:
    """The version that learned from the first day, with a reference of it."""
    registry, data = stores.registry, build_training_set(stores.use_case, stores.lake)
    model = fit(stores.use_case, TREE, data, data.load())
    for kind in ("judged", "serving"):
        model.save(folder / kind)
    reference = store_reference(data.profile, data.load(), model, model, folder)
    candidate = min(ABOUT.recipe["training"]["candidates"])  # its card tells how each was made
    about = replace(ABOUT, use_case=stores.use_case.name, candidate=candidate, reference=reference)
    run = registry.client().create_run(registry.experiment(stores.use_case.name)).info.run_id
    version = registry.register(stores.use_case.name, run, folder, about)
    registry.promote(version, "somebody", "a test")
    # its trial, in a process of its own, was made when it was promoted
    return replace(version, proven=True)
