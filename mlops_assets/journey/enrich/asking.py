"""Asks for keys in batches, patiently within bounds; one that fails is halved down to the keys that are to blame."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

import pyarrow as pa

from mlops_assets.errors.redaction import redacted
from mlops_assets.journey.enrich.lookups import EnrichmentError, Fetcher, NoAnswer
from mlops_assets.journey.enrich.replies import believe
from mlops_assets.use_case import Enrichment

Item = TypeVar("Item")

BATCH = 1_000
"""Keys in one request where the configuration does not say."""

PROBES = 3
"""Single keys that are asked for when a batch failed and nothing was answered yet: one answer tells that the source is
there, and that some keys of the batch are to blame."""

MOST_HALVES = 1_000
"""Most requests of a day for parts of batches that failed."""

LONGEST_PAUSE = 60.0
"""Most seconds between two tries."""

GRACE = 5.0
"""Seconds for which an answer under way is waited for when the day's time is over; a class may hang for ever."""

Keep = Callable[[pa.Table, pa.Table], None]


class Manners:
    """How a source was treated so far, whoever asks it: for a day, or for as long as a process answers requests.

    Attributes
    ----------
    failures
        Failures in a row.
    rests_until
        Before when it is left alone, if it failed too often; by `time.monotonic`.
    next
        Before when its rate allows no request.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.failures = 0
        self.rests_until = 0.0
        self.next = 0.0


class Asking:
    """Asks one source for one day: its rate, its failures in a row and its time are those of the whole day.

    Parameters
    ----------
    enrichment
        The configuration.
    fetcher
        Who is asked.
    schema
        Keys and columns of an answer.
    day
        The day.
    manners
        How it was treated before.
    grace
        Seconds for which an answer under way is waited for when the time is over.

    Attributes
    ----------
    counts
        `requests`, those of them that were a `retry` or `failed`; keys `not_asked`; and objects `refused` in answers.
    problems
        What went wrong, with how often; a key that alone is to blame is named.
    """

    def __init__(
        self,
        enrichment: Enrichment,
        fetcher: Fetcher,
        schema: pa.Schema,
        day: str,
        manners: Manners | None = None,
        grace: float = GRACE,
    ) -> None:
        self._enrichment = enrichment
        self._fetcher = fetcher
        self._schema = schema
        self._day = day
        self._manners = manners or Manners()
        self._grace = grace
        self._lock = self._manners.lock
        self._probing = threading.Lock()
        self._ends = time.monotonic() + 60 * enrichment.minutes
        self._halves = 0
        self._cooled = False
        self._given_up = False
        self._closed = False
        self._answers: bool | None = None  # None until something was answered, or nothing was when single keys were
        self._sample = schema.empty_table()
        self.counts: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()

    def ask(self, keys: pa.Table, keep: Keep = lambda _keys, _answers: None) -> pa.Table:
        """What is answered for distinct keys.

        Parameters
        ----------
        keys
            The keys.
        keep
            Is given each batch of keys with its answers as they come.

        Returns
        -------
        pyarrow.Table
            Answers in the schema, for some of the keys.

        Raises
        ------
        EnrichmentError
            If there is no use in asking.
        """
        self._given_up = self._closed = False
        middles = ((2 * place + 1) * len(keys) // (2 * PROBES) for place in range(PROBES))
        self._sample = keys.take(pa.array(sorted(set(middles)), pa.int64())) if len(keys) > 1 else keys.slice(0, 0)
        pieces = batches(self._enrichment, keys)
        futures = in_background(lambda batch: self._ask(batch, keep), pieces, self._enrichment.at_once)
        try:
            answers = [self._wait_for(future, batch) for future, batch in zip(futures, pieces, strict=True)]
        finally:
            # an error, or Ctrl-C: the others need not go on; and who still hangs is not listened to any more
            self._given_up = self._closed = True
        return pa.concat_tables([self._schema.empty_table(), *answers])

    def _wait_for(self, future: Future[pa.Table], keys: pa.Table) -> pa.Table:
        """What came of a batch; one that hangs is given up a little after the day's time is over."""
        try:
            return future.result(max(0.0, self._ends - time.monotonic()) + self._grace)
        except TimeoutError:
            if future.cancel():  # it waits behind one that hangs
                self._count(not_asked=len(keys))
            else:
                self._failed(NoAnswer("no answer when the time of the day was over"))
            return self._schema.empty_table()

    def _ask(self, keys: pa.Table, keep: Keep) -> pa.Table:
        answers = self._try(keys)
        if len(answers) and not self._closed:
            keep(keys, answers)
        return answers

    def _try(self, keys: pa.Table) -> pa.Table:
        """What is answered for a batch, after as many tries as the configuration allows."""
        for attempt in range(self._enrichment.retries + 1):
            if not self._wait():
                # a batch whose first try failed was asked
                self._count(not_asked=0 if attempt else len(keys))
                return self._schema.empty_table()
            self._count(requests=1, retries=int(attempt > 0))
            try:
                return self._fetch(keys)
            except Exception as error:
                last = error
                if not self._failed(error):
                    break
                if attempt < self._enrichment.retries:
                    # a service that says when to come back is not asked before
                    self._pause(attempt, getattr(error, "after", 0.0))
        return self._spare_the_others(keys, last)

    def _fetch(self, keys: pa.Table) -> pa.Table:
        """One request."""
        try:
            answers, refused = believe(self._fetcher.fetch(keys, self._day[:10]), keys, self._schema)
        except Exception:
            raise
        except BaseException as error:  # a class that ends the process, or a library that panics, costs one request
            raise NoAnswer(f"{type(error).__name__}: {redacted(str(error))[:200]}") from error
        self._answered(refused)
        return answers

    def _spare_the_others(self, keys: pa.Table, error: Exception) -> pa.Table:
        """What is answered for the halves of a batch that failed, down to the keys that are to blame, which are named.

        Raises
        ------
        EnrichmentError
            If the question itself is wrong, and so for every key.
        """
        is_there = self._is_there()
        if isinstance(error, EnrichmentError) and not is_there:
            raise error
        # a class that raises has seen the key; a service that says nothing may be down
        if len(keys) == 1 and (is_there or not isinstance(error, NoAnswer)):
            self._blame(keys, error)
        if len(keys) == 1 or not is_there:
            return self._schema.empty_table()
        middle = len(keys) // 2
        answers = [self._half(half) for half in (keys.slice(0, middle), keys.slice(middle))]
        return pa.concat_tables(answers)

    def _half(self, keys: pa.Table) -> pa.Table:
        """What is answered for a part of a batch that failed; it is asked for once."""
        with self._lock:
            self._halves += 1
            self._manners.failures = 0  # the source is there: it is not left alone for what single keys do to it
        if self._halves > MOST_HALVES or not self._wait():
            self._count(not_asked=len(keys))
            return self._schema.empty_table()
        self._count(requests=1)
        try:
            return self._fetch(keys)
        except Exception as error:
            self._count(failed=1)
            return self._spare_the_others(keys, error)

    def _is_there(self) -> bool:
        """Whether the source answers at all: something was answered, or one of a few single keys is now."""
        with self._probing:
            if self._answers is None:
                self._answers = any(self._probe(self._sample.slice(place, 1)) for place in range(len(self._sample)))
            return self._answers

    def _probe(self, key: pa.Table) -> bool:
        with self._lock:
            if self._given_up or not self._take_turn() or time.monotonic() >= self._ends:
                return False
        self._count(requests=1)
        try:
            self._fetch(key)
        except Exception:
            self._count(failed=1)
            return False
        return True

    def _blame(self, keys: pa.Table, error: Exception) -> None:
        (key,) = keys.to_pylist()
        shown = ", ".join(f"{name}={_show(value)}" for name, value in key.items())
        with self._lock:
            self.problems[f"{_reason(error)} (key {shown[:200]})"] += 1

    def _count(self, **numbers: int) -> None:
        with self._lock:
            self.counts.update(numbers)

    def _answered(self, refused: dict[str, int]) -> None:
        """Take note of an answer: failures are counted in a row."""
        with self._lock:
            if not self._closed:  # who answers when nobody waits any more is no better than one that does not
                self._manners.failures = 0
            self._cooled, self._answers = False, True
            self.counts["refused"] += sum(refused.values())
            self.problems.update(refused)

    def _failed(self, error: Exception) -> bool:
        """Take note of a failure; whether asking again may help."""
        with self._lock:
            self.counts["failed"] += 1
            self.problems[_reason(error)] += 1
            if not self._closed:  # else it was counted when it was given up
                self._manners.failures += 1
            self._manners.rests_until = time.monotonic() + self._enrichment.cool_down
        # the question itself is wrong, or so the source says; an error of any other kind tells nothing of the next try
        return not isinstance(error, EnrichmentError) and getattr(error, "again", True)

    def _wait(self) -> bool:
        """Wait for the turn of the next request; False if nothing more is to be asked."""
        with self._lock:  # while one waits, the others do: the rate and the rest are those of all
            if self._given_up:
                return False
            if self._cool_down() and self._take_turn() and time.monotonic() < self._ends:
                return True
            self._given_up = True
            return False

    def _cool_down(self) -> bool:
        """Leave a source alone for a while that failed too often in a row; False if it was, and failed again."""
        if self._manners.failures < self._enrichment.give_up_after:
            return True
        if self._cooled or not self._sleep(self._manners.rests_until - time.monotonic()):
            return False
        self._cooled = True
        self._manners.failures = self._enrichment.give_up_after - 1  # one more failure, and no more is asked
        return True

    def _take_turn(self) -> bool:
        """Keep to the most requests a second."""
        if not self._enrichment.a_second:
            return True
        now = time.monotonic()
        if not self._sleep(self._manners.next - now):
            return False
        self._manners.next = max(now, self._manners.next) + 1 / self._enrichment.a_second
        return True

    def _sleep(self, seconds: float) -> bool:
        """Sleep; False, at once, if the day's time would be over before."""
        if seconds > 0:
            if time.monotonic() + seconds > self._ends:
                return False
            time.sleep(seconds)
        return True

    def _pause(self, attempt: int, after: float) -> None:
        """Wait before a retry: twice as long each time, drawn at random so that not all come back at once."""
        longest = min(self._enrichment.pause * 2**attempt, LONGEST_PAUSE)
        self._sleep(max(after, random.uniform(longest / 2, longest)))  # noqa: S311 - no secret


