"""Promotes and rolls back without end in a process of its own, which a test may kill at any moment.

Usage: python -m mlops_assets_tests.helpers.promotion_driver USE_CASE, with the settings in the environment.
"""

from __future__ import annotations

import sys

from mlops_assets.journey.model.registry import Registry
from mlops_assets.settings import Settings


def main(use_case: str) -> None:
    """Make version 2 champion, then go back to the one before, for ever; say when it begins."""
    registry = Registry(Settings.from_environment())
    if registry.history(use_case).champion() == 2:
        registry.roll_back(use_case, "driver", "begin again")
    print("begun", flush=True)  # noqa: T201 - the test reads it
    while True:
        registry.promote(registry.version(use_case, 2), "driver", "to and fro")
        registry.roll_back(use_case, "driver", "to and fro")


if __name__ == "__main__":
    main(sys.argv[1])
