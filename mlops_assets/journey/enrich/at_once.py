"""In: the rows of requests. Out: what is known elsewhere of their keys, within a part of a second.

As a day does it, but that nothing is stored, and that a source which is too slow, or fails, is passed over.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.enrich.answers import NOTHING, NotEnriched, answer_schema, stored_schema
from mlops_assets.journey.enrich.asking import Asking, Manners, in_background
from mlops_assets.journey.enrich.known import FETCHED, MISSING, Known
from mlops_assets.journey.enrich.lookups import EnrichmentError, Fetcher, NoAnswer, open_enrichment
from mlops_assets.journey.read.readers.pack import Refusal
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.integrity import Damaged
from mlops_assets.use_case import Enrichment, UseCase
from mlops_assets.use_case.partitions import date_of

log = logging.getLogger("mlops_assets.enrichment")

FRESH = 60.0
"""Seconds for which an answer is used again."""

FRESH_LAST_KNOWN = 10.0
"""Seconds for which an answer of an earlier day is: the source may answer again."""

MOST_KEPT = 20_000
"""Answers that a process keeps of one enrichment."""

SHARE = 0.8
"""Of the time that is left, after which no more is asked: what came of other batches must still be put together."""

RULE = "enrichment"
"""The rule by which a file is refused whose day would be stopped."""

Enrich = Callable[[pa.Table], Mapping[str, pa.Table]]
"""Asked with typed rows: the answers of enrichments for their keys, by name."""

Key = tuple[Any, ...]
Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """What is to be known of the rows of a request: one enrichment, one day, and until when; by `time.monotonic`."""

    use_case: UseCase
    lake: Lake
    name: str
    day: str
    ends: float

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.ends - time.monotonic())


class AtOnce:
    """Asks for the keys of rows at once; kept by a process, for its sources, what they said, and how they behave."""

    def __init__(self) -> None:
        self._sources: dict[tuple[str, str], _Source] = {}
        self._lock = threading.Lock()

    def ask_now(
        self, use_case: UseCase, lake: Lake, names: Sequence[str], rows: pa.Table, day: str, seconds: float
    ) -> dict[str, pa.Table]:
        """What is known of the keys of some rows, by enrichment, each in the schema of its table.

        Parameters
        ----------
        use_case
            The use case.
        lake
            Its tables: what was answered for this day before is used, and with `last_known` what was on earlier days.
        names
            The enrichments; all are asked side by side.
        rows
            Rows as `check_rows` types them.
        day
            Their day.
        seconds
            For how long answers are waited for; what has not come then is missing.

        Raises
        ------
        NotEnriched
            If one cannot be asked, whatever the keys: the day would be stopped.
        """
        ends = time.monotonic() + seconds
        asked = [(self._source(use_case, name), Question(use_case, lake, name, day, ends)) for name in names]
        begun = [(source, question, source.begin(question, rows)) for source, question in asked]
        return {question.name: source.collect(question, work) for source, question, work in begun}

    def _source(self, use_case: UseCase, name: str) -> _Source:
        with self._lock:
            source = self._sources.get((use_case.name, name))
            # a process outlives a configuration
            if source is None or source.enrichment != use_case.enrichments[name]:
                source = self._sources[use_case.name, name] = _Source(use_case, name)
            return source


@dataclass(frozen=True)
class _Work:
    """The keys of a request, what is known of some, and who looks for the others."""

    keys: pa.Table
    known: dict[Key, Answer]
    asking: Future[pa.Table] | None = None
    looking: Future[pa.Table] | None = None


class _Source:
    """One enrichment of a use case."""

    def __init__(self, use_case: UseCase, name: str) -> None:
        self.enrichment = use_case.enrichments[name]
        self._schema = answer_schema(use_case, name)
        self._stored = stored_schema(use_case, name)
        self._keys = list(self.enrichment.keys)
        self._key_schema = pa.schema([self._schema.field(key) for key in self._keys])
        self._fetcher: Fetcher | None = None
        self._manners = Manners()
        # who hangs holds one for ever: so many threads hang at most, and the others are told so
        self._turns = threading.BoundedSemaphore(self.enrichment.at_once)
        self._lake_turn = threading.Lock()
        self._kept: OrderedDict[tuple[str, Key], tuple[float, Answer]] = OrderedDict()
        self._lock = threading.Lock()
        self._opening = threading.Lock()

    def begin(self, question: Question, rows: pa.Table) -> _Work:
        """Look for the keys of some rows, where nothing is known of them yet."""
        keys = self._distinct(rows)
        known = self._look_at_kept(question.day, _tuples(keys))
        rest = keys.filter(pa.array([key not in known for key in _tuples(keys)], pa.bool_()))
        if not len(rest):
            return _Work(keys, known)
        (asking,) = in_background(lambda some: self._ask(question, some), [rest], 1)
        if self.enrichment.missing != "last_known":
            return _Work(keys, known, asking)
        # side by side: when the source has used the time up, there is none left to look at the lake
        (looking,) = in_background(lambda some: self._look_back(question, some), [rest], 1)
        return _Work(keys, known, asking, looking)

    def collect(self, question: Question, work: _Work) -> pa.Table:
        """An answer for every key, as the table of the enrichment has them."""
        known = {**work.known, **self._answers(work.asking, question)}
        earlier = {key: one for key, one in self._answers(work.looking, question).items() if key not in known}
        self._keep(question.day, earlier, FRESH_LAST_KNOWN)
        known |= earlier
        answers = [known.get(key) or self._nothing(question, key) for key in _tuples(work.keys)]
        return pa.Table.from_pylist(answers, self._stored)

    def _nothing(self, question: Question, key: Key) -> Answer:
        return {**dict(zip(self._keys, key, strict=True)), f"{question.name}_status": MISSING}

    def _distinct(self, rows: pa.Table) -> pa.Table:
        """The distinct whole keys of some rows, in their order."""
        distinct = rows.select(self._keys).group_by(self._keys, use_threads=False).aggregate([])
        keys = distinct.select(self._keys).cast(self._key_schema).drop_null()
        most = self.enrichment.most_keys
        if len(keys) > most:
            raise NotEnriched(f"the rows have {len(keys):,} distinct keys, more than `most_keys`, {most:,}")
        return keys.sort_by([(key, "ascending") for key in self._keys])

    def _ask(self, question: Question, keys: pa.Table) -> pa.Table:
        """What was answered for this day before, and what the source answers for the other keys."""
        known = Known(question.use_case, question.name, question.lake.enrichment(question.name), question.day)
        day = date_of(question.day)
        before = self._known_in_time(known, question, keys)
        rest = known.without(keys, before) if len(before) else keys
        fetched = before
        if len(rest) and not known.is_too_late():
            asking = self._asking(question)
            fetched = pa.concat_tables([before, asking.ask(rest)])
            if not asking.counts["failed"] and not asking.counts["not_asked"]:
                # the source does not know them
                unknown = known.as_stored(known.without(rest, fetched), MISSING, None)
                self._keep(question.day, self._by_key(unknown), FRESH)
        answers = known.as_stored(fetched, FETCHED, day)
        self._keep(question.day, self._by_key(answers), FRESH)
        return answers

    def _known_in_time(self, known: Known, question: Question, keys: pa.Table) -> pa.Table:
        """What the lake has for the day; a large day must not use the time up in which the source could answer."""
        (reading,) = in_background(lambda some: self._of_the_day(known, question, some), [keys], 1)
        try:
            return reading.result(question.left / 2)
        except TimeoutError:
            return self._schema.empty_table()

    def _asking(self, question: Question) -> Asking:
        hurried = self.enrichment.model_copy(update={"minutes": SHARE * question.left / 60})
        fetcher = _InTurn(self._opened(question), self._turns, question)
        return Asking(hurried, fetcher, self._schema, question.day, self._manners, grace=0)

    def _opened(self, question: Question) -> Fetcher:
        """Who is asked; opened again where what was read then has changed."""
        # a lock of its own: to open one may take as long as it likes, and requests look at what is kept meanwhile
        if not self._opening.acquire(timeout=question.left):
            raise NoAnswer("it is still being opened")
        try:
            is_stale = getattr(self._fetcher, "is_stale", None)
            if self._fetcher is None or (is_stale is not None and is_stale()):
                enrichment = _hurried(self.enrichment, question.use_case.serving.enrich_seconds)
                self._fetcher = open_enrichment(enrichment, self._schema, question.use_case.folder)
            return self._fetcher
        finally:
            self._opening.release()

    def _of_the_day(self, known: Known, question: Question, keys: pa.Table) -> pa.Table:
        """What the lake has for the day, if it was asked for that: a rerun of the day would ask nobody, either."""
        nothing = self._schema.empty_table()
        if not self._lake_turn.acquire(timeout=question.left):
            return nothing
        table = question.lake.enrichment(question.name)
        try:
            state = table.days().get(question.day)
            same = state is not None and state.accounting.shape == known.shape
            return known.fetched(table.parts(question.day), keys) if same else nothing
        except Damaged as error:
            log.warning("%s of %s: the file %s %s; its keys are asked for again.", *error.told())
            return nothing
        finally:
            self._lake_turn.release()

    def _look_back(self, question: Question, keys: pa.Table) -> pa.Table:
        """The newest answers of earlier days."""
        known = Known(question.use_case, question.name, question.lake.enrichment(question.name), question.day)
        if not self._lake_turn.acquire(timeout=question.left):
            return self._stored.empty_table()
        try:
            return known.last_known(keys)
        finally:
            self._lake_turn.release()

    def _answers(self, future: Future[pa.Table] | None, question: Question) -> dict[Key, Answer]:
        """What came of some work in time."""
        table = _result(future, question) if future is not None else None
        return {} if table is None else self._by_key(table)

    def _by_key(self, table: pa.Table) -> dict[Key, Answer]:
        return {tuple(one[key] for key in self._keys): one for one in table.to_pylist()}

    def _look_at_kept(self, day: str, keys: Iterable[Key]) -> dict[Key, Answer]:
        now = time.monotonic()
        with self._lock:
            found = {key: self._kept.get((day, key)) for key in keys}
        return {key: kept[1] for key, kept in found.items() if kept is not None and kept[0] > now}

    def _keep(self, day: str, answers: Mapping[Key, Answer], seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._lock:
            for key, answer in answers.items():
                self._kept[day, key] = until, answer
                self._kept.move_to_end((day, key))
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)


class _InTurn:
    """Asks a source no more often side by side than it allows."""

    def __init__(self, fetcher: Fetcher, turns: threading.BoundedSemaphore, question: Question) -> None:
        self._fetcher = fetcher
        self._turns = turns
        self._question = question

    def fetch(self, keys: pa.Table, day: str) -> pa.Table | Sequence[dict[str, Any]]:
        """See `Fetcher.fetch`."""
        if not self._turns.acquire(timeout=self._question.left):
            raise NoAnswer("it has not answered requests before", again=False)
        try:
            return self._fetcher.fetch(keys, day)
        finally:
            self._turns.release()


def _hurried(enrichment: Enrichment, seconds: float) -> Enrichment:
    """The configuration with which a service is left when nobody waits for its answer any more."""
    if enrichment.use != "http":
        return enrichment
    timeout = min(float(enrichment.parameters.get("timeout", seconds)), seconds)
    return enrichment.model_copy(update={"parameters": {**enrichment.parameters, "timeout": timeout}})


def _result(future: Future[pa.Table], question: Question) -> pa.Table | None:
    """What came in time."""
    try:
        return future.result(question.left)
    except (TimeoutError, NoAnswer):
        return None
    except EnrichmentError as error:
        log.warning("%s of %s cannot be asked: %s", question.name, question.day, error)
        raise NotEnriched(f"{question.name} cannot be asked; the log of the server says why") from None
    except Exception:  # the lake cannot be read: that is as if nothing were known
        log.exception("What is known of %s cannot be read.", question.name)
        return None


def _tuples(keys: pa.Table) -> list[Key]:
    return list(zip(*(column.to_pylist() for column in keys.columns), strict=True))


def enrich_rows(
    use_case: UseCase, rows: pa.Table, enrich: Enrich
) -> tuple[pa.Table, Mapping[str, pa.Table], list[Refusal]]:
    """Rows of files with what is known of their keys, without the files whose day would be stopped for want of it.

    Parameters
    ----------
    use_case
        The use case.
    rows
        The rows, `file` a dictionary whose codes are the numbers of the files.
    enrich
        Is asked for the answers.

    Returns
    -------
    tuple
        The rows that go on, the answers, and a refusal of each file that does not.
    """
    if not len(rows):
        return rows, NOTHING, []
    try:
        answers = enrich(rows)
    except NotEnriched as error:
        return rows.slice(0, 0), NOTHING, [Refusal(file, None, RULE, str(error)) for file in sorted({*_files(rows)})]
    refusals = {}
    for name, mask in _unanswered(use_case, rows, answers):
        for file, number in Counter(_files(rows)[mask].tolist()).items():
            message = f"{name} has no answer for {number} of its rows, and `missing` is `stop`; send it again later"
            refusals[file] = Refusal(file, None, RULE, message)
    if refusals:
        rows = rows.filter(pa.array(~np.isin(_files(rows), [*refusals])))
    return rows, answers, [refusals[file] for file in sorted(refusals)]


def _files(rows: pa.Table) -> np.ndarray:
    """The number of the file of every row."""
    return np.asarray(rows["file"].combine_chunks().indices)


def _unanswered(use_case: UseCase, rows: pa.Table, answers: Mapping[str, pa.Table]) -> Iterator[tuple[str, np.ndarray]]:
    """The rows whose key has no answer, of each enrichment without which no day is published."""
    for name, table in answers.items():
        missing = table.filter(pc.equal(table[f"{name}_status"], MISSING))
        if use_case.enrichments[name].missing == "stop" and len(missing):
            keys = list(use_case.enrichments[name].keys)
            without = set(_tuples(missing.select(keys)))
            yield name, np.array([key in without for key in _tuples(rows.select(keys))], bool)
