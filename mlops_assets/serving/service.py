"""What every route works with."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
from starlette.requests import Request

from mlops_assets.journey.enrich.answers import NOTHING
from mlops_assets.journey.score.online import Loaded
from mlops_assets.serving.answering.batcher import Batcher
from mlops_assets.serving.answering.champions import Champions
from mlops_assets.serving.dagster import Dagster
from mlops_assets.serving.entrance.callers import LOCAL, Caller
from mlops_assets.serving.keeping.stored import NoStore, Store
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.starting import Starter
from mlops_assets.serving.together import Together
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Stores, Workspace


def nobody(_loaded: Loaded, _day: str, _rows: pa.Table) -> Mapping[str, pa.Table]:
    """No answers: nobody is asked."""
    return NOTHING


def caller_of(request: Request) -> Caller:
    """Who asks, as the middleware found out; somebody on this machine where it asks for no key."""
    caller: Caller = getattr(request.state, "caller", LOCAL)
    return caller


def id_of(request: Request) -> str:
    """The id of a request, which its answer, its line in the log and what is kept of it have in common."""
    name: str = getattr(request.state, "id", "")
    return name


@dataclass(frozen=True)
class Service:
    """One process of the API.

    Attributes
    ----------
    workspace
        The installation.
    use_cases
        The use cases that are served, by name.
    champions
        The versions that answer.
    batcher
        Answers files.
    store
        Keeps requests.
    enrich
        What enrichments say of the keys of rows, for a version and a day.
    """

    workspace: Workspace
    use_cases: Mapping[str, UseCase]
    champions: Champions
    batcher: Batcher = field(default_factory=Batcher)
    store: Store = field(default_factory=NoStore)
    enrich: Callable[[Loaded, str, pa.Table], Mapping[str, pa.Table]] = nobody
    _opened: dict[str, tuple[threading.Lock, Stores]] = field(default_factory=dict, init=False, repr=False)
    _together: dict[str, Together] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def starter(self) -> Starter:
        """Starts runs of Dagster: one for all who ask, so that what two ask for at once is started once."""
        settings = self.workspace.settings
        return Starter(Dagster(settings.dagster_url, settings.dagster_pages))

    def stores(self, name: str) -> Stores:
        """What there is of a use case.

        Raises
        ------
        Problem
            404, if it is not served.
        """
        if name not in self.use_cases:
            known = ", ".join(self.use_cases)
            raise Problem(404, f"There is no use case {name!r} here; there are: {known}.")
        return self.workspace.of(self.use_cases[name])

    def period(self, name: str, day: str) -> str:
        """The week in which a day lies, of a use case that has weeks; else the day.

        Raises
        ------
        Problem
            404, if it is not served.
        """
        return self.stores(name).use_case.partitions.holding(day)

    @contextmanager
    def open(self, name: str) -> Iterator[Stores]:
        """What there is of a use case, which remembers the commits that it has seen; for one thread at a time.

        Raises
        ------
        Problem
            404, if it is not served.
        """
        lock, stores = self._opened.get(name) or self._opened.setdefault(name, (threading.Lock(), self.stores(name)))
        with lock:
            yield stores

    def together(self, name: str) -> Together:
        """Takes in the corrections of a use case, whichever way they come."""
        return self._together.setdefault(name, Together())

    def today(self, use_case: UseCase) -> str:
        """The day that rows are of which are sent now."""
        return use_case.partitions.key(dt.datetime.now(dt.UTC))
