"""Runs a command in a process of its own, which a test may kill at any moment.

Usage: python -m mlops_assets_tests.helpers.command_driver COMMAND ARGUMENT..., with the settings in the environment.
"""

from __future__ import annotations

import sys
from importlib import import_module

from mlops_assets import cli

WORK = {
    "deliver": ("dagster", "mlops_assets.running", "mlops_assets.journey.deliver.targets", "psycopg2"),
    "replay": ("mlops_assets.journey.read.replay", "mlops_assets.sources", "deltalake"),
    "restore": ("mlops_assets.storage.catalog", "mlops_assets.sources", "deltalake"),
    "verify": ("mlops_assets.views.verifying", "deltalake", "mlflow"),
}
"""What a command imports before it does anything: whoever is killed afterwards is killed at work."""
BEGUN, DONE = "begun\n", "command done\n"


def main(command: str) -> None:
    """Give the command; say when it begins, and when there is nothing left to do."""
    for module in WORK[command]:
        import_module(module)
    print(BEGUN, end="", flush=True)  # noqa: T201 - the test reads it
    try:
        cli.main()
    finally:
        print(DONE, end="", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
