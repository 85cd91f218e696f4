"""The speed of a model: CPU time of all that works for it, so that what else the machine does is no matter."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from mlops_assets.journey.model.model import Model
from mlops_assets.journey.train.speed import SLOW, speed

CPU_SECONDS = 0.05


class Worker:
    """A classifier that does something before it answers."""

    classes_ = np.array([0, 1])

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self.asked: list[int] = []

    def predict_proba(self, matrix: np.ndarray) -> np.ndarray:
        self.asked.append(len(matrix))
        self._work()
        return np.full((len(matrix), 2), 0.5)


def measured(work: Callable[[], Any], matrix: np.ndarray, slow: float = SLOW) -> tuple[float, list[int]]:
    estimator: Any = Worker(work)
    return speed(Model(estimator, {"amount": None}, ("a", "b"), ""), matrix, slow), estimator.asked


def burn() -> None:
    """Use a core for a while."""
    began = time.thread_time()
    while time.thread_time() - began < CPU_SECONDS:
        pass


def burn_in_threads() -> None:
    with ThreadPoolExecutor(1) as threads:
        threads.submit(burn).result()


def burn_in_a_process() -> None:
    code = f"import time\nwhile time.process_time() < {CPU_SECONDS}: pass"
    subprocess.run([sys.executable, "-S", "-c", code], check=True)


ROWS = np.zeros((30, 1))


@pytest.mark.parametrize("work", [burn, burn_in_threads, burn_in_a_process])
def test_the_work_of_threads_and_processes_counts(work: Callable[[], None]) -> None:
    rows_a_second, _ = measured(work, ROWS)
    assert 0 < rows_a_second <= 20_000 / CPU_SECONDS


def test_waiting_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a busy machine, where others have the core: the clock goes on, the CPU time of this process does not."""
    clock = iter(range(1_000_000))
    monkeypatch.setattr(time, "perf_counter", lambda: 1e6 * next(clock))
    monkeypatch.setattr(time, "monotonic", lambda: 1e6 * next(clock))
    rows_a_second, _ = measured(lambda: None, ROWS)
    assert rows_a_second > 20_000 / CPU_SECONDS


def test_few_rows_are_repeated_to_as_many_as_the_daily_job_asks_at_once() -> None:
    _, asked = measured(lambda: None, ROWS)
    assert asked[0] < asked[1] < asked[2] == asked[-1] == 20_000


def test_a_slow_model_is_asked_fewer_rows() -> None:
    _, asked = measured(burn, ROWS, slow=CPU_SECONDS / 2)
    assert asked == [104, 1_000, 1_000], "in eights"


def test_no_rows_have_no_speed() -> None:
    assert measured(burn, ROWS[:0]) == (0.0, [])
