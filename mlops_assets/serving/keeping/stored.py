"""Requests that are kept: each is in a journal before it is answered, and becomes raw files of its day soon."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from mlops_assets.journey.score.online import Answered, Loaded, Sent
from mlops_assets.serving.keeping.journal import SEGMENT, Journal, Kept, NotKept, left_behind, why_not
from mlops_assets.serving.keeping.landing import forget, land, raw_root, reasons, unsafe
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.storage.places import remove_tree
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.serving")

LAND_SECONDS = 60.0
LAND_BYTES = 16 << 20
"""Requests are landed after so long, or when so many bytes of them wait."""

SYNC_SECONDS = 1.0
"""Within which a request that is not `durable` is safe on the disk."""

FORGET_SECONDS = 3600.0
RETRY = {"Retry-After": "5"}


class Store(Protocol):
    """Keeps requests with their answers."""

    async def keep(
        self,
        use_case: UseCase,
        request: str,
        loaded: Loaded,
        day: str,
        caller: str,
        files: Sequence[Sent],
        answers: Sequence[Answered],
    ) -> None:
        """Keep a request, if its use case says so; only then may it be answered.

        Parameters
        ----------
        use_case
            Says whether, and how surely.
        request
            Id of the request.
        loaded
            What answered.
        day
            The day that its rows are of.
        caller
            Who asked.
        files
            What was sent.
        answers
            What is answered, one item a file.

        Raises
        ------
        Problem
            503, if it cannot be kept; 422, if an attachment has a name under which it cannot lie beside its record.
        """
        ...

    def start(self) -> None:
        """Begin to land requests, also those that a killed process left."""
        ...

    def troubles(self) -> Mapping[str, str]:
        """What is wrong, by use case."""
        ...

    async def drain(self) -> None:
        """Land what was kept, and take nothing more."""
        ...


class NoStore:
    """Keeps nothing, and writes nothing."""

    async def keep(self, *_: Any) -> None:
        """Nothing."""

    def start(self) -> None:
        """Nothing."""

    def troubles(self) -> Mapping[str, str]:
        """None."""
        return {}

    async def drain(self) -> None:
        """Nothing."""


def journals(workspace: Workspace) -> Path:
    """Folder of the journals of an installation."""
    return workspace.settings.home / "serving" / "journal"


def open_store(workspace: Workspace, use_cases: Mapping[str, UseCase]) -> Store:
    """What keeps the requests of some use cases.

    Raises
    ------
    UsageError
        If one of them cannot have files landed.
    """
    if workspace.settings.alone:
        return NoStore()
    keeping = [use_case for use_case in use_cases.values() if use_case.serving.store]
    for use_case in keeping:
        raw_root(workspace.of(use_case))
    left = journals(workspace).exists()  # by processes that kept requests when the configuration still said so
    return JournalStore(workspace, keeping) if keeping or left else NoStore()


class JournalStore:
    """Keeps requests in a journal of this process, and lands them.

    Parameters
    ----------
    workspace
        The installation.
    keeping
        The use cases whose requests are kept.
    land_seconds
        After how long requests are landed.
    """

    def __init__(self, workspace: Workspace, keeping: Sequence[UseCase], land_seconds: float = LAND_SECONDS) -> None:
        self._land_seconds = land_seconds
        self._workspace = workspace
        self._stores: dict[str, Stores] = {one.name: workspace.of(one) for one in keeping}
        self._names = [one.name for one in keeping]
        self._journal: Journal | None = None
        self._opening = threading.Lock()
        self._landing_trouble = self._opening_trouble = ""
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    async def keep(
        self,
        use_case: UseCase,
        request: str,
        loaded: Loaded,
        day: str,
        caller: str,
        files: Sequence[Sent],
        answers: Sequence[Answered],
    ) -> None:
        """See `Store.keep`."""
        if not use_case.serving.store:
            return
        for number, file in enumerate(files):
            path = unsafe(file, use_case.files)
            if path is not None:
                message = f"{path!r} cannot be kept beside its record; take a name without '..', '\\' or a first '.'"
                raise Problem(
                    422, "A file has a name under which it cannot be kept.", [Wrong(f"files[{number}]", message)]
                )
        told = {
            "request": request,
            "use_case": use_case.name,
            "version": loaded.version,
            "day": day,
            "caller": caller,
            "when": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            "answers": [_told(one, loaded.model.classes) for one in answers],
        }
        try:
            journal = self._opened()
            await asyncio.wrap_future(journal.append(Kept(told, files).write(), durable=use_case.serving.durable))
        except NotKept as error:
            raise Problem(503, f"The answer is not sent, for {error}. Ask again.", headers=RETRY) from None

    def start(self) -> None:
        """See `Store.start`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._tend, name="landing", daemon=True)
            self._thread.start()

    def troubles(self) -> Mapping[str, str]:
        """See `Store.troubles`."""
        writing = self._journal.trouble if self._journal else self._opening_trouble
        told = "; ".join(filter(None, (writing, self._landing_trouble)))
        return dict.fromkeys(self._names or ["journal"], told) if told else {}

    async def drain(self) -> None:
        """See `Store.drain`."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Land what was kept, and end the threads."""
        if self._journal is not None:
            self._journal.stop()
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        self.land()
        if self._journal is not None:
            self._journal.close()

    def land(self) -> None:
        """Land what this process has kept so far, and what dead ones left; what cannot be landed now waits."""
        self._landing_trouble = ""
        for segment in self._journal.rotate() if self._journal else ():
            self._try(segment)
        with left_behind(journals(self._workspace)) as folders:
            for folder in folders:
                for segment in sorted(folder.glob(f"*{SEGMENT}")):
                    self._try(segment)
                if not any(folder.glob(f"*{SEGMENT}*")):
                    remove_tree(folder)

    def forget(self, now: dt.datetime) -> None:
        """Remove what was kept longer than `keep_days`."""
        for name in self._names:
            stores = self._stores[name]
            days = forget(stores.use_case, raw_root(stores), stores.lake, now)
            if days:
                log.info("%s: requests of %d days until %s are kept no longer.", name, len(days), days[-1])

    def _opened(self) -> Journal:
        with self._opening:
            if self._journal is None:
                try:
                    self._journal = Journal(journals(self._workspace))
                except OSError as error:
                    self._opening_trouble = why_not(error)
                    raise NotKept(self._opening_trouble) from None
            return self._journal

    def _find(self, name: str) -> Stores:
        if name not in self._stores:  # a journal that a process left which served others
            self._stores[name] = self._workspace.find(name)
        return self._stores[name]

    def _try(self, segment: Path) -> bool:
        try:
            land(segment, self._workspace.settings.raw, self._find)
        except Exception as error:  # whatever it is: the journal is what there is of these requests, and stays
            self._landing_trouble = reasons(error)
            log.exception("Kept requests cannot be landed; they stay in %s.", segment.name)
            return False
        return True

    def _tend(self) -> None:
        """Sync, land and forget, each in its time, until the process drains."""
        landed = forgot = float("-inf")
        while True:
            now = time.monotonic()
            self._sync()
            if now - landed >= self._land_seconds or (self._journal and self._journal.size >= LAND_BYTES):
                self.land()
                landed = now
            if now - forgot >= FORGET_SECONDS:
                self._forget()
                forgot = now
            if self._ending.wait(min(SYNC_SECONDS, self._land_seconds)):
                return

    def _sync(self) -> None:
        if self._journal is None:
            if self._opening_trouble:
                with suppress(NotKept):
                    self._opened()
            return
        try:
            self._journal.sync()
        except OSError as error:
            self._journal.trouble = why_not(error)
        if self._journal.trouble:
            self._journal.try_again()

    def _forget(self) -> None:
        try:
            self.forget(dt.datetime.now(dt.UTC))
        except Exception:
            log.exception("Requests that were kept long enough cannot be removed now.")


def _told(answered: Answered, classes: Sequence[str]) -> dict[str, Any]:
    """What was answered to a file, as the journal has it."""
    return {
        "name": answered.name,
        "refused": answered.refused,
        "line": answered.line,
        # a number as text, as its table has it
        "prediction": [str(said) for said in answered.said(classes)],
        "probability": answered.sure.get("probability", [None] * len(answered.line)),
        "refused_lines": [[one.line, one.rule, one.message] for one in answered.refusals],
    }
