"""Promotes, scores past days again, rolls back and puts them back without end, which a test may kill at any moment.

Usage: python -m mlops_assets_tests.helpers.retro_driver, with the settings in the environment.
"""

from __future__ import annotations

from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.promoted import promote, scoring, valued


def main() -> None:
    """Go to and fro for ever, with and without a bound; say when it begins."""
    print("begun", flush=True)  # noqa: T201 - the test reads it
    round_ = 0
    while True:
        bound = {"most_changed": 1.0} if round_ % 2 else {}
        stores = Workspace.from_environment().of(valued(**bound))
        with scoring(stores, "driver") as work:
            promote(stores, 2)
            work.go_on()
            stores.registry.roll_back("toy", "driver", f"round {round_}")
            work.put_back()
        round_ += 1


if __name__ == "__main__":
    main()
