"""In: what somebody asks a run for. Out: a run of Dagster that does it, started once; for the API and for pages."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_assets.journey.model.changing import REASON_TAG, WHO_TAG
from mlops_assets.serving.dagster import Dagster
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.run_checks import check_day
from mlops_assets.workspace import Stores

DAY_TAG = "dagster/partition"
REQUEST_TAG, KEY_TAG = "mlops_assets/request", "mlops_assets/idempotency_key"
"""Tags that a run is given here, and that are read again: what was asked for, and under which key."""


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


def day_wish(use_case: str, day: str) -> Wish:
    """The run of a day, from its raw files to published predictions."""
    return Wish(f"{use_case}_daily", {DAY_TAG: day})


class Starter:
    """Starts runs, each once.

    Parameters
    ----------
    dagster
        Starts them.
    """

    def __init__(self, dagster: Dagster) -> None:
        self.dagster = dagster
        # of two that ask for the same at once, the second shall find the run of the first
        self._lock = threading.Lock()

    def start_day(self, stores: Stores, day: str, who: str, key: str | None = None) -> str:
        """The run of a day, if there is something to run of it; parameters and errors as `start` and `check_day`."""
        return self.start(day_wish(stores.use_case.name, day), who, key, lambda: check_day(stores, day))

    def start(self, wish: Wish, who: str, key: str | None, check: Callable[[], None]) -> str:
        """The run of a wish: one that was started for the same key, one that does the same now, or a new one.

        Parameters
        ----------
        wish
            What is asked for.
        who
            Name of the caller.
        key
            `Idempotency-Key` of the request.
        check
            Sees that it can be done; raises if not.

        Raises
        ------
        Problem
            422, if the key was used for something else.
        """
        tags = {**wish.tags, WHO_TAG: f"{who} (API)", REASON_TAG: f"asked for by {who} (API)", REQUEST_TAG: wish.mark}
        by_key = {} if key is None else {KEY_TAG: hashlib.sha256(f"{who}\0{key}".encode()).hexdigest()[:32]}
        with self._lock:
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