def batches(enrichment: Enrichment, keys: pa.Table) -> list[pa.Table]:
    """The keys in pieces of one request, always the same for the same keys."""
    # a file of records is looked up in one go: to open a database takes longer than the query
    size = enrichment.batch or (BATCH if enrichment.use != "table" else max(1, len(keys)))
    return [keys.slice(start, size) for start in range(0, len(keys), size)]


def in_background(work: Callable[[Item], pa.Table], items: Sequence[Item], threads: int) -> list[Future[pa.Table]]:
    """What comes of some work on each item, by threads that no process waits for when it ends."""
    futures: list[Future[pa.Table]] = [Future() for _ in items]
    waiting = deque(zip(futures, items, strict=True))

    def run() -> None:
        for future, item in _taken(waiting):
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work(item))
                except BaseException as error:  # for whoever waits for it
                    future.set_exception(error)

    for _ in range(min(threads, len(items))):
        threading.Thread(target=run, daemon=True).start()
    return futures


def _taken(waiting: deque[Item]) -> Iterator[Item]:
    """Item after item, shared by several threads."""
    while True:
        try:
            yield waiting.popleft()
        except IndexError:
            return


def _reason(error: Exception) -> str:
    if isinstance(error, NoAnswer):
        return redacted(error.reason)
    # this is stored, and whoever raised it may have put into it what it asked with
    return f"{type(error).__name__}: {redacted(str(error))[:200]}"


def _show(value: object) -> str:
    """A value of a key for people: text by its letters, whatever they are."""
    return repr(value) if isinstance(value, str) else str(value)
