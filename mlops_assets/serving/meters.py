"""What is measured of the API, for Prometheus. A process has its meters; `text` adds up those of all that share a port.

Labels have few values: routes and use cases, not paths, files or callers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from mlops_assets.serving.answering.lane import Call

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Variable that names the folder where processes that share a port lay what they measure."""

REGISTRY = CollectorRegistry()
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
COUNTS = (1, 10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000)

REQUESTS = Counter("mlops_requests", "Requests that were answered.", ("route", "status"), registry=REGISTRY)
STAGES = Histogram(
    "mlops_stage_seconds",
    "Seconds of a request: the whole of it, waiting for a batch, and being answered in one.",
    ("stage",),
    buckets=SECONDS,
    registry=REGISTRY,
)
AT_WORK = Gauge(
    "mlops_requests_at_work", "Requests that are worked on.", registry=REGISTRY, multiprocess_mode="livesum"
)
ROWS = Counter("mlops_rows", "Rows that were predicted.", ("use_case",), registry=REGISTRY)
REJECTS = Counter("mlops_rejects", "Lines and files that were refused.", ("use_case", "rule"), registry=REGISTRY)
VERSION = Gauge(
    "mlops_version",
    "The version that answers.",
    ("use_case",),
    registry=REGISTRY,
    multiprocess_mode="livemostrecent",
)
FAILURES = Counter("mlops_failures", "Errors that no caller can help, by their kind.", ("kind",), registry=REGISTRY)
BATCH_ROWS = Histogram("mlops_batch_rows", "Lines that were answered in one batch.", buckets=COUNTS, registry=REGISTRY)
ROWS_WAITING = Gauge(
    "mlops_rows_waiting", "Lines that wait for a batch.", registry=REGISTRY, multiprocess_mode="livesum"
)
REFUSED = Counter(
    "mlops_not_taken",
    "Requests that were not answered: too much waited, the time was over, the client had gone, the process ended.",
    ("use_case", "why"),
    registry=REGISTRY,
)

MOST_RULES = 200
"""Rules that are told apart: more than all contracts have that come with the package."""
_rules: set[tuple[str, str]] = set()


def count_answer(use_case: str, version: int, rows: int, rejects: Mapping[str, int]) -> None:
    """Count what became of the lines of a request.

    Parameters
    ----------
    use_case, version
        What answered.
    rows
        Rows with a prediction.
    rejects
        Refused lines and files, by rule.
    """
    ROWS.labels(use_case).inc(rows)
    VERSION.labels(use_case).set(version)
    for rule, number in rejects.items():
        if len(_rules) < MOST_RULES:
            _rules.add((use_case, rule))
        REJECTS.labels(use_case, rule if (use_case, rule) in _rules else "other").inc(number)


class Batches:
    """Counts what a batcher does; see `batcher.Watch`."""

    def called(self, call: Call) -> None:
        """A call has ended."""
        BATCH_ROWS.observe(call.rows)
        ROWS_WAITING.set(call.waiting)
        STAGES.labels("answering").observe(call.seconds)
        for seconds in call.waited:
            STAGES.labels("waiting").observe(seconds)

    def refused(self, use_case: str, why: str) -> None:
        """Files were not taken, or not answered in time."""
        REFUSED.labels(use_case, why).inc()


def text() -> bytes:
    """All meters, as Prometheus reads them; of all processes that share the port."""
    if not os.environ.get(FOLDER):
        return generate_latest(REGISTRY)
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return generate_latest(together)
