"""Two versions on a day, compared for a page: days that take a while are for the command `diff`."""

from __future__ import annotations

import threading
from collections import OrderedDict

from mlops_assets.journey.explain.comparison import Comparison, compare_day
from mlops_assets.journey.model.version import Version
from mlops_assets.serving.problems import Problem
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.workspace import Stores

KEPT = 8
"""Comparisons that are kept, for who looks again."""
SECONDS = 30
"""For which one waits while another is made: a process makes one at a time, for it has requests to answer."""

Key = tuple[str, str, int, str, str]


class Comparer:
    """Compares versions, one pair at a time, and keeps the last results.

    Parameters
    ----------
    most_rows
        Rows of a day that are scored twice while somebody waits: a second or two.
    """

    def __init__(self, most_rows: int = 100_000) -> None:
        self._most_rows = most_rows
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Comparison] = OrderedDict()

    def compare(self, stores: Stores, day: str, before: Version, after: Version) -> tuple[Comparison | None, str]:
        """What changes on a day; or why that is not told here.

        Raises
        ------
        Problem
            503, if others are compared for long.
        MlopsError
            If a version cannot be loaded, or its answers lack.
        """
        state = stores.lake.rows.days().get(day)
        if state is None:
            return None, f"There are no rows of {day}. This makes them, and compares then:"
        if state.accounting.rows > self._most_rows:
            rows = f"{state.accounting.rows:,} rows, more than the {self._most_rows:,} that are compared while you wait"
            return None, f"{day} has {rows}. This compares them all:"
        key = (stores.use_case.name, day, state.version, before.serving_sha256, after.serving_sha256)
        if not self._lock.acquire(timeout=SECONDS):
            raise Problem(503, "Other versions are compared just now; look again in a minute.")
        try:
            if key not in self._kept:
                trusted = stores.use_case.training.trusted
                before, after = (stores.registry.prove(one, trusted) for one in (before, after))
                self._kept[key] = compare_day(
                    stores.use_case, stores.lake, day, before, after, LocalEngine(1), lambda _: None
                )
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[key], ""
        finally:
            self._lock.release()
