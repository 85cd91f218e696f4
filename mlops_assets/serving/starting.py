"""Runs of Dagster that somebody asks for, by the API or on a page: each is started once, in somebody's name."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mlops_assets.errors.redaction import without_paths
from mlops_assets.journey.model.changing import REASON_TAG, RETRO_TAG, WHO_TAG
from mlops_assets.serving.dagster import ANSWERING, Dagster, DagsterRun, NoDagster
from mlops_assets.serving.problems import Problem

DAY_TAG, RANGE_TAGS = "dagster/partition", ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
REQUEST_TAG, KEY_TAG = "mlops_assets/request", "mlops_assets/idempotency_key"
"""Tags that are given to a run here, and read again: what was asked for, and under which key."""

JOBS = ("daily", "training", "promote", "rollback", "monitoring", "watch")


@dataclass(frozen=True)
class Wish:
    """A run that somebody asks for.

    Attributes
    ----------
    job
        Name of the job.
    tags
        What the run is told by tags.
    config
        What it is told by its configuration.
    """

    job: str
    tags: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """A hash of all that is asked for: who asks for the same has the same."""
        told = json.dumps([self.job, self.tags, self.config], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:32]


def day_run(use_case: str, day: str) -> Wish:
    """The run of a day, from its raw files to published predictions."""
    return Wish(f"{use_case}_daily", {DAY_TAG: day})


def training(use_case: str, days: tuple[str, str] | None = None) -> Wish:
    """A training; the days from the first to the last are scored again if its version becomes champion."""
    return Wish(f"{use_case}_training", {RETRO_TAG: "/".join(days)} if days else {})


def promotion(use_case: str, version: int, who: str, why: str, *, override: bool = False) -> Wish:
    """That a version becomes champion; with `override` although the gate refused it."""
    config = {"version": version, "why": why, "override": override, "who": who}
    return Wish(f"{use_case}_promote", config=_config(f"{use_case}_promote_version", config))


def rollback(use_case: str, who: str, why: str) -> Wish:
    """That the champion before the present one becomes champion again."""
    return Wish(f"{use_case}_rollback", config=_config(f"{use_case}_roll_back", {"why": why, "who": who}))


def _config(op: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"ops": {op: {"config": dict(config)}}}


class Starter:
    """Starts runs, each once, and tells how they stand.

    Parameters
    ----------
    dagster
        Starts them.
    """

    def __init__(self, dagster: Dagster) -> None:
        self.dagster = dagster
        # of two that ask for the same at once, the second shall find the run of the first
        self._lock = threading.Lock()

    def start(self, wish: Wish, who: str, check: Callable[[], None], key: str | None = None) -> str:
        """The run of a wish: one that was started for the same key, one that does the same now, or a new one.

        Parameters
        ----------
        wish
            What is asked for.
        who
            Who asks, and where, such as `ann (API)`.
        check
            Sees that it can be done; raises if not.
        key
            `Idempotency-Key` of the request.

        Raises
        ------
        Problem
            422, if the key was used for something else.
        NoDagster
            If nobody answers: then nothing was started.
        """
        try:
            with self._in_turn():
                return self._start(wish, who, check, key)
        except NoDagster as error:
            raise NoDagster(f"Nothing was started. {error}") from None

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """One after another; while the one before waits for Dagster, the others do not wait for ever."""
        if not self._lock.acquire(timeout=ANSWERING):
            raise NoDagster(f"Dagster's webserver at {self.dagster.address} is busy: ask again.")
        try:
            yield
        finally:
            self._lock.release()

    def _start(self, wish: Wish, who: str, check: Callable[[], None], key: str | None) -> str:
        tags = {**wish.tags, WHO_TAG: who, REASON_TAG: f"asked for by {who}", REQUEST_TAG: wish.mark}
        by_key = {} if key is None else {KEY_TAG: hashlib.sha256(f"{who}\0{key}".encode()).hexdigest()[:32]}
        if by_key and (before := self.dagster.find(by_key)) is not None:
            if before.tags.get(REQUEST_TAG) != wish.mark:
                detail = f"This Idempotency-Key started the run {before.run_id}, and that was for something else."
                raise Problem(422, f"{detail} Send another key.", further={"run": before.run_id})
            return before.run_id
        check()
        same = self.dagster.find({REQUEST_TAG: wish.mark}, under_way=True)
        if same is not None:
            return same.run_id
        return self.dagster.launch(wish.job, tags | by_key, wish.config)

    def standing(self, run: str, use_cases: Iterable[str]) -> dict[str, Any]:
        """How a run stands, and what its failed steps said, as plain values.

        Parameters
        ----------
        run
            Its id.
        use_cases
            Names of the use cases whose runs may be told.

        Raises
        ------
        Problem
            404, if there is none.
        """
        found = self.dagster.run(run)
        use_case = _use_case(found, use_cases) if found else None
        if found is None or use_case is None:
            raise Problem(404, f"There is no run {run!r} of the use cases that are served here.")
        failed = self.dagster.failures(run) if found.status == "FAILURE" else []
        steps = [{"step": one.step, "said": without_paths(one.said)} for one in failed]
        return {**_told(found), "use_case": use_case, "failed": steps, "link": self.dagster.link(run)}


def _use_case(run: DagsterRun, use_cases: Iterable[str]) -> str | None:
    """The use case of a run: that of its job."""
    return next((name for name in use_cases for job in JOBS if run.job == f"{name}_{job}"), None)


def _told(run: DagsterRun) -> dict[str, Any]:
    days = [run.tags[name] for name in (DAY_TAG, *RANGE_TAGS) if name in run.tags]
    return {
        "run": run.run_id,
        "job": run.job,
        "days": {"from": days[0], "to": days[-1]} if days else None,
        "who": run.tags.get(WHO_TAG),
        "state": run.status.lower(),
        "created": run.created,
        "started": run.started,
        "ended": run.ended,
    }
