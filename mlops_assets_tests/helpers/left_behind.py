"""What code that is a process of its own elsewhere leaves in the process of the tests, and how it goes again."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

STORE = "MLFLOW_TRACKING_URI"
"""Whoever trains has MLflow write here which store it talks to."""


@contextmanager
def nothing_left() -> Iterator[None]:
    """The address of MLflow's store and the package's logger, which a command makes tell more, are as before."""
    store, logger = os.environ.get(STORE), logging.getLogger("mlops_assets")
    handlers, propagate, level = logger.handlers[:], logger.propagate, logger.level
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)
        os.environ.pop(STORE, None)
        if store is not None:
            os.environ[STORE] = store
