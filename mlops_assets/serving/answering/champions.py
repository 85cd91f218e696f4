"""The versions that answer, each loaded once; a new champion takes the place of the old one while that one answers.

A thread looks every second whether the history of a use case has one change more; a bell that rings (`bell`) makes it
try again at once what failed, too. Then the new version is loaded beside
the old one and takes its place in one assignment; what was asked before is answered by the old one, for a request
carries its version along. Where the new one cannot be loaded the old one goes on, and `troubles` says so.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.errors.redaction import redacted, without_paths
from mlops_assets.events.behind import LASTS, Behind, Behinds
from mlops_assets.journey.model.history import Change
from mlops_assets.journey.score.online import Loaded
from mlops_assets.serving.answering.bell import Bell
from mlops_assets.serving.answering.versions import Ready, Wanted, known_here, read_version
from mlops_assets.use_case import Partitions, UseCase
from mlops_assets.workspace import Workspace

log = logging.getLogger("mlops_assets.serving")

INTERVAL = 1.0
"""Seconds between two looks; one costs a look at one file a use case, on S3 one request (HEAD)."""

MOST_OTHERS = 4
"""Versions that are kept beside the champions, of all use cases together."""

LONGEST_PAUSE = 60.0
"""Seconds after which a champion that could not be loaded is tried again, at most; they begin with one, and double."""

REASON_LASTS = 10.0
"""Seconds for which is remembered why there is no champion."""


class NoChampion(Exception):
    """There is no version that may answer; the text says why, with the reason of the gate, and what to do."""


@dataclass(frozen=True)
class Served:
    """How a use case is served; it is replaced as a whole.

    Attributes
    ----------
    use_case
        The use case.
    changes
        The changes of its champion, as they were read last.
    seen
        Number of the last change that was seen, be it readable or not.
    champion
        What answers; None if nothing does.
    trouble
        Why that is not the champion; empty if it is, and where there is none.
    tries, again
        How often it was tried in vain, and when it is tried next.
    """

    use_case: UseCase
    changes: tuple[Change, ...] = ()
    seen: int = 0
    champion: Ready | None = None
    trouble: str = ""
    tries: int = 0
    again: float = 0.0

    @property
    def behind(self) -> Behind | None:
        """What is said of it in the lake; None if nothing is wrong."""
        if not self.trouble:
            return None
        # a change that cannot be read does not say who is champion
        version = self.changes[-1].version if self.changes and len(self.changes) >= self.seen else None
        serves = self.champion.loaded.version if self.champion else None
        return Behind(version, serves, self.trouble, time.time())


Read = Callable[[Workspace, UseCase, Wanted], Ready]


class Champions:
    """What answers for each use case.

    The configuration of a use case is that of the start of the process.

    Parameters
    ----------
    workspace
        The installation.
    most_others
        How many versions are kept beside the champions.
    read
        Reads a version.
    clock
        Seconds that pass.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        most_others: int = MOST_OTHERS,
        read: Read = read_version,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace, self._most_others, self._read, self._clock = workspace, most_others, read, clock
        self._served: dict[str, Served] = {}
        self._others: OrderedDict[tuple[str, int], Ready] = OrderedDict()
        self._reasons: dict[str, tuple[float, str]] = {}
        self._said: dict[str, Behind] = {}
        self._process = uuid.uuid4().hex
        self.bell = Bell(workspace.settings.home)
        self._looking = threading.Lock()  # of two that look at once one loads
        self._reading = threading.Lock()  # a version is read by one thread, and the others wait for it
        self._keeping = threading.Lock()
        self._threads = ThreadPoolExecutor(2, "versions")
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    # -- who answers ---------------------------------------------------------------------------------------------------

    def choose(self, use_case: UseCase, version: int | None = None, as_of: str | None = None) -> Loaded:
        """The version that answers: the champion, a version by its number, or the champion at the end of a day.

        It may read files and load a model: call it in a thread of its own where it may not be at hand, or see `find`.

        Raises
        ------
        NoChampion
            If there is none.
        UsageError
            If there is no such version.
        MlopsError
            If there is one, and it cannot be loaded.
        """
        if use_case.name not in self._served:
            self.load([use_case])
        if (loaded := self.at_hand(use_case, version, as_of)) is not None:
            return loaded
        served = self._served[use_case.name]
        if version is not None:
            return self._other(use_case, Wanted(version)).loaded
        if as_of is None or not served.changes:
            raise NoChampion(self._why_none(served))
        change = _latest(served, as_of, use_case.partitions)
        if change is None:
            raise NoChampion(
                f"{use_case.name} had no champion at the end of {as_of}; its first one is of {served.changes[0].when}."
            )
        if change is served.changes[-1]:  # the champion of now, which is not there
            raise NoChampion(self._why_none(served))
        return self._other(
            use_case,
            Wanted(change.version, is_champion=True, as_of=as_of, partitions=use_case.partitions),
            change.sha256,
        ).loaded

    def at_hand(self, use_case: UseCase, version: int | None = None, as_of: str | None = None) -> Loaded | None:
        """The same if it is loaded already; no file is read, so that the event loop may ask."""
        served = self._served.get(use_case.name)
        if served is None:
            return None
        champion, sha256 = served.champion, ""
        if version is None:
            change = None if as_of is None else _latest(served, as_of, use_case.partitions)
            if as_of is None or (change and change is served.changes[-1]):
                return champion.loaded if champion else None
            if change is None:
                return None
            version, sha256 = change.version, change.sha256
        if champion and champion.loaded.version == version and sha256 in ("", champion.sha256):
            return champion.loaded
        other = self._kept(use_case.name, version, sha256)
        return other.loaded if other else None

    async def find(self, use_case: UseCase, version: int | None = None, as_of: str | None = None) -> Loaded:
        """As `choose`, for the event loop: what is not at hand is read in one of two threads that are there for it."""
        loaded = self.at_hand(use_case, version, as_of)
        if loaded is not None:
            return loaded
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self.choose, use_case, version, as_of)

    def troubles(self) -> dict[str, str]:
        """What is wrong, by use case: a champion that cannot be loaded while an older version answers, or none."""
        return {name: served.trouble for name, served in self._served.items() if served.trouble}

    def versions(self) -> dict[str, int]:
        """The version that answers, by use case; those that have none are not among them."""
        return {name: served.champion.loaded.version for name, served in self._served.items() if served.champion}

    def without(self) -> dict[str, str]:
        """Why nothing answers, by use case, where no version is champion; the reason of the gate is kept a while."""
        return {
            name: self._why_none(served)
            for name, served in self._served.items()
            if not served.champion and not served.trouble
        }

    # -- changes -------------------------------------------------------------------------------------------------------

    def load(self, use_cases: Iterable[UseCase]) -> None:
        """Load the champions of use cases; one that cannot be loaded is one of the `troubles`, and tried again."""
        for use_case in use_cases:
            with self._looking:
                if use_case.name not in self._served:
                    self._served[use_case.name] = self._fresh(Served(use_case))
                    self._say(use_case.name, tidy=True)

    def start(self, seconds: float = INTERVAL) -> None:
        """Look for changes from now on, in a thread of its own."""

        def watch() -> None:
            while not self._stop.wait(seconds):
                self.look(patiently=not self.bell.heard())

        self._watcher = threading.Thread(target=watch, name="champions", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Look no more; nothing is said of this process in the lake any longer."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
        self._threads.shutdown(wait=False, cancel_futures=True)
        for name, served in list(self._served.items()):
            self._served[name] = replace(served, trouble="")
            self._say(name)

    def look_now(self) -> None:
        """Look at once, such as when somebody says that there is a change; what failed is tried again, too."""
        self.look(patiently=False)

    def look(self, *, patiently: bool = True) -> None:
        """See whether there are other champions, and load them.

        Parameters
        ----------
        patiently
            Whether a champion that could not be loaded is tried again only after a while.
        """
        for name in list(self._served):
            with self._looking:
                served = self._served[name]
                try:
                    has_change = self._workspace.registry.history(name).has_change(served.seen + 1)
                except Exception as error:  # the lake does not answer: nobody knows of a change
                    self._served[name] = self._failed(served, error)
                    self._say(name)
                    continue
                is_time = served.trouble and (not patiently or self._clock() >= served.again)
                if has_change or is_time:
                    # one assignment: who asks finds the old one or the new one
                    self._served[name] = self._fresh(replace(served, seen=served.seen + has_change))
                self._say(name)

    def _fresh(self, served: Served) -> Served:
        """How a use case is served by its history as it is now."""
        use_case, before = served.use_case, served.champion
        try:
            changes = tuple(self._workspace.registry.history(use_case.name).changes())
            served = replace(served, changes=changes, seen=len(changes))
            if not changes:
                return replace(served, champion=None, trouble="", tries=0)
            champion = self._champion(served)
        except Exception as error:  # whatever it is, it must not end what answers
            return self._failed(served, error)
        if before is None or before.loaded is not champion.loaded:
            log.info("%s: version %d answers", use_case.name, champion.loaded.version)
        if before is not None and before.loaded is not champion.loaded:
            self._keep(use_case.name, before)  # a rollback finds it at hand
        return replace(served, champion=champion, trouble="", tries=0)

    def _champion(self, served: Served) -> Ready:
        name, change = served.use_case.name, served.changes[-1]
        present = served.champion
        if present and present.loaded.version == change.version and change.sha256 in ("", present.sha256):
            return present
        kept = self._kept(name, change.version, change.sha256)
        return kept or self._read(self._workspace, served.use_case, Wanted(change.version, is_champion=True))

    def _failed(self, served: Served, error: Exception) -> Served:
        told = without_paths(redacted(str(error))) if isinstance(error, MlopsError) else type(error).__name__
        name, serves = served.use_case.name, served.champion
        instead = f"version {serves.loaded.version} answers" if serves else "no version answers"
        trouble = f"{instead}, for the champion cannot be had: {told}"
        if trouble != served.trouble:
            log.error("%s: %s", name, trouble)
        again = self._clock() + min(LONGEST_PAUSE, 2.0**served.tries)
        return replace(served, trouble=trouble, tries=served.tries + 1, again=again)

    # -- what is said --------------------------------------------------------------------------------------------------

    def _say(self, name: str, *, tidy: bool = False) -> None:
        """Let the owner be told, by whoever tells the news of the lake; see `events.behind`."""
        behind, said = self._served[name].behind, self._said.get(name)
        is_new = behind and (
            said is None
            or (said.version, said.serves, said.why) != (behind.version, behind.serves, behind.why)
            or behind.when > said.when + LASTS / 3
        )
        if not is_new and not (said and behind is None) and not tidy:
            return
        try:
            behinds = Behinds(self._workspace.of(self._served[name].use_case).lake)
            if tidy:
                behinds.tidy(time.time())
            if behind and is_new:
                behinds.say(self._process, behind)
                self._said[name] = behind
            elif said:
                behinds.withdraw(self._process)
                del self._said[name]
        except Exception as error:  # the lake may be what is wrong; `troubles` says it all the same
            log.warning("%s: nobody can be told of it: %s", name, redacted(str(error)))

    def _why_none(self, served: Served) -> str:
        """Why nothing answers, and what to do."""
        name = served.use_case.name
        if served.trouble:
            return f"{name}: {served.trouble}"
        until, reason = self._reasons.get(name, (0.0, ""))
        if self._clock() >= until:
            reason = self._gate_said(name)
            self._reasons[name] = self._clock() + REASON_LASTS, reason
        return reason

    def _gate_said(self, name: str) -> str:
        try:
            versions = known_here(self._workspace, name)
        except MlopsError as error:
            return f"{name} has no champion, and its versions cannot be read: {without_paths(str(error))}"
        train = f"`mlops-assets run {name} --train`"
        if not versions:
            return f"{name} has no champion, for nothing was trained yet: {train} makes a version."
        newest = max(versions)
        said = versions[newest].reason or "the gate said nothing of it"
        override = "" if versions[newest].passed else "--override "  # the command asks for it where the gate refused
        return (
            f"{name} has no champion. Its newest version is {newest}; {said}. After mending the cause {train} makes "
            f"another; `mlops-assets promote {name} {newest} {override}--why REASON` takes this one all the same. "
            f"Until then it answers who names it: version={newest}."
        )

    # -- other versions ------------------------------------------------------------------------------------------------

    def _other(self, use_case: UseCase, wanted: Wanted, sha256: str = "") -> Ready:
        """A version that is no champion now, read once for all who ask."""
        with self._reading:
            kept = self._kept(use_case.name, wanted.number, sha256)
            if kept is not None:
                return kept
            known = known_here(self._workspace, use_case.name)
            if known and wanted.number not in known:  # MLflow need not be asked for each mistyped number
                numbers = ", ".join(map(str, known))
                raise UsageError(f"There is no version {wanted.number} of {use_case.name}; there are: {numbers}.")
            ready = self._read(self._workspace, use_case, wanted)
            self._keep(use_case.name, ready)
            return ready

    def _kept(self, name: str, number: int, sha256: str) -> Ready | None:
        with self._keeping:
            ready = self._others.get((name, number))
            if ready is None or sha256 not in ("", ready.sha256):
                return None
            self._others.move_to_end((name, number))
            return ready

    def _keep(self, name: str, ready: Ready) -> None:
        with self._keeping:
            self._others[name, ready.loaded.version] = ready
            self._others.move_to_end((name, ready.loaded.version))
            while len(self._others) > self._most_others:
                self._others.popitem(last=False)


def _latest(served: Served, day: str, partitions: Partitions) -> Change | None:
    """The change that made the champion of the end of a day."""
    changes = [change for change in served.changes if change.was_made_by(day, partitions)]
    return changes[-1] if changes else None
